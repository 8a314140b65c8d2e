"""Ctrl-C and its like while a crawl runs: the first stops it gently, the second at once.

Handlers run in the main thread of the coordinator, between any two of its instructions. Must not know
what it is that they stop.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType

from crawler.model import INTERRUPTED


class Signals:
    """Handles the signals that stop a crawl, from when it is made until `restore`."""

    def __init__(self, stop: Callable[[str], object], say: Callable[[str], object]) -> None:
        self.received = 0  # the number of the first one
        self._stop = stop
        self._say = say
        self._before = {number: signal.signal(number, self._handle) for number in _stopping()}

    def restore(self) -> None:
        """Put the handlers back that were there."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            for each in self._before:
                signal.signal(each, signal.SIG_IGN)
            raise KeyboardInterrupt
        self.received = number
        self._stop(INTERRUPTED)
        self._say("stopping: what is in flight has 10 s to end; once more to stop at once\n")


def _stopping() -> list[signal.Signals]:
    # nohup and the like ignore SIGHUP on purpose: that stays so.
    wanted = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    return [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]


def write_at_once(text: str) -> None:
    """Write a text on a line of its own to standard error, from a signal handler: past all buffers."""
    with contextlib.suppress(OSError):  # the terminal may be what has gone
        os.write(2, f"\n{text}".encode())
