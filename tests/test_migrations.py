"""A ledger of an older version becomes one of this version, and nothing in it is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from crawler import Config
from crawler.api import report
from crawler.errors import StorageError, UsageError
from crawler.ledger import migrations, opening, schema
from crawler.ledger.opening import SeedRow
from crawler.model import EXTERNAL, HEADED

FIRST = Path(__file__).with_name("ledger_v1.sql")  # two pages of four URLs, then --max-pages ended it


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST.read_text())
        connection.executescript(f"PRAGMA application_id = {schema.APPLICATION_ID}; PRAGMA user_version = 1;")
    return path


def shape(path: Path) -> dict[str, set[tuple[object, ...]]]:
    """Every table, view and index, with its columns (in whatever order)."""
    with closing(sqlite3.connect(path)) as connection:
        listed = connection.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
        names = [name for (name,) in listed]
        columns, indices = "SELECT name, type FROM pragma_table_xinfo(?)", "SELECT name FROM pragma_index_info(?)"
        return {name: {*connection.execute(columns, (name,)), *connection.execute(indices, (name,))} for name in names}


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return [
            *connection.execute("SELECT url, state, reason, depth, via FROM urls ORDER BY url"),
            *connection.execute("SELECT url, status, digest, links FROM pages ORDER BY url"),
            *connection.execute("SELECT host, requests, bytes FROM hosts"),
        ]


def test_an_old_ledger_becomes_what_a_new_one_is_and_keeps_its_rows(old: Path, tmp_path: Path) -> None:
    before = rows(old)
    assert len(before) == 4 + 2 + 1
    schema.create(tmp_path / "new.db")
    assert shape(old) != shape(tmp_path / "new.db")
    assert schema.migrate(old) == 1
    assert shape(old) == shape(tmp_path / "new.db")
    assert rows(old) == before
    assert schema.migrate(old) == migrations.VERSION  # once is enough


def test_a_crawl_goes_on_with_what_was_an_old_ledger(old: Path) -> None:
    schema.migrate(old)
    begun = opening.open_run(old, Config(max_pages=4), [SeedRow("http://127.0.0.1:8098/index.html", "argument")])
    assert (begun.ended, begun.new_seeds, begun.run_id) == ("", 0, 2)
    assert report.status(old)["urls"] == {"queued": 2, "done": 2, "failed": 0, "skipped": 0}


def test_whoever_only_reads_an_old_ledger_is_told_what_to_do(old: Path) -> None:
    before = old.read_bytes()
    with pytest.raises(
        UsageError, match="has schema version 1, this program 5: the command that made it, run once more"
    ):
        report.status(old)
    assert old.read_bytes() == before


def test_a_step_that_fails_leaves_the_ledger_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "STEPS", (migrations.STEPS[0] + "CREATE TABLE runs (twice);", ""))
    before = shape(old)
    with pytest.raises(StorageError, match="runs already exists"):
        schema.migrate(old)
    assert shape(old) == before
    monkeypatch.undo()
    assert schema.migrate(old) == 1


def test_what_was_asked_by_head_alone_stays_less_than_what_is_read_for_its_anchors(old: Path) -> None:
    with closing(sqlite3.connect(old)) as connection:
        connection.executescript(f"{''.join(migrations.STEPS[:2])} PRAGMA user_version = 3;")
        connection.execute("UPDATE _urls SET depth = depth + 2000000 WHERE seq = 1")
        connection.execute("UPDATE _seen SET depth = depth + 2000000 WHERE seq = 1")
        connection.commit()
        before = connection.execute("SELECT seq, depth FROM _urls").fetchall()
    assert schema.migrate(old) == 3
    with closing(sqlite3.connect(old)) as connection:
        expected = [(seq, depth + (HEADED - EXTERNAL if depth >= EXTERNAL else 0)) for seq, depth in before]
        assert connection.execute("SELECT seq, depth FROM _urls").fetchall() == expected != before
        assert sorted(connection.execute("SELECT seq, depth FROM _seen")) == sorted(expected)
