"""How a crawl ends: what is printed, that it is right, and that it comes at once from a large ledger."""

from __future__ import annotations

import io
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crawler import Config, crawl
from crawler.api import report
from crawler.cli import summary
from crawler.cli.console import make_console
from crawler.ledger import schema
from tests.site import Site

HERE = Config(processes=0, delay_seconds=0, log_seconds=0, retry_wait_seconds=0.01, max_depth=5)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[tuple[Site, Path]]:
    """A crawled site with everything that can go wrong, and another that is not there."""
    with Site() as gone:
        nowhere = gone.url("/")
    with Site() as site:
        site.robots("User-agent: *\nDisallow: /private")
        site.add_page("/", html='<a href="/a">A</a><a href="/gone">go <b>on</b></a><a href="/private/1">p</a>')
        site.add_page("/a", ["/gone", "/broken", "/moved", "/again", "/"])
        site.add_redirect("/moved", "/gone")
        site.add_page("/broken", status=500)
        site.add_page("/again", ["/a?b", "/private/2"])
        site.add_page("/a?b", status=410)
        path = tmp_path / "crawl.db"
        with crawl([site.url("/"), nowhere, site.url("/no-seed")], HERE, ledger=path, parse=_hook):
            yield site, path


def _hook(page: Any) -> Any:
    if page.url.endswith("/a"):
        raise ValueError("no price")
    return {"url": page.url} if page.url.endswith("/") else object()


def printed(path: Path, finish_reason: str = "finished", had_ended: bool = False, columns: int = 80) -> list[str]:
    """What `print_summary` prints for somebody whose terminal is so wide."""
    file = io.StringIO()
    console = make_console(file)
    console.width = columns
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "make_console", lambda: console)
        summary.print_summary(path, finish_reason, had_ended, report.seed_results(path))
    return re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue()).splitlines()


def test_the_end_of_a_crawl_tells_what_went_wrong_and_where(ledger: tuple[Site, Path]) -> None:
    site, path = ledger
    lines = printed(path)
    nowhere = next(line for line in lines if line.startswith("seed without a page: ")).split()[4]
    ending = lines[next(index for index, line in enumerate(lines) if line.startswith("broken links")) :]
    assert ending == [
        "broken links: 4 URLs",
        f"  404  {site.url('/no-seed')}",
        "       a seed",
        f"  404  {site.url('/gone')}",
        f"       on {site.url('/')}",
        f"  410  {site.url('/a?b')}",
        f"       on {site.url('/again')}",
        f"  500  {site.url('/broken')}",
        f"       on {site.url('/a')}",
        f"  each page that links to them: python -m crawler links {path} --broken",
        "kept out by robots.txt: 2 URLs",
        f"  {site.url('/private/1')}",
        f"  {site.url('/private/2')}",
        "parse hook errors: on 2 pages",
        "  1 like: TypeError: a parse hook returns None, a dict or an iterable of dicts, not object",
        f"       on {site.url('/again')}",
        f"  1 like: ValueError: no price (test_summary.py:{_hook.__code__.co_firstlineno + 2})",
        f"       on {site.url('/a')}",
        f"seed without a page: {nowhere} robots-unreachable refused",
        f"look into it: python -m crawler pages {path}",
        f"              sqlite3 {path} '{summary.EXAMPLE_QUERY}'",
    ]


def test_the_table_counts_what_the_ledger_holds(ledger: tuple[Site, Path]) -> None:
    _, path = ledger
    facts = report.status(path)
    with closing(sqlite3.connect(path)) as connection:
        execute = connection.execute
        states = dict(execute("SELECT state, count(*) FROM urls GROUP BY state"))
        reasons = dict(execute("SELECT reason, count(*) FROM urls GROUP BY reason"))
        statuses = dict(execute("SELECT CAST(status AS TEXT), count(*) FROM pages GROUP BY status"))
        hosts = execute("SELECT count(DISTINCT host) FROM urls").fetchone()[0]
    assert facts["urls"] == {"queued": 0, "done": 0, "failed": 0, "skipped": 0, **states}
    assert (facts["reasons"], facts["statuses"], facts["hosts"]) == (reasons, statuses, hosts)
    assert reasons["ok"] == 3
    assert statuses["200"] == 3


