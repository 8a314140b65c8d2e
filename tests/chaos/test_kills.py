"""Killed from outside at any moment, and started again, nothing is lost and nothing is stored twice."""

from __future__ import annotations

import re
import signal
import time
from random import Random

import pytest

from crawler.processes.pids import is_gone
from tests.chaos import faults, oracle
from tests.chaos.__main__ import Tally, run_round
from tests.chaos.oracle import judge
from tests.chaos.running import Crawling, Hang, Options
from tests.chaos.sabotage import COORDINATOR, WORKER, Strike
from tests.webgraph import WebServer


@pytest.mark.parametrize("fault", faults.KILLS, ids=lambda fault: fault.__name__)
def test_a_crawl_that_is_killed_again_and_again_completes(fault: faults.Fault) -> None:
    chance = Random(11)
    with WebServer(seed=11, pages=300) as server, Crawling(server, Options(consumers=2)) as crawling:
        crawling.start()
        for hits in (1, 60, 160):
            assert crawling.run_to_hit(hits), crawling.output()
            if not crawling.run_until(lambda: bool(fault(crawling, chance))):
                code = crawling.process.poll()
                # No resource tracker is started again before a queue is: what is left of the crawl may need none.
                assert code == -signal.SIGKILL or (fault, code, hits > 1) == (faults.kill_resource_tracker, 0, True)
                if code == 0:
                    break
            if fault in (faults.kill_main, faults.kill_group):
                assert crawling.finish() == -signal.SIGKILL
                crawling.start()
        crawling.complete()
        assert judge(crawling).violations == []


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_random_faults_lose_nothing(seed: int) -> None:
    tally = Tally()
    run_round(Random(f"{seed} 1"), tally)
    assert tally.faults.total() > 0
    assert (tally.numbers["lost"], tally.numbers["twice"], tally.numbers["violations"]) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", [faults.kill_main, faults.kill_group], ids=lambda fault: fault.__name__)
def test_a_main_process_that_is_killed_a_hundred_times_over_one_crawl_completes_it(fault: faults.Fault) -> None:
    kills, chance = 100, Random(100)
    with WebServer(seed=100, pages=3_000) as server, Crawling(server, Options()) as crawling:
        crawling.start()
        for kill in range(kills):
            if chance.randrange(4) == 0:  # at start
                until = time.monotonic() + chance.uniform(0.0, 0.5)
                assert crawling.run_until(lambda until=until: time.monotonic() > until), kill  # type: ignore[misc]
            else:
                assert crawling.run_to_hit(len(server.hits) + chance.randrange(40)), kill
            fault(crawling, chance)
            assert crawling.finish() == -signal.SIGKILL
            crawling.start()
        crawling.complete()
        assert len(crawling.lives) == kills + 1
        assert judge(crawling, most_seconds=900).violations == []


@pytest.mark.parametrize("fault", faults.FREEZES, ids=lambda fault: fault.__name__)
def test_a_frozen_process_is_replaced(fault: faults.Fault) -> None:
    options = Options(stall_seconds=1.0, page_deadline_seconds=1.0)
    with WebServer(seed=12, pages=200) as server, Crawling(server, options) as crawling:
        crawling.start()
        assert crawling.run_to_hit(60)
        assert fault(crawling, Random(0))
        assert crawling.finish() == 0, crawling.output()
        assert len(crawling.lives) == 1
        assert judge(crawling).violations == []


@pytest.mark.parametrize(("start_method", "consumers"), [("forkserver", 1), ("spawn", 3)])
def test_children_are_gone_within_two_seconds_of_their_parents_death(start_method: str, consumers: int) -> None:
    options = Options(start_method=start_method, consumers=consumers)
    with WebServer(seed=13, pages=300) as server, Crawling(server, options) as crawling:
        crawling.start()
        assert crawling.run_until(lambda: len(crawling.signed(WORKER)) == 2 and len(server.hits) > 20)
        assert len(crawling.members()) >= 4 + consumers  # main, tracker, two workers; perhaps a fork server
        faults.kill_main(crawling, Random(0))
        assert crawling.finish() == -signal.SIGKILL
        assert crawling.orphans(2.0) == []
        crawling.start()
        crawling.complete()
        assert judge(crawling).violations == []


def test_a_frozen_child_of_a_dead_crawl_is_killed_by_the_next_start() -> None:
    with WebServer(seed=14, pages=200) as server, Crawling(server, Options()) as crawling:
        crawling.start()
        assert crawling.run_to_hit(40)
        assert faults.freeze_consumer(crawling, Random(0))
        faults.kill_main(crawling, Random(0))
        crawling.finish()
        frozen = [member for member in crawling.orphans(2.0) if member.state == "T"]
        assert len(frozen) == 1
        crawling.start()
        crawling.complete()
        assert is_gone(frozen[0].pid)
        assert judge(crawling).violations == []


def test_a_worker_in_a_loop_that_holds_the_interpreters_lock_dies_after_its_parent() -> None:
    """Its watcher thread cannot run: the alarm ends it, at the page's deadline."""
    deadline = 2.0
    options = Options(page_deadline_seconds=deadline, processes=1)
    with WebServer(seed=15, pages=60) as server, Crawling(server, options, poison={"/p7": "loop"}) as crawling:
        crawling.start()
        assert crawling.run_until(lambda: bool(crawling.struck()))
        faults.kill_main(crawling, Random(0))
        crawling.finish()
        assert len(crawling.orphans(0.5)) >= 1
        assert crawling.orphans(deadline + 2.0) == []
        crawling.start()
        crawling.complete()
        assert judge(crawling).violations == []
        assert "in loop_in_c" in crawling.output()  # it says where it was


def test_a_hang_names_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    sleeps = Strike(COORDINATOR, "crawler.engine.crawl:Crawl.acknowledge", "", "sleep", 3)
    with WebServer(seed=16, pages=60) as server, Crawling(server, Options(), [sleeps]) as crawling:
        crawling.start()
        assert crawling.run_until(lambda: bool(crawling.struck()))
        monkeypatch.setattr("tests.chaos.running.HANG_SECONDS", 2.0)
        with pytest.raises(Hang) as hang:
            crawling.finish()
        told = str(hang.value)
        # the coordinator, where it hangs, and what the others do meanwhile
        assert re.search(r'crawler/engine/crawl\.py", line \d+ in acknowledge', told)
        assert re.search(r'crawler/consumer\.py", line \d+ in _take', told)
        assert "in _process_worker" in told
        assert crawling.orphans() == []
        assert oracle.crashes(crawling)
