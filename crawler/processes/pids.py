"""Processes by pid: whether one has ended, what it has in memory, and killing it.

By pid, because multiprocessing's own ways fail exactly when they are needed: `Process.terminate()` waits for ever on a
stopped process, and `Process.kill()` does nothing once the fork server is dead. Must not know whose processes they are.
Runs in the coordinator.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path

from crawler import clock

GONE_SECONDS = 5.0  # how long a SIGKILL may take
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def kill(pids: Iterable[int]) -> None:
    """SIGKILL processes by pid and wait until they are gone, `GONE_SECONDS` at most."""
    killed = []
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        killed.append(pid)
    deadline = clock.monotonic() + GONE_SECONDS
    while any(not is_gone(pid) for pid in killed) and clock.monotonic() < deadline:
        clock.sleep(0.001)


def is_gone(pid: int) -> bool:
    """Return whether a process has ended (a zombie has)."""
    return birth(pid) == ""


def birth(pid: int) -> str:
    """Return a text that tells a process from a later one with the same pid; "" if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "" if Path("/proc/self/stat").exists() else _birth_by_ps(pid)
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def resident_bytes(pid: int) -> int:
    """Return what a process has in memory; 0 if it has ended, or where there is no /proc."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0


def _birth_by_ps(pid: int) -> str:
    shown = subprocess.run(  # noqa: S603  (fixed words and a number)
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    state, _, started = shown.partition(" ")
    return "" if not shown or state.startswith("Z") else started.strip()
