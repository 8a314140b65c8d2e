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
import math
from collections.abc import Callable, Collection, Iterable, Sequence

from crawler import clock
from crawler.config import Config
from crawler.ledger.counts import Counters
from crawler.ledger.reader import HostRow, Reader, ReadyRow
from crawler.model import LINK, PREREQUISITE, RETRY, ROBOTS_SEQ, UNASKED, HostRules, Outcome, Purpose, Visit
from crawler.rules import politeness

MAX_HOSTS = 16_384  # in memory at once
KEPT_HOSTS = 1_024  # below this, a host without work stays in memory
CHUNK = 128  # URLs of a host read at a time, fewer when there are many hosts:
MAX_READY = 65_536  # URLs read and not handed out yet, of all hosts together, or so
BURST = 16  # visits of one host handed out before the next due host has its turn
AHEAD = 8  # visits a worker may hold for each request that it may have in flight for a host without delay
LOCAL_AT_ONCE = 8  # requests in flight to a folder that we serve ourselves
GIVEN_BACK_SECONDS = 0.02  # a visit that came back unasked is not handed out sooner again


class Host:
    """A host in the window."""

    def __init__(self, row: HostRow, workers: int) -> None:
        self.id = row.id
        self.name = row.host
        self.named = bool(row.named)
        self.local = bool(row.local)
        self.failures = row.failures
        self.held = [0] * workers  # visits, by worker
        self.out: set[int] = set()  # seqs that must not be read again: ready here, held by a worker, or not committed
        self.ready: list[ReadyRow] = []  # a list, which is short: an empty deque has half a kilobyte
        self.told: set[str] = set()  # generations that have the robots rules
        self.errands: list[Host] = []  # hosts whose robots.txt is here
        self.verdict = ""  # of its robots.txt; "": not known
        self.robots_host = ""  # where its robots.txt is to be asked for next, if a redirect said so
        self.robots_target = "/robots.txt"
        self.robots_redirects = self.robots_tries = 0
        self.robots_since = 0.0
        self.robots_expires = math.inf
        self.pending_robots = False  # being asked, or its batch is not committed
        self.drained = False  # the ledger has no more queued URLs than those that are out
        self.scheduled = False
        self.due = 0.0
        self.delay_seconds = 0.0
        self.at_once = 1

    @property
    def next_at(self) -> float:
        """When it may be handed out next: a host whose robots.txt forbids it all is not asked, and need not wait."""
        return 0.0 if self.verdict == "deny" and not self.errands else self.due

    @property
    def is_idle(self) -> bool:
        """Tell that nothing of it is anywhere."""
        return not (self.out or self.errands or self.pending_robots or self.scheduled or any(self.held))


