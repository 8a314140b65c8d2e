"""Hosts: the facts that politeness is derived from, their robots.txt, and which are in scope by a redirect.

`_ADD_FACTS` and `_SET_ROBOTS` take the fields of `model.HostFacts` and `model.RobotsRow`, in their order. Must not
know when a host is due, nor what its robots.txt allows: that is derived (`rules.politeness`, `rules.robots`).
`_apply` runs in a consumer, the view in the process that asks.
"""

from __future__ import annotations

from typing import Final

from crawler.ledger.features.feature import Applying, Feature
from crawler.ledger.phrases import iso
from crawler.model import HostFacts, RobotsRow
from crawler.rules import urls

_TABLES: Final = """
CREATE TABLE _hosts (
    id INTEGER PRIMARY KEY,
    host TEXT NOT NULL UNIQUE,
    named INTEGER NOT NULL DEFAULT 0,      -- a seed names it: its addresses may be private
    local INTEGER NOT NULL DEFAULT 0,      -- a folder that we serve ourselves: no delay
    widened INTEGER NOT NULL DEFAULT 0,    -- in scope because a seed redirected to it
    next_seq INTEGER NOT NULL DEFAULT 0,
    merge INTEGER NOT NULL DEFAULT 0,      -- the last merge that gave it URLs
    asked INTEGER NOT NULL DEFAULT 0,
    asked_at REAL NOT NULL DEFAULT 0,      -- Unix time of the end of the last exchange
    failures INTEGER NOT NULL DEFAULT 0,   -- in a row
    retry_at REAL NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    elapsed_ms INTEGER NOT NULL DEFAULT 0, -- of all requests together
    robots_verdict TEXT NOT NULL DEFAULT '',
    robots_tries INTEGER NOT NULL DEFAULT 0,
    robots_status INTEGER NOT NULL DEFAULT 0,
    robots_reason TEXT NOT NULL DEFAULT '',
    robots_body TEXT NOT NULL DEFAULT '',
    crawl_delay REAL,
    robots_host TEXT NOT NULL DEFAULT '',  -- where a redirect says the robots.txt is
    robots_target TEXT NOT NULL DEFAULT '',
    robots_redirects INTEGER NOT NULL DEFAULT 0,
    robots_fetched_at REAL NOT NULL DEFAULT 0
);
CREATE INDEX _hosts_by_merge ON _hosts (merge);
CREATE INDEX _hosts_widened ON _hosts (host) WHERE widened;
"""
_VIEW: Final = f"""
SELECT host, named, local, widened, next_seq AS urls, asked AS requests, bytes, elapsed_ms,
       failures AS failures_in_a_row,
       {iso("nullif(asked_at, 0)")} AS asked_at,
       robots_verdict, robots_status, robots_reason, robots_tries, robots_body, crawl_delay,
       {iso("nullif(robots_fetched_at, 0)")} AS robots_fetched_at
FROM _hosts"""  # noqa: S608  (our own names)

_FACTS: Final = HostFacts.__struct_fields__
_ADD_FACTS: Final = f"""
UPDATE _hosts SET asked = _hosts.asked + f.asked, asked_at = max(_hosts.asked_at, f.asked_at),
    failures = CASE WHEN f.succeeded THEN f.failures ELSE _hosts.failures + f.failures END,
    retry_at = max(_hosts.retry_at, f.retry_at), bytes = _hosts.bytes + f.bytes_received,
    elapsed_ms = _hosts.elapsed_ms + f.elapsed_ms
FROM (SELECT {", ".join(f"? AS {name}" for name in _FACTS)}) AS f
WHERE _hosts.id = f.host_id
"""  # noqa: S608  (our own names)
_ASKED, _BYTES = _FACTS.index("asked"), _FACTS.index("bytes_received")
_ROBOTS: Final = RobotsRow.__struct_fields__
_SET_ROBOTS: Final = f"""
UPDATE _hosts SET robots_verdict = r.verdict, robots_tries = r.tries, robots_status = r.status,
    robots_reason = r.reason, robots_body = r.body, crawl_delay = r.crawl_delay, robots_host = r.redirect_host,
    robots_target = r.redirect_target, robots_redirects = r.redirects, robots_fetched_at = r.fetched_at
FROM (SELECT {", ".join(f"? AS {name}" for name in _ROBOTS)}) AS r
WHERE _hosts.id = r.host_id
"""  # noqa: S608  (our own names)
_REDIRECT_HOST = _ROBOTS.index("redirect_host")
_ADD_HOST: Final = "INSERT OR IGNORE INTO _hosts (host) VALUES (?)"
# A name that the user named may have any address, under https as under http.
_WIDEN: Final = """
INSERT INTO _hosts (host, widened, named) VALUES (?, 1, ?)
ON CONFLICT (host) DO UPDATE SET widened = 1, named = max(named, excluded.named)
"""


def _apply(applying: Applying) -> None:
    batch, execute, executemany = applying.batch, applying.execute, applying.executemany
    if batch.hosts:
        executemany(_ADD_FACTS, batch.hosts)
        applying.counts["requests"] += sum(facts[_ASKED] for facts in batch.hosts)
        applying.counts["bytes"] += sum(facts[_BYTES] for facts in batch.hosts)
    if robots := [result.robots for result in batch.results if result.robots is not None]:
        executemany(_ADD_HOST, [(row[_REDIRECT_HOST],) for row in robots if row[_REDIRECT_HOST]])
        executemany(_SET_ROBOTS, robots)
    if widened := [result.widened for result in batch.results if result.widened]:
        named = {urls.host_name(host) for (host,) in execute("SELECT host FROM _hosts WHERE named")}
        executemany(_WIDEN, [(host, urls.host_name(host) in named) for host in widened])


FEATURE: Final = Feature(_TABLES, {"hosts": _VIEW}, _apply)
