"""Views that answer what people ask of a crawl: its links, the broken ones, redirects, duplicates, orphans.

They are an interface like those of `schema`, made of those views and tables, and hold nothing themselves. A run puts
them into its ledger when it begins (`install`), so that sqlite3 or pandas finds them; who only reads an older ledger
makes those that are missing for its own connection (`lend`). Runs in the coordinator and in whichever process reads.
"""

from __future__ import annotations

import sqlite3
from typing import Final

#: What is broken: URLs that answered 4xx, or failed, but for those that we did not ask because their address is not
#: public, with the page they were found on. Two conditions say nothing
#: new; by them SQLite knows the indices of what is not ok.
BROKEN: Final = """
    SELECT h.host || u.target AS url, p.status, u.reason, u.error, u.via_host_id, u.via_seq
    FROM _pages p JOIN _urls u ON u.host_id = p.host_id AND u.seq = p.seq JOIN _hosts h ON h.id = u.host_id
    WHERE p.status <> 200 AND p.status >= 400 AND u.state = 'done'
    UNION ALL
    SELECT h.host || u.target, p.status, u.reason, u.error, u.via_host_id, u.via_seq
    FROM _urls u JOIN _hosts h ON h.id = u.host_id LEFT JOIN _pages p ON p.host_id = u.host_id AND p.seq = u.seq
    WHERE u.reason <> 'ok' AND u.state = 'failed' AND u.reason <> 'blocked-address'"""

