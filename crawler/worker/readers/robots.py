"""The reader of what comes back for a robots.txt: rules, a redirect, or what its absence means. Runs in a worker."""

from __future__ import annotations

from crawler import clock
from crawler.config import ROBOTS_TOKEN
from crawler.model import REDIRECTS, ROBOTS, Answer, Result, RobotsRow, Visit
from crawler.rules import robots, urls
from crawler.worker.outcome import outcome_of, retry_after_seconds
from crawler.worker.readers.context import Context, Reading


def read(context: Context, visit: Visit, answer: Answer) -> Reading:
    """Read a robots.txt, or why there is none."""
    row = RobotsRow(visit.host_id, "", visit.attempts + 1, answer.status, answer.reason, fetched_at=clock.wall())
    target = urls.normalise(answer.header("location"), visit.url) if answer.status in REDIRECTS else None
    if target is not None and visit.redirects < robots.MAX_REDIRECTS:
        row.redirect_host, row.redirect_target = urls.split(target)
        row.redirects, row.tries = visit.redirects + 1, 0
    else:
        give_up_seconds = context.config.robots_give_up_seconds
        row.verdict = robots.verdict(answer.status, answer.reason, row.tries, visit.tried_seconds, give_up_seconds)
        row.redirect_host, row.redirect_target, row.redirects = visit.host, visit.target, visit.redirects
    if row.verdict == "rules":
        row.body = robots.decode(answer.body or b"")
        row.crawl_delay = robots.Rules(row.body, ROBOTS_TOKEN).crawl_delay
    outcome = outcome_of(visit, answer, ROBOTS, row.verdict or answer.reason)
    outcome.host_failed = bool(answer.reason) or answer.status == 429 or answer.status >= 500
    outcome.retry_after_seconds = retry_after_seconds(answer) if outcome.host_failed else 0.0
    return Reading(outcome, Result(robots=row))
