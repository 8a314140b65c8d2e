"""What an answer gives the ledger: the page row, the links worth offering, the items, and how the visit ended.

Pure but for the user's parse hook: an answer goes in, a `Harvest` comes out. Which response is a success, which is
tried again and which is the end is decided here, by the tables of `model`, `politeness` and `robots`. Called by the
worker's pump for one page at a time; must not know the network, the ledger or any process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from crawler import clock
from crawler.config import ROBOTS_TOKEN, Config
from crawler.model import (
    DONE,
    FAILED,
    HOOK_REL,
    MAX_LINKS_PER_PAGE,
    QUEUED,
    RETRY,
    ROBOTS,
    Answer,
    Candidate,
    FragmentsRow,
    ItemRow,
    Outcome,
    PageRow,
    Purpose,
    Result,
    RobotsRow,
    Visit,
)
from crawler.pages import embeds, encodings, parse
from crawler.pages.fragments import Pointer, redirect_pointers
from crawler.rules import politeness, robots, urls
from crawler.rules.offers import Offers, embed_steps
from crawler.rules.scope import siblings
from crawler.worker.hook import Page, run_hook
from crawler.worker.linkcache import LinkCache
from crawler.worker.outcome import outcome_of, page_row, retry_after_seconds

REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: answers to a HEAD that may be about HEAD: "method not allowed" and "not implemented", and what many servers send
HEAD_REFUSED = frozenset({400, 403, 404, 405, 406, 501})


class Harvest(NamedTuple):
    """What one answer gave."""

    outcome: Outcome
    result: Result
    reported: list[str]  # links that may be remembered as reported, once the result is on its way,
    embedded: Sequence[str] = ()  # and so what the page embeds,
    pointed: Sequence[str] = ()  # and what is linked with a fragment


class Harvester:
    """Turns answers into harvests, for one crawl in one worker."""

    def __init__(self, config: Config, offers: Offers, hook: Callable[..., object] | None) -> None:
        self._config = config
        self._offers = offers
        self._hook = hook
        self._cache = LinkCache()
        # Of their own: what was reported as a link may not have been in scope.
        self._embeds_cache, self._pointed_cache = LinkCache(), LinkCache()
        self._encode_json = msgspec.json.Encoder().encode

    def harvest(self, visit: Visit, answer: Answer) -> Harvest:
        """Make a harvest of an answer. May raise on a bug only."""
        if visit.purpose == Purpose.ROBOTS:
            return self._harvest_robots(visit, answer)
        if answer.reason:
            return self._harvest_failure(visit, answer)
        if answer.status in HEAD_REFUSED and self._offers.asks_head(visit):
            end = visit.ended(QUEUED, "client-error", f"status {answer.status} for a HEAD")
            return Harvest(outcome_of(visit, answer, RETRY, "client-error"), Result(end), [])
        page = page_row(visit, answer)
        if answer.status == 429 or answer.status >= 500:
            return self._harvest_server_error(visit, answer, page)
        if answer.status in REDIRECTS and answer.header("location"):
            return self._harvest_redirect(visit, answer, page)
        return self._harvest_page(visit, answer, page)

    def remember(self, harvest: Harvest) -> None:
        """Take the links of an encoded harvest as reported."""
        end = harvest.result.end
        if harvest.reported and end is not None:
            self._cache.add(harvest.reported, end.depth + 1)
        if harvest.embedded and end is not None:
            self._embeds_cache.add(harvest.embedded, embed_steps(end.purpose, end.depth))
        if harvest.pointed and end is not None:
            self._pointed_cache.add(harvest.pointed, end.depth + 1)

    def _harvest_page(self, visit: Visit, answer: Answer, page: PageRow) -> Harvest:
        reported: list[str] = []
        embedded: list[str] = []
        pointed: list[str] = []
        candidates: list[Candidate] = []
        items: list[ItemRow] = []
        fragments: FragmentsRow | None = None
        content_type = answer.header("content-type")
        if answer.body is not None and embeds.is_css(content_type):
            text, page.charset = encodings.decode(answer.body, content_type)
            found = parse.css_embeds(text, visit.url)
            page.links = self._encode_json(found).decode()
            embedded = self._unreported_embeds(found, visit)
        elif (
            visit.purpose == Purpose.PAGE and answer.body is not None and parse.is_html(content_type, answer.body[:512])
        ):
            utf8, page.charset = encodings.to_utf8(answer.body, content_type)
            document = self._parse(utf8, visit, answer, page)
            if 200 <= answer.status < 300:
                follow = document.follow
                if self._hook is not None:
                    items, more = self._extract(visit, answer, page, document)
                    follow = follow + more
                reported = self._cache.unreported(follow, visit.depth + 1)
                candidates = self._offers.links(reported, visit.purpose, visit.depth, visit.id)
                embedded = self._unreported_embeds(document.embeds, visit)
                if self._config.check_fragments:
                    fragments = self._fragments(visit, document.anchors, document.pointers)
                    pointed = self._unreported_pointed(document.pointers, follow, visit)
                    candidates = candidates + self._offers.pointed(pointed, visit.purpose, visit.depth, visit.id)
        elif self._config.check_fragments and answer.status < 300 and answer.body is not None:
            fragments = self._read_anchors(visit, answer, page)
        if embedded:
            candidates = candidates + self._offers.embedded(embedded, visit.purpose, visit.depth, visit.id)
        reason = "ok" if answer.status < 300 else "redirect" if answer.status < 400 else "client-error"
        result = Result(visit.ended(DONE, reason), page, candidates, items, fragments=fragments)
        return Harvest(outcome_of(visit, answer, DONE, reason, has_page=True), result, reported, embedded, pointed)

    def _unreported_embeds(self, found: list[parse.Link], visit: Visit) -> list[str]:
        """Return what is embedded here and was not reported yet as near to a page."""
        return (
            self._embeds_cache.unreported([link.url for link in found], embed_steps(visit.purpose, visit.depth))
            if found
            else []
        )

    def _unreported_pointed(self, pointers: Sequence[Pointer], follow: list[str], visit: Visit) -> list[str]:
        """Return what may be followed, is linked here with a fragment, and was not reported so yet."""
        if not pointers or not self._offers.reads_external:
            return []
        followed = set(follow)
        found = [url for url in dict.fromkeys(pointer.url for pointer in pointers) if url in followed]
        return self._pointed_cache.unreported(found, visit.depth + 1)

    def _read_anchors(self, visit: Visit, answer: Answer, page: PageRow) -> FragmentsRow | None:
        """Read the anchors of a page that is not crawled, unless it is only a part of it that came."""
        body, content_type = answer.body or b"", answer.header("content-type")
        if len(body) >= self._config.max_body_bytes or not parse.is_html(content_type, body[:512]):
            return None
        utf8, page.charset = encodings.to_utf8(body, content_type)
        return self._fragments(visit, parse.anchors_of(utf8), ())

    def _fragments(self, visit: Visit, anchors: list[str] | None, pointers: Sequence[Pointer]) -> FragmentsRow:
        encode = self._encode_json
        known = None if anchors is None else encode(anchors).decode()
        return FragmentsRow(visit.host_id, visit.seq, known, encode(pointers).decode())

    def _parse(self, utf8: bytes, visit: Visit, answer: Answer, page: PageRow) -> parse.Document:
        """Parse a page and fill in its row."""
        x_robots_tag = "\n".join(value for name, value in answer.headers if name == "x-robots-tag")
        document = parse.parse_html(
            utf8,
            visit.url,
            obey_nofollow=self._config.obey_nofollow,
            x_robots_tag=x_robots_tag,
            with_embeds=self._config.embeds,
            with_fragments=self._config.check_fragments,
        )
        page.title, page.meta_description, page.h1 = document.title, document.meta_description, document.h1
        page.canonical, page.lang, page.meta_robots = document.canonical, document.lang, document.meta_robots
        page.links_found, page.links_bad, page.nofollow = document.links_found, document.links_bad, document.nofollow
        page.links = self._encode_json(document.links + document.embeds).decode()
        return document

    def _extract(
        self, visit: Visit, answer: Answer, page: PageRow, document: parse.Document
    ) -> tuple[list[ItemRow], list[str]]:
        """Run the parse hook; return its items and the links that it adds."""
        assert self._hook is not None  # noqa: S101  (for the type checker)
        links = [link.url for link in document.links]
        extracted = run_hook(self._hook, Page(visit.url, answer.status, answer.headers, answer.body or b"", links))
        page.item_error = extracted.error
        if extracted.follow:
            known = {link.url: link for link in document.links}
            for url in dict.fromkeys(extracted.follow):
                if url in known:
                    known[url].rel = f"{known[url].rel} {HOOK_REL}".strip()
                elif len(document.links) < MAX_LINKS_PER_PAGE:
                    document.links.append(parse.Link(url, rel=HOOK_REL))
            page.links = self._encode_json(document.links + document.embeds).decode()
        items = [ItemRow(visit.host_id, visit.seq, number, item) for number, item in enumerate(extracted.items)]
        return items, extracted.follow

    def _harvest_redirect(self, visit: Visit, answer: Answer, page: PageRow) -> Harvest:
        location = answer.header("location")
        target = urls.normalise(location, visit.url)
        page.redirect_url = target or location[:2_000]
        result = Result(visit.ended(DONE, "redirect"), page)
        purpose = visit.purpose
        if self._config.check_fragments:
            pointers = redirect_pointers(target, location)
            result.fragments = self._fragments(visit, None, pointers)
            if purpose == Purpose.EXTERNAL and pointers and pointers[0].fragment:
                purpose = Purpose.EXTERNAL_FRAGMENT
        if target is not None:
            scope = self._offers.scope
            host = urls.split(target)[0]
            # What a seed of this site answers with belongs to it, whatever the scope says of its path.
            is_seed = visit.purpose == Purpose.PAGE and visit.depth == 0
            widens = is_seed and (host == visit.host or siblings(visit.host, host))
            if is_seed and scope.widening(visit.host, host):
                result.widened = host
            result.candidates = self._offers.redirect(
                target, purpose, visit.depth, visit.redirects, visit.id, widens=widens
            )
        outcome = outcome_of(visit, answer, DONE, "redirect", has_page=True)
        outcome.widened = result.widened
        return Harvest(outcome, result, [])

    def _harvest_server_error(self, visit: Visit, answer: Answer, page: PageRow) -> Harvest:
        reason = "server-error"
        if politeness.may_retry(reason, visit.attempts, self._config.retries):
            result, what = Result(visit.ended(QUEUED, reason, f"status {answer.status}")), RETRY
        else:
            result, what = Result(visit.ended(FAILED, reason, f"status {answer.status}"), page), FAILED
        outcome = outcome_of(visit, answer, what, reason, has_page=result.page is not None)
        outcome.host_failed = politeness.RETRIES[reason].host_failed
        outcome.retry_after_seconds = retry_after_seconds(answer)
        return Harvest(outcome, result, [])

    def _harvest_failure(self, visit: Visit, answer: Answer) -> Harvest:
        retry = politeness.may_retry(answer.reason, visit.attempts, self._config.retries)
        result = Result(visit.ended(QUEUED if retry else FAILED, answer.reason, answer.error, asked=answer.asked))
        outcome = outcome_of(visit, answer, RETRY if retry else FAILED, answer.reason)
        outcome.host_failed = politeness.RETRIES[answer.reason].host_failed
        return Harvest(outcome, result, [])

    def _harvest_robots(self, visit: Visit, answer: Answer) -> Harvest:
        row = RobotsRow(visit.host_id, "", visit.attempts + 1, answer.status, answer.reason, fetched_at=clock.wall())
        target = urls.normalise(answer.header("location"), visit.url) if answer.status in REDIRECTS else None
        if target is not None and visit.redirects < robots.MAX_REDIRECTS:
            row.redirect_host, row.redirect_target = urls.split(target)
            row.redirects, row.tries = visit.redirects + 1, 0
        else:
            give_up_seconds = self._config.robots_give_up_seconds
            row.verdict = robots.verdict(answer.status, answer.reason, row.tries, visit.tried_seconds, give_up_seconds)
            row.redirect_host, row.redirect_target, row.redirects = visit.host, visit.target, visit.redirects
        if row.verdict == "rules":
            row.body = robots.decode(answer.body or b"")
            row.crawl_delay = robots.Rules(row.body, ROBOTS_TOKEN).crawl_delay
        outcome = outcome_of(visit, answer, ROBOTS, row.verdict or answer.reason)
        outcome.host_failed = bool(answer.reason) or answer.status == 429 or answer.status >= 500
        outcome.retry_after_seconds = retry_after_seconds(answer) if outcome.host_failed else 0.0
        return Harvest(outcome, Result(robots=row), [])
