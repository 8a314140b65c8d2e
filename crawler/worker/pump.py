"""The worker: `get_pages` is a pump that takes visits in and gives back whatever is finished.

    get_pages(generation, order)                                        one call after the other, in the pool's process
       │ accept    briefings, pauses and visits of the order
       ▼
    waiting ──► in flight (transport) ──► arrived ──► finished: parsed, encoded ──► Returned(outcomes, batch)
       └──► unasked, or ended without a request (robots, scope, ...) ──────────────────┘

A call never waits for a slow server: it returns when its batch is full, as soon as anything is finished if the
coordinator wants new links early, and in any case after `HOLD_SECONDS`; what is still in flight then comes back with a
later call. It never raises: what goes wrong with a page is that page's outcome, with the worker itself it is text in
`Returned`. (But for a MemoryError, after which a process is of no use, and could not even send it: the process ends.)

Runs in a worker process (or in the one thread of a crawl without processes). All state is in a `Pump`, in a registry by
generation, because one process may serve several crawls. It must not know the ledger, the queue or other workers.
"""

from __future__ import annotations

import faulthandler
import gc
import mmap
import os
import signal
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from crawler import clock
from crawler.config import Config
from crawler.errors import SavingError, UsageError
from crawler.load import load_hook
from crawler.model import (
    FAILED,
    MAX_REDIRECTS,
    SKIPPED,
    UNASKED,
    Answer,
    End,
    Order,
    Outcome,
    Purpose,
    Result,
    Returned,
    Visit,
)
from crawler.processes.child import enter_child
from crawler.rules.offers import Offers
from crawler.rules.purposes import MEANINGS
from crawler.rules.scope import Scope
from crawler.transports import open_transport
from crawler.worker.asking import Asking
from crawler.worker.batch import Outgoing
from crawler.worker.briefing import Briefings, Known
from crawler.worker.outcome import attempt_row, internal_error
from crawler.worker.readers import Readers
from crawler.worker.readers.context import Reading

if TYPE_CHECKING:
    from crawler.copy.saving import CopySetup, Keeper

HOLD_SECONDS = 0.02
GC_THRESHOLD = (10_000, 20, 50)  # of Python's collector: (700, 10, 10) looks at all that waits many times a second
RESERVED_BYTES = 4 << 20  # of memory, that the pool's code needs to send a call's result and to take the next order
EXIT_OUT_OF_MEMORY = 74


class WorkerSetup(NamedTuple):
    """What a worker needs to know; plain data."""

    generation: str  # unique in the world
    config: Config
    seeds: tuple[str, ...]
    key: bytes
    in_flight: int  # requests, at most
    lock_file: Path | None  # None: not a process of its own
    hook: Callable[..., object] | None = None  # without processes, the parse hook may be any callable
    copy: CopySetup | None = None  # where bodies are saved, if they are


_PUMPS: dict[str, Pump] = {}
_ERRORS: dict[str, Returned] = {}  # what each call gives back where there is no pump


def set_up(setup: WorkerSetup, mark: Any) -> None:
    """Make a generation's pump: the initializer of its pool. Never raises; what fails is told by the first call."""
    try:
        if setup.lock_file is not None:
            enter_child(setup.lock_file, "worker")
            _prepare_process()
        if setup.config.worker_setup:
            load_hook(setup.config.worker_setup)()
        _PUMPS[setup.generation] = Pump(setup, mark)
    except UsageError as error:
        _ERRORS[setup.generation] = Returned(setup.generation, b"", b"", str(error), unusable=True)
    except SavingError as error:
        _ERRORS[setup.generation] = Returned(setup.generation, b"", b"", str(error), unsaved=True)
    except BaseException as error:  # one that gets out would break the pool without a word
        _ERRORS[setup.generation] = Returned(setup.generation, b"", b"", f"{type(error).__name__}: {error}")


def _prepare_process() -> None:
    """Make this process die of a call that takes too long, naming the line, and spare it needless work.

    A loop in C that keeps the interpreter's lock can be ended by nobody else. Not `dump_traceback_later`: it costs 40
    microseconds a call, an alarm less than one.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    faulthandler.register(signal.SIGALRM, chain=True)
    # What is loaded by now stays for ever, and pages are trees without cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)


def tear_down(generation: str) -> None:
    """Free a generation's threads and sockets; a process that is killed needs no such thing."""
    _ERRORS.pop(generation, None)
    pump = _PUMPS.pop(generation, None)
    if pump is not None:
        pump.close()


