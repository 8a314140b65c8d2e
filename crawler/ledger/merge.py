"""The sieve: candidates, appended by the thousand, become URLs of the frontier, each once.

A unique index that is hit at random for every link is what makes a crawler slow as it grows (Mercator and BUbiNG say
so of their disks, SQLite's page cache is no different). So candidates are sorted by fingerprint and merged in bulk into
`_seen`, and the new ones are appended to `_urls` by host, if they are admitted (`admit`). All of it is SQL inside the
caller's transaction: exact, and gone without trace if the transaction is. Must not know when a merge is due, nor the
rules of scope. Runs in a consumer, and in the coordinator at the start.

Of several ways to a URL the one with the smallest pair (purpose, depth) counts, and of those the first; of its chains
of redirects the shortest, by itself: one that is also linked to is at the end of no chain.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from crawler.ledger.admit import Admission, admit
from crawler.ledger.features.frontier import CANDIDATE, KEEP_NEARER, STORED
from crawler.ledger.phrases import QUEUE_AGAIN, QUEUE_ANEW
from crawler.ledger.records import ddl
from crawler.model import MAX_REDIRECTS, Candidate, Purpose

#: what a URL keeps of the candidate that it was
_KEPT = tuple(name for name in STORED if name not in ("fingerprint", "host"))
_KEPT_LIST = ", ".join(_KEPT)

_TABLES = f"""
CREATE TEMP TABLE IF NOT EXISTS batch (
    fingerprint INTEGER PRIMARY KEY, {ddl(Candidate, ("host", *_KEPT))}, id INTEGER);
CREATE TEMP TABLE IF NOT EXISTS fresh (
    fingerprint INTEGER PRIMARY KEY, host_id INTEGER, seq INTEGER, {ddl(Candidate, _KEPT)},
    state TEXT DEFAULT 'queued', reason TEXT);
CREATE TEMP TABLE IF NOT EXISTS lowered (
    host_id INTEGER, seq INTEGER, fingerprint INTEGER PRIMARY KEY, purpose INTEGER, depth INTEGER, redirects INTEGER,
    hop TEXT, via_host_id INTEGER, via_seq INTEGER, is_nearer INTEGER, is_promoted INTEGER);
"""

# In the order they came, into a table in memory: sorting them first takes half as long again.
_COLLECT = f"""
INSERT INTO temp.batch ({CANDIDATE}, id) SELECT {CANDIDATE}, id FROM _candidates WHERE true {KEEP_NEARER}
"""  # noqa: S608  (our own names)
_ADD_HOSTS = "INSERT OR IGNORE INTO _hosts (host) SELECT DISTINCT host FROM temp.batch ORDER BY host"
_FIND_FRESH = f"""
INSERT INTO temp.fresh (fingerprint, host_id, seq, {_KEPT_LIST})
SELECT b.fingerprint, h.id,
       h.next_seq - 1 + row_number() OVER (PARTITION BY h.id ORDER BY b.purpose, b.depth, b.id), {_KEPT_LIST}
FROM temp.batch b JOIN _hosts h ON h.host = b.host
WHERE NOT EXISTS (SELECT 1 FROM _seen s WHERE s.fingerprint = b.fingerprint)
AND NOT EXISTS (SELECT 1 FROM _refused r WHERE r.fingerprint = b.fingerprint)
"""  # noqa: S608  (our own names)
_FIND_LOWERED = """
INSERT INTO temp.lowered
SELECT host_id, seq, fingerprint, iif(is_nearer, purpose, purpose_now), iif(is_nearer, depth, depth_now), redirects,
       hop, via_host_id, via_seq, is_nearer, purpose < purpose_now
FROM (
    SELECT s.host_id, s.seq, s.fingerprint, b.purpose, b.depth, s.purpose AS purpose_now, s.depth AS depth_now,
           min(s.redirects, b.redirects) AS redirects, b.hop, b.via_host_id, b.via_seq,
           (b.purpose, b.depth) < (s.purpose, s.depth) AS is_nearer
    FROM temp.batch b JOIN _seen s ON s.fingerprint = b.fingerprint
    WHERE (b.purpose, b.depth) < (s.purpose, s.depth) OR b.redirects < s.redirects
)
"""
_ADD_URLS = f"""
INSERT INTO _urls (host_id, seq, state, reason, {_KEPT_LIST})
SELECT host_id, seq, state, reason, {_KEPT_LIST} FROM temp.fresh ORDER BY host_id, seq
"""  # noqa: S608  (our own names)
_ADD_SEEN = """
INSERT INTO _seen (fingerprint, host_id, seq, depth, redirects, purpose)
SELECT fingerprint, host_id, seq, depth, redirects, purpose FROM temp.fresh ORDER BY fingerprint
"""
_COUNT_HOSTS = """
UPDATE _hosts SET next_seq = next_seq + f.added, merge = ?
FROM (SELECT host_id, count(*) AS added FROM temp.fresh GROUP BY host_id) AS f WHERE _hosts.id = f.host_id
"""
_LOWER_SEEN = """
UPDATE _seen SET purpose = l.purpose, depth = l.depth, redirects = l.redirects
FROM temp.lowered l WHERE _seen.fingerprint = l.fingerprint
"""
_LOWER_URLS = """
UPDATE _urls SET purpose = l.purpose, depth = l.depth, redirects = l.redirects,
    hop = iif(l.is_nearer, l.hop, _urls.hop), via_host_id = iif(l.is_nearer, l.via_host_id, _urls.via_host_id),
    via_seq = iif(l.is_nearer, l.via_seq, _urls.via_seq)
