"""`stream()`: each page once, in the order of the commits, whatever the loop does and however slow it is."""

from __future__ import annotations

import contextlib
import gc
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import crawler
from crawler import Config, CrawlerError, PageRecord, UsageError, crawl, stream
from crawler.ledger import feed
from crawler.ledger.feed import Feed
from tests.site import Site
from tests.test_migrations import make

ROOT = Path(__file__).parent.parent
HERE = Config(processes=0, delay_seconds=0, log_seconds=0)
QUICK = Config(processes=2, delay_seconds=0, per_host=4, log_seconds=0)
SLOW = Config(processes=0, delay_seconds=0.05, log_seconds=0)
PAGES = 40


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        site.add_page("/", [f"/{number}" for number in range(PAGES)])
        for number in range(PAGES):
            site.add_page(f"/{number}")
        yield site


@pytest.fixture
def every(site: Site) -> set[str]:
    """The URLs of all pages."""
    return {site.url("/"), *(site.url(f"/{number}") for number in range(PAGES))}


def crawls() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "crawl"]


def title(page: Any) -> dict[str, str]:
    return {"title": str(page.soup.title.string)}


@pytest.mark.parametrize("config", [HERE, QUICK], ids=["threads", "processes"])
def test_each_page_comes_once_with_its_items_and_the_report_is_there_in_the_end(
    site: Site, every: set[str], config: Config
) -> None:
    with stream([site.url("/")], config, parse=title) as pages:
        found = list(pages)
        assert sorted(page.url for page in found) == sorted(every)
        assert {type(page) for page in found} == {PageRecord}
        assert [page.items for page in found if page.url == site.url("/7")] == [({"title": "/7"},)]
        assert sum(len(page.items) for page in found) == PAGES + 1
        assert (pages.report.finish_reason, pages.report.counts["pages"]) == ("finished", PAGES + 1)
        assert found == list(pages.report.pages())  # in this very order
        assert list(pages) == []


def test_pages_come_while_the_crawl_goes_on(site: Site) -> None:
    with stream([site.url("/")], SLOW) as pages:
        next(pages)
        assert site.asked().total() < PAGES
        with pytest.raises(CrawlerError, match="still going on"):
            _ = pages.report
        assert len(list(pages)) == PAGES


def test_a_slow_loop_gets_everything_and_holds_little(
    site: Site, every: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "AT_A_TIME", 3)
    held, seen = [], set()
    with stream([site.url("/")], HERE) as pages:
        for page in pages:
            pages._background._thread.join()  # as slow as can be: the crawl is over before the first page is done
            held.append(len(pages._found))
            assert page.url not in seen
            seen.add(page.url)
    assert seen == every
    assert max(held) == 2


def test_break_stops_the_crawl_and_leaves_no_thread(site: Site) -> None:
    for page in stream([site.url("/")], SLOW):
        assert page.url == site.url("/")
        break
    assert crawls() == []
    asked = site.asked().total()
    assert asked < PAGES
    time.sleep(0.2)
    assert site.asked().total() == asked


def test_an_exception_in_the_loop_stops_the_crawl(site: Site) -> None:
    def loop() -> None:
        for page in stream([site.url("/")], SLOW):
            raise ValueError(page.url)

    with pytest.raises(ValueError, match=site.url("/")):
        loop()
    assert crawls() == []


def test_a_forgotten_stream_stops_its_crawl_and_takes_its_ledger_along(site: Site) -> None:
    pages = stream([site.url("/")], SLOW)
    next(pages)
    ledger = pages._background.ledger
    assert ledger.is_file()
    del pages
    gc.collect()
    assert crawls() == []
    assert not ledger.parent.exists()


def test_a_stream_that_nobody_reads_stops_too(site: Site) -> None:
    stream([site.url("/")], SLOW).close()
    assert crawls() == []


def test_after_close_nothing_comes_and_the_report_says_interrupted(site: Site) -> None:
    pages = stream([site.url("/")], SLOW)
    next(pages)
    pages.close()
    assert list(pages) == []
    assert pages.report.finish_reason == "interrupted"


def test_on_a_named_ledger_what_is_in_flight_is_stored_and_the_same_call_continues(
    site: Site, every: set[str], tmp_path: Path
) -> None:
    ledger = tmp_path / "crawl.db"
    first = stream([site.url("/")], SLOW, ledger=ledger)
    seen = [next(first).url for _ in range(5)]
    first.close()
    assert [path.name for path in tmp_path.iterdir()] == ["crawl.db"]
    with stream([site.url("/")], HERE, ledger=ledger, after=first.position) as second:
        seen += [page.url for page in second]
    assert sorted(seen) == sorted(every)
    assert site.asked().total() == PAGES + 2  # the robots.txt is asked once


def test_without_a_position_a_continued_ledger_gives_what_is_new(site: Site, tmp_path: Path) -> None:
    ledger = tmp_path / "crawl.db"
    with crawl([site.url("/")], Config(processes=0, delay_seconds=0, max_pages=10), ledger=ledger):
        pass
    with stream([site.url("/")], HERE, ledger=ledger) as pages:
        assert len(list(pages)) == PAGES + 1 - 10
    with stream([site.url("/")], HERE, ledger=ledger, after=0) as pages:
        assert len(list(pages)) == PAGES + 1  # nothing is left to be crawled


