"""What the processes have in memory, and which worker has to go because of it.

Looks once a second, with the clock in its caller's hand. A worker that has grown too large is draining: it gets no more
visits, and is replaced when it holds none; one that has burst is killed, which is a death like any other. Must not know
the ledger or the network. Runs in the coordinator's main loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection

from crawler.engine.life import Life
from crawler.processes.pids import resident_bytes

MEMORY_SECONDS = 1.0  # between two looks at the processes' memory


class MemoryWatch:
    """Keeps workers, and all processes together, below what they may have in memory."""

    def __init__(self, worker_memory_mb: int, memory_mb: int) -> None:
        self._worker_bytes = worker_memory_mb << 20
        self._bytes = memory_mb << 20
        self._looked_at = 0.0

    def look(self, now: float, lives: Collection[Life], others_bytes: Callable[[], int]) -> list[str]:
        """Let workers drain that have grown too large, kill those that have burst; return what was done, as texts.

        Args:
            others_bytes: returns what processes have that are neither workers nor this one.
        """
        if now - self._looked_at < MEMORY_SECONDS or not (self._worker_bytes or self._bytes):
            return []
        self._looked_at = now
        told = [text for life in lives if (text := self._look_at(life))]
        if not self._bytes or any(life.is_draining for life in lives):
            return told
        sizes = [(life.pool.memory_bytes(), life) for life in lives]
        total = sum(size for size, _ in sizes) + resident_bytes(os.getpid()) + others_bytes()
        size, largest = max(sizes, key=lambda each: each[0])
        if total > self._bytes and size:
            largest.is_draining = True
            told.append(
                f"all processes have {total >> 20:,} MB in memory: worker {largest.worker}, the largest with "
                f"{size >> 20:,} MB, is replaced when its visits have come back"
            )
        return told

    def _look_at(self, life: Life) -> str:
        """Let a worker above the limit drain, kill one at twice that; return what was done, if anything was."""
        if not self._worker_bytes or (size := life.pool.memory_bytes()) <= self._worker_bytes:
            return ""
        if size > 2 * self._worker_bytes:
            life.pool.kill()
            return f"worker {life.worker} has {size >> 20:,} MB in memory and was killed"
        if life.is_draining:
            return ""
        life.is_draining = True
        return f"worker {life.worker} has {size >> 20:,} MB in memory: it is replaced when its visits have come back"
