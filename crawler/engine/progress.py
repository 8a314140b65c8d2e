"""How a crawl is getting on: counts of outcomes, and a log line every few seconds.

Fed by the engine, in the coordinator's thread; says what it says through the logger "crawler.progress". The live panel
(`cli.panel`) is another one of this kind. Must not know the frontier or any process.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import NamedTuple

from crawler import clock
from crawler.ledger.counts import Counters
from crawler.model import DONE, FAILED, SKIPPED, Outcome, Visit
from crawler.text import readable_bytes

log = logging.getLogger("crawler.progress")  # a child of "crawler": who draws a panel leaves its lines out


class Moment(NamedTuple):
    """Where a crawl stands, as its coordinator sees it."""

    counters: Counters
    handed_out: int  # visits that workers hold
    busy_hosts: int  # hosts of those visits
    waiting_hosts: int  # other hosts in view that have work and wait for their time
    is_stopping: bool


class Progress:
    """Counts what came back in this run, and logs a line when one is due."""

    def __init__(self, log_seconds: float) -> None:
        self._log_seconds = log_seconds
        self.started = self._said = clock.monotonic()
        self._pages_said = 0
        self.ends: Counter[str] = Counter()  # by state
        self.reasons: Counter[str] = Counter()
        self.pages = 0
        self.bytes = 0

    def count(self, visit: Visit, outcome: Outcome) -> None:
        """Take an outcome into account. On the path of a page: a microsecond or so is all it may take."""
        if outcome.what in (DONE, FAILED, SKIPPED):
            self.ends[outcome.what] += 1
            self.reasons[outcome.reason] += 1
        self.pages += outcome.has_page
        self.bytes += outcome.size

    def is_due(self, now: float) -> bool:
        """Return whether there is something to show, so that a `Moment` is worth its making."""
        return bool(self._log_seconds) and now - self._said >= self._log_seconds

    def show(self, moment: Moment, now: float) -> None:
        """Show where the crawl stands: as a log line."""
        rate = (self.pages - self._pages_said) / (now - self._said)
        self._said, self._pages_said = now, self.pages
        counters = moment.counters
        log.info(
            "%s pages (%.1f/s), %s queued, %s of them handed out; this run: %s failed, %s skipped, %s, %.0f s",
            f"{counters.pages:,}", rate, f"{max(counters.queued, 0):,}", moment.handed_out, f"{self.ends[FAILED]:,}",
            f"{self.ends[SKIPPED]:,}", readable_bytes(counters.bytes), now - self.started,
        )  # fmt: skip
