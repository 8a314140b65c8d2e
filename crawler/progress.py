"""How a crawl is getting on: counts of outcomes, and a log line every few seconds.

Fed by the engine in the coordinator; says what it says through `logging`. Must not know the frontier or any process.
"""

from __future__ import annotations

import logging
import time
from collections import Counter

from crawler.ledger.reader import Counters
from crawler.model import DONE, FAILED, SKIPPED, Outcome

log = logging.getLogger("crawler")


class Progress:
    """Counts what came back in this run."""

    def __init__(self, log_seconds: float) -> None:
        self._log_seconds = log_seconds
        self._started = self._said = time.monotonic()
        self._pages_said = 0
        self.ends: Counter[str] = Counter()  # by state
        self.reasons: Counter[str] = Counter()
        self.pages = 0
        self.bytes = 0

    def count(self, outcome: Outcome) -> None:
        """Take an outcome into account."""
        if outcome.what in (DONE, FAILED, SKIPPED):
            self.ends[outcome.what] += 1
            self.reasons[outcome.reason] += 1
        self.pages += outcome.has_page
        self.bytes += outcome.size

    def tick(self, counters: Counters, handed_out: int) -> None:
        """Log a line if it is time for one."""
        now = time.monotonic()
        if not self._log_seconds or now - self._said < self._log_seconds:
            return
        rate = (self.pages - self._pages_said) / (now - self._said)
        self._said, self._pages_said = now, self.pages
        log.info(
            "%s pages (%.1f/s), %s queued, %s of them handed out; this run: %s failed, %s skipped, %s, %.0f s",
            f"{counters.pages:,}", rate, f"{max(counters.queued, 0):,}", handed_out, f"{self.ends[FAILED]:,}",
            f"{self.ends[SKIPPED]:,}", readable_bytes(counters.bytes), now - self._started,
        )  # fmt: skip


def readable_bytes(count: float) -> str:
    """Return a number of bytes as people write it: "12.3 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
