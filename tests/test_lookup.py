"""Looking things up: the views, the commands on them, SQL that can only read, and three ways to write rows."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import select
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import Config, StorageError, UsageError, crawl
from crawler.cli import export
from crawler.cli.main import main
from crawler.ledger import lookup, schema
from crawler.ledger.connection import connect_to_ask
from crawler.ledger.features.registry import VIEWS
from tests.site import Site

ROOT = Path(__file__).parent.parent
ODD = "\x1b[31mred\u202e=\x9b"  # a colour, a bidi control, a C1 control


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as site:
        site.add_page("/", html=(
            '<title>Start</title><a href="/a">to a</a> <a href="/b" rel="next">to b</a> <a href="/gone">lost</a> '
            '<a href="/moved">old</a> <a href="http://elsewhere.test/">out</a>'
        ))  # fmt: skip
        site.add_page("/a", html="<title>Twin</title>the same")
        site.add_page("/b", html="<title>Twin</title>the same")
        site.add_redirect("/moved", "/step")
        site.add_redirect("/step", "/end", 302)
        site.add_page("/end", html=f'<title>{ODD}</title><a href="/gone">=2+3</a><a href="/fails">bad</a>')
        site.fail("/fails", [503] * 9)
        site.add_redirect("/short", "/nowhere")
        yield site


@pytest.fixture(scope="module")
def crawled(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger of a crawl of that site."""

    def parse(page: Any) -> Any:
        if page.url.endswith("/a"):
            return [{"name": "=1+1", "price": 3, "tags": ["x", "y"]}, {"name": ODD, "it's": -2}]
        if page.url.endswith("/b"):
            raise ValueError("no name")
        return None

    path = tmp_path_factory.mktemp("ledger") / "crawl.db"
    config = Config(processes=0, delay_seconds=0, retries=0)
    with crawl([site.url("/"), site.url("/short")], config, parse=parse, ledger=path):
        return path


