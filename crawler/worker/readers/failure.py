"""The readers of what is no page: no whole answer, a server's error, a HEAD that was refused. Runs in a worker.

What is tried again, how often, and whether it counts against the host is said by `politeness`.
"""

from __future__ import annotations

from crawler.model import FAILED, QUEUED, RETRY, Answer, Result, Visit
from crawler.rules import politeness
from crawler.worker.outcome import outcome_of, page_row, retry_after_seconds
from crawler.worker.readers.context import Context, Reading


def read(context: Context, visit: Visit, answer: Answer) -> Reading:
    """Read why there is no whole answer."""
    retry = politeness.may_retry(answer.reason, visit.attempts, context.config.retries)
    result = Result(visit.ended(QUEUED if retry else FAILED, answer.reason, answer.error, asked=answer.asked))
    outcome = outcome_of(visit, answer, RETRY if retry else FAILED, answer.reason)
    outcome.host_failed = politeness.RETRIES[answer.reason].host_failed
    return Reading(outcome, result)


def read_server_error(context: Context, visit: Visit, answer: Answer) -> Reading:
    """Read a status of 429 or 5xx, which may pass; the last one is the URL's page."""
    reason = "server-error"
    if politeness.may_retry(reason, visit.attempts, context.config.retries):
        result, what = Result(visit.ended(QUEUED, reason, f"status {answer.status}")), RETRY
    else:
        page = page_row(visit, answer)
        result, what = Result(visit.ended(FAILED, reason, f"status {answer.status}"), page), FAILED
    outcome = outcome_of(visit, answer, what, reason, has_page=result.page is not None)
    outcome.host_failed = politeness.RETRIES[reason].host_failed
    outcome.retry_after_seconds = retry_after_seconds(answer)
    return Reading(outcome, result)


def read_refused_head(_: Context, visit: Visit, answer: Answer) -> Reading:
    """Read the answer to a HEAD that may be about HEAD: the URL is asked again, by GET."""
    end = visit.ended(QUEUED, "client-error", f"status {answer.status} for a HEAD")
    return Reading(outcome_of(visit, answer, RETRY, "client-error"), Result(end))
