"""The readers of what is no page of the crawl: its anchors, if fragments are checked; else nothing but its headers.

Runs in a worker.
"""

from __future__ import annotations

from crawler.model import Answer, Visit
from crawler.pages import encodings, parse
from crawler.worker.outcome import page_row
from crawler.worker.readers.context import Context, Reading, done


def read(context: Context, visit: Visit, answer: Answer) -> Reading:
    """Read the anchors of a page, unless it is no success, or only a part of it came."""
    page = page_row(visit, answer)
    outcome, result = done(visit, answer, page)
    body, config = answer.body or b"", context.config
    if config.check_fragments and answer.status < 300 and len(body) < config.max_body_bytes:
        utf8, page.charset = encodings.to_utf8(body, answer.header("content-type"))
        result.fragments = context.fragments_row(parse.anchors_of(utf8), ())
    return Reading(outcome, result)


def read_headers(_: Context, visit: Visit, answer: Answer) -> Reading:
    """Note that something is there, and what its headers say."""
    return Reading(*done(visit, answer, page_row(visit, answer)))
