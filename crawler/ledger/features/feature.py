"""What a feature of the ledger is made of, and what it is given to apply. Must not know any single one of them.

Runs wherever a ledger is written or read; a batch is applied in a consumer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from crawler.ledger.counts import Counts
from crawler.model import End


class StoredResult(msgspec.Struct, array_like=True):
    """A `model.Result`, field by field, decoded no further than executemany needs."""

    end: End | None
    page: list[Any] | None
    candidates: list[list[Any]]
    items: list[str]
    robots: list[Any] | None
    widened: str
    fragments: list[Any] | None
    attempt: list[Any] | None


class StoredBatch(msgspec.Struct, array_like=True):
    """A `model.Batch`, decoded no further than executemany needs."""

    results: list[StoredResult]
    hosts: list[list[Any]]
    finish_reason: str


class Applying(NamedTuple):
    """A batch that is being applied, inside the transaction of its group."""

    execute: Callable[..., sqlite3.Cursor]
    executemany: Callable[..., sqlite3.Cursor]
    batch: StoredBatch
    paged: Sequence[tuple[int, StoredResult]]  # the results that have a page, with the id of its row
    replaced: Sequence[int]  # the ids of the pages that were the latest of their URLs until now
    counts: Counts


class Feature(NamedTuple):
    """One capability, as the ledger has it."""

    tables: str = ""  # a script; the tables' names begin with _, unless users may read them
    views: Mapping[str, str] = {}  # name → select; each column stands in the docs
    apply: Callable[[Applying], None] | None = None  # adds what a batch brings for it
