"""Pages: a row for each visit that got a whole answer, appended and never replaced; `_urls.page` is a URL's latest.

The rows before the latest are its history. So the ids are the order of the commits, which `feed` follows; they are
given by `apply`, not by SQLite, because what belongs to a page (items, fragments) is written with it. One column list:
a row is what `model.PageRow` says, and the view shows it. Must not know how any of it was read of an answer. `_apply`
runs in a consumer, the views in the process that asks.
"""

from __future__ import annotations

from typing import Final

from crawler.ledger.features.feature import Applying, Feature
from crawler.ledger.features.frontier import purpose_name
from crawler.ledger.phrases import LATEST, OF_URL, iso
from crawler.ledger.records import ddl, insert
from crawler.model import PageRow

#: what stands before the fields of a `PageRow` in a row
_OWN: Final = ("id", "purpose")
_ROW: Final = PageRow.__struct_fields__

_TABLES: Final = f"""
CREATE TABLE _pages (
    id INTEGER PRIMARY KEY,
    purpose INTEGER NOT NULL,              -- of the visit
    {ddl(PageRow)},
    converted INTEGER NOT NULL DEFAULT 0   -- a conversion of the links in its file has begun
);
CREATE INDEX _pages_not_200 ON _pages (status, host_id, seq) WHERE status <> 200;
CREATE INDEX _pages_item_errors ON _pages (item_error, host_id, seq) WHERE item_error IS NOT NULL;
CREATE INDEX _pages_saved ON _pages (size) WHERE file IS NOT NULL;
"""
#: a page beside its URL, and where that was found; `phrases.LATEST` leaves out the history
EVERY: Final = f"""
FROM _pages p CROSS JOIN _urls u ON {OF_URL} JOIN _hosts h ON h.id = p.host_id
LEFT JOIN _urls v ON v.host_id = u.via_host_id AND v.seq = u.via_seq
LEFT JOIN _hosts vh ON vh.id = u.via_host_id"""

_URL, _HISTORY = "h.host || u.target", {"depth": "u.depth", "via": "vh.host || v.target", "hop": "u.hop"}
_FETCH_TIME = iso("p.fetch_time_ms / 1000.0")


def _expressions() -> dict[str, str]:
    """Return the view's columns: name → SQL."""
    found = {"url": _URL}
    for name in _ROW:
        if name == "links":  # where a page was found stands before what it links to
            found |= _HISTORY
        if name == "fetch_time_ms":
            found["fetch_time"] = _FETCH_TIME
        elif name not in ("host_id", "seq"):
            found[name] = f"p.{name}"
    return found | {"purpose": purpose_name("p.purpose")}


COLUMNS: Final = _expressions()
_VIEW: Final = f"\nSELECT {', '.join(f'{sql} AS {name}' for name, sql in COLUMNS.items())}{EVERY}\nWHERE {LATEST}"

# Each redirect: the URL, its status, where it leads at once, after how many hops and where the chain ends, how that end
# came out, and the page where the redirecting URL was found.
_REDIRECTS: Final = """
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
    FROM _urls u JOIN _hosts h ON h.id = u.host_id LEFT JOIN _pages p ON p.id = u.page
    WHERE h.host || u.target IN (SELECT target FROM ends)
)
SELECT s.url, s.status, s.redirect_url, e.hops, e.target AS end_url, o.status AS end_status, o.reason AS end_reason,
       s.via
FROM step s JOIN ends e ON e.url = s.url LEFT JOIN outcomes o ON o.url = e.target"""
# Pages of status 2xx whose bodies are the same, byte for byte: the digest, how many share it, and each of them.
_DUPLICATES: Final = """
SELECT digest, copies, url, size, title, canonical
FROM (SELECT *, count(*) OVER (PARTITION BY digest) AS copies FROM pages
      WHERE status BETWEEN 200 AND 299 AND digest IS NOT NULL AND size > 0)
WHERE copies > 1"""

_ADD: Final = insert("_pages", (*_OWN, *_ROW))
_ITEM_ERROR: Final = _ROW.index("item_error")
# The file of an older page is overwritten by the newer one's, or holds what is no longer there.
_LET_GO: Final = "UPDATE _pages SET file = NULL WHERE id = ?"


def _apply(applying: Applying) -> None:
    if not applying.paged:
        return
    rows = []
    item_errors = 0
    for page_id, result in applying.paged:
        assert result.page is not None  # noqa: S101  (that is what `paged` means)
        assert result.end is not None  # noqa: S101
        rows.append((page_id, result.end.purpose, *result.page))
        item_errors += result.page[_ITEM_ERROR] is not None
    applying.executemany(_ADD, rows)
    applying.counts["item_errors"] += item_errors
    applying.executemany(_LET_GO, [(page_id,) for page_id in applying.replaced])


FEATURE: Final = Feature(_TABLES, {"pages": _VIEW, "redirects": _REDIRECTS, "duplicates": _DUPLICATES}, _apply)
