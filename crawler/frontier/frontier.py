"""Which URL is asked next, and when: the hosts that have work, in a heap by the time they may be asked.

The ledger is the frontier's memory; what is held here is a window on it: per host a clock, the next few URLs, and which
rows are out (handed to a worker, or in a batch that is not committed yet) and so must not be handed out again. No
state per link, none per URL that is not about to be asked; hosts are paged in like URLs are.

    paged in ──► scheduled (in the heap, at `due`) ──► visits handed out ──► settled ──► acknowledged ──┐
       ▲              ▲                                     (out)             (out)         (free)      │
       └── dropped ◄──┴─────────────────────────────────────────────────────────────────────────────────┘

A host's first visit is for its robots.txt, alone, until that batch is committed. A robots.txt that redirects to another
host is asked on that host's clock (an errand). Decisions about waiting are `politeness`'s; the clock is handed in.
Must not know processes, queues or the network. Runs in the coordinator's main loop.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping

from crawler import clock
from crawler.config import Config
from crawler.frontier.host import Host, Workers
from crawler.ledger.counts import Counters
from crawler.ledger.reader import HostRow, Reader, ReadyRow
from crawler.model import LINK, RETRY, UNASKED, Briefing, Outcome, Purpose, Visit
from crawler.rules import politeness

MAX_HOSTS = 16_384  # in memory at once
KEPT_HOSTS = 1_024  # below this, a host without work stays in memory
CHUNK = 128  # URLs of a host read at a time, unless there are very many hosts
MAX_READY = 65_536  # URLs read and not handed out yet, of all hosts together, or so
BURST = 16  # visits of one host handed out before the next due host has its turn
GIVEN_BACK_SECONDS = 0.02  # a visit that came back unasked is not handed out sooner again


class Frontier:
    """The window on the ledger's queue."""

    def __init__(
        self,
        reader: Reader,
        config: Config,
        known_hosts: int,
        now: Callable[[], float] | None = None,
    ) -> None:
        """Make a window.

        Args:
            known_hosts: hosts up to this id were known before this run.
            now: monotonic, seconds; None means `clock.monotonic`.
        """
        self._reader = reader
        self._config = config
        self._workers: Workers = ()  # all that there are
        self._clock = now or clock.monotonic
        self._hosts: dict[int, Host] = {}
        self._heap: list[tuple[float, int]] = []
        self._tags = itertools.count(1)
        self._versions = itertools.count(1)  # of briefings: one count for all hosts, for a host may be paged in again
        self._stocked: set[int] = set()  # hosts without delay that have more URLs than they may have handed out
        self._merges = 0
        self._paged_to: int | None = 0  # page in the hosts above this id; None: all are known
        self._started = self._clock()
        self._known_hosts = known_hosts

    def __repr__(self) -> str:
        out = sum(len(host.out) for host in self._hosts.values())
        return f"<Frontier: {len(self._hosts)} hosts, {len(self._heap)} scheduled, {out} URLs out>"

    # ---- what is due

    def take(self, rooms: Mapping[int, int], budget: int) -> dict[int, list[Visit]]:
        """Hand out what is due now, to each worker.

        Args:
            rooms: how many visits each worker may be given, of all workers that there are.
            budget: how many pages may be asked for in all.
        """
        if rooms.keys() != set(self._workers):
            self._workers = tuple(rooms)
        visits: dict[int, list[Visit]] = {worker: [] for worker in rooms}
        left = dict(rooms)
        now = self._clock()
        postponed: list[Host] = []  # until there is a budget again
        self._page_in()
        while self._heap and self._heap[0][0] <= now and any(left.values()):
            host = self._hosts[heapq.heappop(self._heap)[1]]
            host.scheduled = False
            if host.next_at > now:
                self._schedule(host)
                continue
            if host.errands:
                self._run_errand(host, visits, left)
            elif not host.errand.is_out and host.errand.is_due(now):
                if self._has_ready(host):
                    self._ask_robots(host)
                else:
                    self._drop(host)
            elif budget <= 0:
                postponed.append(host)
            elif not host.errand.is_out:
                budget -= self._hand_out(host, visits, left, budget)
        for host in postponed:
            self._schedule(host)
        return visits

    def wants_links(self, room: int, *, busy: bool) -> bool:
        """Return whether workers could do more than the hosts in view have for them, so that new links would help.

        Args:
            room: visits that the workers could still take.
            busy: so much comes back that batches fill by themselves. If that is because a host without delay has more
                URLs than it may have handed out, small batches would only cost time.
        """
        return len(self._heap) < room and not (busy and self._stocked)

    def next_due(self) -> float | None:
        """Return when the next host may be asked, on the frontier's clock; None if none is waiting."""
        return self._heap[0][0] if self._heap else None

    def next_up(self) -> tuple[float, str] | None:
        """Return when the next host may be asked, and its name; None if none is waiting."""
        return (self._heap[0][0], self._hosts[self._heap[0][1]].name) if self._heap else None

    def look_again(self) -> None:
        """Read from the ledger anew which hosts have work: to be on the safe side."""
        for host in list(self._hosts.values()):
            host.drained = False
            self._schedule(host)
        self._paged_to = 0

    def waiting_hosts(self, busy: Collection[int]) -> int:
        """Return how many hosts in view wait for their time, but for the ones that are busy, given their ids."""
        return len(self._heap) - sum(self._hosts[host_id].scheduled for host_id in busy)

    def briefings(self, visits: Iterable[Visit], generation: str) -> list[Briefing]:
        """Return what this worker must know of the hosts that these visits ask, and was not told yet."""
        found = []
        for visit in visits:
            host = self._hosts[visit.clock_id]
            if generation not in host.told:
                host.told.add(generation)
                text = self._reader.robots_body(host.id) if host.errand.verdict in ("rules", "deny") else ""
                found.append(host.brief(text, tuple(self._config.headers.items())))
        return found

    # ---- what came back

    def settle(self, visit: Visit, outcome: Outcome, worker: int, generation: str) -> None:
        """Take note of how a visit ended: the asked host's clock runs from the end of the exchange."""
        now = self._clock()
        clock_host = self._release(visit, worker)
        if outcome.asked:
            clock_host.failures = clock_host.failures + 1 if outcome.host_failed else 0
            ended = now - outcome.ended_ago_seconds
            pause = max(self._wait_seconds(clock_host), outcome.retry_after_seconds)
            clock_host.due = max(clock_host.due, ended + pause)
        host = self._hosts[visit.host_id]
        if outcome.what == UNASKED:
            clock_host.told.discard(generation)
            self._take_back(host, visit)
            host.due = max(host.due, now + GIVEN_BACK_SECONDS)
        self._schedule(clock_host)
        self._schedule(host)

    def give_back(self, visit: Visit, worker: int) -> None:
        """Take back a visit whose worker died; the host may have been asked, so its clock runs."""
        self._take_back(self._hosts[visit.host_id], visit)
        self.forget(visit, worker)
        self._schedule(self._hosts[visit.host_id])

    def forget(self, visit: Visit, worker: int) -> None:
        """Let go of a visit whose worker died, and which is ended without it; the host may have been asked, too."""
        clock_host = self._release(visit, worker)
        clock_host.due = max(clock_host.due, self._clock() + self._wait_seconds(clock_host))
        self._schedule(clock_host)

    def acknowledge(self, ended: Iterable[tuple[Visit, str]]) -> None:
        """Take note that a batch is committed, given the visits in it and what became of them (`Outcome.what`)."""
        for visit, what in ended:
            host = self._hosts[visit.host_id]
            if visit.purpose.is_errand:
                self._reload(host)
            elif what != UNASKED:
                host.out.discard(visit.seq)
                if what == RETRY:
                    host.drained = False
            if not host.ready:
                self._schedule(host)

    def wake(self, counters: Counters) -> None:
        """Look up which hosts got URLs in merges since the last call."""
        if counters.merges == self._merges:
            return
        for host_id in self._reader.hosts_of_merges(self._merges):
            host = self._hosts.get(host_id)
            if host is not None:  # each of them: paging in passes over what is here
                host.drained = False
                self._schedule(host)
            elif len(self._hosts) < MAX_HOSTS:
                self._activate(self._reader.host(host_id))
            else:
                self._paged_to = 0
        self._merges = counters.merges

    # ---- inside

    def _hand_out(self, host: Host, visits: dict[int, list[Visit]], left: dict[int, int], budget: int) -> int:
        """Hand out a burst of a host's URLs; return how many."""
        given, burst = 0, min(BURST, budget)
        while given < burst:
            worker = host.choose_worker(left, self._workers)
            if worker is None or not self._has_ready(host):
                break
            visits[worker].append(self._make_visit(host, host.ready.pop(0), worker))
            left[worker] -= 1
            host.hold(worker)
            given += 1
        if host.ready and host.delay_seconds == 0:
            self._stocked.add(host.id)
        else:
            self._stocked.discard(host.id)
        if given == burst and not (host.drained and not host.ready):
            self._schedule(host)
        elif not host.ready and host.drained:
            self._drop(host)
        elif not host.held:
            self._postpone(host)
        return given

    def _has_ready(self, host: Host) -> bool:
        """Return whether the host has a URL that may be handed out; read some if none is here."""
        if not host.ready and not host.drained:
            chunk = min(CHUNK, MAX_READY // len(self._hosts))
            rows = self._reader.ready(host.id, chunk + len(host.out))
            host.ready.extend(row for row in rows if row.seq not in host.out)
            host.out.update(row.seq for row in host.ready)
            host.drained = not host.ready
        return bool(host.ready)

    def _make_visit(self, host: Host, row: ReadyRow, worker: int) -> Visit:
        return Visit(
            host.id, row.seq, next(self._tags), host.name, row.target, row.hop, Purpose(row.purpose), row.depth,
            row.redirects, row.attempts, row.visits, host.named, host.share(worker, self._workers), host.id,
            briefing=host.version,
        )  # fmt: skip

    def _ask_robots(self, host: Host) -> None:
        """Queue an errand for a host's robots.txt where it is: nearly always at the host itself."""
        host.errand.is_out = True
        place = host
        if away := host.errand.leads_away_from(host.name):
            row = self._reader.host_named(away)
            place = self._hosts.get(row.id) or self._activate(row)
        place.errands.append(host)
        self._schedule(place)

    def _run_errand(self, place: Host, visits: dict[int, list[Visit]], left: dict[int, int]) -> None:
        """Hand out a host's next errand, alone on that host: settling what is held schedules it again."""
        if place.held:
            return
        worker = place.choose_worker(left, self._workers)
        if worker is None:
            self._postpone(place)
            return
        visits[worker].append(place.errands.pop(0).errand.visit(place, next(self._tags), self._clock()))
        left[worker] -= 1
        place.hold(worker)

    def _postpone(self, host: Host) -> None:
        """Look at a host again soon: the workers that serve it have no room, and nothing of it will come back."""
        host.due = max(host.due, self._clock() + GIVEN_BACK_SECONDS)
        self._schedule(host)

    def _release(self, visit: Visit, worker: int) -> Host:
        host = self._hosts[visit.clock_id]
        host.release(worker)
        return host

    def _take_back(self, host: Host, visit: Visit) -> None:
        if visit.purpose.is_errand:
            host.errand.is_out = False
        else:
            row = ReadyRow(
                visit.seq, visit.target, visit.hop or LINK, visit.purpose, visit.depth, visit.redirects,
                visit.attempts, visit.visits,
            )  # fmt: skip
            host.ready.insert(0, row)

    def _schedule(self, host: Host) -> None:
        """Put a host into the heap unless it is there, or can only wait for a batch or a worker."""
        if host.scheduled or host.id not in self._hosts or (host.delay_seconds > 0 and host.held):
            return
        if host.errands or (not host.errand.is_out and (host.ready or not host.drained)):
            host.scheduled = True
            heapq.heappush(self._heap, (host.next_at, host.id))
        else:
            self._drop(host)

    def _drop(self, host: Host) -> None:
        """Let go of a host without work; nothing is lost by it, its facts are in the ledger."""
        if len(self._hosts) <= KEPT_HOSTS or not host.is_idle:
            return
        if host.due > self._clock():  # its clock is still needed
            host.scheduled = True
            heapq.heappush(self._heap, (host.due, host.id))
        else:
            del self._hosts[host.id]

    def _page_in(self) -> None:
        while self._paged_to is not None and len(self._hosts) < MAX_HOSTS:
            self._paged_to = self._reader.next_host(self._paged_to)
            if self._paged_to is not None and self._paged_to not in self._hosts:
                self._activate(self._reader.host(self._paged_to))

    def _activate(self, row: HostRow) -> Host:
        host = Host(row)
        self._hosts[host.id] = host
        host.learn(row, self._config, self._clock)
        host.version = next(self._versions)
        wait_seconds = self._wait_seconds(host)
        wall = clock.wall()
        host.due = self._clock() + politeness.due_in_seconds(row.asked_at, row.retry_at, wall, wait_seconds)
        if host.id <= self._known_hosts:
            # The run before may have asked it without living to say so: every known host waits once.
            host.due = max(host.due, self._started + wait_seconds)
        self._schedule(host)
        return host

    def _reload(self, host: Host) -> None:
        host.errand.is_out = False
        host.told.clear()
        row = self._reader.host(host.id)
        host.learn(row, self._config, self._clock)
        host.version = next(self._versions)
        # Its robots.txt may ask for a longer delay than the one that its clock was set by.
        wait_seconds = self._wait_seconds(host)
        due_in_seconds = politeness.due_in_seconds(row.asked_at, row.retry_at, clock.wall(), wait_seconds)
        host.due = max(host.due, self._clock() + due_in_seconds)
        host.errand.over()
        self._schedule(host)

    def _wait_seconds(self, host: Host) -> float:
        config = self._config
        return politeness.wait_seconds(
            host.name, host.failures, host.delay_seconds, config.retry_wait_seconds, config.retry_wait_max_seconds
        )
