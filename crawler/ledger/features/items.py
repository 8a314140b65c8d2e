"""Items: what a parse hook extracted of a page. Appended with their page; the rowids are the order of the commits."""

from __future__ import annotations

from typing import Final

from crawler.ledger.features.feature import Applying, Feature

_TABLES: Final = """
CREATE TABLE _items (
    page INTEGER NOT NULL,
    number INTEGER NOT NULL,
    item TEXT NOT NULL,
    PRIMARY KEY (page, number)
);
"""
_VIEW: Final = """
SELECT h.host || u.target AS url, i.number, i.item
FROM _items i JOIN _pages p ON p.id = i.page JOIN _urls u ON u.host_id = p.host_id AND u.seq = p.seq AND u.page = p.id
JOIN _hosts h ON h.id = p.host_id"""


def _apply(applying: Applying) -> None:
    if items := [(page_id, *item[2:]) for page_id, result in applying.paged for item in result.items]:
        applying.executemany("INSERT INTO _items VALUES (?, ?, ?)", items)
        applying.counts["items"] += len(items)


FEATURE: Final = Feature(_TABLES, {"items": _VIEW}, _apply)