def get_pages(generation: str, order: bytes) -> Returned:
    """Take visits in, give back what is finished. Called by the pool; never raises."""
    pump = _PUMPS.get(generation)
    if pump is None:
        return _ERRORS.get(generation) or Returned(generation, _all_unasked(order), b"")
    return pump.call(order)


def _check_memory() -> None:
    """Raise MemoryError if there is none left for what the pool does between two calls. Takes some microseconds."""
    try:
        mmap.mmap(-1, RESERVED_BYTES).close()
    except OSError as error:
        raise MemoryError from error


def _all_unasked(order: bytes) -> bytes:
    visits = msgspec.msgpack.decode(order, type=Order).visits
    return msgspec.msgpack.encode([Outcome(visit.tag, UNASKED) for visit in visits])


class Pump:
    """One crawl's worker in this process."""

    def __init__(self, setup: WorkerSetup, mark: Any) -> None:
        config = setup.config
        self._generation = setup.generation
        self._config = config
        self._mark = mark
        self._is_process = setup.lock_file is not None
        self._offers = Offers.of(config, Scope.of(config, setup.seeds), setup.key)
        hook = setup.hook or (load_hook(config.parse) if config.parse else None)
        self._readers = Readers(config, self._offers, hook)
        self._checks_memory = self._is_process and hook is not None  # nobody else keeps what a page took
        self._keeper = _open_copy(setup)
        self._asking = Asking(config, self._offers, self._keeper)
        self._unsaved = ""  # why a body could not be saved
        self._transport = open_transport(config, setup.in_flight, mark)
        self._briefings = Briefings(config)
        self._outgoing = Outgoing()
        self._waiting: dict[int, deque[Visit]] = {}
        self._flying: dict[int, Visit] = {}  # by tag
        self._flying_at: dict[int, int] = {}  # by the host that is asked
        self._arrived: deque[Answer] = deque()
        self._decode = msgspec.msgpack.Decoder(Order).decode

    def __repr__(self) -> str:
        waiting = sum(map(len, self._waiting.values()))
        return f"<Pump {self._generation}: {waiting} waiting, {len(self._flying)} in flight>"

    def call(self, order: bytes) -> Returned:
        """Do one call's work."""
        if self._is_process:
            signal.setitimer(signal.ITIMER_REAL, self._config.page_deadline_seconds)
        try:
            return self._pump(self._decode(order))
        except MemoryError:
            if not self._is_process:
                raise
            self._mark.is_out_of_memory = True
            os._exit(EXIT_OUT_OF_MEMORY)  # the pool's own code would fail to send it, and say so with a traceback
        finally:
            if self._is_process:
                signal.setitimer(signal.ITIMER_REAL, 0)

    def close(self) -> None:
        """Free the transport and the copy."""
        self._transport.close()
        if self._keeper is not None:
            self._keeper.close()

    # ---- the call

    def _pump(self, order: Order) -> Returned:
        until = clock.monotonic() + HOLD_SECONDS
        self._accept(order)
        while True:
            self._start_waiting()
            self._finish_arrived(until)
            left = until - clock.monotonic()
            is_enough = self._outgoing.is_full or (order.flush_early and self._outgoing.has_outcomes)
            if left <= 0 or is_enough or not self._flying:
                return self._hand_back()
            self._arrived.extend(self._transport.wait(0 if self._arrived else left))

    def _accept(self, order: Order) -> None:
        for briefing in order.briefings:
            self._briefings.learn(briefing)
        until = clock.monotonic() + self._pause_seconds()
        for host_id in order.pause:
            self._pause(host_id, until)
        for visit in order.visits:
            self._admit(visit)
        if order.stop:
            for host_id in list(self._waiting):
                self._give_back(host_id)

    def _admit(self, visit: Visit) -> None:
        """Let a visit wait for its request, or end it at once."""
        known = self._briefings.of(visit)
        is_errand = visit.purpose.is_errand
        if known is None or not (known.is_complete or is_errand):
            self._outgoing.unask(visit)
            return
        end = None if is_errand else self._forbidden(visit, known)
        if end is not None:
            outcome = Outcome(visit.tag, end.state, end.reason)
            self._outgoing.add(outcome, Result(end=end), clock.monotonic())
        elif not is_errand and self._briefings.is_paused(visit.clock_id):
            self._outgoing.unask(visit)
        else:
            self._waiting.setdefault(visit.clock_id, deque()).append(visit)

    def _forbidden(self, visit: Visit, known: Known) -> End | None:
        """Return how a visit ends that must not be asked."""
        if visit.redirects > MAX_REDIRECTS:
            return visit.ended(SKIPPED, "too-many-redirects", asked=False)
        if visit.depth > 0 or visit.purpose != Purpose.PAGE:  # seeds and what they redirect to are always in scope
            objection = self._offers.objection(visit.host, visit.target, visit.purpose, visit.depth)
            if objection:
                return visit.ended(SKIPPED, objection, asked=False)
        if known.denial:
            return visit.ended(FAILED, known.denial, asked=False)
        if known.rules is None:
            return None
        self._mark.value = visit.tag  # a hostile pattern may take for ever to match
        allowed = known.rules.allows(visit.target)
        self._mark.value = 0
        return None if allowed else visit.ended(SKIPPED, "robots", asked=False)

    def _start_waiting(self) -> None:
        for host_id in list(self._waiting):
            visits = self._waiting[host_id]
            flying = self._flying_at.get(host_id, 0)
            while visits and flying < visits[0].at_once and len(self._flying) < self._transport.capacity:
                visit = visits.popleft()
                headers = self._briefings.headers_of(host_id)
                if headers is None:  # it was forgotten while this one waited
                    self._outgoing.unask(visit)
                    continue
                self._flying[visit.tag] = visit
                flying += 1
                self._transport.start(self._asking.request(visit, headers))
            if flying:
                self._flying_at[host_id] = flying
            if not visits:
                del self._waiting[host_id]

    def _finish_arrived(self, until: float) -> None:
        while self._arrived:
            answer = self._arrived.popleft()
            visit = self._flying.pop(answer.tag)
            self._flying_at[visit.clock_id] -= 1
            if not self._flying_at[visit.clock_id]:
                del self._flying_at[visit.clock_id]
            self._finish(visit, answer)
            if self._outgoing.is_full or clock.monotonic() >= until:
                return

    def _finish(self, visit: Visit, answer: Answer) -> None:
        """Make an outcome and an encoded result of an answer. Whatever fails costs this page alone."""
        self._mark.value = visit.tag
        try:
            reading = self._readers.read(visit, answer)
            reading.result.attempt = attempt_row(visit, answer, reading.outcome)
            if self._keeper is not None and reading.result.page is not None and MEANINGS[visit.purpose].is_kept:
                self._keeper.keep(visit.url, answer, reading.result.page)
            encoded = self._outgoing.encode(reading.result)
            if self._checks_memory:
                _check_memory()
        except MemoryError:
            raise  # it is this process that has none left, and the pages to come would suffer: it dies, and is replaced
        except SavingError as error:  # not the page's fault: it does not end, the crawl does
            self._mark.value = 0
            self._unsaved = str(error)
            return
        except Exception as error:
            text = f"{type(error).__name__}: {error}"[:300].encode("ascii", "replace").decode()
            reading = Reading(*internal_error(visit, text))
            reading.result.attempt = attempt_row(visit, answer, reading.outcome)
            encoded = self._outgoing.encode(reading.result)
        reading.remember()
        self._mark.value = 0
        if reading.outcome.host_failed:
            self._pause(visit.clock_id, answer.ended + self._pause_seconds(reading.outcome.retry_after_seconds))
        reading.outcome.asked = answer.asked
        self._outgoing.count(visit.clock_id, answer, reading.outcome)
        self._outgoing.append(reading.outcome, encoded, answer.ended)

    def _give_back(self, host_id: int) -> None:
        for visit in self._waiting.pop(host_id, ()):
            self._outgoing.unask(visit)

    def _pause(self, host_id: int, until: float) -> None:
        """Give back what waits for a host that has failed, and refuse what the coordinator sent before it knew."""
        self._briefings.pause(host_id, until)
        self._give_back(host_id)

    def _pause_seconds(self, retry_after_seconds: float = 0.0) -> float:
        """Return the least that the coordinator will wait after a first failure."""
        config = self._config
        return max(min(config.retry_wait_seconds, config.retry_wait_max_seconds), retry_after_seconds)

    def _hand_back(self) -> Returned:
        outcomes, batch = self._outgoing.hand_back()
        return Returned(self._generation, outcomes, batch, self._unsaved, unsaved=bool(self._unsaved))


def _open_copy(setup: WorkerSetup) -> Keeper | None:
    if setup.copy is None:
        return None
    from crawler.copy.saving import Keeper  # late: most crawls save nothing

    return Keeper(setup.copy, setup.config, setup.generation)
