"""A pool of one worker that lives nowhere: what the engine may know of any worker, and no more."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from crawler.processes.mark import Mark


class PlainPool:
    """A worker about which nothing is known but what a test says."""

    def __init__(self, size: int = 0, *, is_dead: bool = False, may_be_killed: bool = True) -> None:
        self.mark = Mark()
        self.size = size
        self.is_dead = is_dead
        self.may_be_killed = may_be_killed
        self.kills = 0
        self.ends: list[bool] = []  # whether a call was open

    def submit(self, function: Any, /, *arguments: Any, **named: Any) -> Future[Any]:
        return Future()

    def look(self, now: float) -> bool:
        return self.is_dead

    def kill(self) -> bool:
        self.kills += self.may_be_killed
        return self.may_be_killed

    def memory_bytes(self) -> int:
        return self.size

    def end(self, *, is_called: bool) -> threading.Thread:
        self.ends.append(is_called)
        return threading.Thread()