@pytest.fixture(autouse=True)
def _there(crawled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(crawled.parent)
    monkeypatch.setenv("COLUMNS", "100")


def ask(ledger: Path, question: str, seconds: float = 0) -> list[tuple[Any, ...]]:
    with lookup.opened(ledger) as opened:
        return list(opened.ask(question, (), seconds).rows)


def look_up(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    """What a look-up says as JSONL."""
    assert main([*words, "--format", "jsonl"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_links_are_those_of_all_pages_with_text_and_rel(crawled: Path, site: Site) -> None:
    assert ask(crawled, "SELECT * FROM links WHERE source LIKE '%/'") == [
        (site.url("/"), site.url("/a"), "to a", None),
        (site.url("/"), site.url("/b"), "to b", "next"),
        (site.url("/"), site.url("/gone"), "lost", None),
        (site.url("/"), site.url("/moved"), "old", None),
        (site.url("/"), "http://elsewhere.test/", "out", None),
    ]


def test_broken_links_name_each_page_with_the_link_and_what_redirects_to_it(crawled: Path, site: Site) -> None:
    rows = ask(crawled, "SELECT url, status, reason, source, text FROM broken_links ORDER BY url, source")
    assert rows == [
        (site.url("/fails"), 503, "server-error", site.url("/end"), "bad"),
        (site.url("/gone"), 404, "client-error", site.url("/"), "lost"),
        (site.url("/gone"), 404, "client-error", site.url("/end"), "=2+3"),
        (site.url("/nowhere"), 404, "client-error", site.url("/short"), None),
    ]


def test_a_broken_seed_has_no_source(site: Site, tmp_path: Path) -> None:
    with crawl([site.url("/nothing")], Config(processes=0, delay_seconds=0), ledger=tmp_path / "crawl.db"):
        rows = ask(tmp_path / "crawl.db", "SELECT url, status, source FROM broken_links")
    assert rows == [(site.url("/nothing"), 404, None)]


def test_redirects_say_where_the_chain_ends_and_how(crawled: Path, site: Site) -> None:
    question = (
        "SELECT url, status, redirect_url, hops, end_url, end_status, end_reason, via FROM redirects ORDER BY url"
    )
    assert ask(crawled, question) == [
        (site.url("/moved"), 301, site.url("/step"), 2, site.url("/end"), 200, "ok", site.url("/")),
        (site.url("/short"), 301, site.url("/nowhere"), 1, site.url("/nowhere"), 404, "client-error", None),
        (site.url("/step"), 302, site.url("/end"), 1, site.url("/end"), 200, "ok", site.url("/moved")),
    ]


def test_a_loop_of_redirects_ends(tmp_path: Path) -> None:
    with Site() as site:
        site.add_redirect("/x", "/y")
        site.add_redirect("/y", "/x")
        with crawl([site.url("/x")], Config(processes=0, delay_seconds=0), ledger=tmp_path / "crawl.db"):
            rows = ask(tmp_path / "crawl.db", "SELECT url, hops FROM redirects ORDER BY url")
    assert rows == [(site.url("/x"), 20), (site.url("/y"), 20)]


def test_duplicates_share_a_body_and_orphans_have_no_link(crawled: Path, site: Site) -> None:
    rows = ask(crawled, "SELECT copies, url, title FROM duplicates ORDER BY url")
    assert rows == [(2, site.url("/a"), "Twin"), (2, site.url("/b"), "Twin")]
    assert ask(crawled, "SELECT url, hop FROM orphans ORDER BY url") == [(site.url("/"), "L"), (site.url("/end"), "R")]


def test_a_ledger_without_the_views_is_read_all_the_same_and_gets_them_from_its_next_run(
    site: Site, tmp_path: Path
) -> None:
    path, config = tmp_path / "crawl.db", Config(processes=0, delay_seconds=0)
    with crawl([site.url("/a")], config, ledger=path):
        pass
    connection = sqlite3.connect(path)
    for name in VIEWS:
        connection.execute(f"DROP VIEW {name}")
    connection.execute("CREATE VIEW orphans AS SELECT 'an older one' AS url")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    assert ask(path, "SELECT url FROM orphans") == [(site.url("/a"),)]
    assert path.read_bytes() == before
    with crawl([site.url("/b")], config, ledger=path):
        pass
    connection = sqlite3.connect(path)
    made = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'")}
    assert made >= set(VIEWS)
    assert connection.execute("SELECT count(*) FROM orphans").fetchone() == (2,)
    connection.close()


@pytest.mark.parametrize(
    "question",
    [
        "DELETE FROM _urls", "INSERT INTO seeds VALUES ('x', 'y', NULL, 1)", "UPDATE _meta SET value = 1",
        "DROP VIEW urls", "ATTACH 'other.db' AS other", "DETACH main", "PRAGMA query_only = OFF",
        "PRAGMA journal_mode = DELETE",
        "VACUUM",
        "VACUUM INTO 'copy.db'", "CREATE TEMP TABLE mine (x)", "BEGIN", "SAVEPOINT x", "ANALYZE", "REINDEX",
        "WITH x AS (SELECT 1) DELETE FROM _pages", "SELECT load_extension('x')",
        "CREATE VIRTUAL TABLE t USING fts5(x)", "EXPLAIN DELETE FROM _urls",
    ],
)  # fmt: skip
def test_a_question_can_only_read(crawled: Path, question: str) -> None:
    before = crawled.read_bytes()
    with pytest.raises(UsageError):
        ask(crawled, question)
    assert (crawled.read_bytes(), [path.name for path in crawled.parent.iterdir()]) == (before, ["crawl.db"])


def test_even_without_the_authorizer_the_file_is_open_for_reading_only(crawled: Path) -> None:
    connection = connect_to_ask(crawled)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM _urls")
    connection.close()
    schema.connect_read_only(crawled).close()
    ask(crawled, "SELECT 1")  # tidies the -wal file up


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (
            "SELECT sttus FROM pages",
            "pages has no column 'sttus'; did you mean status? there are url, status, ",
        ),
        ("SELECT p.sttus FROM pages p", "pages has no column 'sttus'; did you mean status?"),
        ("SELECT * FROM page", "the ledger has no view 'page'; did you mean pages? there are urls, pages, items"),
        ("SELEC 1", 'near "SELEC": syntax error'),
        ("SELECT 1; SELECT 2", "you can only execute one statement at a time: expected one SELECT"),
        ("", "there is nothing to ask: expected a SELECT"),
        ("-- nothing", "there is nothing to ask: expected a SELECT"),
        ("SELECT json('{')", "malformed JSON"),
        ("SELECT abs(-9223372036854775808)", "integer overflow"),
        ("SELECT ?", "expected one SELECT"),
        ("DELETE FROM _urls", "a ledger can only be read here: expected one SELECT"),
    ],
)
def test_a_bad_question_is_told_what_is_wrong_with_it(crawled: Path, question: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ask(crawled, question)
    assert message in str(caught.value)


ENDLESS = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"


def test_a_question_without_end_is_ended_by_its_time_out(crawled: Path) -> None:
    began = time.monotonic()
    with pytest.raises(lookup.TimedOut, match=r"within 0\.2 s"):
        ask(crawled, ENDLESS, 0.2)
    assert time.monotonic() - began < 5


def test_ctrl_c_ends_a_question(crawled: Path) -> None:
    question = f"SELECT 'begun' AS begun UNION ALL SELECT * FROM ({ENDLESS})"  # noqa: S608
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    running = subprocess.Popen(
        [sys.executable, "-m", "crawler", "sql", question, "--format", "csv"],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == "begun\n"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=20)
    finally:
        running.kill()
        running.communicate()
    assert (running.returncode, err) == (130, "poolcrawl: interrupted\n")
    assert [path.name for path in crawled.parent.iterdir()] == ["crawl.db"]


def test_an_answer_that_is_held_and_not_read_keeps_no_file(crawled: Path) -> None:
    with lookup.opened(crawled) as opened:
        answer = opened.ask("SELECT url FROM urls")
    assert [path.name for path in crawled.parent.iterdir()] == ["crawl.db"]
    assert answer.columns == ("url",)


def test_damage_is_a_storage_error_and_no_bad_question(crawled: Path, tmp_path: Path) -> None:
    copy = tmp_path / "damaged.db"
    copy.write_bytes(crawled.read_bytes()[:8192] + b"Z" * (crawled.stat().st_size - 8192))
    with pytest.raises(StorageError, match=r"damaged\.db"):
        ask(copy, "SELECT * FROM pages")


def test_memory_does_not_grow_with_the_rows(crawled: Path) -> None:
    tracemalloc.start()
    many = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 20000) SELECT x, hex(x) AS h FROM c"
    with lookup.opened(crawled) as opened, Path(os.devnull).open("w") as out:
        for write in export.WRITERS.values():
            answer = opened.ask(many)
            assert write(answer.columns, answer.rows, out, 80) == 20_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000  # held all at once, they would be three times as much


@pytest.mark.parametrize(
    ("words", "targets"),
    [
        (["pages", "--status", "404"], ["/gone", "/nowhere"]),
        (["pages", "--status", "3xx"], ["/moved", "/short", "/step"]),
        (["pages", "--status", "301, 500-599"], ["/fails", "/moved", "/short"]),
        (["pages", "--status", "4xx", "--url", "*/go*"], ["/gone"]),
        (["pages", "--where", "title = 'Twin' -- both"], ["/a", "/b"]),
        (["pages", "--where", "depth = 0 OR depth = 9", "--status", "200"], ["/"]),
        (["pages", "--errors"], ["/b"]),
        (["pages", "--redirects"], ["/moved", "/short", "/step"]),
        (["pages", "--duplicates"], ["/a", "/b"]),
        (["pages", "--orphans"], ["/", "/end"]),
        (["urls", "--state", "failed"], ["/fails"]),
        (["urls", "--reason", "client-error"], ["/gone", "/nowhere"]),
        (["urls", "--state", "queued"], []),
        (["links", "--broken"], ["/fails", "/gone", "/gone", "/nowhere"]),
        (["links", "--broken", "--from", "*/end"], ["/fails", "/gone"]),
        (["links", "--to", "*/b"], ["/b"]),
        (["items", "--url", "*/a"], ["/a", "/a"]),
        (["items", "--where", "item ->> 'price' = 3"], ["/a"]),
    ],
)
def test_flags_and_where_choose_the_rows(
    words: list[str], targets: list[str], site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sorted(row["url"] for row in look_up(capsys, *words)) == [site.url(target) for target in targets]


def test_columns_order_and_limit(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    rows = look_up(capsys, "pages", "--columns", "title, url", "--order", "url DESC", "--where", "size", "--limit", "2")
    assert [list(row) for row in rows] == [["title", "url"]] * 2
    assert [row["url"] for row in rows] == [site.url("/nowhere"), site.url("/gone")]
    assert look_up(capsys, "hosts", "--columns", "host,urls") == [{"host": site.host, "urls": 10}]
    assert len(look_up(capsys, "pages", "--columns", "*")[0]) == 30
    assert [row["host"] for row in look_up(capsys, "hosts", "--failing")] == [site.host]  # /fails came last
    assert look_up(capsys, "pages", "--limit", "0") == []


def test_what_is_stored_as_json_is_json_in_jsonl(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = look_up(capsys, "items")
    assert first == {"url": site.url("/a"), "number": 0, "item": {"name": "=1+1", "price": 3, "tags": ["x", "y"]}}
    assert second["item"] == {"name": ODD, "it's": -2}
    start = look_up(capsys, "pages", "--url", "*/")[0]
    assert start["links"][1] == {"url": site.url("/b"), "text": "to b", "rel": "next"}
    assert look_up(capsys, "sql", "SELECT 'no [json' AS item, x'00ff' AS raw") == [{"item": "no [json", "raw": "00ff"}]


def test_columns_of_items_are_their_keys(capsys: pytest.CaptureFixture[str]) -> None:
    rows = look_up(capsys, "items", "--columns", "number,item.price,item.it's,item.nothing")
    assert rows == [
        {"number": 0, "price": 3, "it's": None, "nothing": None},
        {"number": 1, "price": None, "it's": -2, "nothing": None},
    ]


def test_no_character_from_a_page_moves_a_cursor_in_any_format(capsys: pytest.CaptureFixture[str]) -> None:
    for name in export.WRITERS:
        for words in (["pages", "--columns", "title"], ["items"], ["sql", f"SELECT '{ODD}' AS \"{ODD}\""]):
            assert main([*words, "--format", name]) == 0
            shown = capsys.readouterr().out
            assert {char for char in shown if not char.isprintable()} == {"\n"}
            assert "red" in shown


def test_csv_has_no_cell_that_a_spreadsheet_would_run() -> None:
    out = io.StringIO()
    cells = ["=1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "\uff1dx", "a=b", "", None, -1, 2.5, "a,b\nc"]
    assert export.write_csv(["cell"], [[cell] for cell in cells], out) == 14
    read = [row[0] if row else "" for row in csv.reader(io.StringIO(out.getvalue()))]
    neutralised = ["'=1", "'+1", "'-1", "'@x", "'\tx", "'\\u000dx", "'\nx", "'\uff1dx"]
    assert read == ["cell", *neutralised, "a=b", "", "", "-1", "2.5", "a,b\nc"]


def test_a_table_fits_the_terminal_and_cuts_urls_in_their_middle() -> None:
    out = io.StringIO()
    rows = [("http://example.org/a/very/long/way/to/the/page.html", 200, "\u6f22" * 30), ("http://b.test/", None, "b")]
    assert export.write_table(("url", "status", "title"), rows, out, 50) == 2
    assert out.getvalue().splitlines() == [
        "url                   status  title",
        "--------------------  ------  --------------------",
        "http:/…the/page.html     200  " + "\u6f22" * 9 + "…",
        "http://b.test/                b",
    ]
    out = io.StringIO()
    export.write_table(("url",), rows and [rows[0][:1]], out)
    assert out.getvalue().splitlines()[2] == rows[0][0]


def test_nothing_found_is_said_apart_from_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pages", "--status", "201"]) == 0
    assert capsys.readouterr() == ("", "nothing found\n")
    assert main(["pages", "--status", "201", "--format", "csv", "--columns", "url"]) == 0
    assert capsys.readouterr() == ("url\n", "")


def test_the_ledger_is_the_one_that_the_config_names(
    crawled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["pages"]) == 2
    assert "there is no ledger crawl.db" in capsys.readouterr().err
    Path("config.toml").write_text(f"ledger = {json.dumps(str(crawled))}\n")
    assert len(look_up(capsys, "pages")) == 10
    monkeypatch.setenv("POOLCRAWL_LEDGER", "another.db")
    assert main(["status"]) == 2
    assert "there is no ledger another.db" in capsys.readouterr().err


def test_sql_comes_from_a_word_or_from_standard_input(
    crawled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["sql", "SELECT 7 AS n"], ["sql", str(crawled), "SELECT 7 AS n"], ["sql", "crawl.db", "-"]):
        monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 7 AS n\n;"))
        assert main(words) == 0
        assert capsys.readouterr().out.split() == ["n", "-", "7"]


def on_a_terminal(words: list[str], **environment: str) -> tuple[str, int]:
    """What the program shows on a terminal of 80 columns, and its exit code."""
    terminal, theirs = pty.openpty()
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80", **environment}
    running = subprocess.Popen(
        [sys.executable, "-m", "crawler", *words], env=variables, stdin=theirs, stdout=theirs, stderr=theirs
    )
    try:
        os.close(theirs)
        shown, deadline = b"", time.monotonic() + 20
        while time.monotonic() < deadline and select.select([terminal], [], [], 20)[0]:
            try:
                shown += os.read(terminal, 65_536)
            except OSError:  # Linux's way to say that the other side is closed
                break
        running.wait(timeout=20)
    finally:
        running.kill()
        running.wait()
        os.close(terminal)
    return shown.decode().replace("\r\n", "\n"), running.returncode


def test_on_a_terminal_it_goes_through_the_pager(tmp_path: Path) -> None:
    pager = f"sed 's/^/> /' | tee {tmp_path / 'paged'}"
    shown, code = on_a_terminal(["pages", "--columns", "url"], PAGER=pager)
    assert (code, shown.count("\n> http://")) == (0, 10)
    assert (tmp_path / "paged").read_text().startswith("> url\n> ---")
    assert max(map(len, shown.splitlines())) <= 82
    for environment in ({"PAGER": ""}, {"PAGER": "cat"}, {"TERM": "dumb"}, {"PAGER": "no-such-program"}):
        shown, code = on_a_terminal(["pages", "--columns", "url"], **{"PAGER": pager, **environment})
        assert (code, shown.count("\nhttp://")) == (0, 10)
    assert on_a_terminal(["pages", "--columns", "url", "--no-pager"], PAGER=pager)[0].startswith("url\n---")


def test_a_pager_that_is_quit_early_ends_the_question() -> None:
    endless = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"
    shown, code = on_a_terminal(["sql", endless], PAGER="head -3")
    assert (shown.splitlines(), code) == (["  x", "---", "  1"], 0)
