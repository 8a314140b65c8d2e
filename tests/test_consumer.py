"""When the queue and its consumers are replaced, and when that helps no more: with the clock in the test's hand."""

from __future__ import annotations

import queue

import pytest

from crawler.consumer import Complaint
from crawler.engine.drain import MAX_STALLS, SAME_BATCH, Watch
from crawler.engine.outbox import Outbox
from crawler.errors import CrawlerError, StorageError


def _outbox(batches: int = 1) -> Outbox:
    outbox = Outbox()
    outbox.connect(queue.Queue())
    for number in range(batches):
        outbox.hand_over(b"%d" % number, flush_early=False)
    return outbox


def test_a_stall_gets_twice_the_patience_each_time_and_then_ends_the_crawl() -> None:
    watch, outbox = Watch(10.0), _outbox()
    watch.why_replace(outbox, 0, True, 0.0)
    now = replaced = 0.0
    patience = []
    for _ in range(MAX_STALLS):
        while not watch.why_replace(outbox, 0, True, now):
            now += 1.0
        patience.append(round(now - replaced))
        replaced = now
        if len(patience) < MAX_STALLS:
            watch.refuse_hopeless(outbox, [])
    assert patience == [11, 21, 41, 81]
    with pytest.raises(CrawlerError, match=r"batch 1 cannot be committed, for 150 s, with 4 sets of consumers"):
        watch.refuse_hopeless(outbox, [])


def test_a_commit_restores_the_patience() -> None:
    watch, outbox = Watch(10.0), _outbox(3)
    watch.why_replace(outbox, 0, True, 0.0)
    assert watch.why_replace(outbox, 0, True, 11.0)
    assert not watch.why_replace(outbox, 1, True, 20.0)
    assert not watch.why_replace(outbox, 1, True, 29.0)
    assert watch.why_replace(outbox, 1, True, 31.0) == "nothing was committed for 10 s"


def test_nothing_to_commit_is_no_stall() -> None:
    watch, outbox = Watch(10.0), _outbox()
    outbox.acknowledge(1)
    assert not watch.why_replace(outbox, 1, True, 0.0)
    assert not watch.why_replace(outbox, 1, True, 1_000.0)


def test_a_commit_that_takes_its_time_is_told_once() -> None:
    watch, outbox = Watch(60.0), _outbox(2)
    told = []
    for second in range(30):
        watch.why_replace(outbox, int(second >= 15), True, float(second))
        told += [second] if watch.is_slow(float(second)) else []
    assert told == [6, 21]


def test_a_batch_that_no_consumer_can_commit_is_named() -> None:
    watch, outbox = Watch(10.0), _outbox()
    for _ in range(SAME_BATCH - 1):
        watch.refuse_hopeless(outbox, [Complaint("ValueError: odd", 1)])
    with pytest.raises(CrawlerError, match="batch 1 cannot be committed, 3 times in a row: ValueError: odd"):
        watch.refuse_hopeless(outbox, [Complaint("ValueError: odd", 1)])


def test_consumers_that_are_killed_without_a_word_end_no_crawl() -> None:
    watch, outbox = Watch(10.0), _outbox()
    for _ in range(50):
        assert watch.why_replace(outbox, 0, False, 0.0) == "a consumer died"
        watch.refuse_hopeless(outbox, [])


def test_a_storage_error_ends_the_crawl_at_once() -> None:
    with pytest.raises(StorageError, match="disk is full"):
        Watch(10.0).refuse_hopeless(_outbox(), [Complaint("disk is full", 5)])
