"""What the readers of answers share: the crawl's rules, what was reported lately, and what a reader gives.

A reader is a function of (context, visit, answer) that gives a `Reading`; which one it is, `readers` chooses. Runs in a
worker, in the pump's thread; must not know any single reader.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from crawler.config import Config
from crawler.model import DONE, Answer, FragmentsRow, Outcome, PageRow, Result, Visit
from crawler.pages.fragments import Pointer
from crawler.pages.parse import Link
from crawler.rules.offers import Offers, embed_steps
from crawler.worker.hook import Extracted, Page, run_hook
from crawler.worker.linkcache import LinkCache
from crawler.worker.outcome import outcome_of


class Reported(NamedTuple):
    """Links that may be remembered as reported, with this depth, once the result is in a batch."""

    cache: LinkCache
    links: Sequence[str]
    depth: int


class Reading(NamedTuple):
    """What one answer gave."""

    outcome: Outcome
    result: Result
    reported: Sequence[Reported] = ()

    def remember(self) -> None:
        """Take the links of a reading that is in a batch as reported."""
        for cache, links, depth in self.reported:
            if links:
                cache.add(links, depth)


class Context:
    """What all readers of one crawl share in a worker."""

    def __init__(self, config: Config, offers: Offers, hook: Callable[..., object] | None) -> None:
        self.config = config
        self.offers = offers
        #: what looks at each page of status 2xx that is HTML: the user's parse hook, if there is one
        self.extractors: list[Callable[[Page], Extracted]] = []
        if hook is not None:
            self.extractors.append(lambda page: run_hook(hook, page))
        # Three caches: what was reported as a link may not have been in scope.
        self.links, self.embeds, self.pointed = LinkCache(), LinkCache(), LinkCache()
        self.encode_json = msgspec.json.Encoder().encode

    def unreported_embeds(self, found: Sequence[Link], visit: Visit) -> Reported:
        """Return what is embedded here and was not reported yet as near to a page."""
        steps = embed_steps(visit.purpose, visit.depth)
        return Reported(self.embeds, self.embeds.unreported([link.url for link in found], steps), steps)

    def fragments_row(self, anchors: list[str] | None, pointers: Sequence[Pointer]) -> FragmentsRow:
        """Return the row of a page's anchors (None: not known) and of its links with a fragment."""
        known = None if anchors is None else self.encode_json(anchors).decode()
        return FragmentsRow(known, self.encode_json(pointers).decode())


ReadAnswer = Callable[[Context, Visit, Answer], Reading]


def done(visit: Visit, answer: Answer, page: PageRow) -> tuple[Outcome, Result]:
    """Return how a visit ends that has a page, with nothing in its result but its row."""
    reason = "ok" if answer.status < 300 else "redirect" if answer.status < 400 else "client-error"
    return outcome_of(visit, answer, DONE, reason, has_page=True), Result(visit.ended(DONE, reason), page)
