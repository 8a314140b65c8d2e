"""Columns are said once: what is spelled a second time, because a type checker has to read it, is held to the first."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest

from crawler.ledger import schema
from crawler.ledger.features.attempts import FEATURE as ATTEMPTS
from crawler.ledger.features.pages import COLUMNS
from crawler.ledger.records import ItemRecord, LinkRecord, PageRecord, UrlRecord, ddl
from crawler.model import AttemptRow, Candidate, PageRow


@pytest.fixture
def columns(tmp_path: Path) -> dict[str, list[str]]:
    """Return the columns of each table and view of a new ledger, in their order."""
    schema.create(tmp_path / "crawl.db")
    with closing(sqlite3.connect(tmp_path / "crawl.db")) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        ]
        question = "SELECT name FROM pragma_table_xinfo(?)"
        return {name: [column for (column,) in connection.execute(question, (name,))] for name in names}


@pytest.mark.parametrize(
    ("record", "view", "elsewhere"),
    [
        (PageRecord, "pages", {"items"}),
        (UrlRecord, "urls", set()),
        (LinkRecord, "links", set()),
        (ItemRecord, "items", set()),
    ],
)
def test_a_record_is_a_row_of_its_view(
    columns: dict[str, list[str]], record: Any, view: str, elsewhere: set[str]
) -> None:
    fields = [field for field in record._fields if field not in elsewhere]
    assert [column for column in columns[view] if column in fields] == fields


def test_a_page_has_the_same_types_in_the_batch_the_table_and_the_record() -> None:
    sent = {field.name: field.type for field in msgspec.structs.fields(PageRow)}
    got = get_type_hints(PageRecord)
    assert {name: got[name] for name in got.keys() & sent} == {name: sent[name] for name in got.keys() & sent}
    assert set(COLUMNS) == set(sent) - {"host_id", "seq", "fetch_time_ms"} | {
        "url", "fetch_time", "depth", "via", "hop", "purpose",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("struct", "table", "own"),
    [
        (PageRow, "_pages", ["id", "purpose", "converted"]),
        (AttemptRow, "_attempts", ["id"]),
        (Candidate, "_candidates", ["id"]),
    ],
)
def test_a_table_has_the_fields_of_what_is_sent_for_columns(
    columns: dict[str, list[str]], struct: type[msgspec.Struct], table: str, own: list[str]
) -> None:
    fields = [name for name in struct.__struct_fields__ if name != "conditional"]
    assert [name for name in columns[table] if name in fields] == fields
    assert sorted(set(columns[table]) - set(fields)) == sorted(set(own) - set(fields))


def test_what_may_be_none_may_be_null() -> None:
    class Row(msgspec.Struct):
        number: int
        text: str | None
        truth: bool
        share: float | None

    assert ddl(Row) == "number INTEGER NOT NULL, text TEXT, truth INTEGER NOT NULL, share REAL"
    assert "_attempts" in ATTEMPTS.tables
