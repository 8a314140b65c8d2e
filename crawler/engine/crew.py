"""The workers of a crawl: their lives begun and ended, their share of the work, and visits that may be killing them.

    join ─► a life ─► (its process died, or a call is overdue: its calls come back as errors) ─► retire ─► the next life
               └────► (has grown too large) draining ─► holds nothing ─► renew ───────────────────────────────┘

A worker is a number, the same in all its lives, and lives are found by it: workers may join and leave at any time, and
no number is given twice. `_quarantine` is filled by `set_aside`, emptied by `next_alone`, both in the main loop, and
bounded by what workers may hold.

Runs in the coordinator's main loop. Must not know what a worker does, where it lives, nor the frontier.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import NamedTuple

from crawler.engine.life import Life
from crawler.engine.memory import MemoryWatch
from crawler.engine.stillness import Pace
from crawler.model import RETRY, UNASKED, Outcome, Visit
from crawler.processes.kinds import Pool

log = logging.getLogger("crawler")

MAX_START_DEATHS = 5  # workers in a row that never came back from a call
MAX_COUNTED_DEATHS = 2  # while a visit was being read
MAX_DEATHS_ALONE = 10  # with a visit, whatever they died of

MakePool = Callable[[str, int], Pool]


class Lost(NamedTuple):
    """A visit whose worker died."""

    visit: Visit
    why: str  # it has to end; "": it is handed out again
    was_read: bool  # it was being read, and so may be what the worker died of


class Crew:
    """All workers that live now."""

    def __init__(self, handover: AbstractContextManager[bool], memory: MemoryWatch, make_pool: MakePool) -> None:
        """Make a crew without workers.

        Args:
            handover: the lock under which batches are handed over.
            make_pool: makes the pool of a worker, given the generation's name and how many requests it may have in
                flight.
        """
        self.lives: dict[int, Life] = {}  # by worker
        self.pace = Pace()
        self.has_room = True  # when that was asked last
        self._handover = handover
        self._memory = memory
        self._make_pool = make_pool
        self._suspects = Suspects()
        self._quarantine: dict[int, deque[Visit]] = defaultdict(deque)  # by worker
        self._leaving: set[int] = set()  # workers that get nothing new
        self._crawl_id = uuid.uuid4().hex
        self._lives_begun = self._workers_begun = self._start_deaths = 0

    def __repr__(self) -> str:
        return f"<Crew: {len(self.lives)} workers, {self.held()} visits held>"

    # ---- lives

    def join(self, in_flight: int) -> None:
        """Let a new worker join, which may have so many requests in flight."""
        self._begin(self._workers_begun, in_flight)
        self._workers_begun += 1

    def leave(self, worker: int) -> None:
        """Let a worker leave: it gets no more visits, and is gone when it has given back what it holds."""
        self._leaving.add(worker)
        self.lives[worker].is_draining = True

    def look(self, now: float, deadline_seconds: float, others_bytes: Callable[[], int]) -> None:
        """Look after the workers: every few hundredths of a second.

        Args:
            others_bytes: returns what other processes than workers have in memory.
        """
        for life in list(self.lives.values()):
            if trouble := life.look(now, deadline_seconds):
                log.warning("%s", trouble)
            if life.is_draining and not life.held and not life.calls:
                self._end(life)
                self._follow(life)
        for trouble in self._memory.look(now, self.lives.values(), others_bytes):
            log.warning("%s", trouble)

    def dead(self) -> list[Life]:
        """Return the lives that are over: all their calls are back."""
        return [life for life in self.lives.values() if life.error and not life.calls]

    def dies_at_start(self, life: Life) -> bool:
        """Return whether workers die before they came back from any call, again and again: with this one."""
        self._start_deaths += not life.has_returned
        return self._start_deaths >= MAX_START_DEATHS

    def retire(self, life: Life) -> list[Lost]:
        """Begin another life in the place of one that is over; return the visits that it held."""
        self._end(life)
        marked = life.pool.mark.value
        held = life.take_all_back()
        log.warning("worker %s died (%s) with %s visits", life.worker, life.death(), len(held))
        lost = []
        for visit in held:
            was_read = visit.tag == marked
            if was_read:
                log.warning("it was parsing %s: its death is counted", visit.url)
            why = self._suspects.died_with(visit, marked=was_read, alone=len(held) == 1)
            lost.append(Lost(visit, why, was_read))
        self._follow(life)
        return lost

    def end(self) -> list[threading.Thread]:
        """End all lives; return the threads in which they shut down."""
        return [life.pool.end(is_called=life.calls > 0) for life in self.lives.values()]

    def _begin(self, worker: int, in_flight: int) -> None:
        """Begin a life: its worker starts with the first call."""
        self._lives_begun += 1
        generation = f"{self._crawl_id}-{worker}-{self._lives_begun}"
        self.lives[worker] = Life(worker, generation, self._make_pool(generation, in_flight), in_flight)

    def _follow(self, life: Life) -> None:
        """Begin the next life of a worker whose last one has ended, unless it leaves and nothing waits for it."""
        if life.worker in self._leaving and not self._quarantine[life.worker]:
            self._leaving.remove(life.worker)
            del self.lives[life.worker], self._quarantine[life.worker]
            return
        self._begin(life.worker, life.in_flight)
        self.lives[life.worker].is_draining = life.worker in self._leaving

    def _end(self, life: Life) -> None:
        with self._handover:  # whatever it says after this is dropped: its visits are given back
            life.is_retired = True
        life.pool.end(is_called=life.calls > 0)

    # ---- work

    def rooms(self, *, is_open: bool) -> dict[int, int]:
        """Return how many more visits each worker may be given; none where the crawl hands out nothing new."""
        quarantine = self._quarantine
        rooms = {
            worker: life.room if is_open and not quarantine[worker] else 0
            for worker, life in self.lives.items()
            if worker not in self._leaving
        }
        self.has_room = any(rooms.values())
        return rooms

    def capacity(self) -> int:
        """Return how many visits all workers together may hold."""
        return sum(life.capacity for life in self.lives.values())

    def held(self) -> int:
        """Return how many visits workers hold."""
        return sum(len(life.held) for life in self.lives.values())

    def under_way(self) -> int:
        """Return how many visits are held, or wait to be handed out alone."""
        return self.held() + sum(map(len, self._quarantine.values()))

    @property
    def is_idle(self) -> bool:
        """Return whether no worker holds a visit or has a call under way."""
        return not any(life.held or life.calls for life in self.lives.values())

    @property
    def has_set_aside(self) -> bool:
        """Return whether visits wait to be handed out alone."""
        return any(self._quarantine.values())

    def set_aside(self, life: Life, visits: list[Visit]) -> list[Visit]:
        """Set the visits aside that have to run alone; return the others."""
        suspects = [visit for visit in visits if self._suspects.is_suspect(visit)]
        if not suspects:
            return visits
        self._quarantine[life.worker].extend(suspects)
        return [visit for visit in visits if visit not in suspects]

    def next_alone(self, life: Life) -> Visit | None:
        """Return a visit that has to run alone, if there is one and the worker has nothing else to do."""
        if not self._quarantine[life.worker] or not life.is_idle:
            return None
        life.is_alone = True
        return self._quarantine[life.worker].popleft()

    def settle(self, life: Life, outcome: Outcome) -> Visit:
        """Take a visit back whose outcome is there, and let the other workers know what it says of its host."""
        visit = life.take_back(outcome.tag)
        if outcome.host_failed:
            for other in self.lives.values():
                other.pause(visit.clock_id)
        if outcome.what not in (RETRY, UNASKED):
            self._suspects.clear(visit)
        return visit

    def returned(self, life: Life, settled: int) -> None:
        """Take note that a call is settled, with so many visits."""
        self.pace.count(settled)
        if life.is_alone and not life.held:
            life.is_alone = False
        if life.has_returned:
            self._start_deaths = 0


class Suspects:
    """Which visits may be killing their workers.

    Only a *marked* death is counted: the page was being read. Deaths without a mark only isolate: slow innocent pages
    share many workers' deaths. One counted death and the visit runs alone; two end it.

    A visit is known here by its key: a URL's row, or an errand. Its tag would not do: it is another one whenever the
    URL is handed out again, and being handed out again is what this is about.
    """

    def __init__(self) -> None:
        self._counted_deaths: Counter[tuple[int, int, int]] = Counter()
        self._deaths: Counter[tuple[int, int, int]] = Counter()

    def died_with(self, visit: Visit, *, marked: bool, alone: bool) -> str:
        """Take note that a visit's worker died; return why the visit must end, "" if it need not."""
        self._deaths[visit.key] += 1
        if marked:
            self._counted_deaths[visit.key] += 1
        if self._counted_deaths[visit.key] >= MAX_COUNTED_DEATHS:
            return "its worker died while parsing it, twice"
        if alone and self._deaths[visit.key] >= MAX_DEATHS_ALONE:
            return f"its worker died {MAX_DEATHS_ALONE} times with it"
        return ""

    def is_suspect(self, visit: Visit) -> bool:
        """Return whether a visit must run alone."""
        if not self._deaths:  # as nearly always
            return False
        return self._counted_deaths[visit.key] > 0 or self._deaths[visit.key] >= 2

    def clear(self, visit: Visit) -> None:
        """Forget a visit that has ended."""
        if self._deaths:
            self._counted_deaths.pop(visit.key, None)
            self._deaths.pop(visit.key, None)


def shares(requests: int, workers: int, most: int) -> Iterable[int]:
    """Divide the requests that may be in flight among workers, of which each may have `most`."""
    share, rest = divmod(requests, workers)
    return (min(share + (worker < rest), most) for worker in range(workers))
