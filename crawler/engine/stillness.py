"""What a crawl waits for when nothing moves, and what its processes have in memory.

Two watches that the engine asks a few times a second, with the clock in its hand. They say what they see, as text for
the log, and mark workers that have grown too large (`Life.is_worn`); the engine does the rest. Must not know the ledger
or the network. Runs in the coordinator.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from crawler.processes.lock import resident_bytes
from crawler.processes.pools import Life

QUIET_SECONDS = 30.0  # without anything that comes back or is committed: it is said why, then after twice that, ...
MEMORY_SECONDS = 1.0  # between two looks at the processes' memory


class Stillness:
    """Tells for how long nothing has moved, and what is waited for."""

    def __init__(self, now: float) -> None:
        self._moved_at = now
        self._patience = QUIET_SECONDS

    def moved(self, now: float) -> None:
        """Take note that something came back, or was committed."""
        self._moved_at, self._patience = now, QUIET_SECONDS

    def is_over(self, now: float) -> bool:
        """Tell that it is time to say what is waited for; the next time is after twice as long."""
        if now - self._moved_at < self._patience:
            return False
        self._patience *= 2
        return True

    def explain(self, now: float, lives: Iterable[Life], unacked: int, due: tuple[float, str] | None) -> str:
        """Say what is waited for; "" if there is nothing that could come.

        Args:
            unacked: batches that are not committed.
            due: when the next host may be asked, and its name.
        """
        waits = []
        for life in lives:
            if life.held:
                visit = next(iter(life.held.values()))  # in the order they were handed out
                age = now - life.handed_at[visit.id]
                waits.append(f"worker {life.worker} has had {visit.url} for {age:.0f} s, and {len(life.held) - 1} more")
            elif life.calls:
                waits.append(f"worker {life.worker} has not come back from a call")
        if unacked:
            waits.append(f"{unacked} batches are not committed")
        if due is not None and not waits:
            waits.append(f"the next is {due[1]}, which may be asked in {max(0.0, due[0] - now):.0f} s")
        return f"nothing has come back for {now - self._moved_at:.0f} s: {'; '.join(waits)}" if waits else ""


class MemoryWatch:
    """Keeps workers, and all processes together, below what they may have in memory."""

    def __init__(self, worker_memory_mb: int, memory_mb: int) -> None:
        self._worker_bytes = worker_memory_mb << 20
        self._bytes = memory_mb << 20
        self._looked_at = 0.0

    def look(self, now: float, lives: Sequence[Life], consumers: Iterable[Any]) -> list[str]:
        """Mark workers that have grown too large, kill those that have burst; say what was done. Once a second."""
        if now - self._looked_at < MEMORY_SECONDS or not (self._worker_bytes or self._bytes):
            return []
        self._looked_at = now
        told = [text for life in lives if (text := life.check_memory(self._worker_bytes))]
        if not self._bytes or any(life.is_worn for life in lives):
            return told
        sizes = [max(map(resident_bytes, life.pids()), default=0) for life in lives]
        others = [os.getpid(), *(pid for consumer in consumers if (pid := getattr(consumer, "pid", None)))]
        total = sum(sizes) + sum(map(resident_bytes, others))
        if total > self._bytes and any(sizes):
            largest = lives[sizes.index(max(sizes))]
            largest.is_worn = True
            told.append(
                f"all processes have {total >> 20:,} MB in memory: worker {largest.worker}, the largest with "
                f"{max(sizes) >> 20:,} MB, is replaced when its visits have come back"
            )
        return told
