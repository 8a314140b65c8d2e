"""The consuming end of the queue: the daemons that commit, and how the coordinator puts and joins without hanging.

    call_back, main loop ── Outbox.hand_over ─► JoinableQueue ─► consume() ─► the ledger
                            (numbers, keeps)     (bytes)         (one at a time drains *and* commits)

The queue is filled by `Outbox`, from the pools' manager threads and the main loop, under one lock, so that numbers and
queue order agree; it is emptied by `consume`, in daemon processes (threads where there are no processes); it is bounded
by the coordinator, which hands out nothing new while too many batches are unacknowledged; it ends when it is replaced,
or with the end batch. A batch is kept until the ledger says that its number is committed: a consumer may die at any
line. A queue that a process died on is never used again (it nearly always holds the reader's lock).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from crawler.config import Config
from crawler.errors import CrawlerError, StorageError
from crawler.ledger.apply import Fenced, NumberedBatch, Writer
from crawler.processes.pools import enter_child
from crawler.rules.offers import Offers
from crawler.rules.scope import Scope

GROUP = 64  # batches in one transaction, at most
PUT_SECONDS = 0.2  # to get the queue's condition, which a dead consumer may hold
SAME_BATCH = 3  # how often the same first batch may fail,
MAX_STALLS = 4  # how often in a row nothing may be committed, each time for twice as long,
MAX_REPLACED = 500  # and how many sets of consumers may die in a row without a commit
SLOW_SECONDS = 5.0  # without a commit, after which it is said
EXIT_STORAGE, EXIT_FENCED = 5, 72


class ConsumerSetup(NamedTuple):
    """What a consumer needs to know; plain data."""

    ledger: Path
    lock_file: Path
    run_id: int
    config: Config
    seeds: tuple[str, ...]
    key: bytes
    is_process: bool


class Complaint(NamedTuple):
    """Why a consumer ended: the text, and the exit code of its process."""

    text: str
    exit_code: int


def consume(setup: ConsumerSetup, q: Any, turn: Any, complaints: Any) -> None:
    """Commit what comes on the queue, group by group; acknowledge after the commit.

    The body of a daemon process (or thread). It ends by being killed (or by a None, one per thread). A failure is put
    on `complaints`, and ends a process with the exit code 5 for storage errors and 1 for anything else.
    """
    try:
        if setup.is_process:
            enter_child(setup.lock_file, "consumer")
        _drain(setup, q, turn)
    except Fenced:
        exit_code = EXIT_FENCED
    except StorageError as error:
        exit_code = EXIT_STORAGE
        complaints.put(Complaint(str(error), exit_code))
    except BaseException as error:
        exit_code = 1
        complaints.put(Complaint(f"{type(error).__name__}: {error}", exit_code))
    else:
        exit_code = 0
    if setup.is_process:
        raise SystemExit(exit_code)


def _drain(setup: ConsumerSetup, q: Any, turn: Any) -> None:
    config = setup.config
    scope = Scope(config.scope, setup.seeds, config.include, config.exclude)
    writer = Writer(
        setup.ledger,
        setup.run_id,
        Offers.of(config, scope, setup.key),
        durability=config.durability,
        obey_nofollow=config.obey_nofollow,
    )
    decode = msgspec.msgpack.Decoder(NumberedBatch).decode
    try:
        while True:
            with turn:  # one at a time drains and commits: so commits follow the numbers
                taken, is_empty = _take(q)
                group = [decode(blob) for blob in taken if blob is not None]
                if group:
                    writer.commit(group, queue_is_empty=is_empty)
            for _ in taken:
                q.task_done()
            if taken[-1] is None:
                return
    finally:
        writer.leave()


def _take(q: Any) -> tuple[list[bytes | None], bool]:
    """Wait for a batch, take what else is there, up to a group or a None; tell whether that emptied the queue."""
    taken = [q.get()]
    try:
        while taken[-1] is not None and len(taken) < GROUP:
            taken.append(q.get_nowait())
    except queue.Empty:
        return taken, True
    return taken, False


class Kept(NamedTuple):
    """A batch that is not acknowledged yet."""

    blob: bytes
    pages: int  # page rows in it
    ended: Sequence[tuple[int, int, str]]  # (host_id, seq, what) of its outcomes


class Outbox:
    """The producing end: numbers batches, puts them, keeps them until they are committed."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # handing over, and retiring a worker or a queue
        self.unacked: dict[int, Kept] = {}
        self.pages = 0  # page rows in what is unacknowledged, and
        self.bytes = 0  # its size
        self._queue: Any = None
        self._number = 0
        self._encode = msgspec.msgpack.Encoder().encode

    def __repr__(self) -> str:
        return f"<Outbox: {len(self.unacked)} of {self._number} unacknowledged, {self.pages} pages in them>"

    @property
    def is_connected(self) -> bool:
        """Tell that there is a queue and that the last put got through."""
        return self._queue is not None

    def hand_over(
        self, body: bytes, *, hungry: bool, pages: int = 0, ended: Sequence[tuple[int, int, str]] = ()
    ) -> None:
        """Number a batch, keep it, put it. Never blocks for long, never raises for what a dead consumer did."""
        with self.lock:
            self._number += 1
            kept = Kept(self._encode(NumberedBatch(self._number, hungry, body)), pages, ended)
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

    def connect(self, q: Any) -> None:
        """Use a new queue, and put everything on it that is not acknowledged, in order."""
        with self.lock:
            self._queue = q
            for kept in list(self.unacked.values()):
                self._put(kept.blob)

    def _put(self, blob: bytes) -> None:
        if self._queue is None:
            return
        # A process that dies inside task_done() holds the condition that put() takes too.
        condition = getattr(self._queue, "_cond", None)
        if condition is not None and not condition.acquire(timeout=PUT_SECONDS):
            self._queue = None
            return
        try:
            self._queue.put(blob)
        finally:
            if condition is not None:
                condition.release()


