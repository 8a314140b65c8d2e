"""The reader of redirects: where one leads is a candidate of its own, and may widen the scope. Runs in a worker."""

from __future__ import annotations

from crawler.model import DONE, Answer, Purpose, Result, Visit
from crawler.pages.fragments import redirect_pointers
from crawler.rules import urls
from crawler.rules.scope import siblings
from crawler.worker.outcome import outcome_of, page_row
from crawler.worker.readers.context import Context, Reading


def read(context: Context, visit: Visit, answer: Answer) -> Reading:
    """Read a redirect."""
    page = page_row(visit, answer)
    location = answer.header("location")
    target = urls.normalise(location, visit.url)
    page.redirect_url = target or location[:2_000]
    result = Result(visit.ended(DONE, "redirect"), page)
    has_fragment = False
    if context.config.check_fragments:
        pointers = redirect_pointers(target, location)
        result.fragments = context.fragments_row(None, pointers)
        has_fragment = any(pointer.fragment for pointer in pointers)
    purpose = context.offers.purpose_of_target(visit.purpose, has_fragment=has_fragment)
    if target is not None:
        _offer(context, visit, target, purpose, result)
    outcome = outcome_of(visit, answer, DONE, "redirect", has_page=True)
    outcome.widened = result.widened
    return Reading(outcome, result)


def _offer(context: Context, visit: Visit, target: str, purpose: Purpose, result: Result) -> None:
    offers = context.offers
    host = urls.split(target)[0]
    # What a seed of this site answers with belongs to it, whatever the scope says of its path.
    is_seed = visit.purpose == Purpose.PAGE and visit.depth == 0
    widens = is_seed and (host == visit.host or siblings(visit.host, host))
    if is_seed and offers.scope.widening(visit.host, host):
        result.widened = host
    result.candidates = offers.redirect(target, purpose, visit.depth, visit.redirects, visit.id, widens=widens)
