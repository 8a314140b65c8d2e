"""URLs: the frontier's memory, the sieve, and what waits to enter.

`_urls` names each URL's latest page, and how many of its visits have ended: a visit that comes back with another number
is not applied (`apply`). Purpose and depth are compared as a pair, always: the smaller one is what a URL is. Must not
know when a candidate becomes a URL (`merge`), nor which URL is next. The view runs in the process that asks.
"""

from __future__ import annotations

from typing import Final

from crawler.ledger.features.feature import Feature
from crawler.ledger.records import ddl
from crawler.model import CHAIN, Candidate

_FIELDS: Final = Candidate.__struct_fields__
#: the fields of a candidate that are stored: those before `conditional`, which says in which table
STORED: Final = _FIELDS[: _FIELDS.index("conditional")]
#: the same as a list of columns
CANDIDATE: Final = ", ".join(STORED)
_NEARER: Final = "(excluded.purpose, excluded.depth) < (purpose, depth)"
#: what an INSERT of candidates says of one that is there: of two ways to a URL the smaller pair (purpose, depth)
#: counts, and of those that are alike the one that came first; of its chains of redirects the shortest, by itself
KEEP_NEARER: Final = f"""
ON CONFLICT (fingerprint) DO UPDATE SET redirects = min(redirects, excluded.redirects),
    hop = iif({_NEARER}, excluded.hop, hop), via_host_id = iif({_NEARER}, excluded.via_host_id, via_host_id),
    via_seq = iif({_NEARER}, excluded.via_seq, via_seq), purpose = iif({_NEARER}, excluded.purpose, purpose),
    depth = iif({_NEARER}, excluded.depth, depth)
WHERE {_NEARER} OR excluded.redirects < redirects"""

_TABLES: Final = f"""
-- Clustered by host, so that reading what is ready and updating states touch neighbouring rows.
CREATE TABLE _urls (
    host_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    target TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    reason TEXT,
    error TEXT,
    hop TEXT NOT NULL,
    depth INTEGER NOT NULL,
    redirects INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,   -- since it was queued, or queued again as something else
    via_host_id INTEGER,
    via_seq INTEGER,
    purpose INTEGER NOT NULL DEFAULT 0,
    visits INTEGER NOT NULL DEFAULT 0,     -- that have ended: never reset
    page INTEGER,                          -- the latest
    PRIMARY KEY (host_id, seq)
) WITHOUT ROWID;
CREATE INDEX _urls_ready ON _urls (host_id, attempts, seq) WHERE state = 'queued';
-- What is worth counting and listing at a crawl's end; the many that are simply ok are not in it.
CREATE INDEX _urls_not_ok ON _urls (state, reason) WHERE reason <> 'ok';

-- The sieve: the answer to "seen before?", asked for thousands of links at once, in the order of the fingerprints.
CREATE TABLE _seen (
    fingerprint INTEGER PRIMARY KEY,
    host_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    redirects INTEGER NOT NULL,
    purpose INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE _candidates (
    id INTEGER PRIMARY KEY,
    {ddl(Candidate, STORED)}
);
-- Links that are in scope only if a seed redirects to their host.
CREATE TABLE _conditional (
    fingerprint INTEGER PRIMARY KEY,
    {ddl(Candidate, [name for name in STORED if name != "fingerprint"])}
);
CREATE INDEX _conditional_by_host ON _conditional (host);
-- What admission refuses beyond what it keeps as rows of _urls: counted, and known when it is met again.
CREATE TABLE _refused (
    fingerprint INTEGER PRIMARY KEY,
    host_id INTEGER NOT NULL,
    reason TEXT NOT NULL
);
"""


def purpose_name(column: str) -> str:
    """Return SQL for a purpose's name."""
    return f"CASE {column} " + " ".join(f"WHEN {step.value} THEN '{step.word}'" for step in CHAIN) + " END"


_VIEW: Final = f"""
SELECT h.host || u.target AS url, h.host, u.state, u.reason, u.error, u.depth,
       vh.host || v.target AS via, u.hop, u.attempts, u.redirects, {purpose_name("u.purpose")} AS purpose
FROM _urls u JOIN _hosts h ON h.id = u.host_id
LEFT JOIN _urls v ON v.host_id = u.via_host_id AND v.seq = u.via_seq
LEFT JOIN _hosts vh ON vh.id = u.via_host_id"""  # noqa: S608  (our own names)

FEATURE: Final = Feature(_TABLES, {"urls": _VIEW})
