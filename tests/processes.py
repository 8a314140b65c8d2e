"""Which processes a test has left behind: its own, theirs, and those whose parent was killed.

An orphan goes to the nearest ancestor that takes orphans in ("child subreaper", Linux), else to init, where nobody
would know whose it was. So the process that runs the tests takes them in, and whatever a test started stays below it;
the kernel lists a thread's children in /proc, so that a look costs microseconds and not one file a process of the
machine.
Elsewhere than on Linux nothing is looked at.
"""

from __future__ import annotations

import ctypes
import os
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)

_PROC = Path("/proc")
_CAN_LOOK = Path("/proc/thread-self/children").exists()
#: zombies that nobody has waited for, such as orphans: they have no children, and are not worth another look
_dead: set[int] = set()


def take_orphans_in() -> None:
    """Make this process the parent of every process below it that loses its own."""
    if _CAN_LOOK:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> set[int]:
    """Return the pids of all processes below this one that live."""
    found: set[int] = set()
    todo = _children(os.getpid()) - _dead
    while todo:
        pid = todo.pop()
        if _has_ended(pid):
            _dead.add(pid)
        else:
            found.add(pid)
            todo |= _children(pid) - found
    return found


def left_behind(before: set[int]) -> dict[int, str]:
    """Return the processes that live and did not `before`, each with its command line.

    This process's fork server and resource tracker may stay: multiprocessing keeps them for the next crawl. Those of
    another process, killed or not, may not.
    """
    servers = (
        getattr(forkserver._forkserver, "_forkserver_pid", None),
        getattr(resource_tracker._resource_tracker, "_pid", None),
    )
    return {pid: _command(pid) for pid in descendants() - before if pid not in servers}


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    try:
        for thread in (_PROC / str(pid) / "task").iterdir():
            found.update(map(int, (thread / "children").read_text().split()))
    except OSError:  # it, or a thread, has just ended
        pass
    return found


def _has_ended(pid: int) -> bool:
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _command(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
