"""Which host next, and when: with the clock in the test's hand, over a real ledger."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from crawler.config import Config
from crawler.frontier import frontier
from crawler.frontier.frontier import Frontier
from crawler.frontier.host import AHEAD, rank_workers
from crawler.ledger import opening
from crawler.ledger.opening import SeedRow
from crawler.ledger.reader import Reader
from crawler.model import (
    DONE,
    RETRY,
    ROBOTS,
    UNASKED,
    End,
    HostFacts,
    Outcome,
    Purpose,
    Result,
    RobotsRow,
    Visit,
)
from tests.test_ledger import SEED, Bench

LINKS = [f"{SEED}{number}" for number in range(1, 40)]


class Stand:
    """A frontier on a ledger whose only host has 40 queued URLs, and a clock."""

    def __init__(self, folder: Path, config: Config, workers: int = 2, *, robots: bool = True) -> None:
        self.bench = Bench(folder / "crawl.db", config)
        if robots:
            self.bench.commit(Result(robots=RobotsRow(1, "allow", 1, 404, fetched_at=time.time())))
        self.now = 1_000.0
        self.workers = workers
        self.frontier = Frontier(self.bench.reader, config, 0, lambda: self.now)

    def add_links(self) -> None:
        candidates = self.bench.offers.links(LINKS, Purpose.PAGE, 0, (1, 0))
        self.bench.commit(Result(candidates=candidates))
        self.frontier.wake(self.bench.reader.counters())

    def take(self, budget: int = 1_000, room: int = 100) -> list[Visit]:
        return [visit for visits in self.frontier.take(self.rooms(room), budget).values() for visit in visits]

    def rooms(self, room: int) -> dict[int, int]:
        return dict.fromkeys(range(self.workers), room)

    def settle(self, visit: Visit, what: str = DONE, **facts: object) -> None:
        outcome = Outcome(visit.tag, what, asked=what != UNASKED, **facts)  # type: ignore[arg-type]
        self.frontier.settle(visit, outcome, self.worker_of(visit), "generation")

    def worker_of(self, visit: Visit) -> int:
        return next(iter(self.frontier._hosts[visit.clock_id].held))

    def commit(self, visit: Visit, what: str = DONE) -> None:
        state = "queued" if what == RETRY else what
        end = End(state, "ok", None, visit.host_id, visit.seq, visit.visits, True, Purpose.PAGE, 0, 0)
        self.bench.commit(Result(end=end))
        self.frontier.wake(self.bench.reader.counters())
        self.frontier.acknowledge([(visit, what)])


def config(**changes: object) -> Config:
    base: dict[str, object] = {"delay_seconds": 2.0, "retry_wait_seconds": 4.0, "robots_max_age_seconds": 1e10}
    return Config(**{**base, **changes})  # type: ignore[arg-type]


def test_the_first_visit_of_a_host_is_for_its_robots_txt_and_alone(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config(delay_seconds=0.0, per_host=8), robots=False)
    stand.add_links()
    (visit,) = stand.take()
    assert (visit.purpose, visit.hop, visit.url) == (Purpose.ROBOTS, "P", "http://a.test/robots.txt")
    stand.settle(visit, ROBOTS)
    assert stand.take() == []  # not before the rules are committed
    stand.bench.commit(Result(robots=RobotsRow(1, "rules", 1, 200, body="User-agent: *", fetched_at=time.time())))
    stand.frontier.acknowledge([(visit, ROBOTS)])
    assert {visit.hop for visit in stand.take()} == {"L"}


def test_without_robots_no_robots_txt_is_asked_for(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config(obey_robots=False), robots=False)
    assert [visit.url for visit in stand.take()] == [SEED]


def test_a_host_with_a_delay_has_one_visit_out_and_is_due_after_the_end_of_the_exchange(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config(per_host=8))
    stand.add_links()
    (visit,) = stand.take()
    stand.now += 30.0
    assert stand.take() == []
    stand.settle(visit, ended_ago_seconds=0.5)
    assert stand.frontier.next_due() == stand.now + 1.5
    stand.now += 1.49
    assert stand.take() == []
    stand.now += 0.01
    assert [visit.target for visit in stand.take()] == ["/1"]


def test_a_host_that_fails_is_asked_less_and_one_that_succeeds_as_before(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config())
    stand.add_links()
    waits = []
    for failed in (True, True, True, False):
        (visit,) = stand.take()
        stand.settle(visit, host_failed=failed)
        due = stand.frontier.next_due()
        assert due is not None
        waits.append(due - stand.now)
        stand.now = due
    for wait, least in zip(waits, (4.0, 8.0, 16.0), strict=False):
        assert least <= wait <= 1.25 * least
    assert waits[3] == 2.0


def test_retry_after_holds_for_the_host(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config())
    stand.add_links()
    (visit,) = stand.take()
    stand.settle(visit, RETRY, host_failed=True, retry_after_seconds=100.0)
    assert stand.frontier.next_due() == stand.now + 100.0


def test_a_visit_that_was_not_asked_comes_again_without_a_delay(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config())
    (visit,) = stand.take()
    stand.settle(visit, UNASKED)
    stand.now += 0.02
    (again,) = stand.take()
    assert (again.id, again.attempts) == (visit.id, 0)
    assert again.tag != visit.tag


def test_a_url_is_not_handed_out_again_before_its_batch_is_committed(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config(delay_seconds=0.0))
    (visit,) = stand.take()
    stand.settle(visit, RETRY)
    assert stand.take() == []
    stand.commit(visit, RETRY)
    (again,) = stand.take()
    assert (again.id, again.attempts) == (visit.id, 1)


def test_a_visit_whose_worker_died_is_given_back_and_the_hosts_clock_runs(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config())
    (visit,) = stand.take()
    stand.frontier.give_back(visit, stand.worker_of(visit))
    assert stand.take() == []
    stand.now += 2.0
    assert [again.id for again in stand.take()] == [visit.id]


def test_after_a_visit_that_ended_with_its_worker_the_hosts_clock_runs(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config())
    stand.add_links()
    (visit,) = stand.take()
    stand.frontier.forget(visit, stand.worker_of(visit))
    stand.now += 1.99
    assert stand.take() == []
    stand.now += 0.01
    assert [visit.target for visit in stand.take()] == ["/1"]


def test_no_more_pages_than_the_budget_are_handed_out(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config(delay_seconds=0.0, per_host=16))
    stand.add_links()
    assert [len(stand.take(budget=budget)) for budget in (0, 3, 0, 2, 1000)] == [0, 3, 0, 2, 35]


def test_a_host_without_delay_is_spread_over_the_workers(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config(delay_seconds=0.0, per_host=5))
    stand.add_links()
    visits = stand.frontier.take(stand.rooms(100), 1_000)
    assert sorted(len(of_worker) for of_worker in visits.values()) == [2 * AHEAD, 3 * AHEAD]
    assert {frozenset(visit.at_once for visit in of_worker) for of_worker in visits.values()} == {
        frozenset({2}),
        frozenset({3}),
    }


def test_a_robots_txt_that_moved_is_asked_on_the_clock_of_its_new_host(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config(), robots=False)
    (visit,) = stand.take()
    stand.settle(visit, ROBOTS)
    moved = RobotsRow(1, "", 0, 301, redirect_host="https://b.test", redirect_target="/r.txt", redirects=1)
    stand.bench.commit(Result(robots=moved))
    stand.frontier.acknowledge([(visit, ROBOTS)])
    stand.now += 2.0
    (visit,) = stand.take()
    assert (visit.url, visit.host_id, visit.clock_id, visit.redirects) == ("https://b.test/r.txt", 1, 2, 1)


def test_after_a_restart_every_known_host_waits_once(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config())
    stand.bench.close()
    begun = opening.open_run(stand.bench.path, config(), [SeedRow(SEED, "argument")])
    reader = Reader(stand.bench.path, begun.run_id)
    now = [5_000.0]
    frontier = Frontier(reader, config(), begun.known_hosts, lambda: now[0])
    assert frontier.take({0: 10}, 10) == {0: []}
    now[0] += 2.0
    assert len(frontier.take({0: 10}, 10)[0]) == 1
    reader.close()


def test_the_frontier_wants_links_only_while_they_would_help(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config(delay_seconds=0.0, per_host=2))
    stand.take()
    assert stand.frontier.wants_links(10, busy=True)
    stand.add_links()
    stand.take()
    assert not stand.frontier.wants_links(10, busy=True)  # the host has more than it may have handed out


def test_a_host_is_looked_at_again_when_the_workers_that_serve_it_have_no_room(tmp_path: Path) -> None:
    """Three workers, two of which serve it: with room in the third only, it must not be forgotten."""
    stand = Stand(tmp_path, config(delay_seconds=0.0, per_host=2), workers=3)
    stand.add_links()
    host = stand.frontier._hosts[1]
    serving = {worker for worker in range(3) if host.share(worker, (0, 1, 2))}
    assert len(serving) == 2
    rooms = {worker: 0 if worker in serving else 5 for worker in range(3)}
    assert stand.frontier.take(rooms, 100) == {0: [], 1: [], 2: []}
    stand.now += 0.02
    assert len(stand.take(room=5)) > 0


def test_a_crawl_delay_holds_from_robots_txt_on(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config(), robots=False)
    (visit,) = stand.take()
    stand.settle(visit, ROBOTS)
    facts = HostFacts(1, 1, time.time(), True, 0)
    row = RobotsRow(1, "rules", 1, 200, body="x", crawl_delay=30.0, fetched_at=time.time())
    stand.bench.writer.commit([stand.bench.numbered(Result(robots=row), hosts=[facts])], queue_is_empty=True)
    stand.frontier.acknowledge([(visit, ROBOTS)])
    stand.now += 29.0
    assert stand.take() == []
    stand.now += 1.0
    assert [visit.url for visit in stand.take()] == [SEED]


def test_a_host_without_delay_that_has_more_than_it_may_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config(delay_seconds=0.0, per_host=2))
    stand.add_links()
    stand.take()
    assert stand.frontier.wants_links(10, busy=False)  # it is slow: another host's new links would help


def test_a_host_that_robots_txt_forbids_is_not_waited_for(tmp_path: Path) -> None:
    """Nothing of it is asked, so its clock, set far ahead by the failures, does not matter."""
    stand = Stand(tmp_path, config(retry_wait_seconds=100.0), robots=False)
    (visit,) = stand.take()
    stand.settle(visit, ROBOTS, host_failed=True)
    stand.bench.commit(Result(robots=RobotsRow(1, "deny", 1, reason="refused", fetched_at=time.time())))
    stand.frontier.acknowledge([(visit, ROBOTS)])
    assert [visit.url for visit in stand.take()] == [SEED]


def test_a_host_that_has_only_a_robots_txt_for_another_one_is_not_asked_for_its_own(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config(), robots=False)
    (visit,) = stand.take()
    stand.settle(visit, ROBOTS)
    moved = RobotsRow(1, "", 0, 301, redirect_host="https://b.test", redirect_target="/r.txt", redirects=1)
    stand.bench.commit(Result(robots=moved))
    stand.frontier.acknowledge([(visit, ROBOTS)])
    stand.now += 2.0
    (visit,) = stand.take()
    stand.settle(visit, ROBOTS)
    stand.bench.commit(Result(robots=RobotsRow(1, "allow", 1, 404, fetched_at=time.time())))
    stand.frontier.acknowledge([(visit, ROBOTS)])
    stand.now += 2.0
    assert [visit.url for visit in stand.take()] == [SEED]
    assert stand.take() == []


def test_a_host_that_is_busy_when_it_gets_urls_is_not_forgotten_when_the_window_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "MAX_HOSTS", 2)
    monkeypatch.setattr(frontier, "KEPT_HOSTS", 0)
    stand = Stand(tmp_path, config(scope="any", delay_seconds=0.0, obey_robots=False))
    hosts = ["http://a.test", "http://b.test", "http://c.test"]

    def end(visits: list[Visit], links: Sequence[str] = ()) -> None:
        for visit in visits:
            stand.settle(visit)
        if links:
            stand.bench.commit(Result(candidates=stand.bench.offers.links(links, Purpose.PAGE, 0, (1, 0))))
        for visit in visits:
            stand.commit(visit)

    end(stand.take(), [f"{host}/1" for host in hosts[1:]])
    first_b, first_c = stand.take() + stand.take()
    end([], [f"{host}/2" for host in hosts])  # the window is full of b and c, which have their visits out
    end([first_b])
    asked = []
    for ended in ([], [first_c]):  # first_c after paging in has passed over its host
        end(ended)
        while visits := stand.take():
            asked += [visit.url for visit in visits]
            end(visits)
    assert sorted(asked) == [f"{host}/2" for host in hosts]


def test_a_worker_that_leaves_or_joins_moves_its_own_hosts_only() -> None:
    hosts = range(1, 3_001)
    before = {host: rank_workers(host, (0, 1, 2, 3))[0] for host in hosts}
    without = {host: rank_workers(host, (0, 1, 3))[0] for host in hosts}
    assert {before[host] for host in hosts if before[host] != without[host]} == {2}
    assert 2 not in without.values()
    joined = {host: rank_workers(host, (0, 1, 2, 3, 7))[0] for host in hosts}
    assert {joined[host] for host in hosts if before[host] != joined[host]} == {7}
    for workers, homes in (((0, 1, 2, 3), before), ((0, 1, 3), without), ((0, 1, 2, 3, 7), joined)):
        loads = Counter(homes.values())
        assert set(loads) == set(workers)
        assert max(loads.values()) < 1.2 * len(hosts) / len(workers)
        assert min(loads.values()) > 0.8 * len(hosts) / len(workers)


def test_the_requests_for_a_host_without_delay_are_divided_among_the_workers_that_there_are(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config(delay_seconds=0.0, per_host=7))
    stand.take()
    host = stand.frontier._hosts[1]
    for workers in ((0, 1), (0, 1, 2), (5, 9, 11, 12), tuple(range(10))):
        shares = [host.share(worker, workers) for worker in workers]
        assert sum(shares) == 7
        assert max(shares) - min(shares) <= 1


def test_a_host_stays_with_its_worker_until_that_leaves(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config())
    stand.add_links()
    served = []
    for workers in [(3, 8)] * 4 + [(3, 8, 11)] * 4 + [(11,)] * 2:
        visits = stand.frontier.take(dict.fromkeys(workers, 10), 1_000)
        ((worker, (visit,)),) = [(worker, found) for worker, found in visits.items() if found]
        served.append(worker)
        stand.settle(visit)
        stand.now += 2.0
    assert served == [rank_workers(1, (3, 8))[0]] * 4 + [rank_workers(1, (3, 8, 11))[0]] * 4 + [11] * 2


def test_visits_of_a_worker_that_has_left_may_still_come_back(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config(delay_seconds=0.0, per_host=1))
    stand.add_links()
    ((leaver, visits),) = [(w, found) for w, found in stand.frontier.take({0: 10, 1: 10}, 5).items() if found]
    stays = 1 - leaver
    assert stand.frontier.take({stays: 10}, 100) == {stays: []}  # the host is busy where it was
    for visit in visits:
        stand.frontier.give_back(visit, leaver)
    stand.now += 0.02
    again = stand.frontier.take({stays: 10}, 5)[stays]
    assert {visit.id for visit in again} == {visit.id for visit in visits}
