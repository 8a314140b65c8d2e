"""Fragments: the anchors of each page, its links with a #fragment, and which of these lead to no anchor.

Rows only with check_fragments, for pages of status 2xx and redirects. Who has no row here was read without: nothing is
known of it, and what is not known is never broken. Must not know how a fragment is read or decoded
(`pages.fragments`). `_apply` runs in a consumer, the view in the process that asks.
"""

from __future__ import annotations

from typing import Final

from crawler.ledger.features.feature import Applying, Feature
from crawler.ledger.phrases import LATEST_OF_URL
from crawler.ledger.records import ddl, insert
from crawler.model import FragmentsRow

_TABLES: Final = f"""
CREATE TABLE _fragments (
    page INTEGER PRIMARY KEY,
    {ddl(FragmentsRow)}
);
"""
# Links to a page that was read and has no such anchor. Links and anchors are looked at once each, so that large pages
# with many links to them take no longer than others. A fragment goes on with redirects that have none of their own; a
# redirect that has one is a link with it.
_BROKEN_FRAGMENTS: Final = f"""
WITH RECURSIVE pointed AS MATERIALIZED (
    SELECT DISTINCT l.value ->> 0 AS url, l.value ->> 1 AS fragment, l.value ->> 3 AS decoded
    FROM _fragments f CROSS JOIN _pages p ON p.id = f.page
    CROSS JOIN _urls u ON {LATEST_OF_URL}
    CROSS JOIN json_each(f.links) l WHERE l.value ->> 1 <> ''
), moved AS MATERIALIZED (
    SELECT h.host || u.target AS url, p.redirect_url AS target
    FROM _pages p CROSS JOIN _fragments f ON f.page = p.id
    CROSS JOIN _urls u ON {LATEST_OF_URL}
    CROSS JOIN _hosts h ON h.id = p.host_id
    WHERE p.status <> 200 AND p.redirect_url IS NOT NULL AND f.links = '[]'
), reached (url, page, hops) AS (
    SELECT DISTINCT url, url, 0 FROM pointed
    UNION ALL
    SELECT r.url, m.target, r.hops + 1 FROM reached r CROSS JOIN moved m ON m.url = r.page WHERE r.hops < 10
), read AS MATERIALIZED (
    SELECT h.host || u.target AS url, f.page AS id
    FROM _fragments f CROSS JOIN _pages p ON p.id = f.page
    CROSS JOIN _urls u ON {LATEST_OF_URL}
    CROSS JOIN _hosts h ON h.id = p.host_id WHERE f.anchors IS NOT NULL
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
    FROM (SELECT DISTINCT id FROM wanted) t CROSS JOIN _fragments f ON f.page = t.id
    CROSS JOIN json_each(f.anchors) a CROSS JOIN wanted w ON w.id = t.id AND w.name = a.value
)
SELECT h.host || u.target AS source, m.url, m.fragment, nullif(l.value ->> 2, '') AS text
FROM _fragments f CROSS JOIN _pages p ON p.id = f.page
CROSS JOIN _urls u ON {LATEST_OF_URL}
CROSS JOIN json_each(f.links) l CROSS JOIN missing m ON m.url = l.value ->> 0 AND m.fragment = l.value ->> 1
CROSS JOIN _hosts h ON h.id = p.host_id
WHERE EXISTS (SELECT 1 FROM missing)"""  # noqa: S608  (our own names)
_ADD: Final = insert("_fragments", ("page", *FragmentsRow.__struct_fields__))


def _apply(applying: Applying) -> None:
    rows = [(page_id, *result.fragments) for page_id, result in applying.paged if result.fragments is not None]
    if rows:
        applying.executemany(_ADD, rows)


FEATURE: Final = Feature(_TABLES, {"broken_fragments": _BROKEN_FRAGMENTS}, _apply)
