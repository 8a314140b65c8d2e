"""Readers: what an answer gives the ledger, and which reader reads it: by what the visit is for, and what came back.

    (visit, answer) ─► what came back? ─► READERS ─► html · css · anchors · robots · redirect · failure ─► Reading
                                                                                       (outcome, result, reported)

Pure but for the user's parse hook and the clock. Which response is a success, which is tried again and which is the end
is decided here, by the tables of `model`, `politeness` and `robots`. Runs in a worker, in the pump's thread, one answer
at a time; must not know the network, the ledger or any process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from crawler.config import Config
from crawler.model import REDIRECTS, Answer, Purpose, Visit
from crawler.rules.mime import is_css, is_html
from crawler.rules.offers import Offers
from crawler.rules.purposes import CSS, HTML, MEANINGS
from crawler.worker.readers import anchors, css, failure, html, redirect, robots
from crawler.worker.readers.context import Context, ReadAnswer, Reading

#: what came back: no page yet, or none at all, ...
FAILURE, REFUSED_HEAD, SERVER_ERROR, REDIRECT = "failure", "refused-head", "server-error", "redirect"
#: ... or a page: by the type of its body, if there is one that was read
OTHER = "other"  # than HTML and CSS

#: answers to a HEAD that may be about HEAD: "method not allowed" and "not implemented", and what many servers send
HEAD_REFUSED: Final = frozenset({400, 403, 404, 405, 406, 501})

#: the readers that `rules.purposes` names
BY_NAME: Final[dict[str, ReadAnswer]] = {
    "html": html.read,
    "css": css.read,
    "anchors": anchors.read,
    "robots": robots.read,
}
#: (what a visit is for, what came back) → its reader
READERS: Final[dict[tuple[Purpose, str], ReadAnswer]] = {
    (purpose, what): BY_NAME[name] for purpose, meaning in MEANINGS.items() for what, name in meaning.readers.items()
}
#: an errand → its reader, which reads whatever came back, or did not
ERRANDS: Final[dict[Purpose, ReadAnswer]] = {
    purpose: BY_NAME[meaning.reader] for purpose, meaning in MEANINGS.items() if meaning.reader
}
#: what came back → its reader, whatever a visit is for that does not stand above
OTHERWISE: Final[dict[str, ReadAnswer]] = {
    FAILURE: failure.read,
    REFUSED_HEAD: failure.read_refused_head,
    SERVER_ERROR: failure.read_server_error,
    REDIRECT: redirect.read,
    HTML: anchors.read_headers,
    CSS: anchors.read_headers,
    OTHER: anchors.read_headers,
}


class Readers:
    """The readers of one crawl in one worker."""

    def __init__(self, config: Config, offers: Offers, hook: Callable[..., object] | None) -> None:
        self._context = Context(config, offers, hook)
        self._asks_head = offers.asks_head

    def read(self, visit: Visit, answer: Answer) -> Reading:
        """Return what an answer gives. May raise on a bug only."""
        reader = ERRANDS.get(visit.purpose)
        if reader is None:
            what = self._what_came(visit, answer)
            reader = READERS.get((visit.purpose, what)) or OTHERWISE[what]
        return reader(self._context, visit, answer)

    def _what_came(self, visit: Visit, answer: Answer) -> str:
        """Return what came back for a visit."""
        status = answer.status
        if answer.reason:
            return FAILURE
        if status in HEAD_REFUSED and self._asks_head(visit):
            return REFUSED_HEAD
        if status == 429 or status >= 500:
            return SERVER_ERROR
        if status in REDIRECTS and answer.header("location"):
            return REDIRECT
        content_type = answer.header("content-type")
        if answer.body is not None and is_html(content_type, answer.body):
            return HTML
        return CSS if answer.body is not None and is_css(content_type) else OTHER
