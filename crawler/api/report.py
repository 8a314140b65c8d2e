"""What a ledger says, for programs (`Report`, `status`) and for people (`summary`).

Reads through the public views only, so that what we show is what anybody can query. Runs in the process that asks;
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
from typing import Any, NamedTuple

from crawler.ledger import schema
from crawler.ledger.connection import storage_errors
from crawler.ledger.feed import Feed, PageFound
from crawler.processes import lock
from crawler.rules import urls
from crawler.text import readable_bytes, readable_duration


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


def page_record(found: PageFound) -> PageRecord:
    """Make a record of what a feed gives."""
    return PageRecord(*found.columns)._replace(items=tuple(map(json.loads, found.items)))


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
        with contextlib.closing(Feed(self.ledger)) as feed:
            while found := feed.pages():
                yield from map(page_record, found)

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


_NOT_OK = "SELECT state, reason, count(*) FROM _urls WHERE reason <> 'ok' GROUP BY state, reason"
_NOT_200 = "SELECT status, count(*) FROM _pages WHERE status <> 200 GROUP BY status"


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
        totals = execute(
            "SELECT total(pages), total(items), total(item_errors), total(requests), total(bytes) FROM runs"
        ).fetchone()
        urls_known, urls_ended = map(int, execute("SELECT total(urls), total(ended_urls) FROM runs").fetchone())
        by_state = dict.fromkeys(("queued", "done", "failed", "skipped"), 0)
        by_reason: dict[str, int] = {}
        # What is not ok is counted by its index; the many that are come from the runs' own counters.
        for state, reason, count in execute(_NOT_OK):
            if state != "queued":
                by_state[state] += count
                by_reason[reason] = by_reason.get(reason, 0) + count
        by_state["queued"] = urls_known - urls_ended
        if ok := urls_ended - sum(by_reason.values()):
            by_state["done"] += ok
            by_reason["ok"] = ok
        statuses = dict(execute(_NOT_200).fetchall())
        if whole := int(totals[0]) - sum(statuses.values()):
            statuses[200] = whole
        return {
            "ledger": str(ledger),
            "state": _state(ledger, finish_reason),
            "finish_reason": finish_reason,
            "first_started": first,
            "started": started,
            "ended": ended,
            "urls": by_state,
            "reasons": dict(sorted(by_reason.items())),
            "statuses": {str(code): statuses[code] for code in sorted(statuses)},
            "hosts": execute("SELECT count(*) FROM _hosts WHERE next_seq > 0").fetchone()[0],
            **dict(zip(("pages", "items", "item_errors", "requests", "bytes"), map(int, totals), strict=True)),
        }


def _state(ledger: Path, finish_reason: str | None) -> str:
    if lock.holder(ledger):
        return "running"
    return "interrupted" if finish_reason in (None, "interrupted") else "finished"


class SeedResult(NamedTuple):
    """How a seed ended."""

    url: str
    state: str
    reason: str
    error: str
    has_page: bool
    redirect_url: str


_SEED_RESULT = """
SELECT u.state, coalesce(u.reason, ''), coalesce(u.error, nullif(h.robots_reason, ''), ''), p.seq IS NOT NULL,
       coalesce(p.redirect_url, '')
FROM _seen s JOIN _urls u ON u.host_id = s.host_id AND u.seq = s.seq JOIN _hosts h ON h.id = u.host_id
LEFT JOIN _pages p ON p.host_id = u.host_id AND p.seq = u.seq
WHERE s.fingerprint = ?
"""


def seed_results(ledger: Path) -> list[SeedResult]:
    """Read how each seed ended."""
    with reading(ledger) as connection:
        found = []
        key = schema.read_key(connection)
        for (url,) in connection.execute("SELECT url FROM seeds"):
            row = connection.execute(_SEED_RESULT, (urls.fingerprint(url, key),)).fetchone()
            if row is not None:
                found.append(SeedResult(url, *row))
        return found


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
