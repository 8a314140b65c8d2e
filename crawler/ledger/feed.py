"""What a crawl stores, in the order of its commits, while it goes on or later: each page once, none left out.

Pages and items are appended and never deleted, by one writer at a time: so their rowids are the order of the commits,
and whoever remembers the last one has read everything up to it, whatever is being written meanwhile. No index or
column is spent on it. Each read is short, so a slow reader holds up no checkpoint, and its memory does not grow. Runs
in the process that reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from crawler.ledger import schema
from crawler.ledger.connection import storage_errors

AT_A_TIME = 100  # rows, in memory together

_TABLES = {"pages": "_pages", "items": "_items"}
# Not from the views: the order is that of the rowids, which they do not have.
_PAGES = """
SELECT p.rowid, h.host || u.target, p.status,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.fetch_time_ms / 1000.0, 'unixepoch'), p.elapsed_ms, p.content_type, p.charset,
       p.size, p.digest, p.title, p.meta_description, p.h1, p.canonical, p.lang, p.meta_robots, p.redirect_url,
       u.depth % 1000000, vh.host || v.target, p.item_error, p.file, p.host_id, p.seq
FROM _pages p JOIN _urls u ON u.host_id = p.host_id AND u.seq = p.seq JOIN _hosts h ON h.id = p.host_id
LEFT JOIN _urls v ON v.host_id = u.via_host_id AND v.seq = u.via_seq
LEFT JOIN _hosts vh ON vh.id = u.via_host_id
WHERE p.rowid > ? ORDER BY p.rowid LIMIT ?
"""
_ITEMS_OF = "SELECT item FROM _items WHERE host_id = ? AND seq = ? ORDER BY number"
_ITEMS = """
SELECT i.rowid, h.host || u.target, i.item
FROM _items i JOIN _urls u ON u.host_id = i.host_id AND u.seq = i.seq JOIN _hosts h ON h.id = i.host_id
WHERE i.rowid > ? ORDER BY i.rowid LIMIT ?
"""


class PageFound(NamedTuple):
    """A page, and where it stands in the order of commits."""

    row: int
    columns: tuple[Any, ...]  # of the view pages, those of a `PageRecord`
    items: list[str]  # each as JSON


class ItemFound(NamedTuple):
    """An item, and where it stands in the order of commits."""

    row: int
    url: str
    item: str  # JSON


class Feed:
    """Reads a ledger's pages, or its items, from a row on. For one thread."""

    def __init__(self, path: Path, after: int = 0) -> None:
        """Open a ledger.

        Args:
            after: the row after which to begin; 0: with the first.

        Raises:
            UsageError, StorageError: it is no ledger, or cannot be read.
        """
        self._path = path
        self.after = after
        with storage_errors(path):
            self._connection = schema.connect_read_only(path)

    def pages(self) -> list[PageFound]:
        """Return the next pages, `AT_A_TIME` at most; none: there are no more for now."""
        with storage_errors(self._path):
            rows = self._connection.execute(_PAGES, (self.after, AT_A_TIME)).fetchall()
            found = [PageFound(row[0], row[1:-2], self._items_of(row[-2:])) for row in rows]
        self.after = found[-1].row if found else self.after
        return found

    def items(self) -> list[ItemFound]:
        """Return the next items, `AT_A_TIME` at most; none: there are no more for now."""
        with storage_errors(self._path):
            rows = self._connection.execute(_ITEMS, (self.after, AT_A_TIME)).fetchall()
        self.after = rows[-1][0] if rows else self.after
        return [ItemFound(*row) for row in rows]

    def skip_to_last(self, count: int, what: str) -> None:
        """Begin so late that `count` of the "pages" or "items" that are there now are still to come."""
        with storage_errors(self._path):
            last = self._connection.execute(f"SELECT max(rowid) FROM {_TABLES[what]}").fetchone()[0] or 0  # noqa: S608
        self.after = max(last - count, 0)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _items_of(self, page: tuple[int, int]) -> list[str]:
        return [item for (item,) in self._connection.execute(_ITEMS_OF, page)]
