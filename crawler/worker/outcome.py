"""How a visit ended, for the coordinator, and the row of a page, for the ledger: what most readers of answers make.

Pure but for the clock of Retry-After dates; runs in a worker. Must not know which reader asks.
"""

from __future__ import annotations

import hashlib

from crawler import clock
from crawler.model import DONE, FAILED, ROBOTS, Answer, AttemptRow, Outcome, PageRow, Result, RobotsRow, Visit
from crawler.rules import politeness
from crawler.rules.purposes import MEANINGS


def outcome_of(visit: Visit, answer: Answer, what: str, reason: str, *, has_page: bool = False) -> Outcome:
    """Return how a visit ended that was answered."""
    return Outcome(
        visit.tag,
        what,
        reason,
        has_page=has_page,
        status=answer.status,
        size=len(answer.body) if answer.body is not None else 0,
        elapsed_ms=int(answer.elapsed_seconds * 1000),
    )


def page_row(visit: Visit, answer: Answer) -> PageRow:
    """Return the row of a page, as far as its headers and the digest of its body go."""
    header = answer.header
    size, digest = None, None
    if answer.body is not None and MEANINGS[visit.purpose].is_kept:  # else it is read for its anchors, and perhaps cut
        size = len(answer.body)
        digest = "sha256:" + hashlib.sha256(answer.body).hexdigest()
    elif (length := header("content-length")).isdecimal() and len(length) < 16:
        size = int(length)
    return PageRow(
        visit.host_id,
        visit.seq,
        answer.status,
        int(answer.started_at * 1000),
        int(answer.elapsed_seconds * 1000),
        content_type=header("content-type") or None,
        size=size,
        wire_size=answer.wire_size,
        digest=digest,
        ip=answer.ip or None,
        http_version=answer.http_version or None,
        etag=header("etag") or None,
        last_modified=header("last-modified") or None,
    )


def attempt_row(visit: Visit, answer: Answer, outcome: Outcome) -> AttemptRow | None:
    """Return the row of a try that was no success at once; None for one that was, and for an errand."""
    if (outcome.what == DONE and not visit.visits) or visit.purpose.is_errand:
        return None
    return AttemptRow(
        visit.host_id, visit.seq, visit.visits + 1, int(answer.started_at * 1000), outcome.reason,
        answer.status or None, outcome.elapsed_ms,
    )  # fmt: skip


def retry_after_seconds(answer: Answer) -> float:
    """Return how long the host wants to be left alone; 0: it did not say."""
    header = answer.header("retry-after")
    return politeness.retry_after_seconds(header, clock.wall()) if header else 0.0


def killed(visit: Visit, why: str) -> Result:
    """Return what a visit gives that its worker died of.

    Args:
        why: it has to end; "": it is tried again.
    """
    reason = "killed-worker"
    result = _failed(visit, reason, why) if why else Result()
    if not visit.purpose.is_errand:
        now_ms = int(clock.wall() * 1000)
        result.attempt = AttemptRow(visit.host_id, visit.seq, visit.visits + 1, now_ms, reason, None, 0)
    return result


def internal_error(visit: Visit, text: str) -> tuple[Outcome, Result]:
    """Return how a visit ends that this program failed on."""
    reason = "internal-error"
    what = ROBOTS if visit.purpose.is_errand else FAILED
    outcome = Outcome(visit.tag, what, reason, host_failed=politeness.RETRIES[reason].host_failed)
    return outcome, _failed(visit, reason, text)


def _failed(visit: Visit, reason: str, text: str) -> Result:
    """Return the end of a visit; an errand has no row to end: its host is not to be asked."""
    if not visit.purpose.is_errand:
        return Result(visit.ended(FAILED, reason, text))
    return Result(robots=RobotsRow(visit.host_id, "deny", visit.attempts + 1, reason=reason, fetched_at=clock.wall()))