def test_what_cannot_be_used_is_refused_at_once(site: Site) -> None:
    with pytest.raises(UsageError, match="a list of URLs"):
        stream(site.url("/"))
    with pytest.raises(UsageError, match="no_such_module"):
        stream([site.url("/")], parse="no_such_module:parse")
    assert crawls() == []


def test_what_ends_the_crawl_is_raised_by_the_loop_after_its_last_page(site: Site, tmp_path: Path) -> None:
    held = stream([site.url("/")], SLOW, ledger=tmp_path / "crawl.db")
    next(held)
    second = stream([site.url("/")], HERE, ledger=tmp_path / "crawl.db")
    with pytest.raises(crawler.LedgerInUse):
        list(second)
    assert list(second) == []
    held.close()


def test_an_error_in_the_middle_comes_after_what_was_committed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from crawler.engine import crawl as engine

    settle = engine.Crawl.settle
    calls: list[object] = []

    def fail_later(self: engine.Crawl, call: Any) -> None:
        settle(self, call)
        calls.extend(outcome for outcome in call.outcomes if outcome.has_page)
        if len(calls) >= 5:
            raise CrawlerError("odd")

    monkeypatch.setattr(engine.Crawl, "settle", fail_later)
    pages = stream([site.url("/")], SLOW)
    seen: list[PageRecord] = []
    with pytest.raises(CrawlerError, match="odd"):
        seen.extend(pages)  # which keeps what came before
    assert 3 <= len(seen) <= 5
    assert seen == list(pages.report.pages())
    assert crawls() == []


def test_ctrl_c_in_the_loop_ends_loop_and_crawl(site: Site) -> None:
    def loop() -> None:
        for page in stream([site.url("/")], SLOW):
            if page.url != site.url("/"):
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        loop()
    assert crawls() == []


def test_a_second_ctrl_c_does_not_wait_for_what_is_in_flight(site: Site, tmp_path: Path) -> None:
    site.add_page("/", ["/slow"])
    site.add_page("/slow", delay_seconds=6.0)
    pages = stream([site.url("/")], HERE, ledger=tmp_path / "crawl.db")
    next(pages)
    while "/slow" not in site.begun:
        time.sleep(0.01)
    main = threading.main_thread().ident
    assert main is not None
    threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        pages.close()
    assert time.monotonic() - began < 5
    assert pages.report.counts["urls"]["queued"] == 1


SCRIPT = """
from crawler import Config, stream
if __name__ == "__main__":
    pages = stream(["{url}"], Config(processes={processes}, delay_seconds=0.2, log_seconds=0), ledger="crawl.db")
    for page in pages:
        raise RuntimeError("mine")
"""


@pytest.mark.parametrize("processes", [0, 2])
def test_a_program_that_dies_of_an_exception_does_not_wait_for_its_crawl(
    site: Site, tmp_path: Path, processes: int
) -> None:
    (tmp_path / "mine.py").write_text(SCRIPT.format(url=site.url("/"), processes=processes))
    began = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "mine.py"], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert time.monotonic() - began < 6  # the whole crawl takes eight
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (1, "RuntimeError: mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["crawl.db", "mine.py"]


def test_the_public_name_is_the_function_even_after_its_module_was_imported() -> None:
    assert callable(crawler.stream)
    assert callable(crawler.stream)


def test_a_feed_sees_each_row_once_whatever_is_written_meanwhile(tmp_path: Path) -> None:
    """Pages of several hosts, committed in another order than that of their keys."""
    with Site() as one, Site("127.0.0.2") as two:
        for site, other in ((one, two), (two, one)):
            site.add_page("/", [*(f"/{number}" for number in range(15)), other.url("/")])
            for number in range(15):
                site.add_page(f"/{number}")
        path = tmp_path / "crawl.db"
        seen: list[str] = []
        rows: list[int] = []
        with stream([one.url("/"), two.url("/")], QUICK, ledger=path) as pages:
            follower = None
            for _ in pages:
                follower = follower or Feed(path)
                found = follower.pages()
                seen += [each.record.url for each in found]
                rows += [each.row for each in found]
            assert follower is not None
            seen += [each.record.url for each in follower.pages()]
            follower.close()
    assert len(seen) == len(set(seen)) == 32
    assert rows == sorted(rows)


def test_a_stream_goes_on_with_a_ledger_of_an_older_version(tmp_path: Path) -> None:
    old = make(tmp_path, 5)
    with contextlib.closing(sqlite3.connect(old.path)) as connection:  # nobody answers there any more
        connection.execute("UPDATE _urls SET state = 'done', reason = 'ok' WHERE state = 'queued'")
        connection.commit()
    with Site() as site:
        site.add_page("/new")
        with stream([site.url("/new")], HERE, ledger=old.path) as pages:
            assert [page.url for page in pages] == [site.url("/new")]
    assert old.ask("SELECT count(*) FROM pages") == [(10,)]
