"""How a visit is asked: method, headers, which types of body are wanted and how much of one. Pure; runs in a worker.

What a purpose means is `purposes`' table; this module holds it for one crawl. Must not know the transport that sends a
request, nor what becomes of the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.config import Config
from crawler.model import Purpose, Visit
from crawler.rules.offers import Offers
from crawler.rules.purposes import MEANINGS, types_read
from crawler.transports import Request

if TYPE_CHECKING:
    from crawler.copy.saving import Keeper

Headers = tuple[tuple[str, str], ...]


class Asking:
    """The rule of one crawl."""

    def __init__(self, config: Config, offers: Offers, keeper: Keeper | None) -> None:
        self._offers = offers
        self._keeper = keeper
        self._max_body_bytes = config.max_body_bytes
        self._types = {purpose: types_read(purpose, config) for purpose in Purpose}

    def request(self, visit: Visit, headers: Headers) -> Request:
        """Return what to ask of a visit's host, with the headers of its briefing."""
        if self._offers.asks_head(visit):
            return Request(visit.tag, visit.host, visit.target, visit.named, 0, "HEAD", (), headers)
        purpose = self._offers.effective(visit.purpose)
        meaning, types = MEANINGS[purpose], self._types[purpose]
        cut_body_at = meaning.most_bytes or (self._max_body_bytes if meaning.is_cut else 0)
        wanted = self._keeper.types(visit.url, types) if self._keeper is not None and meaning.is_kept else types
        return Request(visit.tag, visit.host, visit.target, visit.named, cut_body_at, "GET", wanted, headers)
