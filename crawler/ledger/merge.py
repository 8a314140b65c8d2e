"""The sieve: candidates, appended by the thousand, become URLs of the frontier, each once.

A unique index that is hit at random for every link is what makes a crawler slow as it grows (Mercator and BUbiNG say
so of their disks, SQLite's page cache is no different). So candidates are sorted by fingerprint and merged in bulk into
`_seen`, and the new ones are appended to `_urls` by host. All of it is SQL inside the caller's transaction: exact,
and gone without trace if the transaction is. Runs in a consumer, and in the coordinator at the start.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from crawler.model import EMBEDDED, MAX_REDIRECTS

_BATCH = """
CREATE TEMP TABLE IF NOT EXISTS batch (
    fingerprint INTEGER PRIMARY KEY, host TEXT, target TEXT, hop TEXT, redirects INTEGER,
    via_host_id INTEGER, via_seq INTEGER, depth INTEGER, rank INTEGER);
CREATE TEMP TABLE IF NOT EXISTS fresh (
    fingerprint INTEGER PRIMARY KEY, host_id INTEGER, seq INTEGER, target TEXT, hop TEXT, depth INTEGER,
    redirects INTEGER, via_host_id INTEGER, via_seq INTEGER);
CREATE TEMP TABLE IF NOT EXISTS lowered (
    host_id INTEGER, seq INTEGER, fingerprint INTEGER PRIMARY KEY, depth INTEGER, redirects INTEGER,
    hop TEXT, via_host_id INTEGER, via_seq INTEGER, is_nearer INTEGER, is_promoted INTEGER);
"""

# One row a fingerprint: its smallest depth, and of those the earliest (SQLite takes the other columns from the row that
# has the min). The chain of redirects is 0 for whatever was also linked to.
_COLLECT = """
INSERT INTO temp.batch
SELECT fingerprint, host, target, hop, CASE WHEN total(redirects = 0) THEN 0 ELSE redirects END,
       via_host_id, via_seq, depth, min(depth << 40 | id)
FROM _candidates GROUP BY fingerprint
"""
_COLLECT_CHAINS = """
UPDATE temp.batch SET redirects = r.least
FROM (SELECT fingerprint, min(redirects) AS least FROM _candidates WHERE redirects > 0 GROUP BY fingerprint) AS r
WHERE batch.fingerprint = r.fingerprint AND r.least < batch.redirects
"""
_ADD_HOSTS = "INSERT OR IGNORE INTO _hosts (host) SELECT DISTINCT host FROM temp.batch ORDER BY host"
_FIND_FRESH = """
INSERT INTO temp.fresh
SELECT b.fingerprint, h.id, h.next_seq - 1 + row_number() OVER (PARTITION BY h.id ORDER BY b.rank),
       b.target, b.hop, b.depth, b.redirects, b.via_host_id, b.via_seq
FROM temp.batch b JOIN _hosts h ON h.host = b.host
WHERE NOT EXISTS (SELECT 1 FROM _seen s WHERE s.fingerprint = b.fingerprint)
"""
_FIND_LOWERED = f"""
INSERT INTO temp.lowered
SELECT s.host_id, s.seq, s.fingerprint, min(s.depth, b.depth), min(s.redirects, b.redirects),
       b.hop, b.via_host_id, b.via_seq, b.depth < s.depth, b.depth / {EMBEDDED} < s.depth / {EMBEDDED}