#: name → select; each column stands in the docs
VIEWS: Final[dict[str, str]] = {
    # Each link of each page, in scope or not: the page it stands on, where it leads, its text, its rel.
    "links": """
SELECT p.url AS source, json_extract(link.value, '$.url') AS url, json_extract(link.value, '$.text') AS text,
       json_extract(link.value, '$.rel') AS rel
FROM pages p, json_each(p.links) link""",
    # What was asked and gave no page, or one with a status of 400 or more, once for each page that links or redirects
    # to it: one pass over the pages' links. A seed has a row of its own, without a source.
    "broken_links": f"""
WITH broken AS MATERIALIZED ({BROKEN})
SELECT b.url, b.status, b.reason, b.error, NULL AS source, NULL AS text FROM broken b WHERE b.via_host_id IS NULL
UNION ALL
SELECT b.url, b.status, b.reason, b.error, sh.host || s.target, nullif(l.value ->> 'text', '')
FROM _pages p CROSS JOIN json_each(p.links) l CROSS JOIN broken b ON b.url = l.value ->> 'url'
CROSS JOIN _urls s ON s.host_id = p.host_id AND s.seq = p.seq CROSS JOIN _hosts sh ON sh.id = p.host_id
WHERE p.links IS NOT NULL
UNION ALL
SELECT b.url, b.status, b.reason, b.error, sh.host || s.target, NULL
FROM _pages p CROSS JOIN broken b ON b.url = p.redirect_url
CROSS JOIN _urls s ON s.host_id = p.host_id AND s.seq = p.seq CROSS JOIN _hosts sh ON sh.id = p.host_id
WHERE p.status <> 200 AND p.redirect_url IN (SELECT url FROM broken)""",  # noqa: S608  (our own text)
    # With check_fragments: links to a page that was read and has no such anchor. Links and anchors are looked at once
    # each, so that large pages with many links to them take no longer than others. A fragment goes on with redirects
    # that have none of their own; a redirect that has one is a link with it. What has no row in _fragments was not
    # read for this: what it leads to is not known.
    "broken_fragments": """
WITH RECURSIVE pointed AS MATERIALIZED (
    SELECT DISTINCT l.value ->> 0 AS url, l.value ->> 1 AS fragment, l.value ->> 3 AS decoded
    FROM _fragments f CROSS JOIN json_each(f.links) l WHERE l.value ->> 1 <> ''
), moved AS MATERIALIZED (
    SELECT h.host || u.target AS url, p.redirect_url AS target
    FROM _pages p CROSS JOIN _fragments f ON f.host_id = p.host_id AND f.seq = p.seq
    CROSS JOIN _urls u ON u.host_id = p.host_id AND u.seq = p.seq CROSS JOIN _hosts h ON h.id = p.host_id
    WHERE p.status <> 200 AND p.redirect_url IS NOT NULL AND f.links = '[]'
), reached (url, page, hops) AS (
    SELECT DISTINCT url, url, 0 FROM pointed
    UNION ALL
    SELECT r.url, m.target, r.hops + 1 FROM reached r CROSS JOIN moved m ON m.url = r.page WHERE r.hops < 10
), read AS MATERIALIZED (
    SELECT h.host || u.target AS url, f.rowid AS id
    FROM _fragments f CROSS JOIN _urls u ON u.host_id = f.host_id AND u.seq = f.seq
    CROSS JOIN _hosts h ON h.id = f.host_id WHERE f.anchors IS NOT NULL
), known AS MATERIALIZED (
    SELECT r.url, k.id FROM reached r CROSS JOIN read k ON k.url = r.page
), wanted AS MATERIALIZED (
    SELECT k.id, p.url, p.fragment, p.fragment AS name FROM pointed p CROSS JOIN known k ON k.url = p.url
    UNION ALL
    SELECT k.id, p.url, p.fragment, p.decoded FROM pointed p CROSS JOIN known k ON k.url = p.url
    WHERE p.decoded IS NOT NULL
), missing AS MATERIALIZED (
    SELECT url, fragment FROM wanted
    EXCEPT
    SELECT w.url, w.fragment
    FROM (SELECT DISTINCT id FROM wanted) t CROSS JOIN _fragments f ON f.rowid = t.id
    CROSS JOIN json_each(f.anchors) a CROSS JOIN wanted w ON w.id = t.id AND w.name = a.value
)
SELECT h.host || u.target AS source, m.url, m.fragment, nullif(l.value ->> 2, '') AS text
FROM _fragments f CROSS JOIN json_each(f.links) l
CROSS JOIN missing m ON m.url = l.value ->> 0 AND m.fragment = l.value ->> 1
CROSS JOIN _urls u ON u.host_id = f.host_id AND u.seq = f.seq CROSS JOIN _hosts h ON h.id = f.host_id
WHERE EXISTS (SELECT 1 FROM missing)""",
    # Each redirect: the URL, its status, where it leads at once, after how many hops and where the chain ends, how that
    # end came out, and the page where the redirecting URL was found.
    "redirects": """
WITH RECURSIVE step AS MATERIALIZED (
    SELECT url, status, redirect_url, via FROM pages WHERE redirect_url IS NOT NULL
), chain (url, target, hops) AS (
    SELECT url, redirect_url, 1 FROM step
    UNION ALL
    SELECT c.url, s.redirect_url, c.hops + 1 FROM chain c JOIN step s ON s.url = c.target WHERE c.hops < 20
), ends AS MATERIALIZED (
    SELECT url, target, max(hops) AS hops FROM chain GROUP BY url
), outcomes AS MATERIALIZED (
    SELECT h.host || u.target AS url, p.status, u.reason
    FROM _urls u JOIN _hosts h ON h.id = u.host_id LEFT JOIN _pages p ON p.host_id = u.host_id AND p.seq = u.seq
    WHERE h.host || u.target IN (SELECT target FROM ends)
)
SELECT s.url, s.status, s.redirect_url, e.hops, e.target AS end_url, o.status AS end_status, o.reason AS end_reason,
       s.via
FROM step s JOIN ends e ON e.url = s.url LEFT JOIN outcomes o ON o.url = e.target""",
    # Pages of status 2xx whose bodies are the same, byte for byte: the digest, how many share it, and each of them.
    "duplicates": """
SELECT digest, copies, url, size, title, canonical
FROM (SELECT *, count(*) OVER (PARTITION BY digest) AS copies FROM pages
      WHERE status BETWEEN 200 AND 299 AND digest IS NOT NULL AND size > 0)
WHERE copies > 1""",
    # Pages of status 2xx that no other page links to: seeds, and what is reached by a redirect alone.
    "orphans": """
SELECT url, status, hop, depth, via, title FROM pages
WHERE status BETWEEN 200 AND 299 AND url NOT IN (SELECT url FROM links WHERE url <> source)""",
}


def script() -> str:
    """Return the statements that make all views."""
    return "".join(f"{_statement(name)};\n" for name in VIEWS)


def install(connection: sqlite3.Connection) -> None:
    """Put the views into a ledger as this version has them; the caller's transaction commits it."""
    for name in _missing(connection):
        connection.execute(f"DROP VIEW IF EXISTS {name}")
        connection.execute(_statement(name))


def lend(connection: sqlite3.Connection) -> None:
    """Make the views that a ledger lacks for this connection alone; nothing is written to the ledger."""
    for name in _missing(connection):
        connection.execute(_statement(name).replace("CREATE VIEW", "CREATE TEMP VIEW", 1))


def _missing(connection: sqlite3.Connection) -> list[str]:
    """Name the views that a ledger has not, or has otherwise."""
    there = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'"))
    return [name for name in VIEWS if there.get(name) != _statement(name)]


def _statement(name: str) -> str:
    return f"CREATE VIEW {name} AS{VIEWS[name]}"
