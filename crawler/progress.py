"""How a crawl is getting on: counts of outcomes, and a log line every few seconds.

Fed by the engine, in the coordinator's thread; says what it says through the logger "crawler.progress". The live panel
(`crawler.panel`) is another one of this kind. Must not know the frontier or any process.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import NamedTuple

from crawler.ledger.reader import Counters
from crawler.model import DONE, FAILED, SKIPPED, Outcome, Visit

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
        self.started = self._said = time.monotonic()
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
        """Tell whether there is something to show, so that a `Moment` is worth its making."""
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


def readable_bytes(count: float) -> str:
    """Return a number of bytes as people write it: "12.3 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def readable_duration(seconds: float) -> str:
    """Return a time as people write it: "0.4 s", "12 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for unit, size, lesser, lesser_size in (("min", 60, "s", 1), ("h", 3600, "min", 60), ("d", 86_400, "h", 3600)):
        if whole < size * (60 if unit == "min" else 24) or unit == "d":
            rest = whole % size // lesser_size
            return f"{whole // size:,} {unit}" + (f" {rest} {lesser}" if rest else "")
    raise AssertionError  # the last unit takes all
