"""How a visit is asked: method, headers, which types of body are wanted and how much of one. Pure; runs in a worker.

Must not know the transport that sends it, nor what becomes of the answer.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from crawler.config import Config
from crawler.model import Purpose, Visit
from crawler.rules.offers import Offers
from crawler.rules.robots import MAX_BODY_BYTES
from crawler.transports import CSS_TYPES, PAGE_TYPES, Request, headers_of

if TYPE_CHECKING:
    from crawler.copy.saving import Keeper


class Asking:
    """The rule of one crawl."""

    def __init__(self, config: Config, offers: Offers, keeper: Keeper | None) -> None:
        self._config = config
        self._offers = offers
        self._keeper = keeper
        self._headers = headers_of(config)  # of every host, until the hosts' briefings have them
        self._page_types = PAGE_TYPES + CSS_TYPES if config.embeds else PAGE_TYPES
        self._embed_types = CSS_TYPES + PAGE_TYPES if config.check_fragments else CSS_TYPES

    def request(self, visit: Visit) -> Request:
        """Return what to ask of a visit's host."""
        method, cut_body_at = "GET", 0
        types: Container[str] = self._page_types
        if visit.purpose == Purpose.ROBOTS:
            cut_body_at, types = MAX_BODY_BYTES, ()
        elif self._offers.asks_head(visit):
            method, types = "HEAD", ()
        elif (purpose := self._offers.effective(visit.purpose)) == Purpose.EXTERNAL:
            types = ()
        elif purpose == Purpose.EXTERNAL_FRAGMENT:
            cut_body_at, types = self._config.max_body_bytes, PAGE_TYPES
        else:
            others = self._embed_types if purpose == Purpose.EMBED else self._page_types
            types = others if self._keeper is None else self._keeper.types(visit.url, others)
        return Request(visit.tag, visit.host, visit.target, visit.named, cut_body_at, method, types, self._headers)
