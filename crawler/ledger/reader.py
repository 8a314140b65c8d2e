"""What the coordinator reads while a crawl runs: the acknowledged number, the counters, hosts and ready URLs.

It has a connection of its own and never writes. All reads are short look-ups by index: WAL lets them go on beside a
consumer's transaction. Runs in the coordinator's thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from crawler.ledger import schema

_COUNTERS = "committed, candidates, merges, urls, ended_urls, pages, items, item_errors, requests, bytes"
_HOST = """
SELECT id, host, named, local, failures, asked_at, retry_at, robots_verdict, robots_tries, crawl_delay, robots_host,
       robots_target, robots_redirects, robots_fetched_at
FROM _hosts
"""


class Counters(NamedTuple):
    """Numbers of a run (`committed`), of the moment (`candidates`), or of all runs together (the others)."""

    committed: int
    candidates: int
    merges: int
    urls: int
    ended_urls: int
    pages: int
    items: int
    item_errors: int
    requests: int
    bytes: int

    @property
    def queued(self) -> int:
        """Return how many URLs have not ended."""
        return self.urls - self.ended_urls


class HostRow(NamedTuple):
    """A host's facts."""

    id: int
    host: str
    named: bool
    local: bool
    failures: int
    asked_at: float
    retry_at: float
    robots_verdict: str
    robots_tries: int
    crawl_delay: float | None
    robots_host: str
    robots_target: str
    robots_redirects: int
    robots_fetched_at: float


class ReadyRow(NamedTuple):
    """A queued URL."""

    seq: int
    target: str
    hop: str
    depth: int
    redirects: int
    attempts: int


class Reader:
    """A read-only connection for one run."""

    def __init__(self, path: Path, run_id: int) -> None:
        self._connection = schema.connect_read_only(path)
        self._run_id = run_id
        self._before = self._connection.execute(
            "SELECT 0, 0, 0, total(urls), total(ended_urls), total(pages), total(items), total(item_errors), "
            "total(requests), total(bytes) FROM runs WHERE id < ?",
            (run_id,),
        ).fetchone()
        self._read_counters = f"SELECT {_COUNTERS} FROM runs WHERE id = ?"  # noqa: S608

    def counters(self) -> Counters:
        """Read all counters in one select."""
        row = self._connection.execute(self._read_counters, (self._run_id,)).fetchone()
        return Counters(*(int(now + before) for now, before in zip(row, self._before, strict=True)))

    def has_queued(self) -> bool:
        """Tell whether any URL is queued."""
        return self.next_host(0) is not None

    def next_host(self, after: int) -> int | None:
        """Return the next host, by id, that has a queued URL."""
        row = self._connection.execute(
            "SELECT host_id FROM _urls WHERE state = 'queued' AND host_id > ? ORDER BY host_id LIMIT 1", (after,)
        ).fetchone()
        return row[0] if row else None

    def hosts_of_merges(self, after: int) -> Iterator[int]:
        """Iterate over the hosts that got URLs in a merge after this one: they may be very many."""
        for row in self._connection.execute("SELECT id FROM _hosts WHERE merge > ?", (after,)):
            yield row[0]

    def host(self, host_id: int) -> HostRow:
        """Read a host's facts."""
        return HostRow(*self._connection.execute(f"{_HOST} WHERE id = ?", (host_id,)).fetchone())

    def host_named(self, host: str) -> HostRow:
        """Read a host's facts by its scheme and authority; the row must exist."""
        return HostRow(*self._connection.execute(f"{_HOST} WHERE host = ?", (host,)).fetchone())

    def robots_body(self, host_id: int) -> str:
        """Read a host's robots.txt, or why it could not be had."""
        select = "SELECT iif(robots_verdict = 'deny', robots_reason, robots_body) FROM _hosts WHERE id = ?"
        return str(self._connection.execute(select, (host_id,)).fetchone()[0])

    def ready(self, host_id: int, limit: int) -> list[ReadyRow]:
        """Read a host's first queued URLs: those tried least, then in the order they were found."""
        rows = self._connection.execute(
            "SELECT seq, target, hop, depth, redirects, attempts FROM _urls "
            "WHERE host_id = ? AND state = 'queued' ORDER BY attempts, seq LIMIT ?",
            (host_id, limit),
        )
        return [ReadyRow(*row) for row in rows]

    def abandon(self) -> None:
        """Let `close` write nothing: what is in the -wal file could not be copied back, and stays there."""
        self._connection.has_failed = True

    def close(self) -> None:
        """Close the connection; the last one out leaves a ledger without a -wal file beside it."""
        self._connection.close()
