"""The queue and the daemons that drain it: started, watched, replaced, and joined at the end.

    start ─► watched ─► (a consumer died, or nothing moves) ─► stop ─► committed? ─► start, everything unacknowledged
                └─► all is committed ─► wait for q.join() ─► dismiss                    is put again

A queue that a process died on is never used again: a consumer that is killed while it waits holds the queue's lock, one
that is killed inside task_done() the condition that put() takes too. So queue, lock and consumers are replaced
together.
`complaints` is filled by consumers that end, emptied by `listen`, and bounded by their number.

Runs in the coordinator's main loop. Must not know what a consumer does with a batch, nor any worker.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from crawler.consumer import EXIT_STORAGE, Complaint
from crawler.engine.outbox import Outbox
from crawler.errors import CrawlerError, StorageError
from crawler.processes.kinds import BatchQueue, CommitLock, Daemon, Daemons, WordQueue

log = logging.getLogger("crawler")

SAME_BATCH = 3  # how often the same first batch may fail
MAX_STALLS = 4  # how often in a row nothing may be committed, each time for twice as long
MAX_REPLACED = 500  # sets of consumers that may die in a row without a commit
MAX_START_FAILURES = 20  # of consumers, in a row
SLOW_SECONDS = 5.0  # without a commit, after which it is said
JOIN_SECONDS = 0.05  # between two looks at the consumers while the queue is joined

MakeConsumer = Callable[[BatchQueue, CommitLock, WordQueue], Daemon]


class Drain:
    """The present queue, its consumers, and what is on its way to the ledger."""

    def __init__(self, daemons: Daemons, consumers: int, stall_seconds: float, make_consumer: MakeConsumer) -> None:
        """Make a drain that is not started.

        Args:
            consumers: how many there are at a time.
            stall_seconds: how long nothing may be committed before all is replaced.
            make_consumer: makes a daemon that drains this queue.
        """
        self.outbox = Outbox()
        self.watch = Watch(stall_seconds)
        self.consumers: list[Daemon] = []
        self._daemons = daemons
        self._number = consumers
        self._make_consumer = make_consumer
        self._start_failures = 0
        self._q: BatchQueue | None = None
        self._commit_lock: CommitLock | None = None  # kept, as the queue is: children rebuild them by name
        self._complaints: WordQueue | None = None

    def __repr__(self) -> str:
        return f"<Drain: {len(self.consumers)} consumers, {self.outbox!r}>"

    @property
    def q(self) -> BatchQueue:
        """The present queue."""
        assert self._q is not None, "the drain is not started"  # noqa: S101
        return self._q

    def start(self) -> None:
        """Make a queue and the daemons that drain it; put everything on it that is not acknowledged.

        Raises:
            CrawlerError: no consumer can be started, again and again.
        """
        self._q = q = self._daemons.JoinableQueue()
        self._commit_lock = commit_lock = self._daemons.Lock()
        self._complaints = complaints = self._daemons.SimpleQueue()
        self.consumers = []
        try:
            for _ in range(self._number):
                consumer = self._make_consumer(q, commit_lock, complaints)
                consumer.start()
                self.consumers.append(consumer)
        except (EOFError, OSError) as error:  # the fork server died in start(): again, with another queue
            self._start_failures += 1
            if self._start_failures > MAX_START_FAILURES:
                raise CrawlerError(f"consumers cannot be started: {error}") from error
            return
        self._start_failures = 0
        self.outbox.connect(q)

    def look(self, committed: int, now: float) -> str:
        """Look after the consumers: every few hundredths of a second.

        Returns why they and their queue have to be replaced, "" if they need not.
        """
        why = self.watch.why_replace(self.outbox, committed, self.are_alive(), now)
        if not why and self.watch.is_slow(now):
            log.warning("the ledger was not written for a while: the disk is slow, or another program has it locked")
        return why

    def are_alive(self) -> bool:
        """Return whether there are consumers, and none of them has ended."""
        return bool(self.consumers) and self._daemons.are_alive(self.consumers)

    def replace(self, why: str, acknowledge: Callable[[], None]) -> None:
        """Put a new queue and new consumers in the place of those that something is wrong with.

        Args:
            acknowledge: reads what is committed, once nobody is left who could commit anything.

        Raises:
            UsageError, StorageError, CrawlerError: it would be no use.
        """
        self.outbox.disconnect()
        if not self.are_alive():
            self.refuse_unguarded()
        self.dismiss()
        complaints = self.listen()
        acknowledge()
        self.watch.refuse_hopeless(self.outbox, complaints)
        log.warning("the queue and its consumers are replaced: %s", complaints[-1].text if complaints else why)
        self.start()

    def refuse_unguarded(self) -> None:
        """Refuse a script that runs itself again in each child; raises UsageError."""
        self._daemons.refuse_unguarded(self.consumers)

    def listen(self) -> list[Complaint]:
        """Return what consumers have said since they were started."""
        complaints: list[Complaint] = []
        while self._complaints is not None and not self._complaints.empty():
            complaints.append(self._complaints.get())
        return complaints

    def wait_for(self, join: Callable[[], None]) -> None:
        """Wait for `q.join()`, but no longer than the consumers live, and raise if the disk failed after all.

        The caller knows from the ledger that everything is committed; a consumer that dies between its commit and its
        `task_done()` must not keep anybody waiting.
        """
        joiner = threading.Thread(target=join, daemon=True)
        joiner.start()
        while joiner.is_alive() and self._daemons.are_alive(self.consumers):
            joiner.join(JOIN_SECONDS)
        self.watch.refuse_hopeless(self.outbox, self.listen())

    def memory_bytes(self) -> int:
        """Return what the consumers have in memory."""
        return self._daemons.memory_bytes(self.consumers)

    def dismiss(self) -> None:
        """End the consumers, whatever they are doing, and let go of their queue."""
        self._daemons.dismiss(self.consumers, self._q)


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
        """Return, once each time, whether nothing was committed for a while that is no reason to replace anybody."""
        was_told, self._is_slow = self._is_slow, now - self._moved_at > SLOW_SECONDS
        return self._is_slow and not was_told

    def refuse_hopeless(self, outbox: Outbox, complaints: Sequence[Complaint]) -> None:
        """Refuse to go on where replacing is no use: storage failed, or the same batch fails, or stalls, repeatedly.

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
