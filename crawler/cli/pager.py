"""Long output on a terminal goes through the user's pager, as git does it; anywhere else it goes straight out.

$PAGER says which; "" or "cat" means none, and so does a terminal that is none (`TERM=dumb`). `less` is told to leave
on the screen what fits there. Must not know what is printed. Runs in the process that prints.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import IO


@contextlib.contextmanager
def paged(wanted: bool = True) -> Iterator[IO[str]]:
    """Yield what to write to. A pager that is quit early ends the writing, without a complaint."""
    command = _command() if wanted and sys.stdout.isatty() else ""
    if not command:
        yield sys.stdout
        return
    sys.stdout.flush()
    process = subprocess.Popen(  # noqa: S603  (what the user wants for a pager)
        ["/bin/sh", "-c", command], stdin=subprocess.PIPE, text=True, encoding=sys.stdout.encoding,
        errors="backslashreplace", env={"LESS": "FRX", "LV": "-c", **os.environ},
    )  # fmt: skip
    assert process.stdin is not None  # noqa: S101  (a pipe was asked for)
    try:
        yield process.stdin
    except BrokenPipeError:
        pass  # whoever reads has read enough
    finally:
        # Ctrl-C is the pager's to hear now: there it ends a search, and not the program.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()
        finally:
            signal.signal(signal.SIGINT, before)


def _command() -> str:
    """Return the pager's command line, "" for none."""
    if os.environ.get("TERM", "dumb") == "dumb":
        return ""
    command = os.environ.get("PAGER", "less")
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that is not closed
        return ""
    return command if words and words != ["cat"] and shutil.which(words[0]) else ""
