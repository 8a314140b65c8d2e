"""What a ledger says, for programs (`Report`, `status`) and for people (`summary`).

Reads the public views, and what the ledger counts and finds by its own indices (`ledger.counts`, `ledger.findings`);
knows no table of its own. Runs in the process that asks;
works on the ledger of a running crawl. Text from the network passes `printable` before it reaches a terminal.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from crawler.ledger import counts, findings, schema
from crawler.ledger.connection import storage_errors
from crawler.ledger.feed import Feed, Which
from crawler.ledger.findings import SeedResult
from crawler.ledger.records import ItemRecord, LinkRecord, PageRecord, UrlRecord
from crawler.processes import lock
from crawler.text import readable_bytes, readable_duration


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


def print_status(ledger: Path, console: Any = None, facts: dict[str, Any] | None = None) -> dict[str, Any]:
    """Print where a crawl stands as a table, and return its `status`.

    Args:
        console: None means standard output.
        facts: its `status`, if that is known.
    """
    from rich.table import Table

    console = console or make_console()
    facts = facts or status(ledger)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_column(justify="right")
    for what, key in (("URLs", "urls"), ("reasons", "reasons"), ("pages by status", "statuses")):
        for index, (which, count) in enumerate(facts[key].items()):
            table.add_row("" if index else what, which, f"{count:,}")
    if facts["items"] or facts["item_errors"]:
        table.add_row("items", "stored", f"{facts['items']:,}")
        table.add_row("", "parse hook errors", f"{facts['item_errors']:,}")
    table.add_row("hosts", "", f"{facts['hosts']:,}")
    table.add_row("requests", readable_bytes(facts["bytes"]), f"{facts['requests']:,}")
    console.print(table)
    console.print(f"ledger: {ledger}, {_ending(facts)}", markup=False)
    return facts


def _ending(facts: dict[str, Any]) -> str:
    """Return how the last run ended, and how long it took, in words."""
    state, reason = facts["state"], facts["finish_reason"]
    if not facts["ended"]:
        return str(state)
    seconds = (datetime.fromisoformat(facts["ended"]) - datetime.fromisoformat(facts["started"])).total_seconds()
    why = "" if reason == state else f"{reason}, "
    return f"{state} after {readable_duration(max(seconds, 0.0))} ({why}{facts['ended'].partition('.')[0]}Z)"


def make_console(file: Any = None) -> Any:
    """Make a console that prints as wide as it must, and lets a broken pipe be the caller's business.

    Args:
        file: takes what is meant for a terminal; None means standard output, whatever that is.
    """
    from rich.console import Console

    class PlainConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the program, with exit code 1

    return PlainConsole(file=file, force_terminal=file is not None or None, highlight=False, soft_wrap=True)
