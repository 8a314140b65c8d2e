"""A web without a network, and its transport: what a crawl costs when pages cost nothing.

`transport = "benchmarks.weightless:Weightless"` answers at once, inside the worker. The environment names the web:
WEIGHTLESS='{"pages": 1000000, "hosts": 100}', and in WEIGHTLESS_FIRST a file that gets the time of the first request
for a page. Page n, on host n % hosts, leads to ten pages further on, and to eight that were seen before.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path

from crawler.config import Config
from crawler.model import Answer
from crawler.transports import Request

FAN = 10
_HTML = (("content-type", "text/html; charset=utf-8"),)


def url(page: int, hosts: int) -> str:
    """Return a page's URL."""
    return f"http://h{page % hosts}.test/p{page}"


def render(page: int, pages: int, hosts: int) -> bytes:
    """Return a page: its links, and a title."""
    onward = range(page * FAN + 1, min(page * FAN + FAN + 1, pages))
    before = (0, 1, 2, 3, 4, page // 2, page // 3, page // 7)
    links = "".join(f'<a href="{url(each, hosts)}">{each}</a>\n' for each in (*before, *onward))
    return f"<!DOCTYPE html><title>page {page}</title><h1>{page}</h1>{links}".encode()


class Weightless:
    """Answers what was started before, all of it, with each `wait`."""

    has_network = False

    def __init__(self, config: Config, capacity: int) -> None:
        web = json.loads(os.environ["WEIGHTLESS"])
        self.capacity = capacity
        self._pages, self._hosts = web["pages"], web["hosts"]
        self._first = os.environ.get("WEIGHTLESS_FIRST")
        self._started: list[Request] = []

    def start(self, request: Request) -> None:
        """Take a request."""
        if self._first and request.target != "/robots.txt":
            with suppress(FileExistsError), Path(self._first).open("x") as file:
                file.write(str(time.time()))
            self._first = None
        self._started.append(request)

    def wait(self, seconds: float) -> list[Answer]:
        """Return the answers to all that was started."""
        if not self._started and seconds:
            time.sleep(seconds)
        started, self._started = self._started, []
        return [self._answer(request) for request in started]

    def close(self) -> None:
        """Forget what was started."""
        self._started.clear()

    def _answer(self, request: Request) -> Answer:
        now = time.monotonic()
        answer = Answer(request.tag, status=404, http_version="1.1", started_at=time.time(), ended=now)
        if not request.target.startswith("/p"):
            return answer
        body = render(int(request.target[2:]), self._pages, self._hosts)
        return answer._replace(status=200, headers=_HTML, body=body, wire_size=len(body))
