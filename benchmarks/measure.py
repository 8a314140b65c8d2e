"""Running a command and saying what it cost: time, processor time and memory of all its processes. Linux only.

Processor time is what the kernel tells when a process is reaped (`wait4`): its own and that of the children it reaped
itself. Processes whose parent died come to us, for we are their subreaper; so none is missed, killed ones included.
Memory is the sum of the processes' PSS (pages that several share are divided among them), sampled; the highest sum is
the peak. Must not know what the command does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FIRST_SAMPLE_SECONDS = 0.005  # to the first reading of memory; each pause is longer than the one before, up to ...
SAMPLE_SECONDS = 0.25  # ... this: a reading costs each process about a millisecond
LEFT_OVER_SECONDS = 3.0  # how long processes may outlive the command
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Usage:
    """What a command cost."""

    started: float  # Unix time
    wall_seconds: float  # until the command itself ended
    cpu_seconds: float  # user and system, all processes
    peak_pss_bytes: int  # all processes together
    exit_code: int  # negative: the signal that ended it
    timed_out: bool


def run(
    command: Sequence[str], folder: Path, output: Path, *, limit_seconds: float,
    environment: Mapping[str, str] | None = None,
) -> Usage:  # fmt: skip
    """Run a command in a session of its own, its working directory `folder`, what it says in the file `output`.

    It is killed, with all its processes, after `limit_seconds`, and whenever this call is left early. One at a time.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    tree = _Tree()
    with output.open("wb") as said:
        started, begun = time.time(), time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        peak, timed_out = _watch(process.pid, tree, begun + limit_seconds)
        wall_seconds = time.monotonic() - begun
        if timed_out:
            tree.kill()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # so that Popen does not wait for it, too
        cpu_seconds = used.ru_utime + used.ru_stime + tree.reap(LEFT_OVER_SECONDS)
    finally:
        tree.kill()
        tree.reap(LEFT_OVER_SECONDS)
    return Usage(started, wall_seconds, cpu_seconds, peak, process.returncode, timed_out)


def _watch(pid: int, tree: _Tree, deadline: float) -> tuple[int, bool]:
    """Sample memory until a process ends or its time is over; the peak, and whether it was."""
    peak, pause_seconds = 0, FIRST_SAMPLE_SECONDS
    ended = os.pidfd_open(pid)
    try:
        while not select.select([ended], [], [], pause_seconds)[0]:
            pause_seconds = min(pause_seconds * 1.5, SAMPLE_SECONDS)
            peak = max(peak, sum(map(_pss_bytes, tree.pids())))
            if time.monotonic() > deadline:
                return peak, True
    finally:
        os.close(ended)
    return peak, False


class _Tree:
    """The descendants of this process, but for those that were there when it was made."""

    def __init__(self) -> None:
        self._foreign = _all_pids()

    def pids(self) -> list[int]:
        """Return the processes that are there now, dead ones that nobody has reaped included."""
        everything = _all_pids()
        self._foreign &= everything  # the pid of one that ended may be given again
        parents = {pid: _parent(pid) for pid in everything - self._foreign}
        found = {os.getpid()}
        while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
            found |= more
        return sorted(found - {os.getpid()})

    def kill(self) -> None:
        """Send SIGKILL to all, again until none is left that was not hit: they may be forking."""
        hit: set[int] = set()
        while fresh := set(self.pids()) - hit:
            hit |= fresh
            for pid in fresh:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def reap(self, patience_seconds: float) -> float:
        """Wait for the processes that have come to us, kill those that stay too long; their processor time."""
        cpu_seconds = 0.0
        deadline = time.monotonic() + patience_seconds
        while left := self.pids():
            for pid in left:
                cpu_seconds += _reap(pid)
            if time.monotonic() > deadline:
                self.kill()
            time.sleep(0.005)
        return cpu_seconds


def _reap(pid: int) -> float:
    """Reap a process if it is a dead child of ours; the processor time of it and of what it has reaped."""
    try:
        ended, _, used = os.wait4(pid, os.WNOHANG)
    except ChildProcessError:
        return 0.0
    return used.ru_utime + used.ru_stime if ended else 0.0


def _all_pids() -> set[int]:
    return {int(name) for name in os.listdir("/proc") if name.isdecimal()}  # noqa: PTH208  (many, and often)


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return -1
    return int(stat.rpartition(")")[2].split()[1])


def _pss_bytes(pid: int) -> int:
    """Return a process's proportional share of memory; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
