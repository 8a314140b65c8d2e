"""What is waited for is said, what grows too large is replaced: with the clock and the memory in the test's hand."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crawler import Config, crawl
from crawler.engine import stillness as watchdog
from crawler.engine.stillness import MemoryWatch, Stillness
from crawler.model import Purpose, Visit
from crawler.processes import pools
from crawler.processes.pools import Life
from tests import hooks_that_grow
from tests.site import Site

MB = 1 << 20


def visit(seq: int) -> Visit:
    return Visit(1, seq, seq, "http://a.test", f"/{seq}", "L", Purpose.PAGE, 0, 0, 0, 0, False, 1, 1)


def life(worker: int = 0, pids: tuple[int, ...] = ()) -> Life:
    pool: Any = SimpleNamespace(_processes=dict.fromkeys(pids))
    return Life(worker, f"generation-{worker}", pool, None, lambda generation: None)


def test_what_is_waited_for_is_said_after_half_a_minute_and_then_after_twice_as_long() -> None:
    stillness = Stillness(100.0)
    assert [second for second in range(100, 400) if stillness.is_over(second)] == [130, 160, 220, 340]
    stillness.moved(400.0)
    assert [second for second in range(400, 440) if stillness.is_over(second)] == [430]


def test_a_visit_that_is_out_is_named_with_its_age_and_worker() -> None:
    busy, calling = life(0), life(1)
    busy.called([visit(1), visit(2)], 100.0)
    busy.called([visit(3)], 110.0)
    busy.take_back((1, 1))
    calling.called([], 100.0)
    assert Stillness(100.0).explain(145.0, [busy, calling], 2, (200.0, "http://b.test")) == (
        "nothing has come back for 45 s: worker 0 has had http://a.test/2 for 45 s, and 1 more; "
        "worker 1 has not come back from a call; 2 batches are not committed"
    )


def test_a_polite_crawl_says_whose_turn_is_next_and_one_without_a_next_says_nothing() -> None:
    stillness = Stillness(100.0)
    assert stillness.explain(140.0, [life()], 0, (152.0, "http://b.test")) == (
        "nothing has come back for 40 s: the next is http://b.test, which may be asked in 12 s"
    )
    assert stillness.explain(140.0, [life()], 0, None) == ""


def test_a_worker_above_the_limit_is_replaced_and_one_at_twice_that_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {11: 150 * MB, 12: 201 * MB, 13: 99 * MB}
    killed: list[int] = []
    monkeypatch.setattr(pools, "resident_bytes", sizes.__getitem__)
    monkeypatch.setattr(pools, "kill", killed.extend)
    lives = [life(0, (11,)), life(1, (12,)), life(2, (13,))]
    watch = MemoryWatch(100, 0)
    assert watch.look(10.0, lives, []) == [
        "worker 0 has 150 MB in memory: it is replaced when its visits have come back",
        "worker 1 has 201 MB in memory and was killed",
    ]
    assert (killed, [each.is_worn for each in lives]) == ([12], [True, False, False])
    assert watch.look(10.5, lives, []) == []  # once a second
    sizes[12] = 20 * MB
    assert watch.look(11.0, lives, []) == []  # it was said


def test_above_the_ceiling_for_all_the_largest_worker_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {11: 150 * MB, 12: 200 * MB, 21: 60 * MB, os.getpid(): 100 * MB}
    for module in (pools, watchdog):
        monkeypatch.setattr(module, "resident_bytes", sizes.__getitem__)
    lives = [life(0, (11,)), life(1, (12,))]
    consumer = SimpleNamespace(pid=21)
    assert MemoryWatch(0, 510).look(10.0, lives, [consumer]) == []
    assert MemoryWatch(0, 509).look(10.0, lives, [consumer]) == [
        "all processes have 510 MB in memory: worker 1, the largest with 200 MB, is replaced when its visits have come "
        "back"
    ]
    assert [each.is_worn for each in lives] == [False, True]
    assert MemoryWatch(0, 509).look(11.0, lives, [consumer]) == []  # one at a time


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of others cannot be read here")
def test_a_crawl_whose_hook_hoards_memory_replaces_its_worker_and_loses_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "MEMORY_SECONDS", 0.0)
    with Site() as site:
        targets = [f"/{number}" for number in range(60)]
        site.add_page("/", targets)
        for target in targets:
            site.add_page(target)
        config = Config(delay_seconds=0, processes=1, concurrency=1, worker_memory_mb=200, parse="")
        with crawl([site.url("/")], config, parse=hooks_that_grow.hoard) as report:
            urls = [url.state for url in report.urls()]
            pids = {item.item["pid"] for item in report.items()}
            assert len(list(report.items())) == len(urls) == 61
    assert set(urls) == {"done"}
    assert len(pids) > 1
    assert "it is replaced when its visits have come back" in caplog.text
    assert "killed" not in caplog.text


def test_a_frontier_that_lost_sight_of_a_host_looks_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should bookkeeping ever fail: the ledger knows what is queued."""
    monkeypatch.setattr(watchdog, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr("crawler.frontier.frontier.Frontier.wake", lambda self, counters: None)
    with Site() as site:
        site.add_page("/", ["/a"])
        site.add_page("/a")
        with crawl([site.url("/")], Config(processes=0, delay_seconds=0)) as report:
            assert report.finish_reason == "finished"
            assert report.counts["urls"]["done"] == 2
    assert "nothing is under way, though URLs are queued: looking for their hosts again" in caplog.messages
