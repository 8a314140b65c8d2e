"""What a crawl stores, in the order of its commits, while it goes on or later: each page once, none left out.

Pages and items are appended and never changed in place, by one writer at a time: so the ids of the pages and the rowids
of the items are the order of the commits, and whoever remembers the last one has read everything up to it, whatever is
being written meanwhile. Each read is short, so a slow reader holds up no checkpoint, and its memory does not grow. Must
not know whether a crawl is running, nor who reads. Runs in the process that reads.
"""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Any, NamedTuple

from crawler.ledger import schema
from crawler.ledger.connection import storage_errors
from crawler.ledger.features.pages import COLUMNS, EVERY
from crawler.ledger.phrases import LATEST, OF_URL
from crawler.ledger.records import PageRecord
from crawler.model import Purpose

AT_A_TIME = 100  # rows, in memory together

*_RECORD, _ = PageRecord._fields  # the items, which are last, come from elsewhere
_PAGES = f"""
SELECT p.id, {", ".join(COLUMNS[name] for name in _RECORD)}{EVERY}
WHERE p.id > ? AND {{which}} ORDER BY p.id LIMIT ?
"""
_ITEMS_OF = "SELECT item FROM _items WHERE page = ? ORDER BY number"
_ITEMS = f"""
SELECT i.rowid, h.host || u.target, i.item
FROM _items i JOIN _pages p ON p.id = i.page JOIN _urls u ON {OF_URL}
JOIN _hosts h ON h.id = p.host_id
WHERE i.rowid > ? ORDER BY i.rowid LIMIT ?
"""  # noqa: S608  (our own names)


_LAST = "SELECT coalesce(max(id), 0) FROM _pages"
# The row before the last so many.
_LAST_PAGES = f"""
SELECT coalesce((SELECT p.id{EVERY}
WHERE {{which}} ORDER BY p.id DESC LIMIT 1 OFFSET ?), 0)
"""
_LAST_ITEMS = "SELECT coalesce((SELECT rowid FROM _items ORDER BY rowid DESC LIMIT 1 OFFSET ?), 0)"


class Which(enum.Enum):
    """Which of the rows of pages are wanted."""

    CRAWLED = f"p.purpose = {Purpose.PAGE.value}"  # each visit of a page of the crawl
    LATEST = LATEST  # of each URL the last one, whatever it was asked for: what the view pages shows
    ALL = "true"  # each visit, whatever it was for


class PageFound(NamedTuple):
    """A page, and where it stands in the order of commits."""

    row: int
    record: PageRecord


class ItemFound(NamedTuple):
    """An item, and where it stands in the order of commits."""

    row: int
    url: str
    item: str  # JSON


class Feed:
    """Reads a ledger's pages, or its items, from a row on. For one thread."""

    def __init__(self, path: Path, after: int = 0, which: Which = Which.CRAWLED) -> None:
        """Open a ledger.

        Args:
            after: the row after which to begin; 0: with the first.
            which: of the pages.

        Raises:
            UsageError, StorageError: it is no ledger, or cannot be read.
        """
        self._path = path
        self.after = after
        self._seen = after  # as far as this the pages were looked at, wanted or not
        self._pages, self._last_pages = _PAGES.format(which=which.value), _LAST_PAGES.format(which=which.value)
        with storage_errors(path):
            self._connection = schema.connect_read_only(path)

    def pages(self) -> list[PageFound]:
        """Return the next pages, `AT_A_TIME` at most; none: there are no more for now."""
        with storage_errors(self._path):
            (last,) = self._connection.execute(_LAST).fetchone()
            rows = self._connection.execute(self._pages, (self._seen, AT_A_TIME)).fetchall()
            found = [PageFound(row, PageRecord._make((*fields, self._items_of(row)))) for row, *fields in rows]
        self.after = found[-1].row if found else self.after
        self._seen = self.after if len(found) == AT_A_TIME else max(self.after, last)
        return found

    def items(self) -> list[ItemFound]:
        """Return the next items, `AT_A_TIME` at most; none: there are no more for now."""
        with storage_errors(self._path):
            rows = self._connection.execute(_ITEMS, (self.after, AT_A_TIME)).fetchall()
        found = [ItemFound(*row) for row in rows]
        self.after = found[-1].row if found else self.after
        return found

    def skip_to_last_pages(self, count: int) -> None:
        """Begin so late that so many of the pages that are there now are still to come."""
        self._skip(self._last_pages, count)

    def skip_to_last_items(self, count: int) -> None:
        """Begin so late that so many of the items that are there now are still to come."""
        self._skip(_LAST_ITEMS, count)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _items_of(self, page_id: int) -> tuple[dict[str, Any], ...]:
        return tuple(json.loads(item) for (item,) in self._connection.execute(_ITEMS_OF, (page_id,)))

    def _skip(self, question: str, count: int) -> None:
        with storage_errors(self._path):
            (self.after,) = self._connection.execute(question, (count,)).fetchone()
        self._seen = self.after


def last_row(path: Path) -> int:
    """Return the row of the last page that a ledger has; one of an older version has the same when it is migrated.

    Raises:
        UsageError, StorageError: it is no ledger, or cannot be read.
    """
    with storage_errors(path):
        connection = schema.connect_read_only(path, may_be_old=True)
        try:
            (last,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM _pages").fetchone()
            return int(last)
        finally:
            connection.close()
