"""What a ledger says, for programs: `Report`, and `status`, from which the command line makes what people read.

Reads the public views, and what the ledger counts and finds by its own indices (`ledger.counts`, `ledger.findings`);
knows no table of its own, and prints nothing. Runs in the process that asks; works on the ledger of a running crawl.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from crawler.ledger import counts, findings, schema
from crawler.ledger.connection import storage_errors
from crawler.ledger.feed import Feed, Which
from crawler.ledger.findings import SeedResult
from crawler.ledger.records import ItemRecord, LinkRecord, PageRecord, UrlRecord
from crawler.processes import lock


class Report:
    """What a crawl left: counts, and iterators over its ledger.

    A context manager: leaving it removes the ledger if that was a temporary one.
    """

    def __init__(self, ledger: Path, finish_reason: str, temporary: Path | None = None) -> None:
        self.ledger = ledger
        self.finish_reason = finish_reason
        self._temporary = temporary
        self.counts: dict[str, Any] = status(ledger)

    def __repr__(self) -> str:
        return f"<Report {self.ledger}: {self.finish_reason}, {self.counts['urls']}>"

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def pages(self) -> Iterator[PageRecord]:
        """Iterate over the pages, in the order they were stored."""
        with contextlib.closing(Feed(self.ledger, which=Which.LATEST)) as feed:
            while found := feed.pages():
                yield from (each.record for each in found)

    def urls(self) -> Iterator[UrlRecord]:
        """Iterate over all URLs, by host, in the order they were found."""
        for row in self._select("urls", UrlRecord._fields):
            yield UrlRecord(*row)

    def links(self) -> Iterator[LinkRecord]:
        """Iterate over the links of all pages, in scope or not."""
        for source, links in self._select("pages", ("url", "links")):
            for link in json.loads(links or "[]"):
                yield LinkRecord(source, link["url"], link.get("text", ""), link.get("rel", ""))

    def items(self) -> Iterator[ItemRecord]:
        """Iterate over the items, in the order they were stored."""
        for url, item in self._select("items", ("url", "item")):
            yield ItemRecord(url, json.loads(item))

    def close(self) -> None:
        """Remove a temporary ledger."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def _select(self, view: str, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
        with reading(self.ledger) as connection:
            yield from connection.execute(f"SELECT {', '.join(columns)} FROM {view}")  # noqa: S608  (our own names)


@contextlib.contextmanager
def reading(ledger: Path) -> Iterator[Any]:
    """Hold a connection that reads; what is damaged is a StorageError."""
    with storage_errors(ledger):
        connection = schema.connect_read_only(ledger)
        try:
            yield connection
        finally:
            connection.close()


def status(ledger: Path) -> dict[str, Any]:
    """Read where a crawl stands, running or not. The keys are an interface, documented in docs/command-line.md.

    Raises:
        UsageError, StorageError: it is no ledger, or cannot be read.
    """
    with reading(ledger) as connection:
        execute = connection.execute
        execute("BEGIN")  # so that all that is read below is of one moment
        run = execute("SELECT started, ended, finish_reason FROM runs ORDER BY id DESC LIMIT 1").fetchone()
        started, ended, finish_reason = run or (None, None, None)
        first = execute("SELECT min(started) FROM runs").fetchone()[0]
        standing = counts.standing(connection)
    return {
        "ledger": str(ledger),
        "state": _state(ledger, finish_reason),
        "finish_reason": finish_reason,
        "first_started": first,
        "started": started,
        "ended": ended,
        "urls": standing.by_state,
        "reasons": standing.by_reason,
        "statuses": {str(code): count for code, count in standing.by_status.items()},
        "hosts": standing.hosts,
        **{name: standing.totals[name] for name in ("pages", "items", "item_errors", "requests", "bytes")},
    }


def _state(ledger: Path, finish_reason: str | None) -> str:
    if lock.holder(ledger):
        return "running"
    return "interrupted" if finish_reason in (None, "interrupted") else "finished"


def seed_results(ledger: Path) -> list[SeedResult]:
    """Read how each seed ended."""
    with reading(ledger) as connection:
        return findings.seed_results(connection)