def test_a_status_is_of_one_moment_whatever_is_committed_meanwhile(
    ledger: tuple[Site, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = ledger
    before = report.status(path)

    def commit_something() -> None:
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("UPDATE _urls SET state = 'failed', reason = 'timeout' WHERE reason = 'ok'")
            other.execute("UPDATE _pages SET status = 404")
            other.execute("UPDATE runs SET pages = pages + 7, ended_urls = ended_urls + 7")

    connect = schema.connect_read_only
    monkeypatch.setattr(schema, "connect_read_only", lambda path: _Meddled(connect(path), commit_something))
    assert report.status(path) == before
    monkeypatch.undo()
    assert report.status(path)["pages"] > before["pages"]


class _Meddled:
    """A connection after whose first look something happens."""

    def __init__(self, connection: sqlite3.Connection, happening: Callable[[], None]) -> None:
        self._connection = connection
        self._happening = happening

    def execute(self, *words: Any) -> list[Any] | sqlite3.Cursor:
        cursor = self._connection.execute(*words)
        if not words[0].startswith("SELECT started"):
            return cursor
        row = cursor.fetchone()
        self._happening()
        return _Row(row)

    def close(self) -> None:
        self._connection.close()


class _Row(list[Any]):
    """A cursor with one row."""

    def fetchone(self) -> Any:
        return self[:]


def test_slow_hosts_are_named_with_their_mean_time(ledger: tuple[Site, Path]) -> None:
    site, path = ledger
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE _hosts SET asked = 4, elapsed_ms = 6100 WHERE host = ?", (site.host,))
    lines = printed(path)
    assert lines[lines.index("slowest hosts:") + 1] == f"  {site.host}  1.5 s a request, 4 requests"


def test_broken_links_names_every_page_that_leads_there(ledger: tuple[Site, Path]) -> None:
    site, path = ledger
    with closing(sqlite3.connect(path)) as connection:
        cursor = connection.execute("SELECT url, status, reason, error, source, text FROM broken_links")
        rows = [row for row in cursor if row[2] != "robots-unreachable"]
        unreachable = connection.execute(
            "SELECT status, error, source, text FROM broken_links WHERE reason = 'robots-unreachable'"
        ).fetchall()
    assert sorted(rows, key=str) == sorted(
        [
            (site.url("/gone"), 404, "client-error", None, site.url("/"), "go on"),
            (site.url("/gone"), 404, "client-error", None, site.url("/a"), "/gone"),
            (site.url("/gone"), 404, "client-error", None, site.url("/moved"), None),  # a redirect
            (site.url("/a?b"), 410, "client-error", None, site.url("/again"), "/a?b"),
            (site.url("/broken"), 500, "server-error", "status 500", site.url("/a"), "/broken"),
            (site.url("/no-seed"), 404, "client-error", None, None, None),
        ],
        key=str,
    )
    assert unreachable == [(None, None, None, None)]


def test_everything_in_the_end_is_looked_up_by_an_index(ledger: tuple[Site, Path]) -> None:
    _, path = ledger
    asked: list[str] = []
    with closing(schema.connect_read_only(path)) as connection:
        connection.set_trace_callback(asked.append)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(schema, "connect_read_only", lambda path: _Unclosed(connection))
            printed(path)
        connection.set_trace_callback(None)
        plans = {
            query: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
            for query in set(asked)
            if query.lstrip().upper().startswith("SELECT")
        }
    steps = {step for plan in plans.values() for step in plan}
    assert len(plans) > 10
    scanned = {" ".join(step.split()[1:]) for step in steps if step.startswith("SCAN")}
    # What is scanned whole: hosts, runs, seeds, and of URLs and pages only the indices of what is not ok.
    assert scanned <= {
        "_hosts", "runs", "seeds", "e", "CONSTANT ROW", "_urls USING COVERING INDEX _urls_not_ok",
        "p USING COVERING INDEX _pages_not_200", "p USING COVERING INDEX _pages_item_errors",
        "b",  # the few that are broken
        "_fragments", "(subquery-1)",  # as many as will be looked at
    }  # fmt: skip


class _Unclosed:
    """A connection that outlives its users."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def close(self) -> None:
        """Stay open."""


def test_hosts_that_are_forbidden_by_their_silence_are_named(ledger: tuple[Site, Path]) -> None:
    _, path = ledger
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE _hosts SET named = 0")
    lines = printed(path)
    heading = lines.index("robots.txt unreachable, which forbids the host: 1")
    assert re.fullmatch(r"  http://127\.0\.0\.1:\d+  refused", lines[heading + 1])


def test_a_ledger_whose_name_has_spaces_is_quoted_for_the_shell(tmp_path: Path) -> None:
    path = tmp_path / "my crawl.db"
    with Site() as site:
        site.add_page("/")
        with crawl([site.url("/")], HERE, ledger=path):
            lines = printed(path)
    assert lines[-2] == f"look into it: python -m crawler pages '{path}'"
    assert not [line for line in lines if "broken" in line or "robots" in line or "hook" in line]


def test_broken_fragments_are_told_with_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    with Site() as site:
        site.add_page("/", ["/a#x", "/a#here", "/gone#x"])
        site.add_page("/a", html="<p id=here><a href=/b>b</a><a href=#%C3%BC>u</a>")
        site.add_page("/b", ["/a#x"])
        with crawl([site.url("/")], msgspec.structs.replace(HERE, check_fragments=True), ledger=path):
            lines = printed(path)
    assert lines[lines.index("broken links: 1 URL") : -2] == [
        "broken links: 1 URL",
        f"  404  {site.url('/gone')}",
        f"       on {site.url('/')}",
        f"  each page that links to them: python -m crawler links {path} --broken",
        "broken fragments: 2 URLs",
        f"  {site.url('/a#%C3%BC')}",
        f"    on {site.url('/a')}",
        f"  {site.url('/a#x')}",
        f"    on {site.url('/')}",
        f"  each page that links to them: python -m crawler links {path} --broken-fragments",
    ]


def test_of_many_broken_fragments_the_first_are_told_and_how_many_there_are(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    with Site() as site:
        site.add_page("/", [f"#{number}" for number in range(10, 10 + summary.SHOWN_BROKEN + 2)])
        with crawl([site.url("/")], msgspec.structs.replace(HERE, check_fragments=True), ledger=path):
            lines = printed(path)
    start = lines.index("broken fragments: 12 URLs")
    assert lines[start + 1 :: 2][: summary.SHOWN_BROKEN] == [f"  {site.url('/')}#{number}" for number in range(10, 20)]
    assert lines[start + 21] == "  and 2 more"


def test_in_very_many_pages_fragments_are_not_looked_for_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "MOST_FRAGMENT_PAGES", 1)
    path = tmp_path / "crawl.db"
    with Site() as site:
        site.add_page("/", ["/a", "#x"])
        site.add_page("/a")
        with crawl([site.url("/")], msgspec.structs.replace(HERE, check_fragments=True), ledger=path):
            lines = printed(path)
    assert lines[lines.index("broken fragments: not looked for yet, in so many pages") + 1 : -2] == [
        f"  to look for them: python -m crawler links {path} --broken-fragments"
    ]


def test_where_no_fragment_misses_its_place_nothing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    with Site() as site:
        site.add_page("/", ["/#top", "/#"])
        with crawl([site.url("/")], msgspec.structs.replace(HERE, check_fragments=True), ledger=path):
            assert not [line for line in printed(path) if "broken" in line]


@pytest.mark.parametrize("converts", [False, True])
def test_the_end_of_a_crawl_that_saves_says_what_and_where_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, converts: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "crawl.db"
    options = {"save": "my copy", "convert_links": converts}
    with Site() as site:
        site.add_redirect("/", "/home")
        site.add_page("/home", html="x" * 1_500 + "<a href=/a>")
        site.add_page("/a", html="x")
        with crawl([site.url("/")], msgspec.structs.replace(HERE, **options), ledger=path):
            lines = printed(path)
    heading = lines.index("saved: 2 files, 1.5 kB, in 'my copy'")
    hint = ["  to browse it without the web: the same command with --convert-links"] * (not converts)
    assert lines[heading + 1 : -2] == [f"  begin with 'my copy/127.0.0.1+{site.port}/home@.html'", *hint]