class Watch:
    """Says when the queue and its consumers have to be replaced, and when that would help no more."""

    def __init__(self, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._committed = -1
        self._moved_at = 0.0
        self._stalls = self._replaced = 0
        self._is_slow = False
        self._first = 0
        self._failed_on_first = 0

    def why_replace(self, outbox: Outbox, committed: int, alive: bool, now: float) -> str:
        """Return what is wrong with the present queue and consumers, "" if nothing is."""
        if committed != self._committed or not outbox.unacked:
            if committed != self._committed:
                self._replaced = 0
            self._committed, self._moved_at, self._stalls = committed, now, 0
        if not alive:
            return "a consumer died"
        if not outbox.is_connected:
            return "the queue does not take batches: a consumer died in task_done()"
        patience = self._stall_seconds * 2**self._stalls
        if now - self._moved_at > patience:
            self._moved_at = now
            self._stalls += 1
            return f"nothing was committed for {patience:g} s"
        return ""

    def is_slow(self, now: float) -> bool:
        """Tell, once each time, that nothing was committed for a while that is no reason to replace anybody."""
        was_told, self._is_slow = self._is_slow, now - self._moved_at > SLOW_SECONDS
        return self._is_slow and not was_told

    def check(self, outbox: Outbox, complaints: Sequence[Complaint]) -> None:
        """Raise if replacing is no use: storage failed, or the same batch fails, or stalls, again and again.

        Raises:
            StorageError: what the consumer said.
            CrawlerError: names the batch.
        """
        for complaint in complaints:
            if complaint.exit_code == EXIT_STORAGE:
                raise StorageError(complaint.text)
        self._replaced += 1
        first = min(outbox.unacked, default=0)
        self._failed_on_first = self._failed_on_first + 1 if first and first == self._first else 1
        self._first = first
        if complaints and self._failed_on_first >= SAME_BATCH:
            why = f"{SAME_BATCH} times in a row: {complaints[-1].text}"
        elif self._stalls >= MAX_STALLS:
            why = f"for {self._stall_seconds * (2**MAX_STALLS - 1):g} s, with {MAX_STALLS} sets of consumers"
        elif self._replaced >= MAX_REPLACED:
            raise CrawlerError(f"consumers die, {MAX_REPLACED} sets of them in a row, and do not say of what")
        else:
            return
        raise CrawlerError(
            f"batch {first} cannot be committed, {why}; the ledger is as it was before it, the same command continues"
        )


def join(q: Any, are_alive: Callable[[], bool]) -> None:
    """Wait for `q.join()`, but no longer than the consumers live.

    The caller knows from the ledger that everything is committed; a consumer that dies between its commit and its
    `task_done()` must not keep anybody waiting.
    """
    joiner = threading.Thread(target=q.join, daemon=True)
    joiner.start()
    while joiner.is_alive() and are_alive():
        joiner.join(0.05)
