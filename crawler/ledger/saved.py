"""Which file each URL was saved as: what the conversion of links reads of a ledger, and the one word that it writes.

Links are looked up one by one, by fingerprint, so that memory does not grow with the pages. Must not know how a file
is named or converted, nor open one. Runs in the coordinator after the crawl (`pages`, `begin`) and in converting
processes (`file_of`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from crawler.ledger import schema
from crawler.ledger.connection import storage_errors
from crawler.ledger.phrases import LATEST_OF_URL
from crawler.model import MAX_REDIRECTS
from crawler.rules import urls

_FIND = """
SELECT p.file, p.redirect_url FROM _seen s JOIN _urls u ON u.host_id = s.host_id AND u.seq = s.seq
JOIN _pages p ON p.id = u.page
WHERE s.fingerprint = ?
"""
# A URL that is queued again is saved again: what its file holds now is not what the ledger says.
_PAGES = f"""
SELECT p.id, h.host || u.target, p.file, p.digest, coalesce(p.content_type, ''), p.converted
FROM _pages p CROSS JOIN _urls u ON {LATEST_OF_URL}
JOIN _hosts h ON h.id = p.host_id
WHERE p.id > ? AND p.file IS NOT NULL AND u.state = 'done' ORDER BY p.id LIMIT ?
"""  # noqa: S608  (our own names)


class SavedPage(NamedTuple):
    """A page with a file."""

    row: int
    url: str
    file: str
    digest: str  # of the body as it was saved
    content_type: str  # as the server sent it
    is_converted: bool  # a conversion of its links has begun, and perhaps ended


class Saved:
    """A connection that asks for files."""

    def __init__(self, path: Path) -> None:
        """Open a ledger.

        Raises:
            UsageError, StorageError: it is no ledger, or cannot be read.
        """
        self._path = path
        with storage_errors(path):
            self._connection = schema.connect_read_only(path)
            self._key = schema.read_key(self._connection)

    def file_of(self, url: str, exists: Callable[[str], bool] = bool) -> str:
        """Return the file that a URL (normal form) was saved as, redirects followed; "" if there is none.

        Args:
            exists: returns whether a file is still there.
        """
        for _ in range(MAX_REDIRECTS + 1):
            with storage_errors(self._path):
                row = self._connection.execute(_FIND, (urls.fingerprint(url, self._key),)).fetchone()
            file, redirect_url = row or (None, None)
            if file and exists(file):
                return str(file)
            target = urls.normalise(redirect_url) if redirect_url else None
            if target is None:
                break
            url = target
        return ""

    def pages(self, at_a_time: int) -> Iterator[list[SavedPage]]:
        """Iterate over all pages with a file whose URLs are done, so many at a time."""
        after = 0
        while True:
            with storage_errors(self._path):
                rows = self._connection.execute(_PAGES, (after, at_a_time)).fetchall()
            if not rows:
                return
            found = [SavedPage(*row) for row in rows]
            yield found
            after = found[-1].row

    def close(self) -> None:
        """Close the connection; the last one out leaves a ledger without a -wal file beside it."""
        self._connection.close()

    def leave(self) -> None:
        """Close the connection, and leave the WAL to others that have one."""
        self._connection.leave()


def begin(path: Path, pages: Sequence[SavedPage], durability: str) -> None:
    """Note that the conversion of these pages begins, before it does.

    Raises:
        StorageError: it cannot be written.
    """
    with storage_errors(path):
        connection = schema.connect(path, durability)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("UPDATE _pages SET converted = 1 WHERE id = ?", [(page.row,) for page in pages])
            connection.execute("COMMIT")
        finally:
            connection.close()
