"""Workers that cannot start end the crawl soon and in words, and a wall clock that jumps changes nothing."""

from __future__ import annotations

import time

import pytest

from crawler.engine.crew import MAX_START_DEATHS
from tests.chaos.oracle import judge, leaks
from tests.chaos.running import Crawling, Options
from tests.webgraph import WebServer

DAY_SECONDS = 86_400


@pytest.mark.parametrize(
    ("hook", "processes", "said"),
    [
        ("set_up_and_die", 1, "worker processes die at start, 5 times in a row"),
        ("set_up_and_die", 2, "worker processes die at start, 5 times in a row"),
        ("set_up_and_raise", 2, "worker processes die at start, 5 times in a row: RuntimeError: no mocks today"),
    ],
)
def test_workers_that_all_die_at_start_end_the_crawl_after_a_few_tries(hook: str, processes: int, said: str) -> None:
    options = Options(processes=processes, worker_setup=f"tests.chaos.hooks:{hook}")
    with WebServer(seed=61, pages=20) as server, Crawling(server, options) as crawling:
        began = time.monotonic()
        crawling.start()
        assert crawling.finish() == 1, crawling.output()
        assert time.monotonic() - began < 20
        assert crawling.said(f"(?m)^poolcrawl: {said}") == 1, crawling.output()
        assert crawling.said("Traceback") == 0, crawling.output()
        tries = len((crawling.folder / "set-ups").read_text().splitlines())
        assert MAX_START_DEATHS <= tries <= MAX_START_DEATHS + processes
        assert server.hits == []
        assert crawling.orphans() == []
        assert leaks(crawling) == []
        crawling.options = options._replace(worker_setup="")
        crawling.start()
        assert crawling.finish() == 0, crawling.output()
        crawling.lives.pop(0)  # the oracle need not know why it ended with 1
        assert judge(crawling).violations == []


@pytest.mark.parametrize("worker_setup", ["no_such_module:hook", "tests.chaos.hooks:no_such_hook"])
def test_a_set_up_hook_that_is_not_there_is_told_at_once(worker_setup: str) -> None:
    with WebServer(seed=61, pages=20) as server:
        with Crawling(server, Options(worker_setup=worker_setup)) as crawling:
            crawling.start()
            assert crawling.finish() == 2
            assert crawling.said(f"(?m)^poolcrawl: the hook '{worker_setup}'") == 1, crawling.output()
            assert list(crawling.home.iterdir()) == []
        assert server.hits == []


@pytest.mark.parametrize("jump_seconds", [DAY_SECONDS, -DAY_SECONDS], ids=["forward", "back"])
def test_a_clock_that_jumps_a_day_changes_neither_politeness_nor_deadlines(jump_seconds: int) -> None:
    """Also over a restart, which knows when it asked a host last by the wall clock only."""
    # Deadlines that no busy machine misses, and any clock that jumps a day.
    options = Options(delay_seconds=0.05, page_deadline_seconds=60.0, stall_seconds=60.0)
    with WebServer(seed=62, pages=120) as server, Crawling(server, options) as crawling:
        crawling.start()
        assert crawling.run_to_hit(20)
        (crawling.folder / "jump").write_text(str(jump_seconds))
        assert crawling.run_to_hit(40)
        crawling.process.terminate()
        crawling.expect(143)
        assert crawling.finish() == 143
        crawling.start()
        assert crawling.run_to_hit(60)
        (crawling.folder / "jump").unlink()
        crawling.complete()
        assert len(crawling.lives) == 2
        assert crawling.said("did not come back|died|replaced") == 0, crawling.output()
        assert judge(crawling, most_seconds=60).violations == []
