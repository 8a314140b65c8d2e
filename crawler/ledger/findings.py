"""What a crawl found that people want to hear of when it ends: what is broken, kept out, slow, failed or saved.

Each by a look-up that uses the ledger's indices, so that it is there at once for a million URLs. Hands out text as it
came from the network; must not know how it is shown. Runs in the process that asks.
"""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

from crawler.ledger import schema
from crawler.ledger.features.links import BROKEN
from crawler.ledger.phrases import LATEST_OF_URL, OF_URL
from crawler.rules import urls

# Seeds that failed are told of by themselves, and so are their hosts.
_BROKEN: Final = f"""
SELECT b.status, b.reason, b.error, b.url, vh.host || v.target
FROM ({BROKEN}) AS b LEFT JOIN _urls v ON v.host_id = b.via_host_id AND v.seq = b.via_seq
LEFT JOIN _hosts vh ON vh.id = b.via_host_id WHERE b.via_host_id IS NOT NULL OR b.status IS NOT NULL LIMIT ?
"""  # noqa: S608  (our own text)
_BROKEN_FRAGMENTS: Final = """
SELECT count(*) OVER (), url || '#' || fragment, min(source) FROM broken_fragments
GROUP BY url, fragment ORDER BY url, fragment LIMIT ?
"""
_SLOWEST: Final = """
SELECT elapsed_ms / 1000.0 / asked AS seconds, host, asked FROM _hosts
WHERE asked > 0 AND elapsed_ms >= ? * 1000.0 * asked ORDER BY seconds DESC LIMIT ?
"""
_KEPT_OUT: Final = """
SELECT h.host || u.target FROM _urls u JOIN _hosts h ON h.id = u.host_id
WHERE u.reason <> 'ok' AND u.state = 'skipped' AND u.reason = 'robots' LIMIT ?
"""
_DENIED: Final = """
SELECT host, robots_reason, robots_status FROM _hosts WHERE robots_verdict = 'deny' AND NOT named LIMIT ?
"""
_COUNT_DENIED: Final = "SELECT count(*) FROM _hosts WHERE robots_verdict = 'deny' AND NOT named"
_SAVED: Final = "SELECT count(*), total(size) FROM _pages WHERE file IS NOT NULL"
# One row for each kind of error: what stands before the first colon, such as the exception's name.
_ITEM_ERRORS: Final = f"""
SELECT e.count, e.example, h.host || u.target
FROM (SELECT substr(item_error, 1, instr(item_error || ':', ':') - 1) AS kind, count(*) AS count,
             item_error AS example, min(id) AS id
      FROM _pages p CROSS JOIN _urls u ON {LATEST_OF_URL}
      WHERE item_error IS NOT NULL GROUP BY kind ORDER BY count DESC, kind LIMIT ?) AS e
JOIN _pages p ON p.id = e.id JOIN _urls u ON {OF_URL}
JOIN _hosts h ON h.id = p.host_id ORDER BY e.count DESC, e.kind
"""  # noqa: S608  (our own names)
_SEED: Final = """
SELECT u.state, coalesce(u.reason, ''), coalesce(u.error, nullif(h.robots_reason, ''), ''), u.page IS NOT NULL,
       coalesce(p.redirect_url, '')
FROM _seen s JOIN _urls u ON u.host_id = s.host_id AND u.seq = s.seq JOIN _hosts h ON h.id = u.host_id
LEFT JOIN _pages p ON p.id = u.page
WHERE s.fingerprint = ?
"""


class Broken(NamedTuple):
    """A URL that is broken."""

    status: int | None  # None: no answer
    reason: str
    error: str | None
    url: str
    via: str | None  # None: a seed


def broken(connection: sqlite3.Connection, most: int) -> list[Broken]:
    """Return some of what is broken, but for seeds that gave no answer at all."""
    return [Broken(*row) for row in connection.execute(_BROKEN, (most,))]


class BrokenFragments(NamedTuple):
    """Links with a fragment that is not there."""

    urls: int  # different ones, with their fragments
    some: list[tuple[str, str]]  # each with a page that links to it


def pages_with_fragments(connection: sqlite3.Connection, most: int) -> int:
    """Return how many pages were read for their fragments, counted up to `most`."""
    (count,) = connection.execute("SELECT count(*) FROM (SELECT 1 FROM _fragments LIMIT ?)", (most,)).fetchone()
    return int(count)


def broken_fragments(connection: sqlite3.Connection, most: int) -> BrokenFragments:
    """Return some of the broken fragments. Looks at all pages."""
    rows = connection.execute(_BROKEN_FRAGMENTS, (most,)).fetchall()
    count = next((count for count, _, _ in rows), 0)  # all rows say the same
    return BrokenFragments(count, [(url, source) for _, url, source in rows])


def kept_out(connection: sqlite3.Connection, most: int) -> list[str]:
    """Return some URLs that a robots.txt forbids."""
    return [url for (url,) in connection.execute(_KEPT_OUT, (most,))]


class Denied(NamedTuple):
    """Hosts that no seed names, and whose robots.txt could not be had."""

    hosts: int
    some: list[tuple[str, str, int]]  # host, reason, status


def denied(connection: sqlite3.Connection, most: int) -> Denied:
    """Return some hosts that may not be asked because their robots.txt is unreachable."""
    (count,) = connection.execute(_COUNT_DENIED).fetchone()
    return Denied(count, connection.execute(_DENIED, (most,)).fetchall() if count else [])


def slowest(connection: sqlite3.Connection, least_seconds: float, most: int) -> list[tuple[float, str, int]]:
    """Return the slowest hosts: seconds a request, host, requests."""
    return connection.execute(_SLOWEST, (least_seconds, most)).fetchall()


def item_errors(connection: sqlite3.Connection, most: int) -> list[tuple[int, str, str]]:
    """Return the most frequent kinds of errors of the parse hook: how often, an example, the page of that."""
    return connection.execute(_ITEM_ERRORS, (most,)).fetchall()


def saved(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many files were saved, and their bytes."""
    count, size = connection.execute(_SAVED).fetchone()
    return count, int(size)


class SeedResult(NamedTuple):
    """How a seed ended."""

    url: str
    state: str
    reason: str
    error: str
    has_page: int  # 0 or 1
    redirect_url: str


def seed_results(connection: sqlite3.Connection) -> list[SeedResult]:
    """Return how each seed ended."""
    found = []
    key = schema.read_key(connection)
    for (url,) in connection.execute("SELECT url FROM seeds"):
        row = connection.execute(_SEED, (urls.fingerprint(url, key),)).fetchone()
        if row is not None:
            found.append(SeedResult(url, *row))
    return found
