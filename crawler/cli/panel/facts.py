"""What the panel shows: gathered in the coordinator's thread from what it has in its hands anyway, in bounded memory.

`Panel` is a `Progress`: it counts each outcome, and a few times a second makes `Facts`, plain and immutable, that
another thread may render. Of hosts it knows those seen last, of errors the last few.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import nlargest
from http import HTTPStatus
from typing import NamedTuple

from crawler import clock
from crawler.config import Config
from crawler.engine.progress import Moment, Progress
from crawler.model import FAILED, REASONS, ROBOTS, SKIPPED, Outcome, Visit

FIRST_SECONDS = 0.4  # a crawl that is over sooner shows no panel
SHOW_SECONDS = 0.25
RECENT_SECONDS = 5.0  # "now"
SETTLED_SECONDS = 10.0  # without a new URL: then the queue says how long it will take
MAX_HOSTS = 1_024  # of which times are known: the newest
MAX_FAILING = 256  # older hosts that are known as well, since they are failing
MAX_ERRORS = 12
SHOWN_HOSTS = 6
SLOW_SECONDS = 0.5  # a host that answers sooner is not worth a line
FAILURES = 2  # a host with fewer in a row is not worth a line


class SlowHost(NamedTuple):
    """A host that takes its time."""

    host: str
    seconds: float  # a request, lately


class FailingHost(NamedTuple):
    """A host whose last requests all failed."""

    host: str
    failures: int  # in a row
    reason: str


class Error(NamedTuple):
    """A URL that failed, or answered 4xx."""

    clock: str  # local time, "14:05:09"
    what: str  # "404 Not Found", or the reason
    url: str
    meaning: str  # of the reason, in words


class Facts(NamedTuple):
    """All that the panel shows."""

    ledger: str
    elapsed_seconds: float
    pages: int  # in the ledger
    pages_per_second: float  # now
    average_per_second: float  # over this run
    queued: int
    handed_out: int
    failed: int  # in this run, as the next four
    failed_reasons: tuple[tuple[str, int], ...]
    client_errors: int
    skipped: int
    skipped_by_robots: int
    items: int
    item_errors: int
    bytes: int
    busy_hosts: int
    waiting_hosts: int
    max_pages: int  # 0: no budget
    max_seconds: float
    left_seconds: float | None  # to the end, if that can be known
    slow: tuple[SlowHost, ...]
    failing: tuple[FailingHost, ...]
    errors: tuple[Error, ...]  # the last one first
    is_stopping: bool


class _Host:
    """What is known of a host: `failures` in a row, and how long a request takes lately."""

    __slots__ = ("failed", "failures", "name", "seconds")

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        self.failures = 0
        self.failed: Outcome | None = None  # the last of them


class Panel(Progress):
    """Gathers facts, and hands them to whoever draws."""

    def __init__(self, config: Config, ledger: str, draw: Callable[[Facts], None]) -> None:
        super().__init__(config.log_seconds)
        self._config = config
        self._ledger = ledger
        self._draw = draw
        self._shown = self.started + FIRST_SECONDS - SHOW_SECONDS
        self._failed: dict[str, int] = {}  # by reason
        self._hosts: dict[int, _Host] = {}  # in the order in which they were first asked
        self._errors: deque[tuple[float, str, Outcome]] = deque(maxlen=MAX_ERRORS)  # Unix time, URL
        self._samples: deque[tuple[float, int]] = deque()  # (time, pages), of the last `RECENT_SECONDS`
        self._urls, self._grew_at = 0, self.started

    def count(self, visit: Visit, outcome: Outcome) -> None:
        """Take an outcome into account."""
        super().count(visit, outcome)
        if outcome.asked:
            seconds = outcome.elapsed_ms / 1000
            host = self._hosts.get(visit.clock_id) or self._add_host(visit, seconds)
            host.seconds += 0.2 * (seconds - host.seconds)
            if outcome.host_failed:
                host.failures += 1
                host.failed = outcome
            elif host.failures:
                host.failures, host.failed = 0, None
        if outcome.what == FAILED:
            self._failed[outcome.reason] = self._failed.get(outcome.reason, 0) + 1
            self._errors.appendleft((clock.wall(), visit.url, outcome))
        elif outcome.reason == "client-error":
            self._errors.appendleft((clock.wall(), visit.url, outcome))

    def is_due(self, now: float) -> bool:
        """Return whether the panel, or a log line, is due."""
        return now - self._shown >= SHOW_SECONDS

    def show(self, moment: Moment, now: float) -> None:
        """Hand over the facts."""
        if super().is_due(now):
            super().show(moment, now)
        self._shown = now
        self._draw(self.facts(moment, now))

    def facts(self, moment: Moment, now: float) -> Facts:
        """Return what there is to show."""
        counters = moment.counters
        if counters.urls != self._urls:
            self._urls, self._grew_at = counters.urls, now
        elapsed = now - self.started
        rate = self._recent_rate(now)
        hosts = self._hosts.values()
        slow = nlargest(SHOWN_HOSTS, hosts, key=lambda host: host.seconds)
        worst = nlargest(SHOWN_HOSTS, hosts, key=lambda host: host.failures)
        return Facts(
            self._ledger, elapsed, counters.pages, rate, self.pages / elapsed if elapsed else 0.0,
            max(counters.queued, 0), moment.handed_out,
            self.ends[FAILED], tuple(nlargest(3, self._failed.items(), key=lambda item: item[1])),
            self.reasons["client-error"], self.ends[SKIPPED], self.reasons["robots"],
            counters.items, counters.item_errors, counters.bytes, moment.busy_hosts, moment.waiting_hosts,
            self._config.max_pages, self._config.max_seconds, self._left_seconds(moment, now, rate),
            tuple(SlowHost(host.name, host.seconds) for host in slow if host.seconds >= SLOW_SECONDS),
            tuple(
                FailingHost(host.name, host.failures, _short(host.failed))
                for host in worst if host.failed is not None and host.failures >= FAILURES
            ),
            tuple(_error(*error) for error in self._errors), moment.is_stopping,
        )  # fmt: skip

    def _add_host(self, visit: Visit, seconds: float) -> _Host:
        if len(self._hosts) >= 2 * MAX_HOSTS:  # rarely, and then half of them
            known = list(self._hosts.items())
            failing = [item for item in known[:-MAX_HOSTS] if item[1].failures][-MAX_FAILING:]
            self._hosts = dict(failing + known[-MAX_HOSTS:])
        self._hosts[visit.clock_id] = host = _Host(visit.host, seconds)
        return host

    def _recent_rate(self, now: float) -> float:
        samples = self._samples
        samples.append((now, self.pages))
        while now - samples[0][0] > RECENT_SECONDS:
            samples.popleft()
        since, pages = samples[0]
        if since == now:
            since, pages = self.started, 0
        return (self.pages - pages) / (now - since) if now > since else 0.0

    def _left_seconds(self, moment: Moment, now: float, rate: float) -> float | None:
        """Return how long the crawl will go on, if a budget, or a queue that has stopped to grow, says so."""
        config, counters = self._config, moment.counters
        known = [config.max_seconds - (now - self.started)] if config.max_seconds else []
        if rate > 0:
            if config.max_pages:
                known.append((config.max_pages - counters.pages) / rate)
            is_list = config.max_depth == 0 or config.scope == "page"
            if is_list or now - self._grew_at > SETTLED_SECONDS:
                known.append(counters.queued / rate)
        return max(min(known), 0.0) if known else None


def _error(at: float, url: str, outcome: Outcome) -> Error:
    meaning = "" if outcome.status else REASONS[outcome.reason][1]
    return Error(clock.local_time(at), _in_words(outcome), url, meaning)


def _short(outcome: Outcome) -> str:
    what = f"status {outcome.status}" if outcome.status else "unreachable" if outcome.what == ROBOTS else outcome.reason
    return f"robots.txt {what}" if outcome.what == ROBOTS else what


def _in_words(outcome: Outcome) -> str:
    try:
        return f"{outcome.status} {HTTPStatus(outcome.status).phrase}"
    except ValueError:  # no status, or an odd one
        return f"status {outcome.status}" if outcome.status else outcome.reason
