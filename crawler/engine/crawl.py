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
two calls a worker bound it. What keeps the story true lives in `pools` (workers) and `consumer` (the queue).
"""

from __future__ import annotations

import contextlib
import logging
import queue
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from crawler import clock, transports
from crawler.config import Config
from crawler.consumer import Complaint, ConsumerSetup, Outbox, Watch, consume, join
from crawler.engine.progress import Moment, Progress
from crawler.engine.stillness import MemoryWatch, Stillness
from crawler.errors import CrawlerError, SavingError, StorageError, UsageError
from crawler.frontier.frontier import Frontier
from crawler.ledger.opening import Opening
from crawler.ledger.reader import Reader
from crawler.model import (
    FAILED,
    FINISHED,
    MAX_PAGES,
    MAX_TIME,
    RETRY,
    ROBOTS_SEQ,
    UNASKED,
    Batch,
    Order,
    Outcome,
    Result,
    Returned,
    RobotsRow,
    Visit,
)
from crawler.processes.pools import Life, Suspects, choose_kind, most_requests
from crawler.worker.pump import WorkerSetup, get_pages, set_up, tear_down

if TYPE_CHECKING:
    from crawler.copy.saving import CopySetup

log = logging.getLogger("crawler")

ACK_SECONDS = 0.003  # how often the acknowledged number is read while the frontier is hungry
IDLE_SECONDS = 0.02  # the longest wait of the main loop
LEAST_WAIT_SECONDS = 0.001
SUPERVISE_SECONDS = 0.05
BUSY_WINDOW_SECONDS = 0.05
BUSY_RATE = 300.0  # visits settled a second
AHEAD_VISITS = 128  # held by a worker beyond what it may have in flight
MAX_UNACKED = 256  # batches, and
MAX_UNACKED_BYTES = 8 << 20  # bytes, beyond which nothing new is handed out
MAX_START_DEATHS = 5  # workers in a row that never came back from a call
MAX_START_FAILURES = 20  # of consumers, in a row
GRACE_SECONDS = 10.0  # for what is in flight when the crawl is stopped


class Stop:
    """A request to end a crawl early: may be set from a signal handler or another thread."""

    reason = ""  # a finish_reason
    grace_seconds = GRACE_SECONDS

    def __call__(self, reason: str) -> None:
        """Ask for the end. What waits is given back at once, what is in flight has `grace_seconds`."""
        self.reason = self.reason or reason

    def at_once(self, reason: str) -> None:
        """Ask for the end without waiting for what is in flight: it stays queued in the ledger."""
        self.grace_seconds = 0.0
        self(reason)


class Job(NamedTuple):
    """What one run is to do."""

    ledger: Path
    lock_file: Path
    config: Config
    opening: Opening
    stop: Stop
    hook: Callable[..., object] | None = None  # without processes, the parse hook may be any callable
    progress: Progress | None = None  # None: log lines
    copy: CopySetup | None = None  # where bodies are saved, if they are


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
        self.workers = max(1, min(config.workers(), config.concurrency))
        self.kind: Any = choose_kind(config.workers(), config.start_method, transports.modules(config))
        self.reader = Reader(job.ledger, job.opening.run_id)
        self.counters = self.reader.counters()
        self.frontier = Frontier(self.reader, config, self.workers, job.opening.known_hosts)
        self.outbox = Outbox()
        self.watch = Watch(config.stall_seconds)
        self.suspects = Suspects()
        self.memory = MemoryWatch(config.worker_memory_mb, config.memory_mb)
        self.stillness = Stillness(clock.monotonic())
        self.progress = job.progress or Progress(config.log_seconds)
        # Not SimpleQueue: until Python 3.13 its get(timeout) waits for ever if a signal handler outlasts the timeout.
        self.inbox: queue.Queue[_Call] = queue.Queue()
        self.lives: list[Life] = []
        self.quarantine: list[deque[Visit]] = [deque() for _ in range(self.workers)]
        self.consumers: list[Any] = []
        self.q: Any = None
        self.hungry = self.has_room = True
        self._most_requests = most_requests()
        if self._most_requests * self.workers < config.concurrency:
            log.warning(
                "no more than %s requests will be in flight: so many file descriptors (ulimit -n) are there",
                self._most_requests * self.workers,
            )
        self._crawl_id = uuid.uuid4().hex
        self._lives_begun = self._start_deaths = self._start_failures = 0
        self._supervised_at = self._stopped_at = self._counted_at = 0.0
        self._is_out_of_time = False
        self._settled, self._is_busy = 0, False
        self._started_at = clock.monotonic()
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode_outcomes = msgspec.msgpack.Decoder(list[Outcome]).decode

    # ---- the idiom: pool, callback, queue, daemon consumers, join

    def run(self) -> str:
        """Crawl until there is nothing left to do, or not allowed; return the finish reason."""
        try:
            self.start_consumers()
            self.lives = [self.start_worker(worker) for worker in range(self.workers)]
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
        rules = self.frontier.rules(visits, life.generation)
        order = Order(self.hungry, bool(self.stop_reason), visits, rules, sorted(life.pauses))
        life.pauses.clear()
        life.called(visits, clock.monotonic())

        def call_back(future: Future[Returned]) -> None:
            """Hand the batch over to the queue, and nothing else: this is the pool's thread."""
            try:
                returned = Returned(*future.result())
                outcomes = self._decode_outcomes(returned.outcomes) if returned.outcomes else []
            except BaseException as error:
                self.inbox.put(_Call(life, [], f"{type(error).__name__}: {error}"))
                return
            try:
                with self.outbox.lock:  # a retired generation's batch is dropped: its visits were given back
                    if returned.batch and not life.is_retired:
                        ended = [(o.host_id, o.seq, o.what) for o in outcomes if o.what != UNASKED]
                        pages = sum(outcome.has_page for outcome in outcomes)
                        self.outbox.hand_over(returned.batch, hungry=self.hungry, pages=pages, ended=ended)
                    fatal = _fatal(returned)
                    self.inbox.put(_Call(life, outcomes, returned.error, fatal))
            except BaseException as error:
                self.inbox.put(_Call(life, [], fatal=error))

        try:
            life.pool.submit(get_pages, life.generation, self._encode(order)).add_done_callback(call_back)
        except (BrokenExecutor, OSError, EOFError, RuntimeError) as error:
            self.inbox.put(_Call(life, [], f"{type(error).__name__}: {error}"))

    def start_consumers(self) -> None:
        """Make a queue and the daemons that drain it; put everything on it that is not acknowledged."""
        job, kind = self.job, self.kind
        setup = ConsumerSetup(
            job.ledger, job.lock_file, job.opening.run_id, job.config, job.opening.seeds, job.opening.key,
            kind.are_processes,
        )  # fmt: skip
        self.q = q = kind.JoinableQueue()
        self.turn, self.complaints = kind.Lock(), kind.SimpleQueue()  # kept: children rebuild them by name
        self.consumers = []
        try:
            for _ in range(job.config.consumers):
                consumer = kind.Process(target=consume, args=(setup, q, self.turn, self.complaints), daemon=True)
                consumer.start()
                self.consumers.append(consumer)
        except (EOFError, OSError) as error:  # the fork server died in start(): again, with another queue
            self._start_failures += 1
            if self._start_failures > MAX_START_FAILURES:
                raise CrawlerError(f"consumers cannot be started: {error}") from error
            return
        self._start_failures = 0
        self.outbox.connect(q)

    def end(self, reason: str) -> None:
        """Commit the end of the run as its last batch, and join the queue."""
        self.outbox.hand_over(self._encode(Batch(finish_reason=reason)), hungry=False)
        while self.outbox.unacked:
            self.acknowledge()
            self.supervise()
            clock.sleep(ACK_SECONDS)
        join(self.q, lambda: self.kind.are_alive(self.consumers))
        self.watch.check(self.outbox, self.listen())  # all is committed, and yet the disk may have failed after that

    # ---- the main loop's steps

    def receive(self) -> None:
        """Wait a moment for calls to come back, and take note of what they bring."""
        now = clock.monotonic()
        next_due = self.frontier.next_due()
        wait = IDLE_SECONDS if next_due is None else min(max(next_due - now, LEAST_WAIT_SECONDS), IDLE_SECONDS)
        if self.hungry and self.outbox.unacked:
            wait = min(wait, ACK_SECONDS)
        elif not self.has_room:
            wait = IDLE_SECONDS  # only a call that comes back can make room
        with contextlib.suppress(queue.Empty):
            self.settle(self.inbox.get(timeout=wait))
        self.drain()

    def drain(self) -> None:
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
        life = call.life
        life.returned(call.error, clock.monotonic())
        self._settled += len(call.outcomes)
        if call.outcomes:
            self.stillness.moved(clock.monotonic())
        for outcome in call.outcomes:
            visit = life.take_back((outcome.host_id, outcome.seq))
            self.frontier.settle(visit, outcome, life.worker, life.generation)
            self.progress.count(visit, outcome)
            log.debug("%s %s %s", outcome.what, outcome.status or outcome.reason, visit.url)
            if outcome.host_failed:
                for other in self.lives:
                    other.pause(visit.clock_id)
            if outcome.what not in (RETRY, UNASKED):
                self.suspects.acquit(visit.id)
            if outcome.widened:
                log.info("%s redirects to %s: the scope is widened to it", visit.url, outcome.widened)
        if life.is_alone and not life.held:
            life.is_alone = False
        if life.has_returned:
            self._start_deaths = 0

    def acknowledge(self) -> None:
        """Read how far the ledger is; what is committed is let go of."""
        if not self.outbox.unacked:
            return
        self.counters = self.reader.counters()
        freed = self.outbox.acknowledge(self.counters.committed)
        if freed:
            self.stillness.moved(clock.monotonic())
        # A batch may be committed before its call was settled. The call is in the inbox by now (it was put there under
        # the outbox's lock), and comes first: a visit is settled before its URL may be handed out again.
        self.drain()
        self.frontier.wake(self.counters)
        for kept in freed:
            self.frontier.acknowledge(kept.ended)

    def supervise(self) -> None:
        """Look after every process that something waits for."""
        for life in self.lives:
            if life.error and not life.calls:
                self.retire(life)
        now = clock.monotonic()
        if now - self._supervised_at < SUPERVISE_SECONDS:
            return
        self._supervised_at = now
        for life in self.lives:
            if trouble := life.check(now, self.job.config.page_deadline_seconds):
                log.warning("%s", trouble)
            if life.is_worn and not life.held and not life.calls:
                self.renew(life)
        for trouble in self.memory.look(now, self.lives, self.consumers):
            log.warning("%s", trouble)
        if self.stillness.is_over(now):
            self.explain_stillness(now)
        alive = bool(self.consumers) and self.kind.are_alive(self.consumers)
        if why := self.watch.why_replace(self.outbox, self.counters.committed, alive, now):
            self.replace_consumers(why, alive=alive)
        elif self.watch.is_slow(now):
            log.warning("the ledger was not written for a while: the disk is slow, or another program has it locked")
        if self.progress.is_due(now):
            self.progress.show(self.moment(), now)

    def dispatch(self) -> None:
        """Hand out what is due; a worker that holds visits always has a call under way."""
        rooms = [
            0 if self.is_closed(life) else max(0, self.capacity(life.worker) - len(life.held)) for life in self.lives
        ]
        self.has_room = any(rooms)
        visits = self.frontier.take(rooms, self.budget()) if self.has_room else [[] for _ in rooms]
        held = sum(len(life.held) for life in self.lives) + sum(map(len, visits))
        room = sum(map(self.capacity, range(self.workers))) - held
        self.hungry = self.frontier.is_hungry(room, busy=self.is_busy())
        for life, new in zip(self.lives, visits, strict=True):
            suspects = [visit for visit in new if self.suspects.is_suspect(visit)]
            if suspects:
                self.quarantine[life.worker].extend(suspects)
                new = [visit for visit in new if visit not in suspects]
            if new or (life.held and not life.calls and not life.error):
                self.submit(life, new)
            elif self.quarantine[life.worker] and not (life.held or life.calls or life.error or self.stop_reason):
                life.is_alone = True
                self.submit(life, [self.quarantine[life.worker].popleft()])

    def moment(self) -> Moment:
        """Return where the crawl stands, for people."""
        held = [visit.clock_id for life in self.lives for visit in life.held.values()]
        busy = set(held)
        waiting = self.frontier.waiting_hosts(busy)
        return Moment(self.counters, len(held), len(busy), waiting, bool(self.stop_reason))

    def is_busy(self) -> bool:
        """Tell whether visits come back so fast that waiting for a full batch costs nobody anything."""
        now = clock.monotonic()
        if now - self._counted_at > BUSY_WINDOW_SECONDS:
            self._is_busy = self._settled > BUSY_RATE * (now - self._counted_at)
            self._settled, self._counted_at = 0, now
        return self._is_busy

    @property
    def stop_reason(self) -> str:
        """Why the crawl is to end early; "" while it is not."""
        return self.job.stop.reason or (MAX_TIME if self._is_out_of_time else "")

    def finish_reason(self) -> str:
        """Say why the crawl is over; "" while it is not."""
        max_seconds = self.job.config.max_seconds
        if max_seconds and clock.monotonic() - self._started_at >= max_seconds:
            self._is_out_of_time = True
        if self.stop_reason:
            self._stopped_at = self._stopped_at or clock.monotonic()
            if clock.monotonic() - self._stopped_at >= self.job.stop.grace_seconds:
                return self.stop_reason  # what is in flight is still queued in the ledger
        if self.outbox.unacked or any(life.held or life.calls for life in self.lives) or not self.inbox.empty():
            return ""
        if self.stop_reason:
            return self.stop_reason
        if any(self.quarantine):
            return ""
        self.counters = self.reader.counters()
        if not self.counters.candidates and not self.reader.has_queued():
            return FINISHED
        if 0 < self.job.config.max_pages <= self.counters.pages:
            return MAX_PAGES
        if self.counters.candidates:  # nothing is under way and links wait to be merged
            self.outbox.hand_over(self._encode(Batch()), hungry=True)
        return ""

    # ---- workers and consumers that die

    def in_flight(self, worker: int) -> int:
        """Return a worker's share of the requests that may be in flight."""
        share, rest = divmod(self.job.config.concurrency, self.workers)
        return min(share + (worker < rest), self._most_requests)

    def capacity(self, worker: int) -> int:
        """Return how many visits a worker may hold."""
        return self.in_flight(worker) + AHEAD_VISITS

    def is_closed(self, life: Life) -> bool:
        """Tell that a worker gets no new visits now."""
        return bool(
            self.stop_reason or life.error or life.calls >= 2 or life.is_alone or life.is_worn
            or self.quarantine[life.worker]
            or len(self.outbox.unacked) >= MAX_UNACKED or self.outbox.bytes >= MAX_UNACKED_BYTES
        )  # fmt: skip

    def budget(self) -> int:
        """Return how many more pages may be asked for, if all that is under way become pages."""
        max_pages = self.job.config.max_pages
        if not max_pages:
            return 1 << 60
        held = sum(len(life.held) for life in self.lives) + sum(map(len, self.quarantine))
        return max(0, max_pages - self.counters.pages - self.outbox.pages - held)

    def start_worker(self, worker: int) -> Life:
        """Begin a life: its process starts with the first call."""
        self._lives_begun += 1
        generation = f"{self._crawl_id}-{worker}-{self._lives_begun}"
        job, kind = self.job, self.kind
        setup = WorkerSetup(
            generation, job.config, job.opening.seeds, job.opening.key, self.in_flight(worker),
            job.lock_file if kind.are_processes else None, job.hook, job.copy,
        )  # fmt: skip
        mark = kind.mark()
        return Life(worker, generation, kind.executor(set_up, (setup, mark)), mark, tear_down)

    def renew(self, life: Life) -> None:
        """Replace a life that has grown too large; it holds nothing and no call is under way."""
        with self.outbox.lock:
            life.is_retired = True
        life.end()
        self.lives[life.worker] = self.start_worker(life.worker)

    def explain_stillness(self, now: float) -> None:
        """Say what is waited for; where nothing could come, let the frontier look at the whole ledger again."""
        text = self.stillness.explain(now, self.lives, len(self.outbox.unacked), self.frontier.next_up())
        if text:
            log.warning("%s", text)
        elif self.reader.has_queued():
            log.warning("nothing is under way, though URLs are queued: looking for their hosts again")
            self.frontier.look_again()

    def retire(self, life: Life) -> None:
        """Replace a life whose calls are all back; what it held is given back, or ended if it keeps killing."""
        self._start_deaths += not life.has_returned
        if self._start_deaths >= MAX_START_DEATHS:
            self.kind.check(self.consumers)
            raise CrawlerError(f"worker processes die at start, {MAX_START_DEATHS} times in a row: {life.death()}")
        with self.outbox.lock:
            life.is_retired = True
        life.end()
        marked = life.mark.value
        lost, life.held = life.held, {}
        log.warning("worker %s died (%s) with %s visits", life.worker, life.death(), len(lost))
        for visit in lost.values():
            is_marked = visit.tag == marked
            if is_marked:
                log.warning("it was parsing %s: a strike", visit.url)
            if why := self.suspects.died_with(visit, marked=is_marked, alone=len(lost) == 1):
                self.fail(visit, why)
                self.frontier.forget(visit, life.worker)
            else:
                self.frontier.give_back(visit, life.worker)
        self.lives[life.worker] = self.start_worker(life.worker)

    def fail(self, visit: Visit, why: str) -> None:
        """End a visit that kills its workers, by a batch of our own."""
        log.warning("%s failed: killed-worker: %s", visit.url, why)
        reason = "killed-worker"
        if visit.seq == ROBOTS_SEQ:
            row = RobotsRow(visit.host_id, "deny", visit.attempts + 1, reason=reason, fetched_at=clock.wall())
            result = Result(robots=row)
        else:
            result = Result(visit.ended(FAILED, reason, why))
        batch = self._encode(Batch([msgspec.Raw(self._encode(result))]))
        self.outbox.hand_over(batch, hungry=self.hungry, ended=[(visit.host_id, visit.seq, FAILED)])

    def replace_consumers(self, why: str, *, alive: bool) -> None:
        """Put a new queue and new consumers in the place of those that something is wrong with."""
        self.outbox.disconnect()
        if not alive:
            self.kind.check(self.consumers)
        self.kind.dismiss(self.consumers, self.q)
        complaints = self.listen()
        self.acknowledge()
        self.watch.check(self.outbox, complaints)
        log.warning("the queue and its consumers are replaced: %s", complaints[-1].text if complaints else why)
        self.start_consumers()

    def listen(self) -> list[Complaint]:
        """Return what consumers have said since they were started."""
        complaints: list[Complaint] = []
        while not self.complaints.empty():
            complaints.append(self.complaints.get())
        return complaints

    def close(self) -> None:
        """Leave no process, thread or connection behind; safe at any moment."""
        self.outbox.disconnect()
        threads = [life.end() for life in self.lives]
        self.kind.dismiss(self.consumers, self.q)
        for waited in (*threads, *self.consumers):
            waited.join(5.0)
        self.reader.close()


def _fatal(returned: Returned) -> CrawlerError | None:
    """Return what ends the crawl, if a worker says so."""
    if returned.unsaved:
        return SavingError(returned.error)
    return UsageError(returned.error) if returned.unusable else None
