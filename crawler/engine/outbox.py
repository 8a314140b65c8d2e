"""The producing end of the queue: batches get numbers, are put, and are kept until the ledger has them.

    call_back, main loop ── Outbox.hand_over ─► JoinableQueue ─► consumer.consume ─► runs.committed
                                 └─ kept by number ◄──────────── acknowledge ────────────┘

`Outbox.unacked` is filled by `hand_over`, in the pools' threads and in the main loop, under one lock, so that numbers
and queue order agree; it is emptied by `acknowledge`, in the main loop; it is bounded by the coordinator, which hands
out nothing new while too much is in it. The same lock is what retiring a worker or a queue takes: who holds it knows
that no batch of that worker is being handed over. Must not know who drains the queue, nor what is in a batch.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from crawler.ledger.apply import NumberedBatch
from crawler.model import Visit
from crawler.processes.kinds import BatchQueue

PUT_SECONDS = 0.2  # to get the queue's condition, which a dead consumer may hold
#: how many batches, and how many bytes, may be unacknowledged before nothing new is handed out
MAX_UNACKED, MAX_UNACKED_BYTES = 256, 8 << 20

Ended = tuple[Visit, str]  # a visit, and what became of it: `Outcome.what`


class Kept(NamedTuple):
    """A batch that is not acknowledged yet."""

    blob: bytes
    pages: int  # page rows in it
    ended: Sequence[Ended]


class Outbox:
    """Numbers batches, puts them, keeps them until they are committed."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # handing over, and retiring a worker or a queue
        self.unacked: dict[int, Kept] = {}
        self.pages = self.bytes = 0  # of what is unacknowledged: page rows, and size
        self._queue: BatchQueue | None = None
        self._number = 0
        self._encode = msgspec.msgpack.Encoder().encode

    def __repr__(self) -> str:
        return f"<Outbox: {len(self.unacked)} of {self._number} unacknowledged, {self.pages} pages in them>"

    @property
    def is_connected(self) -> bool:
        """Return whether there is a queue and the last put got through."""
        return self._queue is not None

    @property
    def is_full(self) -> bool:
        """Return whether so much is unacknowledged that nothing new is to be handed out."""
        return len(self.unacked) >= MAX_UNACKED or self.bytes >= MAX_UNACKED_BYTES

    def hand_over(self, body: bytes, *, flush_early: bool, pages: int = 0, ended: Sequence[Ended] = ()) -> None:
        """Number a batch, keep it, put it. Never blocks for long, never raises for what a dead consumer did."""
        with self.lock:
            self._number += 1
            kept = Kept(self._encode(NumberedBatch(self._number, flush_early, body)), pages, ended)
            self.unacked[self._number] = kept
            self.pages += pages
            self.bytes += len(kept.blob)
            self._put(kept.blob)

    def acknowledge(self, committed: int) -> list[Kept]:
        """Let go of what is committed, and return it."""
        with self.lock:
            numbers = [number for number in self.unacked if number <= committed]
            freed = [self.unacked.pop(number) for number in numbers]
            self.pages -= sum(kept.pages for kept in freed)
            self.bytes -= sum(len(kept.blob) for kept in freed)
        return freed

    def disconnect(self) -> None:
        """Put nothing more on the present queue."""
        with self.lock:
            self._queue = None

    def connect(self, q: BatchQueue) -> None:
        """Use a new queue, and put everything on it that is not acknowledged, in order."""
        with self.lock:
            self._queue = q
            for kept in list(self.unacked.values()):
                self._put(kept.blob)

    def _put(self, blob: bytes) -> None:
        if self._queue is None:
            return
        # A process that dies inside task_done() holds the condition that put() takes too.
        condition: Any = getattr(self._queue, "_cond", None)
        if condition is not None and not condition.acquire(timeout=PUT_SECONDS):
            self._queue = None
            return
        try:
            self._queue.put(blob)
        finally:
            if condition is not None:
                condition.release()
