"""What the system allows a process: how many files it may have open, and what to say when something is used up.

Must not know what the processes do. Runs in the coordinator; `allow_files` in each child.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import sys
from collections.abc import Iterator

from crawler.errors import CrawlerError

RESERVED_FILES = 48  # of a process: for its libraries, pipes, and the ledger
_USED_UP = {
    errno.EMFILE: "file descriptors for this process (ulimit -n)",
    errno.ENFILE: "file descriptors on this machine",
    errno.EAGAIN: "processes or threads (ulimit -u)",
    errno.ENOMEM: "memory",
}


@contextlib.contextmanager
def limits_explained() -> Iterator[None]:
    """Turn what the system says when something is used up into a sentence.

    Raises:
        CrawlerError: names what there is too little of.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _USED_UP:
            raise
        raise CrawlerError(
            f"there are too few {_USED_UP[error.errno]}: allow more, or use fewer --processes; "
            "the same command continues"
        ) from error
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        raise CrawlerError(
            f"there is too little memory, or there are too few {_USED_UP[errno.EAGAIN]}: allow more, or use fewer "
            "--processes; the same command continues"
        ) from error
    except MemoryError as error:
        raise CrawlerError("there is too little memory: use fewer --processes; the same command continues") from error


def most_requests() -> int:
    """Return how many requests a worker may have in flight, by the file descriptors that it may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if most == resource.RLIM_INFINITY else max(1, most - RESERVED_FILES)


def allow_files() -> None:
    """Let this process, a child of ours, have as many files open as it may."""
    with contextlib.suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
