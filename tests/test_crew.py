"""Workers that join, die and are replaced, and the visits that may have killed them: without any process."""

from __future__ import annotations

import threading

import pytest

from crawler.engine.crew import MAX_DEATHS_ALONE, MAX_START_DEATHS, Crew, Suspects, shares
from crawler.engine.job import Ending, Stop
from crawler.engine.life import AHEAD_VISITS, Life
from crawler.engine.memory import MemoryWatch
from crawler.model import DONE, RETRY, UNASKED, Outcome, Purpose, Visit
from crawler.processes.kinds import Pool
from tests.pools import PlainPool

KILLS = "its worker died while parsing it, twice"


def visit(seq: int, tag: int, host_id: int = 1, purpose: Purpose = Purpose.PAGE) -> Visit:
    return Visit(host_id, seq, tag, "http://a.test", f"/{seq}", "L", purpose, 0, 0, 0, 0, False, 1, host_id)


class Stand:
    """A crew, with the pools that were made for it."""

    def __init__(self, workers: int = 2) -> None:
        self.lock = threading.RLock()
        self.pools: list[PlainPool] = []
        self.made: list[tuple[str, int]] = []
        self.crew = Crew(self.lock, MemoryWatch(0, 0), self.make_pool)
        for _ in range(workers):
            self.crew.join(4)

    def make_pool(self, generation: str, in_flight: int) -> Pool:
        self.made.append((generation, in_flight))
        self.pools.append(PlainPool())
        return self.pools[-1]

    def give(self, worker: int, *visits: Visit) -> Life:
        life = self.crew.lives[worker]
        life.called(visits, 100.0)
        return life

    def die(self, life: Life, marked: int = 0) -> list[tuple[Visit, str]]:
        life.pool.mark.value = marked
        for _ in range(life.calls):
            life.returned("BrokenProcessPool", 101.0)
        assert self.crew.dead() == [life]
        return [(lost.visit, lost.why) for lost in self.crew.retire(life)]


def test_a_worker_keeps_its_number_and_its_share_in_all_its_lives_and_no_number_is_given_twice() -> None:
    stand = Stand(workers=2)
    stand.crew.join(7)
    first = stand.crew.lives[2]
    stand.die(stand.give(2, visit(1, 1)))
    assert list(stand.crew.lives) == [0, 1, 2]
    assert stand.crew.lives[2] is not first
    assert [in_flight for _, in_flight in stand.made] == [4, 4, 7, 7]
    assert len({generation for generation, _ in stand.made}) == 4
    assert (first.is_retired, stand.pools[2].ends) == (True, [False])
    stand.crew.leave(1)
    stand.crew.look(102.0, 60.0, lambda: 0)
    stand.crew.join(4)
    assert list(stand.crew.lives) == [0, 2, 3]


def test_a_worker_that_leaves_gets_nothing_new_and_is_gone_when_it_holds_nothing() -> None:
    stand = Stand()
    life = stand.give(0, visit(1, 11))
    stand.crew.leave(0)
    assert stand.crew.rooms(is_open=True) == {1: 4 + AHEAD_VISITS}
    stand.crew.look(101.0, 60.0, lambda: 0)
    assert list(stand.crew.lives) == [0, 1]  # what it holds comes back first
    life.returned("", 102.0)
    stand.crew.settle(life, Outcome(11, DONE))
    stand.crew.look(103.0, 60.0, lambda: 0)
    assert (list(stand.crew.lives), life.is_retired, stand.pools[0].ends) == ([1], True, [False])


def test_a_worker_that_dies_while_it_leaves_gives_all_back_and_is_gone() -> None:
    stand = Stand()
    life = stand.give(0, visit(1, 11))
    stand.crew.leave(0)
    assert stand.die(life) == [(visit(1, 11), "")]
    assert list(stand.crew.lives) == [1]


