"""How fast visits come back, and what a crawl waits for when none do.

Both are asked by the engine, with the clock in its hand, and say what they see; the engine does the rest. Must not know
the ledger or the network. Runs in the coordinator's main loop.
"""

from __future__ import annotations

from collections.abc import Iterable

from crawler.engine.life import Life

QUIET_SECONDS = 30.0  # without anything that comes back or is committed: it is said why, then after twice that, ...
BUSY_WINDOW_SECONDS = 0.05
BUSY_RATE = 300.0  # visits settled a second


class Pace:
    """Knows whether visits come back so fast that waiting for a full batch costs nobody anything."""

    def __init__(self) -> None:
        self._settled = 0
        self._is_busy = False
        self._counted_at = 0.0

    def count(self, settled: int) -> None:
        """Take note of visits that came back."""
        self._settled += settled

    def is_busy(self, now: float) -> bool:
        """Return whether it was fast in the last window."""
        if now - self._counted_at > BUSY_WINDOW_SECONDS:
            self._is_busy = self._settled > BUSY_RATE * (now - self._counted_at)
            self._settled, self._counted_at = 0, now
        return self._is_busy


class Stillness:
    """Knows for how long nothing has moved, and what is waited for."""

    def __init__(self, now: float) -> None:
        self._moved_at = now
        self._patience = QUIET_SECONDS

    def moved(self, now: float) -> None:
        """Take note that something came back, or was committed."""
        self._moved_at, self._patience = now, QUIET_SECONDS

    def is_over(self, now: float) -> bool:
        """Return whether it is time to say what is waited for; the next time is after twice as long."""
        if now - self._moved_at < self._patience:
            return False
        self._patience *= 2
        return True

    def explain(self, now: float, lives: Iterable[Life], unacked: int, due: tuple[float, str] | None) -> str:
        """Return what is waited for, as a text for the log; "" if there is nothing that could come.

        Args:
            unacked: batches that are not committed.
            due: when the next host may be asked, and its name.
        """
        waits = [text for life in lives if (text := life.waits_for(now))]
        if unacked:
            waits.append(f"{unacked} batches are not committed")
        if due is not None and not waits:
            waits.append(f"the next is {due[1]}, which may be asked in {max(0.0, due[0] - now):.0f} s")
        return f"nothing has come back for {now - self._moved_at:.0f} s: {'; '.join(waits)}" if waits else ""
