"""A ledger of an older version becomes one of this version, and nothing in it is lost."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from crawler import Config
from crawler.api import report
from crawler.errors import StorageError, UsageError
from crawler.ledger import migrations, opening, schema
from crawler.ledger.feed import Feed, Which
from crawler.ledger.migrations import Step
from crawler.ledger.opening import SeedRow

FOLDER = Path(__file__).with_name("ledgers")  # each made by the program of its day, ended by --max-pages


class Old(NamedTuple):
    """A ledger of an older version, and what it says."""

    version: int
    path: Path

    def ask(self, question: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(question).fetchall()


def make(folder: Path, version: int) -> Old:
    path = folder / f"v{version}.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((FOLDER / f"v{version}.sql").read_text())
        connection.executescript(
            f"PRAGMA journal_mode = WAL; PRAGMA application_id = {schema.APPLICATION_ID}; "
            f"PRAGMA user_version = {version};"
        )
    return Old(version, path)


@pytest.fixture(params=range(1, 6))
def old(tmp_path: Path, request: pytest.FixtureRequest) -> Old:
    return make(tmp_path, request.param)


@pytest.fixture
def latest(tmp_path: Path) -> Old:
    return make(tmp_path, 5)


def shape(path: Path) -> dict[str, set[tuple[object, ...]]]:
    """Every table, view and index, with its columns (in whatever order)."""
    with closing(sqlite3.connect(path)) as connection:
        listed = connection.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
        names = [name for (name,) in listed]
        columns = 'SELECT name, type, "notnull", pk FROM pragma_table_xinfo(?)'
        indices = "SELECT name FROM pragma_index_info(?)"
        return {name: {*connection.execute(columns, (name,)), *connection.execute(indices, (name,))} for name in names}


#: what users may have read, of which each old version has all
ROWS = (
    "SELECT url, state, reason, error, depth, via, hop, attempts FROM urls ORDER BY url",
    "SELECT url, status, fetch_time, digest, title, links, redirect_url, depth, via, hop FROM pages ORDER BY url",
    "SELECT url, number, item FROM items ORDER BY url, number",
    "SELECT host, requests, bytes FROM hosts ORDER BY host",
)


def test_an_old_ledger_becomes_what_a_new_one_is_and_keeps_its_rows(old: Old, tmp_path: Path) -> None:
    before = [old.ask(question) for question in ROWS]
    if old.version >= 4:
        before.append(old.ask("SELECT * FROM broken_fragments ORDER BY source, url, fragment"))
    schema.create(tmp_path / "new.db")
    assert shape(old.path) != shape(tmp_path / "new.db")
    assert schema.migrate(old.path) == old.version
    assert shape(old.path) == shape(tmp_path / "new.db")
    after = [old.ask(question) for question in ROWS]
    if old.version >= 4:
        after.append(old.ask("SELECT * FROM broken_fragments ORDER BY source, url, fragment"))
    assert after == before
    assert [len(rows) > 0 for rows in after[:2]] == [True, True]
    assert schema.migrate(old.path) == migrations.VERSION  # once is enough


def test_the_ids_of_pages_and_items_are_the_rows_that_readers_remember(old: Old) -> None:
    url = "SELECT x.rowid, h.host || u.target FROM {} x JOIN _urls u ON u.host_id = x.host_id AND u.seq = x.seq"
    joined = url + " JOIN _hosts h ON h.id = x.host_id ORDER BY x.rowid"
    pages, items = old.ask(joined.format("_pages")), old.ask(joined.format("_items"))
    schema.migrate(old.path)
    with closing(Feed(old.path, which=Which.ALL)) as feed:
        assert [(found.row, found.record.url) for found in feed.pages()] == pages
    with closing(Feed(old.path)) as feed:
        assert [(found.row, found.url) for found in feed.items()] == items
    assert old.ask("SELECT count(*) FROM _urls WHERE page IS NOT NULL") == [(len(pages),)]
    assert old.ask("SELECT count(*) FROM _urls u JOIN _pages p ON p.id = u.page WHERE p.seq <> u.seq") == [(0,)]


def test_a_purpose_that_was_added_to_the_depth_is_a_purpose(latest: Old) -> None:
    bands = "SELECT host_id, seq, depth / 1000000, depth % 1000000 FROM {} ORDER BY host_id, seq"
    urls, seen = latest.ask(bands.format("_urls")), latest.ask(bands.format("_seen"))
    assert {row[2] for row in urls} == {0, 1, 2, 3}
    schema.migrate(latest.path)
    now = "SELECT host_id, seq, purpose, depth FROM {} ORDER BY host_id, seq"
    assert latest.ask(now.format("_urls")) == urls
    assert latest.ask(now.format("_seen")) == seen
    assert {word for (word,) in latest.ask("SELECT purpose FROM urls")} == {
        "page", "embed", "external-fragment", "external",
    }  # fmt: skip


def test_what_was_asked_by_head_alone_stays_less_than_what_is_read_for_its_anchors(tmp_path: Path) -> None:
    old = make(tmp_path, 3)
    before = old.ask("SELECT host_id, seq, depth FROM _urls WHERE depth >= 2000000")
    assert before
    schema.migrate(old.path)
    after = old.ask("SELECT host_id, seq, depth + 2000000 FROM _urls WHERE purpose = 3")
    assert after == before


def test_a_crawl_goes_on_with_what_was_an_old_ledger(old: Old) -> None:
    queued = old.ask("SELECT count(*) FROM urls WHERE state = 'queued'")[0][0]
    schema.migrate(old.path)
    seed = str(old.ask("SELECT url FROM seeds")[0][0])
    begun = opening.open_run(old.path, Config(max_pages=100), [SeedRow(seed, "argument")])
    assert (begun.new_seeds, begun.run_id > 0) == (0, True)
    assert report.status(old.path)["urls"]["queued"] >= queued


def test_whoever_only_reads_an_old_ledger_is_told_what_to_do(old: Old) -> None:
    before = old.path.read_bytes()
    with pytest.raises(
        UsageError,
        match=f"has schema version {old.version}, this program {migrations.VERSION}: the command that made it, run onc",
    ):
        report.status(old.path)
    assert old.path.read_bytes() == before


@pytest.mark.parametrize("at", range(len(migrations.STEPS)))
def test_a_step_that_fails_leaves_the_ledger_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    old = make(tmp_path, 1)
    steps = list(migrations.STEPS)
    steps[at] = Step(steps[at].feature, "CREATE TABLE runs (twice);")
    monkeypatch.setattr(migrations, "STEPS", tuple(steps))
    before, rows = shape(old.path), [old.ask(question) for question in ROWS]
    with pytest.raises(StorageError, match="runs already exists"):
        schema.migrate(old.path)
    assert shape(old.path) == before
    assert [old.ask(question) for question in ROWS] == rows
    monkeypatch.undo()
    assert schema.migrate(old.path) == 1


def test_too_little_room_is_said_before_anything_is_begun(latest: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(latest.path.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=10_000))
    before = latest.path.read_bytes()
    with pytest.raises(StorageError, match=r"takes up to \d+\.\d kB of room on its disk, and there are 10\.0 kB"):
        schema.migrate(latest.path)
    assert latest.path.read_bytes() == before


def test_a_long_migration_says_how_far_it_is(latest: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "AT_A_TIME", 4)
    told: list[str] = []
    schema.migrate(latest.path, told.append)
    assert told[:3] == ["pages: 4 of 9", "pages: 8 of 9", "pages: 9 of 9"]
    assert {text.partition(":")[0] for text in told} == {"pages", "fragments", "it is written into the file"} | (
        {"items"} if latest.ask("SELECT count(*) FROM items")[0][0] > 4 else set()  # type: ignore[operator]
    )
