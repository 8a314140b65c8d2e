"""Asking transports one thing at a time, and waiting for what they answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from crawler.model import Answer
from crawler.transports import Request
from crawler.transports.guarded import Guarded

PATIENCE_SECONDS = 10.0  # of a test, with what must come
TIMEOUT_SECONDS = 0.3  # of a request that must not be answered
LOOPBACK = ("127.0.0.0/8", "::1")

Open = Callable[..., Guarded]


def request_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "request"}


def collect(transport: Guarded, count: int) -> list[Answer]:
    """Return the next `count` answers."""
    answers: list[Answer] = []
    until = time.monotonic() + PATIENCE_SECONDS
    while len(answers) < count and time.monotonic() < until:
        answers += transport.wait(0.5)
    assert len(answers) == count
    return answers


def ask(transport: Guarded, host: str, target: str = "/", **options: Any) -> Answer:
    transport.start(Request(1, host, target, **options))
    return collect(transport, 1)[0]
