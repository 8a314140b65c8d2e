"""What the coordinator reads while a crawl runs: the acknowledged number, the counters, hosts and ready URLs.

It has a connection of its own and never writes. All reads are short look-ups by index: WAL lets them go on beside a
consumer's transaction. Must not decide which host is due, nor keep what it read. Runs in the coordinator's thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from crawler.ledger import schema
from crawler.ledger.counts import READ_BEFORE, READ_RUN, Counters


class HostRow(NamedTuple):
    """A host's facts."""

    id: int
    host: str
    named: int  # 0 or 1, as are all of SQLite's truths
    local: int
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


_HOST = f"SELECT {', '.join(HostRow._fields)} FROM _hosts"  # noqa: S608  (our own names)


class ReadyRow(NamedTuple):
    """A queued URL."""

    seq: int
    target: str
    hop: str
    purpose: int  # a `Purpose`
    depth: int
    redirects: int
    attempts: int
    visits: int


_READY = f"""
SELECT {", ".join(ReadyRow._fields)} FROM _urls
WHERE host_id = ? AND state = 'queued' ORDER BY attempts, seq LIMIT ?
"""  # noqa: S608  (our own names)


class Reader:
    """A read-only connection for one run."""

    def __init__(self, path: Path, run_id: int) -> None:
        self._connection = schema.connect_read_only(path)
        self._run_id = run_id
        self._before = self._connection.execute(READ_BEFORE, (run_id,)).fetchone()

    def counters(self) -> Counters:
        """Read all counters in one select."""
        row = self._connection.execute(READ_RUN, (self._run_id,)).fetchone()
        return Counters(*(int(now + before) for now, before in zip(row, self._before, strict=True)))

    def has_queued(self) -> bool:
        """Return whether any URL is queued."""
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
        rows = self._connection.execute(_READY, (host_id, limit))
        return [ReadyRow(*row) for row in rows]

    def abandon(self) -> None:
        """Let `close` write nothing: what is in the -wal file could not be copied back, and stays there."""
        self._connection.has_failed = True

    def close(self) -> None:
        """Close the connection; the last one out leaves a ledger without a -wal file beside it."""
        self._connection.close()
