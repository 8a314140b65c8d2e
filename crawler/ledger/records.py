"""Columns, said once: what a struct's fields are as columns of a table, and the records that readers get.

A table that keeps what a worker sends has the fields of that struct for columns (`ddl`, `insert`); a record is a row of
a public view, by the names of its columns. Knows no connection. Runs wherever the ledger is written or read.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import Any, NamedTuple, get_args

import msgspec

_SQL_TYPES = {int: "INTEGER", bool: "INTEGER", float: "REAL", str: "TEXT"}


def ddl(struct: type[msgspec.Struct], names: Sequence[str] | None = None) -> str:
    """Return a struct's fields, or some of them, as columns of a CREATE TABLE: NOT NULL unless a field may be None."""
    columns = []
    for field in msgspec.structs.fields(struct):
        if names is not None and field.name not in names:
            continue
        kinds = get_args(field.type) or (field.type,)
        sql_type = next(_SQL_TYPES[base] for base in _SQL_TYPES if any(issubclass(kind, base) for kind in kinds))
        columns.append(f"{field.encode_name} {sql_type}" + ("" if NoneType in kinds else " NOT NULL"))
    return ", ".join(columns)


def insert(table: str, columns: Sequence[str]) -> str:
    """Return the statement that adds a row with values for these columns."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


class PageRecord(NamedTuple):
    """A row of the view pages, with the items that the parse hook made of the page."""

    url: str
    status: int
    fetch_time: str
    elapsed_ms: int
    content_type: str | None
    charset: str | None
    size: int | None
    digest: str | None
    title: str | None
    meta_description: str | None
    h1: str | None
    canonical: str | None
    lang: str | None
    meta_robots: str | None
    redirect_url: str | None
    depth: int
    via: str | None
    item_error: str | None
    file: str | None = None
    items: tuple[dict[str, Any], ...] = ()


class UrlRecord(NamedTuple):
    """A row of the view urls."""

    url: str
    state: str
    reason: str | None
    error: str | None
    depth: int
    via: str | None
    hop: str
    attempts: int


class LinkRecord(NamedTuple):
    """A link of a page."""

    source: str
    url: str
    text: str
    rel: str


class ItemRecord(NamedTuple):
    """What a parse hook extracted."""

    url: str
    item: dict[str, Any]
