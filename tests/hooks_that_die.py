"""Parse hooks that take their worker with them."""

from __future__ import annotations

import os
import re
import signal
import threading

from crawler import Page


def die_on_13(page: Page) -> None:
    if page.url.endswith("/13"):
        os.kill(os.getpid(), signal.SIGKILL)


def sleep_on_13(page: Page) -> None:
    if page.url.endswith("/13"):
        threading.Event().wait()


def loop_in_c_on_13(page: Page) -> None:
    """A regular expression that holds the interpreter's lock for longer than anybody lives."""
    if page.url.endswith("/13"):
        re.match(r"(a+)+$", "a" * 64 + "b")