FROM temp.lowered l WHERE _urls.host_id = l.host_id AND _urls.seq = l.seq
"""
#: the reasons that a shorter way takes away
KEPT_OUT: Final = ("too-many-redirects", "too-deep")
# What a chain of redirects, or its depth, kept out, and a shorter way now lets in.
_REOPEN = f"""
{QUEUE_AGAIN}
FROM temp.lowered l WHERE _urls.host_id = l.host_id AND _urls.seq = l.seq
AND (_urls.reason = '{KEPT_OUT[0]}' AND l.redirects <= ?1
     OR _urls.reason = '{KEPT_OUT[1]}' AND (?2 < 0 OR l.depth <= ?2))
"""
# What was only asked, as an embed or an external link, and turns out to be more: it is asked again as what it is.
_PROMOTE = f"""
{QUEUE_ANEW}
FROM temp.lowered l WHERE _urls.host_id = l.host_id AND _urls.seq = l.seq
AND l.is_promoted AND _urls.state <> 'queued'
"""
# The tries that a URL had as something less do not count.
_TRY_ANEW = """
UPDATE _urls SET attempts = 0
FROM temp.lowered l WHERE _urls.host_id = l.host_id AND _urls.seq = l.seq
AND l.is_promoted AND _urls.state = 'queued'
"""
_REOPENED_HOSTS = "UPDATE _hosts SET merge = ? WHERE id IN (SELECT host_id FROM temp.lowered)"
# Without a limit a page's depth changes nothing for its links; the steps of embeds have one always.
_LOWERED_PAGES = f"""
SELECT u.host_id, u.seq FROM temp.lowered l JOIN _urls u ON u.host_id = l.host_id AND u.seq = l.seq
WHERE u.state = 'done' AND (? >= 0 OR u.reason = 'redirect' OR u.purpose = {Purpose.EMBED.value})
"""  # noqa: S608  (a number of ours)


class Merged(NamedTuple):
    """What a merge did."""

    added: int  # URLs that are new, the refused ones among them
    refused: int  # of them: they ended as they entered
    reopened: int  # URLs that had ended, too-many-redirects or only asked, and are queued again
    lowered: list[tuple[int, int]]  # pages whose links are to be offered again, with their smaller depth


def merge(connection: sqlite3.Connection, number: int, max_depth: int, admissions: Sequence[Admission] = ()) -> Merged:
    """Merge all candidates into the frontier, inside the caller's transaction.

    Args:
        number: of this merge; the hosts that get URLs remember it.
        max_depth: of pages; -1: there is no limit.
        admissions: the rules that may refuse what is new.
    """
    execute = connection.execute
    for statement in _TABLES.split(";"):
        execute(statement)
    for table in ("batch", "fresh", "lowered"):
        execute(f"DELETE FROM temp.{table}")  # noqa: S608  (the three names above)
    execute(_COLLECT)
    execute(_ADD_HOSTS)
    added = refused = reopened = 0
    lowered = []
    if execute(_FIND_LOWERED).rowcount:
        execute(_LOWER_SEEN)
        execute(_LOWER_URLS)
        execute(_TRY_ANEW)
        reopened = execute(_REOPEN, (MAX_REDIRECTS, max_depth)).rowcount + execute(_PROMOTE).rowcount
        if reopened:
            execute(_REOPENED_HOSTS, (number,))
        lowered = execute(_LOWERED_PAGES, (max_depth,)).fetchall()
    if execute(_FIND_FRESH).rowcount:
        refused = admit(connection, admissions)
        added = execute(_ADD_URLS).rowcount
        execute(_ADD_SEEN)
        execute(_COUNT_HOSTS, (number,))
    execute("DELETE FROM _candidates")
    return Merged(added, refused, reopened, lowered)
