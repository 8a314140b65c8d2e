"""The story of a crawl: a pool fetches, callbacks feed a queue, daemon consumers drain it, and `q.join()` ends it.

     seeds ─► Ledger ◄────────────── one transaction per group of batches ──┐
                │ reads                                                     │
                ▼                                                           │
            Frontier ── visits ─► pool.submit(get_pages, …)        consume(): daemons
                ▲                     │                                     ▲
                │ outcomes            └─ .add_done_callback(call_back) ── q.put ─► JoinableQueue
                └─────────────────────────────┘

The coordinator is this process's calling thread, in `Crawl.run`: it hands out, takes note, and looks after processes
that may die at any line. It reads the ledger and never writes it but once, at the start; whatever it decides later is a
batch on the queue like any other. `inbox` is filled by `call_back` in the pools' threads and emptied by the main loop;
two calls a worker bound it. What keeps the story true lives in `crew` (the workers) and `drain` (the queue).
"""

from __future__ import annotations

import contextlib
import logging
import queue
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, Future
from functools import partial
from typing import NamedTuple

import msgspec

from crawler import clock
from crawler.consumer import ConsumerSetup, consume
from crawler.engine.crew import MAX_START_DEATHS, Crew, shares
from crawler.engine.drain import Drain
from crawler.engine.job import Ending, Job
from crawler.engine.kind import choose_kind
from crawler.engine.life import Life
from crawler.engine.memory import MemoryWatch
from crawler.engine.progress import Moment, Progress
from crawler.engine.stillness import Stillness
from crawler.errors import CrawlerError, SavingError, StorageError, UsageError
from crawler.frontier.frontier import Frontier
from crawler.ledger.reader import Reader
from crawler.model import FAILED, FINISHED, MAX_PAGES, UNASKED, Batch, Order, Outcome, Returned, Visit
from crawler.processes.capacity import most_requests
from crawler.processes.kinds import BatchQueue, CommitLock, Daemon, Daemons, Kind, Pool, WordQueue
from crawler.worker.outcome import killed
from crawler.worker.pump import WorkerSetup, get_pages, set_up, tear_down

log = logging.getLogger("crawler")

ACK_SECONDS = 0.003  # how often the acknowledged number is read while the frontier waits for links
IDLE_SECONDS = 0.02  # the longest wait of the main loop
LEAST_WAIT_SECONDS = 0.001
SUPERVISE_SECONDS = 0.05
NO_LIMIT = 1 << 60

_encode = msgspec.msgpack.Encoder().encode
_decode_outcomes = msgspec.msgpack.Decoder(list[Outcome]).decode


class _Call(NamedTuple):
    """A call that came back, as `call_back` tells the main loop."""

    life: Life
    outcomes: Sequence[Outcome]
    error: str = ""
    fatal: BaseException | None = None


