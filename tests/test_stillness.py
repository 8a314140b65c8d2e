"""What is waited for is said, what grows too large is replaced: with the clock and the memory in the test's hand."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from crawler import Config, crawl
from crawler.engine import memory, stillness
from crawler.engine.life import LATE_SECONDS, Life
from crawler.engine.memory import MemoryWatch
from crawler.engine.stillness import Stillness
from crawler.model import Purpose, Visit
from crawler.processes import local
from crawler.processes.local import CLOSE_AFTER_SECONDS, ProcessPool
from tests import hooks_that_grow
from tests.pools import PlainPool
from tests.site import Site

MB = 1 << 20


def visit(seq: int) -> Visit:
    return Visit(1, seq, 10 + seq, "http://a.test", f"/{seq}", "L", Purpose.PAGE, 0, 0, 0, 0, False, 1, 1)


def life(worker: int = 0, pool: PlainPool | None = None) -> Life:
    return Life(worker, f"generation-{worker}", pool or PlainPool(), 4)


def test_what_is_waited_for_is_said_after_half_a_minute_and_then_after_twice_as_long() -> None:
    watch = Stillness(100.0)
    assert [second for second in range(100, 400) if watch.is_over(second)] == [130, 160, 220, 340]
    watch.moved(400.0)
    assert [second for second in range(400, 440) if watch.is_over(second)] == [430]


def test_a_visit_that_is_out_is_named_with_its_age_and_worker() -> None:
    busy, calling = life(0), life(1)
    busy.called([visit(1), visit(2)], 100.0)
    busy.called([visit(3)], 110.0)
    busy.take_back(11)
    calling.called([], 100.0)
    assert Stillness(100.0).explain(145.0, [busy, calling], 2, (200.0, "http://b.test")) == (
        "nothing has come back for 45 s: worker 0 has had http://a.test/2 for 45 s, and 1 more; "
        "worker 1 has not come back from a call; 2 batches are not committed"
    )


def test_a_polite_crawl_says_whose_turn_is_next_and_one_without_a_next_says_nothing() -> None:
    watch = Stillness(100.0)
    assert watch.explain(140.0, [life()], 0, (152.0, "http://b.test")) == (
        "nothing has come back for 40 s: the next is http://b.test, which may be asked in 12 s"
    )
    assert watch.explain(140.0, [life()], 0, None) == ""


def test_a_worker_above_the_limit_is_replaced_and_one_at_twice_that_is_killed() -> None:
    pools = [PlainPool(150 * MB), PlainPool(201 * MB), PlainPool(99 * MB)]
    lives = [life(worker, pool) for worker, pool in enumerate(pools)]
    watch = MemoryWatch(100, 0)
    assert watch.look(10.0, lives, int) == [
        "worker 0 has 150 MB in memory: it is replaced when its visits have come back",
        "worker 1 has 201 MB in memory and was killed",
    ]
    assert [pool.kills for pool in pools] == [0, 1, 0]
    assert [(each.is_draining, each.room > 0) for each in lives] == [(True, False), (False, True), (False, True)]
    assert watch.look(10.5, lives, int) == []  # once a second
    pools[1].size = 20 * MB
    assert watch.look(11.0, lives, int) == []  # it was said


def test_above_the_ceiling_for_all_the_largest_worker_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "resident_bytes", {os.getpid(): 100 * MB}.__getitem__)
    lives = [life(0, PlainPool(150 * MB)), life(1, PlainPool(200 * MB))]

    def others_bytes() -> int:
        return 60 * MB

    assert MemoryWatch(0, 510).look(10.0, lives, others_bytes) == []
    assert MemoryWatch(0, 509).look(10.0, lives, others_bytes) == [
        "all processes have 510 MB in memory: worker 1, the largest with 200 MB, is replaced when its visits have come "
        "back"
    ]
    assert [each.is_draining for each in lives] == [False, True]
    assert MemoryWatch(0, 509).look(11.0, lives, others_bytes) == []  # one at a time


def test_a_worker_that_does_not_come_back_from_a_call_is_killed_once_for_each_deadline() -> None:
    pool = PlainPool()
    busy = life(3, pool)
    assert busy.look(1_000.0, 5.0) == ""  # there is no call
    busy.called([visit(1)], 100.0)
    late = 100.0 + 5.0 + LATE_SECONDS
    assert [busy.look(now, 5.0) for now in (late, late + 0.1, late + 0.2)] == [
        "",
        "worker 3 did not come back from a call for 5 s and was killed",
        "",
    ]
    assert pool.kills == 1


def test_a_worker_that_is_dead_or_cannot_be_killed_is_waited_for() -> None:
    for pool in (PlainPool(is_dead=True), PlainPool(may_be_killed=False)):
        waiting = life(0, pool)
        waiting.called([visit(1)], 100.0)
        assert waiting.look(1_000.0, 5.0) == ""
        assert pool.kills == 0


def test_our_end_of_a_dead_processs_pipe_is_closed_after_half_a_second_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half a result is in the pipe, and while we hold a writing end ourselves its end would never come."""
    closed: list[str] = []
    writer = SimpleNamespace(close=lambda: closed.append("closed"))
    pool = ProcessPool.__new__(ProcessPool)
    executor = SimpleNamespace(_processes={11: None}, _result_queue=SimpleNamespace(_writer=writer))
    vars(pool).update(_executor=executor, _pids=set(), _dead_since=0.0, _writer_closed=False)
    gone: set[int] = set()
    monkeypatch.setattr(local, "is_gone", gone.__contains__)
    assert not pool.look(100.0)
    gone.add(11)
    assert [pool.look(now) for now in (200.0, 200.0 + CLOSE_AFTER_SECONDS)] == [True, True]
    assert closed == []
    assert [pool.look(now) for now in (200.1 + CLOSE_AFTER_SECONDS, 300.0)] == [True, True]
    assert closed == ["closed"]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of others cannot be read here")
def test_a_crawl_whose_hook_hoards_memory_replaces_its_worker_and_loses_nothing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MEMORY_SECONDS", 0.0)
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
    monkeypatch.setattr(stillness, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr("crawler.frontier.frontier.Frontier.wake", lambda self, counters: None)
    with Site() as site:
        site.add_page("/", ["/a"])
        site.add_page("/a")
        with crawl([site.url("/")], Config(processes=0, delay_seconds=0)) as report:
            assert report.finish_reason == "finished"
            assert report.counts["urls"]["done"] == 2
    assert "nothing is under way, though URLs are queued: looking for their hosts again" in caplog.messages