class Frontier:
    """The window on the ledger's queue."""

    def __init__(
        self,
        reader: Reader,
        config: Config,
        workers: int,
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
        self._workers = workers
        self._clock = now or clock.monotonic
        self._hosts: dict[int, Host] = {}
        self._heap: list[tuple[float, int]] = []
        self._tags = itertools.count(1)
        self._stocked: set[int] = set()  # hosts without delay that have more URLs than they may have handed out
        self._merges = 0
        self._paged_to: int | None = 0  # page in the hosts above this id; None: all are known
        self._started = self._clock()
        self._known_hosts = known_hosts

    def __repr__(self) -> str:
        out = sum(len(host.out) for host in self._hosts.values())
        return f"<Frontier: {len(self._hosts)} hosts, {len(self._heap)} scheduled, {out} URLs out>"

    # ---- what is due

    def take(self, rooms: Sequence[int], budget: int) -> list[list[Visit]]:
        """Hand out what is due now, at most `rooms[w]` visits to worker w and `budget` pages in all."""
        visits: list[list[Visit]] = [[] for _ in rooms]
        left = list(rooms)
        now = self._clock()
        postponed: list[Host] = []  # until there is a budget again
        self._page_in()
        while self._heap and self._heap[0][0] <= now and any(room > 0 for room in left):
            host = self._hosts[heapq.heappop(self._heap)[1]]
            host.scheduled = False
            if host.next_at > now:
                self._schedule(host)
                continue
            if host.errands:
                self._run_errand(host, visits, left)
            elif not host.pending_robots and (host.verdict == "" or host.robots_expires <= now):
                if self._has_ready(host):
                    self._ask_robots(host)
                else:
                    self._drop(host)
            elif budget <= 0:
                postponed.append(host)
            elif not host.pending_robots:
                budget -= self._hand_out(host, visits, left, budget)
        for host in postponed:
            self._schedule(host)
        return visits

    def is_hungry(self, room: int, *, busy: bool) -> bool:
        """Tell whether workers could do more than the hosts in view have for them, so that new links would help.

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

    def rules(self, visits: Iterable[Visit], generation: str) -> list[HostRules]:
        """Return the robots rules that this worker needs for these visits and was not told yet."""
        found = []
        for visit in visits:
            host = self._hosts[visit.host_id]
            if visit.purpose != Purpose.ROBOTS and generation not in host.told:
                host.told.add(generation)
                body = self._reader.robots_body(host.id) if host.verdict != "allow" else ""
                found.append(HostRules(host.id, host.verdict, body))
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
            host.told.discard(generation)
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

    def acknowledge(self, outcomes: Iterable[tuple[int, int, str]]) -> None:
        """Take note that a batch is committed, given the (host_id, seq, what) in it."""
        for host_id, seq, what in outcomes:
            host = self._hosts[host_id]
            if seq == ROBOTS_SEQ:
                self._reload(host)
            elif what != UNASKED:
                host.out.discard(seq)
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

    def _hand_out(self, host: Host, visits: list[list[Visit]], left: list[int], budget: int) -> int:
        """Hand out a burst of a host's URLs; return how many."""
        given = 0
        while given < min(BURST, budget):
            worker = self._choose_worker(host, left)
            if worker < 0 or not self._has_ready(host):
                break
            visits[worker].append(self._make_visit(host, host.ready.pop(0), worker))
            left[worker] -= 1
            host.held[worker] += 1
            given += 1
        if host.ready and host.delay_seconds == 0:
            self._stocked.add(host.id)
        else:
            self._stocked.discard(host.id)
        if given == min(BURST, budget) and not (host.drained and not host.ready):
            self._schedule(host)
        elif not host.ready and host.drained:
            self._drop(host)
        elif not any(host.held):
            self._postpone(host)
        return given

    def _choose_worker(self, host: Host, left: Sequence[int]) -> int:
        """Return the worker for a host's next visit, -1 for none: where it is known, unless there is no room."""
        if host.delay_seconds > 0 or host.at_once == 1:
            if any(host.held) and (host.delay_seconds > 0 or sum(host.held) >= AHEAD):
                return -1
            if any(host.held):
                home = next(index for index, held in enumerate(host.held) if held)
                return home if left[home] > 0 else -1
            home = host.id % self._workers
            return home if left[home] > 0 else max(range(self._workers), key=lambda index: left[index])
        free = [w for w in range(self._workers) if left[w] > 0 and host.held[w] < self._share(host, w) * AHEAD]
        return min(free, key=lambda w: host.held[w]) if free else -1

    def _share(self, host: Host, worker: int) -> int:
        """Return how many requests a worker may have in flight for a host that several serve."""
        if host.delay_seconds > 0 or host.at_once == 1:
            return 1
        share, rest = divmod(host.at_once, self._workers)
        return share + ((worker + host.id) % self._workers < rest)

    def _has_ready(self, host: Host) -> bool:
        """Tell whether the host has a URL that may be handed out; read some if none is here."""
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
            row.redirects, row.attempts, row.visits, host.named, self._share(host, worker), host.id,
        )  # fmt: skip

    def _ask_robots(self, host: Host) -> None:
        """Queue an errand for a host's robots.txt where it is: nearly always at the host itself."""
        host.pending_robots = True
        place = host
        if host.robots_host and host.robots_host != host.name:
            row = self._reader.host_named(host.robots_host)
            place = self._hosts.get(row.id) or self._activate(row)
        place.errands.append(host)
        self._schedule(place)

    def _run_errand(self, place: Host, visits: list[list[Visit]], left: list[int]) -> None:
        worker = self._choose_worker(place, left)
        if worker < 0 or any(place.held):  # alone on its host; settling what is held schedules it again
            if not any(place.held):
                self._postpone(place)
            return
        host = place.errands.pop(0)
        now = self._clock()
        host.robots_since = host.robots_since or now
        visit = Visit(
            host.id, ROBOTS_SEQ, next(self._tags), place.name, host.robots_target, PREREQUISITE,
            Purpose.ROBOTS, 0, host.robots_redirects, host.robots_tries, 0, place.named, 1, place.id,
            now - host.robots_since,
        )  # fmt: skip
        visits[worker].append(visit)
        left[worker] -= 1
        place.held[worker] += 1

    def _postpone(self, host: Host) -> None:
        """Look at a host again soon: the workers that serve it have no room, and nothing of it will come back."""
        host.due = max(host.due, self._clock() + GIVEN_BACK_SECONDS)
        self._schedule(host)

    def _release(self, visit: Visit, worker: int) -> Host:
        host = self._hosts[visit.clock_id]
        host.held[worker] -= 1
        return host

    def _take_back(self, host: Host, visit: Visit) -> None:
        if visit.seq == ROBOTS_SEQ:
            host.pending_robots = False
        else:
            host.ready.insert(
                0,
                ReadyRow(
                    visit.seq, visit.target, visit.hop or LINK, visit.purpose, visit.depth, visit.redirects,
                    visit.attempts, visit.visits,
                ),
            )  # fmt: skip

    def _schedule(self, host: Host) -> None:
        """Put a host into the heap unless it is there, or can only wait for a batch or a worker."""
        if host.scheduled or host.id not in self._hosts or (host.delay_seconds > 0 and any(host.held)):
            return
        if host.errands or (not host.pending_robots and (host.ready or not host.drained)):
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
        host = Host(row, self._workers)
        self._hosts[host.id] = host
        self._set_facts(host, row)
        wait_seconds = self._wait_seconds(host)
        wall = clock.wall()
        host.due = self._clock() + politeness.due_in_seconds(row.asked_at, row.retry_at, wall, wait_seconds)
        if host.id <= self._known_hosts:
            # The run before may have asked it without living to say so: every known host waits once.
            host.due = max(host.due, self._started + wait_seconds)
        self._schedule(host)
        return host

    def _reload(self, host: Host) -> None:
        host.pending_robots = False
        host.told.clear()
        row = self._reader.host(host.id)
        self._set_facts(host, row)
        # Its robots.txt may ask for a longer delay than the one that its clock was set by.
        wait_seconds = self._wait_seconds(host)
        due_in_seconds = politeness.due_in_seconds(row.asked_at, row.retry_at, clock.wall(), wait_seconds)
        host.due = max(host.due, self._clock() + due_in_seconds)
        if host.verdict:
            host.robots_since = 0.0  # when it has grown old, asking begins anew
        self._schedule(host)

    def _set_facts(self, host: Host, row: HostRow) -> None:
        config = self._config
        if not config.obey_robots:
            host.verdict = "allow"
        elif (
            row.robots_verdict
            and 0 <= (age_seconds := clock.wall() - row.robots_fetched_at) < config.robots_max_age_seconds
        ):
            host.verdict = row.robots_verdict
            host.robots_expires = self._clock() + config.robots_max_age_seconds - age_seconds
        else:
            host.verdict = ""
        fresh = row.robots_verdict != ""  # a verdict that has grown old is asked for from the beginning
        host.robots_host = "" if fresh else row.robots_host
        host.robots_target = "/robots.txt" if fresh else row.robots_target or "/robots.txt"
        host.robots_redirects = 0 if fresh else row.robots_redirects
        host.robots_tries = 0 if fresh else row.robots_tries
        crawl_delay = row.crawl_delay or 0.0 if config.obey_robots else 0.0
        host.delay_seconds = 0.0 if host.local else max(config.delay_seconds, crawl_delay)
        host.at_once = max(config.per_host, LOCAL_AT_ONCE) if host.local else config.per_host
        if host.delay_seconds > 0:
            host.at_once = 1

    def _wait_seconds(self, host: Host) -> float:
        config = self._config
        return politeness.wait_seconds(
            host.name, host.failures, host.delay_seconds, config.retry_wait_seconds, config.retry_wait_max_seconds
        )
