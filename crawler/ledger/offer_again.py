"""What a stored page links to, offered again by the purpose and depth that the page turned out to have.

The same rules as in the worker that read it (`rules.follow`, `rules.offers`), asked of what is stored. Must not write,
nor judge by rules of its own. Runs in a consumer, and in the coordinator at the start.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from crawler.model import MAX_REDIRECTS, Candidate, Purpose, UrlId
from crawler.rules import follow, urls
from crawler.rules.offers import Offers

_PAGE: Final = """
SELECT p.id, p.status, u.purpose, u.depth, u.redirects, p.redirect_url, p.nofollow, p.links
FROM _urls u JOIN _pages p ON p.id = u.page
WHERE u.host_id = ? AND u.seq = ?
"""
_WITH_FRAGMENT: Final = "SELECT DISTINCT l.value ->> 0 FROM _fragments f, json_each(f.links) l WHERE f.page = ?"
_HAS_FRAGMENT: Final = """
SELECT EXISTS (SELECT 1 FROM _fragments f, json_each(f.links) l WHERE f.page = ? AND l.value ->> 1 <> '')
"""


class OfferAgain:
    """Asks a ledger for candidates of pages that it has."""

    def __init__(self, connection: sqlite3.Connection, offers: Offers, *, obey_nofollow: bool) -> None:
        self._connection = connection
        self._offers = offers
        self._obey_nofollow = obey_nofollow

    def candidates(self, page: UrlId) -> list[Candidate]:
        """Return the candidates of a URL's latest page; none if it has none."""
        row = self._connection.execute(_PAGE, page).fetchone()
        if row is None:
            return []
        page_id, status, purpose, depth, redirects, redirect_url, nofollow, links = row
        purpose = Purpose(purpose)
        candidates: list[Candidate] = []
        target = urls.normalise(redirect_url) if redirect_url else None
        if target is not None and redirects <= MAX_REDIRECTS:
            (has_fragment,) = self._connection.execute(_HAS_FRAGMENT, (page_id,)).fetchone()
            purpose_there = self._offers.purpose_of_target(purpose, has_fragment=bool(has_fragment))
            candidates += self._offers.redirect(target, purpose_there, depth, redirects, page)
        if links and 200 <= status < 300:
            stored = [(link["url"], follow.kind_of(link)) for link in json.loads(links)]
            says, obey = bool(nofollow), self._obey_nofollow
            found = [
                url for url, kind in stored
                if follow.is_followed(kind, page_says_nofollow=says, obey_nofollow=obey)
            ]  # fmt: skip
            candidates += self._offers.links(found, purpose, depth, page)
            candidates += self._offers.pointed(self._read_pointed(page_id, found), purpose, depth, page)
            embedded = [url for url, kind in stored if kind == follow.EMBED]
            candidates += self._offers.embedded(embedded, purpose, depth, page)
        return candidates

    def _read_pointed(self, page_id: int, followed: Sequence[str]) -> list[str]:
        """Return the links of a stored page that have a fragment, of those that are followed."""
        if not self._offers.reads_external:
            return []
        pointed = {url for (url,) in self._connection.execute(_WITH_FRAGMENT, (page_id,))}
        return [url for url in followed if url in pointed]