def test_a_worker_that_leaves_runs_first_what_has_to_run_alone_there() -> None:
    stand = Stand()
    stand.die(stand.give(0, visit(1, 11)), marked=11)
    life = stand.crew.lives[0]
    stand.crew.set_aside(life, [visit(1, 21)])
    stand.crew.leave(0)
    stand.crew.look(102.0, 60.0, lambda: 0)
    life = stand.crew.lives[0]
    alone = stand.crew.next_alone(life)
    assert alone == visit(1, 21)
    stand.give(0, alone)
    life.returned("", 103.0)
    stand.crew.settle(life, Outcome(21, DONE))
    stand.crew.look(104.0, 60.0, lambda: 0)
    assert list(stand.crew.lives) == [1]


def test_what_a_dead_worker_held_is_given_back() -> None:
    stand = Stand()
    life = stand.give(0, visit(1, 11), visit(2, 12))
    assert stand.die(life) == [(visit(1, 11), ""), (visit(2, 12), "")]
    assert (life.held, stand.crew.held(), stand.crew.is_idle) == ({}, 0, True)


def test_a_visit_runs_alone_after_one_counted_death_and_ends_with_the_second() -> None:
    stand = Stand()
    assert stand.die(stand.give(0, visit(1, 11), visit(2, 12)), marked=11) == [(visit(1, 11), ""), (visit(2, 12), "")]
    life = stand.crew.lives[0]
    assert stand.crew.set_aside(life, [visit(1, 21), visit(2, 22)]) == [visit(2, 22)]
    assert stand.crew.rooms(is_open=True) == {0: 0, 1: 4 + AHEAD_VISITS}  # nothing new beside it
    assert (stand.crew.under_way(), stand.crew.has_set_aside) == (1, True)
    assert stand.crew.next_alone(stand.crew.lives[1]) is None  # it is another worker's
    stand.give(0, visit(2, 22))
    assert stand.crew.next_alone(life) is None  # not while there is something else
    life.returned("", 102.0)
    stand.crew.settle(life, Outcome(22, DONE))
    assert stand.crew.next_alone(life) == visit(1, 21)
    assert life.is_alone
    stand.give(0, visit(1, 21))
    assert stand.die(life, marked=21) == [(visit(1, 21), KILLS)]


def test_a_visit_that_came_back_shares_its_worker_again() -> None:
    stand = Stand()
    stand.die(stand.give(0, visit(1, 11)), marked=11)
    life = stand.crew.lives[0]
    stand.crew.set_aside(life, [visit(1, 21)])
    alone = stand.crew.next_alone(life)
    assert alone is not None
    stand.give(0, alone)
    life.returned("", 102.0)
    stand.crew.settle(life, Outcome(21, DONE))
    stand.crew.returned(life, 1)
    assert not life.is_alone
    assert stand.crew.rooms(is_open=True)[0] == 4 + AHEAD_VISITS
    assert stand.crew.set_aside(life, [visit(1, 31)]) == [visit(1, 31)]


def test_deaths_that_a_visit_was_not_read_at_only_isolate_it_and_ten_of_them_alone_end_it() -> None:
    suspects, one = Suspects(), visit(1, 1)
    told = []
    for death in range(30):
        assert suspects.is_suspect(one) == (death >= 2)
        told.append(suspects.died_with(one, marked=False, alone=False))
    assert set(told) == {""}
    assert suspects.died_with(one, marked=False, alone=True) == f"its worker died {MAX_DEATHS_ALONE} times with it"
    suspects.clear(one)
    assert not suspects.is_suspect(one)


def test_an_errand_is_no_suspect_for_what_a_page_did() -> None:
    suspects = Suspects()
    suspects.died_with(visit(-1, 1, purpose=Purpose.ROBOTS), marked=True, alone=True)
    assert suspects.is_suspect(visit(-1, 2, purpose=Purpose.ROBOTS))
    assert not suspects.is_suspect(visit(-1, 3))
    suspects.died_with(visit(1, 4), marked=True, alone=True)
    assert suspects.is_suspect(visit(1, 5, purpose=Purpose.EMBED))  # it is the same URL, known for less


@pytest.mark.parametrize(("what", "is_cleared"), [(DONE, True), (RETRY, False), (UNASKED, False)])
def test_only_its_end_clears_a_visit(what: str, is_cleared: bool) -> None:
    stand = Stand()
    stand.die(stand.give(0, visit(1, 11)), marked=11)
    stand.crew.settle(stand.give(0, visit(1, 21)), Outcome(21, what))
    assert (stand.crew.set_aside(stand.crew.lives[0], [visit(1, 31)]) == [visit(1, 31)]) == is_cleared