class Crawl:
    """One run of the coordinator."""

    def __init__(self, job: Job) -> None:
        config = job.config
        self.job = job
        self.reader = Reader(job.ledger, job.opening.run_id)
        self.counters = self.reader.counters()
        self.frontier = Frontier(self.reader, config, job.opening.known_hosts)
        kind = choose_kind(config)
        self.drain = Drain(kind, config.consumers, config.stall_seconds, partial(self.make_consumer, kind))
        memory = MemoryWatch(config.worker_memory_mb, config.memory_mb)
        self.crew = Crew(self.drain.outbox.lock, memory, partial(self.make_pool, kind))
        self.stillness = Stillness(clock.monotonic())
        self.ending = Ending(job.stop, config.max_seconds, clock.monotonic())
        self.progress = job.progress or Progress(config.log_seconds)
        # Not SimpleQueue: until Python 3.13 its get(timeout) waits for ever if a signal handler outlasts the timeout.
        self.inbox: queue.Queue[_Call] = queue.Queue()
        self.supervised_at = 0.0
        self.flush_early = True  # new links would help: workers and consumers wait for no full batch

    # ---- the idiom: pool, callback, queue, daemon consumers, join

    def run(self) -> str:
        """Crawl until there is nothing left to do, or not allowed; return the finish reason."""
        try:
            self.drain.start()
            self.start_workers()
            while not (reason := self.finish_reason()):
                self.receive()
                self.acknowledge()
                self.supervise()
                self.dispatch()
            self.end(reason)
        except SavingError:
            raise
        except StorageError:
            self.reader.abandon()
            raise
        finally:
            self.close()
        return reason

    def submit(self, life: Life, visits: list[Visit]) -> None:
        """Make one call to a worker: new visits for it, and back comes whatever is finished."""
        briefings = self.frontier.briefings(visits, life.generation)
        order = Order(self.flush_early, bool(self.ending.reason), visits, briefings, sorted(life.pauses))
        life.pauses.clear()
        life.called(visits, clock.monotonic())

        def call_back(future: Future[Returned]) -> None:
            """Hand the batch over to the queue, and nothing else: this is the pool's thread."""
            try:
                returned = Returned(*future.result())
                outcomes = _decode_outcomes(returned.outcomes) if returned.outcomes else []
            except BaseException as error:
                self.inbox.put(_Call(life, [], f"{type(error).__name__}: {error}"))
                return
            try:
                with self.drain.outbox.lock:  # a retired generation's batch is dropped: its visits were given back
                    if returned.batch and not life.is_retired:
                        ended = [(life.held[each.tag], each.what) for each in outcomes if each.what != UNASKED]
                        pages = sum(outcome.has_page for outcome in outcomes)
                        flush_early = self.flush_early
                        self.drain.outbox.hand_over(returned.batch, flush_early=flush_early, pages=pages, ended=ended)
                    self.inbox.put(_Call(life, outcomes, returned.error, _fatal(returned)))
            except BaseException as error:
                self.inbox.put(_Call(life, [], fatal=error))

        try:
            life.pool.submit(get_pages, life.generation, _encode(order)).add_done_callback(call_back)
        except (BrokenExecutor, OSError, EOFError, RuntimeError) as error:
            self.inbox.put(_Call(life, [], f"{type(error).__name__}: {error}"))

    def make_consumer(self, kind: Daemons, q: BatchQueue, commit_lock: CommitLock, complaints: WordQueue) -> Daemon:
        """Make a daemon that drains a queue, a `JoinableQueue`, into the ledger."""
        job, opening = self.job, self.job.opening
        setup = ConsumerSetup(
            job.ledger, job.lock_file, opening.run_id, job.config, opening.seeds, opening.key, kind.are_processes
        )
        return kind.Process(target=consume, args=(setup, q, commit_lock, complaints), daemon=True)

    def end(self, reason: str) -> None:
        """Commit the end of the run as its last batch, and join the queue."""
        self.drain.outbox.hand_over(_encode(Batch(finish_reason=reason)), flush_early=False)
        while self.drain.outbox.unacked:
            self.acknowledge()
            self.supervise()
            clock.sleep(ACK_SECONDS)
        self.drain.wait_for(self.drain.q.join)

    # ---- the main loop's steps

    def receive(self) -> None:
        """Wait a moment for calls to come back, and take note of what they bring."""
        now = clock.monotonic()
        next_due = self.frontier.next_due()
        wait = IDLE_SECONDS if next_due is None else min(max(next_due - now, LEAST_WAIT_SECONDS), IDLE_SECONDS)
        if self.flush_early and self.drain.outbox.unacked:
            wait = min(wait, ACK_SECONDS)
        elif not self.crew.has_room:
            wait = IDLE_SECONDS  # only a call that comes back can make room
        with contextlib.suppress(queue.Empty):
            self.settle(self.inbox.get(timeout=wait))
        self.receive_more()

    def receive_more(self) -> None:
        """Take note of what has come back by now."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.settle(self.inbox.get_nowait())

    def settle(self, call: _Call) -> None:
        """Take note of a call's outcomes; a life that is at its end is retired with its last call."""
        if isinstance(call.fatal, UsageError | SavingError):
            raise call.fatal
        if call.fatal is not None:
            raise CrawlerError(f"a batch could not be handed over: {call.fatal!r}") from call.fatal
        life, now = call.life, clock.monotonic()
        life.returned(call.error, now)
        if call.outcomes:
            self.stillness.moved(now)
        for outcome in call.outcomes:
            visit = self.crew.settle(life, outcome)
            self.frontier.settle(visit, outcome, life.worker, life.generation)
            self.progress.count(visit, outcome)
            log.debug("%s %s %s", outcome.what, outcome.status or outcome.reason, visit.url)
            if outcome.widened:
                log.info("%s redirects to %s: the scope is widened to it", visit.url, outcome.widened)
        self.crew.returned(life, len(call.outcomes))

    def acknowledge(self) -> None:
        """Read how far the ledger is; what is committed is let go of."""
        if not self.drain.outbox.unacked:
            return
        self.counters = self.reader.counters()
        freed = self.drain.outbox.acknowledge(self.counters.committed)
        if freed:
            self.stillness.moved(clock.monotonic())
        # A batch may be committed before its call was settled. The call is in the inbox by now (it was put there under
        # the outbox's lock), and comes first: a visit is settled before its URL may be handed out again.
        self.receive_more()
        self.frontier.wake(self.counters)
        for kept in freed:
            self.frontier.acknowledge(kept.ended)

    def supervise(self) -> None:
        """Look after every process that something waits for."""
        for life in self.crew.dead():
            self.retire(life)
        now = clock.monotonic()
        if now - self.supervised_at < SUPERVISE_SECONDS:
            return
        self.supervised_at = now
        self.crew.look(now, self.job.config.page_deadline_seconds, self.drain.memory_bytes)
        if self.stillness.is_over(now):
            self.explain_stillness(now)
        if why := self.drain.look(self.counters.committed, now):
            self.drain.replace(why, self.acknowledge)
        if self.progress.is_due(now):
            self.progress.show(self.moment(), now)

    def dispatch(self) -> None:
        """Hand out what is due; a worker that holds visits always has a call under way."""
        crew = self.crew
        rooms = crew.rooms(is_open=not (self.ending.reason or self.drain.outbox.is_full))
        visits = self.frontier.take(rooms, self.budget()) if crew.has_room else {}
        room = crew.capacity() - crew.held() - sum(map(len, visits.values()))
        self.flush_early = self.frontier.wants_links(room, busy=crew.pace.is_busy(clock.monotonic()))
        for life in crew.lives.values():
            new = crew.set_aside(life, visits.get(life.worker, []))
            if new or (life.held and not life.calls and not life.error):
                self.submit(life, new)
            elif not self.ending.reason and (suspect := crew.next_alone(life)) is not None:
                self.submit(life, [suspect])

    def budget(self) -> int:
        """Return how many more pages may be asked for, if all that is under way become pages."""
        max_pages = self.job.config.max_pages
        if not max_pages:
            return NO_LIMIT
        return max(0, max_pages - self.counters.pages - self.drain.outbox.pages - self.crew.under_way())

    def finish_reason(self) -> str:
        """Return why the crawl is over; "" while it is not."""
        if self.ending.is_overdue(clock.monotonic()):
            return self.ending.reason
        if self.drain.outbox.unacked or not self.crew.is_idle or not self.inbox.empty():
            return ""
        if self.ending.reason:
            return self.ending.reason
        if self.crew.has_set_aside:
            return ""
        self.counters = self.reader.counters()
        if not self.counters.candidates and not self.reader.has_queued():
            return FINISHED
        if 0 < self.job.config.max_pages <= self.counters.pages:
            return MAX_PAGES
        if self.counters.candidates:  # nothing is under way and links wait to be merged
            self.drain.outbox.hand_over(_encode(Batch()), flush_early=True)
        return ""

    def moment(self) -> Moment:
        """Return where the crawl stands, for people."""
        held = [visit.clock_id for life in self.crew.lives.values() for visit in life.held.values()]
        busy = set(held)
        waiting = self.frontier.waiting_hosts(busy)
        return Moment(self.counters, len(held), len(busy), waiting, bool(self.ending.reason))

    def explain_stillness(self, now: float) -> None:
        """Say what is waited for; where nothing could come, let the frontier look at the whole ledger again."""
        unacked = len(self.drain.outbox.unacked)
        text = self.stillness.explain(now, self.crew.lives.values(), unacked, self.frontier.next_up())
        if text:
            log.warning("%s", text)
        elif self.reader.has_queued():
            log.warning("nothing is under way, though URLs are queued: looking for their hosts again")
            self.frontier.look_again()

    # ---- workers that live, and die

    def start_workers(self) -> None:
        """Let as many workers join as the config says; their processes start with their first calls."""
        config = self.job.config
        workers = max(1, min(config.workers(), config.concurrency))
        most = most_requests()
        if most * workers < config.concurrency:
            log.warning(
                "no more than %s requests will be in flight: so many file descriptors (ulimit -n) are there",
                most * workers,
            )
        for share in shares(config.concurrency, workers, most):
            self.crew.join(share)

    def make_pool(self, kind: Kind, generation: str, in_flight: int) -> Pool:
        """Make the pool of a worker's life."""
        job, opening = self.job, self.job.opening
        lock_file = job.lock_file if kind.are_processes else None
        setup = WorkerSetup(
            generation, job.config, opening.seeds, opening.key, in_flight, lock_file, job.hook, job.copy
        )  # fmt: skip
        return kind.pool(set_up, setup, partial(tear_down, generation))

    def retire(self, life: Life) -> None:
        """Replace a life that is over; what it held is given back, or ended if it keeps killing."""
        if self.crew.dies_at_start(life):
            self.drain.refuse_unguarded()
            raise CrawlerError(f"worker processes die at start, {MAX_START_DEATHS} times in a row: {life.death()}")
        for visit, why, was_read in self.crew.retire(life):
            if why or was_read:
                self.tell_death(visit, why)
            if why:
                self.frontier.forget(visit, life.worker)
            else:
                self.frontier.give_back(visit, life.worker)

    def tell_death(self, visit: Visit, why: str) -> None:
        """Tell the ledger that a worker died of a visit, and its end, if it has to end, by a batch of our own."""
        if why:
            log.warning("%s failed: killed-worker: %s", visit.url, why)
        batch = _encode(Batch([msgspec.Raw(_encode(killed(visit, why)))]))
        ended = [(visit, FAILED)] if why else []
        self.drain.outbox.hand_over(batch, flush_early=self.flush_early, ended=ended)

    def close(self) -> None:
        """Leave no process, thread or connection behind; safe at any moment."""
        self.drain.outbox.disconnect()
        threads = self.crew.end()
        self.drain.dismiss()
        for waited in (*threads, *self.drain.consumers):
            waited.join(5.0)
        self.reader.close()


def _fatal(returned: Returned) -> CrawlerError | None:
    """Return what ends the crawl, if a worker says so."""
    if returned.unsaved:
        return SavingError(returned.error)
    return UsageError(returned.error) if returned.unusable else None
