"""How a visit is asked: method, headers, which types of body are wanted and how much of one. Pure; runs in a worker.

What a purpose means is `purposes`' table; this module holds it for one crawl. Must not know the transport that sends a
request, nor what becomes of the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.config import Config
from crawler.model import Headers, Purpose, Visit
from crawler.rules.offers import Offers
from crawler.rules.purposes import MEANINGS, Meaning, types_read
from crawler.transports import Request

if TYPE_CHECKING:
    from crawler.copy.saving import Keeper


class Asking:
    """The rule of one crawl."""

    def __init__(self, config: Config, offers: Offers, keeper: Keeper | None) -> None:
        self._keeper = keeper
        self._rows = {purpose: _row(offers.effective(purpose), config) for purpose in Purpose}

    def request(self, visit: Visit, headers: Headers) -> Request:
        """Return what to ask of a visit's host, with the headers of its briefing."""
        meaning, types, cut_body_at = self._rows[visit.purpose]
        if meaning.head_first and not visit.attempts:
            return Request(visit.tag, visit.host, visit.target, visit.named, 0, "HEAD", (), headers)
        wanted = self._keeper.types(visit.url, types) if self._keeper is not None and meaning.is_kept else types
        return Request(visit.tag, visit.host, visit.target, visit.named, cut_body_at, "GET", wanted, headers)


def _row(purpose: Purpose, config: Config) -> tuple[Meaning, tuple[str, ...], int]:
    """Return what a purpose means in a crawl, which types of body are read, and where a body is cut; 0: it is not."""
    meaning = MEANINGS[purpose]
    cut_body_at = meaning.most_bytes or (config.max_body_bytes if meaning.is_cut else 0)
    return meaning, types_read(purpose, config), cut_body_at
