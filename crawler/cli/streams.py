"""Standard streams that are closed, full or read no longer: none of it has a say in how a command ends.

Knows no command, and not what is printed. Runs in the process that prints, in its main thread.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


def open_standard_streams() -> None:
    """Open /dev/null for each standard stream that was closed (`2>&-`): the next file opened would get its number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number)
            if null != number:
                os.close(null)
            os.set_inheritable(number, True)  # children need it, too
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


@contextlib.contextmanager
def output() -> Iterator[None]:
    """Let printing fail without a say in the exit code: `| head` has read enough, or the disk is full."""
    try:
        yield
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            say(f"cannot write the output: {error.strerror}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in buffers goes there


def say(sentence: str) -> None:
    """Write a sentence of the program's own to standard error, if that can be written."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"poolcrawl: {sentence}\n")