FROM temp.batch b JOIN _seen s ON s.fingerprint = b.fingerprint
WHERE b.depth < s.depth OR b.redirects < s.redirects
"""  # noqa: S608  (a number of ours)
_ADD_URLS = """
INSERT INTO _urls (host_id, seq, target, hop, depth, redirects, via_host_id, via_seq)
SELECT host_id, seq, target, hop, depth, redirects, via_host_id, via_seq FROM temp.fresh ORDER BY host_id, seq
"""
_ADD_SEEN = """
INSERT INTO _seen SELECT fingerprint, host_id, seq, depth, redirects FROM temp.fresh ORDER BY fingerprint
"""
_COUNT_HOSTS = """
UPDATE _hosts SET next_seq = next_seq + f.added, merge = ?
FROM (SELECT host_id, count(*) AS added FROM temp.fresh GROUP BY host_id) AS f WHERE _hosts.id = f.host_id
"""
_LOWER_SEEN = """
UPDATE _seen SET depth = l.depth, redirects = l.redirects
FROM temp.lowered l WHERE _seen.fingerprint = l.fingerprint
"""
_LOWER_URLS = """
UPDATE _urls SET depth = l.depth, redirects = l.redirects, hop = iif(l.is_nearer, l.hop, _urls.hop),
    via_host_id = iif(l.is_nearer, l.via_host_id, _urls.via_host_id),
    via_seq = iif(l.is_nearer, l.via_seq, _urls.via_seq)
FROM temp.lowered l WHERE _urls.host_id = l.host_id AND _urls.seq = l.seq
"""
# What a chain of redirects kept out, and a shorter chain now lets in.
_REOPEN = """
UPDATE _urls SET state = 'queued', reason = NULL
FROM temp.lowered l WHERE _urls.host_id = l.host_id AND _urls.seq = l.seq
AND _urls.reason = 'too-many-redirects' AND l.redirects <= ?
"""
# What was only asked, as an embed or an external link, and turns out to be more: it is asked again as what it is. One
# that is queued keeps its attempts, by which the batch of a visit that is out knows its row.
_PROMOTE = """
UPDATE _urls SET state = 'queued', reason = NULL, error = NULL, attempts = 0
FROM temp.lowered l WHERE _urls.host_id = l.host_id AND _urls.seq = l.seq
AND l.is_promoted AND _urls.state <> 'queued'
"""
_REOPENED_HOSTS = """
UPDATE _hosts SET merge = ? WHERE id IN (SELECT host_id FROM temp.lowered)
"""
_LOWERED_PAGES = """
SELECT u.host_id, u.seq FROM temp.lowered l JOIN _urls u ON u.host_id = l.host_id AND u.seq = l.seq
WHERE u.state = 'done' AND (? OR u.reason = 'redirect')
"""


class Merged(NamedTuple):
    """What a merge did."""

    added: int  # URLs that are new
    reopened: int  # URLs that had ended, too-many-redirects or only asked, and are queued again
    lowered: list[tuple[int, int]]  # pages whose links are to be offered again, with their smaller depth


def merge(connection: sqlite3.Connection, number: int, has_depth_limit: bool) -> Merged:
    """Merge all candidates into the frontier, inside the caller's transaction.

    Args:
        number: of this merge; the hosts that get URLs remember it.
        has_depth_limit: without one, a page's smaller depth changes nothing for its links.
    """
    execute = connection.execute
    for statement in _BATCH.split(";"):
        execute(statement)
    for table in ("batch", "fresh", "lowered"):
        execute(f"DELETE FROM temp.{table}")  # noqa: S608  (the three names above)
    execute(_COLLECT)
    execute(_COLLECT_CHAINS)
    execute(_ADD_HOSTS)
    added = execute(_FIND_FRESH).rowcount
    reopened, lowered = 0, []
    if execute(_FIND_LOWERED).rowcount:
        execute(_LOWER_SEEN)
        execute(_LOWER_URLS)
        reopened = execute(_REOPEN, (MAX_REDIRECTS,)).rowcount + execute(_PROMOTE).rowcount
        if reopened:
            execute(_REOPENED_HOSTS, (number,))
        lowered = execute(_LOWERED_PAGES, (has_depth_limit,)).fetchall()
    if added:
        execute(_ADD_URLS)
        execute(_ADD_SEEN)
        execute(_COUNT_HOSTS, (number,))
    execute("DELETE FROM _candidates")
    return Merged(added, reopened, lowered)
