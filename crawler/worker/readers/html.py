"""The reader of pages of the crawl: metadata, links, embeds, fragments, and what the extractors take out of them.

Runs in a worker. Which links are followed is said by `follow` and the extractors, which of them enter by `offers`.
"""

from __future__ import annotations

from crawler.model import MAX_LINKS_PER_PAGE, Answer, PageRow, Result, Visit
from crawler.pages import encodings, parse
from crawler.rules.follow import HOOK
from crawler.worker.hook import Page
from crawler.worker.outcome import page_row
from crawler.worker.readers.context import Context, Reading, Reported, done


def read(context: Context, visit: Visit, answer: Answer) -> Reading:
    """Read a page; the links of one that is no success are stored, and not followed."""
    page = page_row(visit, answer)
    document = _parse(context, visit, answer, page)
    outcome, result = done(visit, answer, page)
    reported: list[Reported] = []
    if 200 <= answer.status < 300:
        follow = document.follow
        if context.extractors:
            follow = follow + _extract(context, visit, answer, document, result)
        reported = _offer(context, visit, document, follow, result)
    page.links = context.encode_json(document.links + document.embeds).decode()
    return Reading(outcome, result, reported)


def _parse(context: Context, visit: Visit, answer: Answer, page: PageRow) -> parse.Document:
    """Parse a page and fill in its row."""
    config = context.config
    utf8, page.charset = encodings.to_utf8(answer.body or b"", answer.header("content-type"))
    document = parse.parse_html(
        utf8,
        visit.url,
        obey_nofollow=config.obey_nofollow,
        x_robots_tag="\n".join(value for name, value in answer.headers if name == "x-robots-tag"),
        with_embeds=config.embeds,
        with_fragments=config.check_fragments,
    )
    page.title, page.meta_description, page.h1 = document.title, document.meta_description, document.h1
    page.canonical, page.lang, page.meta_robots = document.canonical, document.lang, document.meta_robots
    page.links_found, page.links_bad, page.nofollow = document.links_found, document.links_bad, document.nofollow
    return document


def _extract(context: Context, visit: Visit, answer: Answer, document: parse.Document, result: Result) -> list[str]:
    """Run the extractors; put their items into the result, and return the links that they add."""
    links = document.links
    page = Page(visit.url, answer.status, answer.headers, answer.body or b"", [link.url for link in links])
    follow: list[str] = []
    items: list[str] = []
    errors: list[str] = []
    for extract in context.extractors:
        extracted = extract(page)
        items += extracted.items
        follow += extracted.follow
        errors += [extracted.error] if extracted.error else []
    if follow:
        known = {link.url: link for link in links}
        for url in dict.fromkeys(follow):
            if url in known:
                known[url].kind = HOOK
            elif len(links) < MAX_LINKS_PER_PAGE:
                links.append(parse.Link(url, kind=HOOK))
    result.items = items
    assert result.page is not None  # noqa: S101  (for the type checker)
    result.page.item_error = errors[0] if errors else None
    return follow


def _offer(
    context: Context, visit: Visit, document: parse.Document, follow: list[str], result: Result
) -> list[Reported]:
    """Put candidates into the result: what was not reported lately of what a page links to, points at and embeds."""
    offers, purpose, depth = context.offers, visit.purpose, visit.depth
    reported = [Reported(context.links, context.links.unreported(follow, depth + 1), depth + 1)]
    result.candidates = offers.links(reported[0].links, purpose, depth, visit.id)
    if context.config.check_fragments:
        result.fragments = context.fragments_row(document.anchors, document.pointers)
        if pointed := _pointed(context, visit, document, follow):
            result.candidates += offers.pointed(pointed, purpose, depth, visit.id)
            reported.append(Reported(context.pointed, pointed, depth + 1))
    if document.embeds:
        embeds = context.unreported_embeds(document.embeds, visit)
        result.candidates += offers.embedded(embeds.links, purpose, depth, visit.id)
        reported.append(embeds)
    return reported


def _pointed(context: Context, visit: Visit, document: parse.Document, follow: list[str]) -> list[str]:
    """Return what may be followed, is linked here with a fragment, and was not reported so yet."""
    if not document.pointers or not context.offers.reads_external:
        return []
    followed = set(follow)
    found = [url for url in dict.fromkeys(pointer.url for pointer in document.pointers) if url in followed]
    return context.pointed.unreported(found, visit.depth + 1)
