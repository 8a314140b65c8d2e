"""Races of the coordinator, made certain."""

from __future__ import annotations

import queue
import time
from pathlib import Path
from typing import Any

import pytest

from crawler import Config, crawl
from crawler.engine.crawl import Crawl
from crawler.engine.job import Job, Stop
from crawler.ledger import opening, schema
from crawler.ledger.opening import SeedRow
from crawler.processes.lock import LedgerLock
from tests.site import Site

PATIENCE_SECONDS = 0.3


class LateInbox(queue.Queue[Any]):
    """Calls that come back are told only after their batches were acknowledged, if that can happen at all."""

    crawl: Crawl

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.crawl.drain.outbox.unacked and time.monotonic() < deadline:
            time.sleep(0.001)
        super().put(item)


def test_a_visit_is_settled_before_its_url_is_handed_out_again(tmp_path: Path) -> None:
    """A batch with a retry was committed, and its URL handed out again, before the main loop knew of its return."""
    ledger = tmp_path / "crawl.db"
    with Site() as site:
        site.add_page("/")
        site.fail("/", [503, 503])
        config = Config(processes=0, delay_seconds=0, retry_wait_seconds=0, log_seconds=0)
        lock = LedgerLock(ledger)
        lock.acquire()
        schema.create(ledger)
        begun = opening.open_run(ledger, config, [SeedRow(site.url("/"), "argument")])
        crawl = Crawl(Job(ledger, lock.path, config, begun, Stop()))
        crawl.inbox = LateInbox()
        crawl.inbox.crawl = crawl
        assert crawl.run() == "finished"
        assert site.asked() == {"/robots.txt": 1, "/": 3}
        lock.release()


@pytest.mark.parametrize("reason", ["interrupted", "max-time"])
def test_a_crawl_that_is_stopped_before_it_began_hands_nothing_out(tmp_path: Path, reason: str) -> None:
    ledger = tmp_path / "crawl.db"
    with Site() as site:
        config = Config(processes=0, delay_seconds=0, log_seconds=0)
        schema.create(ledger)
        begun = opening.open_run(ledger, config, [SeedRow(site.url("/"), "argument")])
        stop = Stop()
        stop(reason)
        assert Crawl(Job(ledger, tmp_path / "lock", config, begun, stop)).run() == reason
        assert site.asked() == {}


def test_a_time_that_is_up_is_the_runs_own_affair() -> None:
    """A Stop may be kept, and handed to the next crawl: only its owner says stop."""
    stop = Stop()
    with Site() as site:
        site.add_page("/")
        for seconds, reason in ((1e-9, "max-time"), (0.0, "finished")):
            config = Config(processes=0, delay_seconds=0, log_seconds=0, max_seconds=seconds)
            with crawl([site.url("/")], config, stop=stop) as report:
                assert (report.finish_reason, stop.reason) == (reason, "")
