"""What one run is to do, and why it ends before all is done: because somebody says so, or because its time is up.

A `Stop` is the caller's: it may be set from a signal handler or another thread, and kept for the next crawl. An
`Ending` is one run's. Must not know how a crawl is done.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from crawler.config import Config
from crawler.engine.progress import Progress
from crawler.ledger.opening import Opening
from crawler.model import MAX_TIME

if TYPE_CHECKING:
    from crawler.copy.saving import CopySetup

GRACE_SECONDS = 10.0  # for what is in flight when the crawl is stopped


class Stop:
    """A request to end a crawl early: may be set from a signal handler or another thread."""

    reason = ""  # a finish_reason
    grace_seconds = GRACE_SECONDS

    def __call__(self, reason: str) -> None:
        """Ask for the end. What waits is given back at once, what is in flight has `grace_seconds`."""
        self.reason = self.reason or reason

    def at_once(self, reason: str) -> None:
        """Ask for the end without waiting for what is in flight: it stays queued in the ledger."""
        self.grace_seconds = 0.0
        self(reason)


class Job(NamedTuple):
    """What one run is to do."""

    ledger: Path
    lock_file: Path
    config: Config
    opening: Opening
    stop: Stop
    hook: Callable[..., object] | None = None  # without processes, the parse hook may be any callable
    progress: Progress | None = None  # None: log lines
    copy: CopySetup | None = None  # where bodies are saved, if they are


class Ending:
    """Whether one run is to end early, and since when."""

    def __init__(self, stop: Stop, max_seconds: float, now: float) -> None:
        """Begin a run.

        Args:
            max_seconds: how long it may take; 0 means for ever.
        """
        self._stop = stop
        self._max_seconds = max_seconds
        self._started_at = now
        self._is_out_of_time = False
        self._stopped_at = 0.0

    @property
    def reason(self) -> str:
        """Return why the crawl is to end early; "" while it is not."""
        return self._stop.reason or (MAX_TIME if self._is_out_of_time else "")

    def is_overdue(self, now: float) -> bool:
        """Return whether the end was asked for and what is in flight has had its time. Ask often: it looks at the time.

        What is in flight then is still queued in the ledger.
        """
        if self._max_seconds and now - self._started_at >= self._max_seconds:
            self._is_out_of_time = True
        if not self.reason:
            return False
        self._stopped_at = self._stopped_at or now
        return now - self._stopped_at >= self._stop.grace_seconds
