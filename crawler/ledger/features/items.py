"""Items: what a parse hook extracted of a page, as JSON, numbered by their order.

Appended with their page; the rowids are the order of the commits, which `feed` follows. Must not know what is in an
item. `_apply` runs in a consumer, the view in the process that asks.
"""

from __future__ import annotations

from typing import Final

from crawler.ledger.features.feature import Applying, Feature
from crawler.ledger.phrases import LATEST_OF_URL

_TABLES: Final = """
CREATE TABLE _items (
    page INTEGER NOT NULL,
    number INTEGER NOT NULL,
    item TEXT NOT NULL,
    PRIMARY KEY (page, number)
);
"""
_VIEW: Final = f"""
SELECT h.host || u.target AS url, i.number, i.item
FROM _items i JOIN _pages p ON p.id = i.page JOIN _urls u ON {LATEST_OF_URL}
JOIN _hosts h ON h.id = p.host_id"""  # noqa: S608  (our own names)
_ADD: Final = "INSERT INTO _items (page, number, item) VALUES (?, ?, ?)"


def _apply(applying: Applying) -> None:
    paged = applying.paged
    if items := [(page_id, number, item) for page_id, result in paged for number, item in enumerate(result.items)]:
        applying.executemany(_ADD, items)
        applying.counts["items"] += len(items)


FEATURE: Final = Feature(_TABLES, {"items": _VIEW}, _apply)
