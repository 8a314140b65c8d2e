"""The oracle can fail: a sound crawl passes, and each thing that must not be is told when it is made so."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crawler.processes.lock import semaphore_prefix
from tests.chaos.oracle import SLACK_SECONDS, judge
from tests.chaos.running import Crash, Crawling, Life, Options
from tests.webgraph import Hit, WebServer

PAGES = 60
DELAY_SECONDS = 0.01


@pytest.fixture(scope="module")
def sound() -> Iterator[Crawling]:
    options = Options(processes=1, delay_seconds=DELAY_SECONDS)
    with WebServer(seed=21, pages=PAGES) as server, Crawling(server, options) as crawling:
        crawling.start()
        assert crawling.finish() == 0, crawling.output()
        shutil.copy(crawling.ledger, crawling.folder / "sound.db")
        yield crawling


@pytest.fixture
def crawling(sound: Crawling) -> Iterator[Crawling]:
    """The sound crawl, as it was: a test may spoil it."""
    hits, lives = list(sound.server.hits), list(sound.lives)
    yield sound
    shutil.copy(sound.folder / "sound.db", sound.ledger)
    sound.server.hits[:], sound.lives[:] = hits, lives
    sound.crashes.clear()
    sound.peak_bytes = 0


def spoil(crawling: Crawling, *statements: str) -> list[str]:
    """Change the ledger, and return what the oracle says."""
    connection = sqlite3.connect(crawling.ledger)
    for statement in statements:
        assert connection.execute(statement).rowcount > 0
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    return judge(crawling).violations


def test_a_sound_crawl_passes(crawling: Crawling) -> None:
    verdict = judge(crawling)
    assert verdict.violations == []
    expected = crawling.server.web.expected()
    assert (verdict.urls, verdict.lost, verdict.twice) == (len(expected), [], [])
    assert verdict.pages > PAGES // 2


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("DELETE FROM _urls WHERE state = 'done' AND seq = 1 AND host_id = 1", "lost: http"),
        (
            "UPDATE _urls SET state = 'queued' WHERE state = 'done' AND seq = 1 AND host_id = 1",
            "ended ('queued', 'ok')",
        ),
        ("UPDATE _urls SET reason = 'ok' WHERE reason = 'robots'", "not ('skipped', 'robots')"),
        ("UPDATE _urls SET target = target || '1' WHERE seq = 1 AND host_id = 1", "not a URL of this crawl"),
        (
            "UPDATE _urls SET state = 'failed', reason = 'killed-worker' WHERE reason = 'ok' AND seq = 1",
            "ended killed-worker after 0 deaths",
        ),
        ("DELETE FROM _pages WHERE id = 1", "page lost: http"),
        (
            "INSERT INTO _pages (purpose, host_id, seq, status, fetch_time_ms, elapsed_ms, links_found, links_bad, "
            "nofollow) SELECT purpose, host_id, seq, status, 0, 0, 0, 0, 0 FROM _pages WHERE id = 1",
            "page stored twice: http",
        ),
        ("UPDATE _urls SET page = NULL WHERE page = 1", "the view pages does not show"),
        ("DELETE FROM _items WHERE page = (SELECT min(page) FROM _items)", "item lost: ('http"),
        ("INSERT INTO _items SELECT page, 1, item FROM _items LIMIT 1", "item stored twice: ('http"),
        ("DELETE FROM _fragments", "broken fragment lost: ('http"),
        ("UPDATE _fragments SET anchors = '[]' WHERE anchors <> '[]'", "broken fragment stored twice: ('http"),
        ("UPDATE runs SET pages = pages + 1", "the runs counted"),
        ("UPDATE runs SET finish_reason = 'interrupted'", "the last run ended as interrupted"),
    ],
)
def test_a_spoilt_ledger_is_told(crawling: Crawling, statement: str, what: str) -> None:
    assert any(what in told for told in spoil(crawling, statement)), what


def test_a_row_that_is_stored_twice_is_told(crawling: Crawling) -> None:
    told = spoil(
        crawling,
        "INSERT INTO _urls SELECT host_id, seq + 1000, target, state, reason, error, hop, depth, redirects, attempts, "
        "via_host_id, via_seq, purpose, visits, NULL FROM _urls WHERE host_id = 1 AND seq = 1",
    )
    assert any(each.startswith("stored twice: http") for each in told)


def _page(crawling: Crawling) -> Hit:
    return next(hit for hit in crawling.server.hits if hit.target == "/p0")


def test_a_request_too_many_is_told_unless_an_accident_explains_it(crawling: Crawling) -> None:
    hit = _page(crawling)
    again = Hit(hit.host, hit.target, hit.end + 9, hit.end + 9)
    crawling.server.hits.append(again)
    assert any("/p0 was asked 2 times, 0 of them after an accident" in told for told in judge(crawling).violations)
    crawling.crashes[:] = [Crash(hit.end + 1, hit.end + 1, "a worker was killed")]
    assert judge(crawling).violations == []
    crawling.crashes[:] = [Crash(hit.start - SLACK_SECONDS - 1, hit.start - SLACK_SECONDS - 1, "before")]
    assert len(judge(crawling).violations) == 1


def test_a_request_that_should_not_have_been_is_told(crawling: Crawling) -> None:
    web = crawling.server.web
    hidden = next(url for url, (_, reason) in web.expected().items() if reason == "robots")
    host, end = hidden[: hidden.index("/", 7)], crawling.server.hits[-1].end
    crawling.server.hits.append(Hit(host, hidden.removeprefix(host), end + 9, end + 9))
    assert any("was asked, though robots" in told for told in judge(crawling).violations)


def test_a_page_that_was_never_asked_for_is_told(crawling: Crawling) -> None:
    crawling.server.hits.remove(_page(crawling))
    assert any("/p0 ended ok without being asked" in told for told in judge(crawling).violations)


def test_two_requests_that_were_too_close_are_told_unless_the_first_died(crawling: Crawling) -> None:
    hit = crawling.server.hits[-1]
    late = Hit(hit.host, hit.target, hit.start + 9.0, hit.start + 9.5)
    close = Hit(hit.host, hit.target, late.end + DELAY_SECONDS / 2, late.end + DELAY_SECONDS)
    crawling.server.hits += [late, close]
    gaps = [told for told in judge(crawling).violations if " s after " in told]
    assert len(gaps) == 1
    crawling.crashes[:] = [Crash(late.start + 0.1, late.start + 0.1, "a worker was killed")]
    assert [told for told in judge(crawling).violations if " s after " in told] == []


@pytest.mark.parametrize("name", ["home/crawl.db-wal", "home/crawl.db-lock", "tmp/pymp-odd"])
def test_a_file_that_is_left_behind_is_told(crawling: Crawling, name: str) -> None:
    (crawling.folder / name).touch()
    told = judge(crawling).violations
    (crawling.folder / name).unlink(missing_ok=True)
    assert any(Path(name).name in each for each in told)


@pytest.mark.parametrize("name", ["sem.{prefix}-odd", "pym-{pid}-odd"])
def test_shared_memory_that_is_left_behind_is_told(crawling: Crawling, name: str) -> None:
    prefix = semaphore_prefix(Path((crawling.folder / "folders").read_text().strip()))
    path = Path("/dev/shm", name.format(prefix=prefix, pid=crawling.process.pid))  # noqa: S108  (Linux's)
    path.touch()
    told = judge(crawling).violations
    path.unlink()
    assert told == [f"left behind: {path}"]


def test_a_process_that_is_left_behind_is_told(crawling: Crawling) -> None:
    words = [sys.executable, "-c", "input()"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as stranger:
        crawling._process, mine = stranger, crawling._process
        told = judge(crawling).violations
        crawling._process = mine
        stranger.kill()
    assert [each.partition(": ")[0] for each in told] == ["still running"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda crawling: crawling.lives.append(Life(1, 1, frozenset({0}))), "life 2 ended with 1, not one of [0]"),
        (lambda crawling: setattr(crawling, "peak_bytes", 1 << 40), "MiB of memory"),
    ],
)
def test_an_odd_exit_code_and_too_much_memory_are_told(
    crawling: Crawling, change: Callable[[Crawling], None], what: str
) -> None:
    change(crawling)
    (told,) = judge(crawling).violations
    assert what in told


def test_a_traceback_is_told(crawling: Crawling) -> None:
    out = crawling.folder / "out"
    before = out.read_text()
    out.write_text(before + 'Traceback (most recent call last):\n  File "engine.py", line 1\nKeyError: 1\n')
    (told,) = judge(crawling).violations
    out.write_text(before)
    assert told.startswith("a traceback: ")
    assert "KeyError: 1" in told


def test_too_much_time_is_told(crawling: Crawling) -> None:
    (told,) = judge(crawling, most_seconds=0.001).violations
    assert told.startswith("it took")