def test_a_host_that_failed_is_told_to_all_workers_that_hold_something_for_it() -> None:
    stand = Stand(workers=3)
    life = stand.give(0, visit(1, 11), visit(2, 12))
    stand.give(1, visit(3, 13), visit(1, 14, host_id=2))
    stand.give(2, visit(2, 15, host_id=2))
    assert stand.crew.settle(life, Outcome(11, RETRY, host_failed=True)) == visit(1, 11)
    assert [each.pauses for each in stand.crew.lives.values()] == [{1}, {1}, set()]


def test_workers_that_die_before_they_came_back_from_any_call_are_counted_in_a_row() -> None:
    stand = Stand(workers=1)
    for _ in range(2):
        for _ in range(MAX_START_DEATHS - 1):
            assert not stand.crew.dies_at_start(stand.crew.lives[0])
            stand.die(stand.give(0, visit(1, 11)))
        life = stand.give(0, visit(1, 11))  # this one does come back
        life.returned("", 101.0)
        stand.crew.settle(life, Outcome(11, DONE))
        stand.crew.returned(life, 1)
    for _ in range(MAX_START_DEATHS):
        stand.die(stand.give(0, visit(2, 12)))
        dies = stand.crew.dies_at_start(stand.crew.lives[0])
    assert dies


def test_a_worker_that_is_draining_is_replaced_when_it_holds_nothing() -> None:
    stand = Stand(workers=1)
    life = stand.give(0, visit(1, 11))
    life.is_draining = True
    assert stand.crew.rooms(is_open=True) == {0: 0}
    stand.crew.look(200.0, 10.0, int)
    assert stand.crew.lives[0] is life
    life.returned("", 201.0)
    stand.crew.settle(life, Outcome(11, DONE))
    stand.crew.look(202.0, 10.0, int)
    assert stand.crew.lives[0] is not life
    assert (life.is_retired, life.pool) == (True, stand.pools[0])
    assert stand.pools[0].ends == [False]


def test_a_worker_gets_nothing_new_while_it_has_two_calls_or_is_full_or_the_crawl_is_closed() -> None:
    stand = Stand(workers=2)
    assert stand.crew.rooms(is_open=False) == {0: 0, 1: 0}
    assert not stand.crew.has_room
    stand.give(0, *(visit(seq, seq) for seq in range(100)))
    assert stand.crew.rooms(is_open=True) == {0: AHEAD_VISITS + 4 - 100, 1: AHEAD_VISITS + 4}
    stand.give(0)
    assert stand.crew.rooms(is_open=True) == {0: 0, 1: AHEAD_VISITS + 4}
    assert stand.crew.has_room


@pytest.mark.parametrize(
    ("requests", "workers", "most", "expected"),
    [(10, 4, 100, [3, 3, 2, 2]), (10, 4, 2, [2, 2, 2, 2]), (3, 3, 9, [1, 1, 1])],
)
def test_requests_are_divided_among_workers(requests: int, workers: int, most: int, expected: list[int]) -> None:
    assert list(shares(requests, workers, most)) == expected


def test_a_stop_leaves_what_is_in_flight_its_time_and_a_second_one_does_not() -> None:
    stop = Stop()
    ending = Ending(stop, 0.0, 100.0)
    assert [ending.is_overdue(now) for now in (100.0, 1e9)] == [False, False]
    stop("interrupted")
    assert [ending.is_overdue(now) for now in (200.0, 209.9, 210.0)] == [False, False, True]
    again = Ending(stop, 0.0, 300.0)
    stop.at_once("max-time")
    assert (again.is_overdue(300.0), again.reason) == (True, "interrupted")


def test_time_that_is_up_is_said_when_it_is_looked_at() -> None:
    ending = Ending(Stop(), 5.0, 100.0)
    assert [(ending.is_overdue(now), ending.reason) for now in (104.9, 105.0, 115.0)] == [
        (False, ""),
        (False, "max-time"),
        (True, "max-time"),
    ]
