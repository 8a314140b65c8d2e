"""The reader of stylesheets, pages of the crawl or embeds: what they embed. Runs in a worker."""

from __future__ import annotations

from crawler.model import Answer, Visit
from crawler.pages import encodings, parse
from crawler.worker.outcome import page_row
from crawler.worker.readers.context import Context, Reading, done


def read(context: Context, visit: Visit, answer: Answer) -> Reading:
    """Read a stylesheet."""
    page = page_row(visit, answer)
    text, page.charset = encodings.decode(answer.body or b"", answer.header("content-type"))
    found = parse.css_embeds(text, visit.url)
    page.links = context.encode_json(found).decode()
    outcome, result = done(visit, answer, page)
    if not found:
        return Reading(outcome, result)
    embeds = context.unreported_embeds(found, visit)
    result.candidates = context.offers.embedded(embeds.links, visit.purpose, visit.depth, visit.id)
    return Reading(outcome, result, [embeds])
