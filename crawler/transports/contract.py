"""What a transport is: requests go in, and what the servers said comes out.

    Guarded                              the transport
    begin(exchange) ───────────────────► may it connect? exchange.permits(address), before anything is sent
                                         the head is there: exchange.take_head(…) → is the body wanted?
                                         a part of it is there: exchange.take(bytes) → is there need of more?
                                         it went wrong: exchange.fail(reason, text)
    wait(seconds) ◄───────────────────── the exchanges that have ended
    cancel(tag) ───────────────────────► the deadline is over: end it, and give it up

A transport never follows a redirect, never retries, never raises for what a server did. What holds for each of them
(caps, the total deadline, content codings, the peer's address) is not its business, but that of `guarded`, in which
every transport is wrapped. One that has whole answers to give, such as a mock or a replay, may be a `Transport` instead
of a `WireTransport`: it gets requests, and returns `Answer`s.

Lives in a worker process. `begin`, `start`, `wait`, `cancel` and `close` are called in the pump's thread; an exchange
is filled in any thread, by one at a time. This module must not know any transport, nor the frontier or the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from crawler import clock
from crawler.config import Config
from crawler.errors import UsageError
from crawler.model import Answer, Headers
from crawler.rules.mime import PAGE_TYPES
from crawler.transports.body import accepted_codings
from crawler.transports.failures import Failure
from crawler.transports.limits import announced_bytes, check_headers, is_wanted, too_large

if TYPE_CHECKING:
    from crawler.transports.guard import Guard

_ACCEPT: Final = "text/html,application/xhtml+xml,*/*;q=0.8"
_HEADER_NAME: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")


class Request(NamedTuple):
    """One request. `target` is sent on the wire byte for byte."""

    tag: int
    host: str  # scheme and authority
    target: str
    named: bool = False  # the guard lets this host's addresses pass
    cut_body_at: int = 0  # > 0: no more of a body than this is wanted
    method: str = "GET"  # or "HEAD": no body is sent
    types: Container[str] = PAGE_TYPES  # of bodies that are wanted; others are not read
    headers: Headers = ()  # all but Host; one tuple for all requests that share them. (): the config's
    keep_raw: bool = False  # the answer is to have the head and the body as they came over the wire

    @property
    def wants_any(self) -> bool:
        """Return whether a body is wanted whatever its type: a robots.txt."""
        return self.cut_body_at > 0 and not self.types


class Exchange:
    """A request, and what has come back for it: made by the wrapper, filled by the transport.

    What came too late, after the deadline or after enough, is dropped here; so nobody else needs to look.
    """

    __slots__ = (
        "_cap", "_enough", "_guard", "asked", "coding", "deadline", "ended", "failure", "has_network", "headers",
        "http_version", "ip", "is_complete", "is_over", "phase", "raw_head", "request", "size", "started",
        "started_at", "status", "tag", "wants_body", "wire",
    )  # fmt: skip

    def __init__(self, request: Request, guard: Guard, max_body_bytes: int, timeout_seconds: float) -> None:
        self.request = request
        self.tag = request.tag
        self.started_at = clock.wall()
        self.started = clock.monotonic()
        self.deadline = self.started + timeout_seconds  # moved while the pump is busy elsewhere
        self.ended = 0.0
        self.phase = "waiting"  # for people: what it was doing when its time was over
        self.has_network = True  # there is a peer, whose address matters
        self.asked = True  # something was, or may have been, sent
        self.ip = ""  # of the peer
        self.failure: Failure | None = None
        self.is_complete = False  # all that is wanted is there, however the transfer ends
        self.is_over = False  # answered: nothing is taken any more
        self.status = 0  # 0: no head came
        self.http_version = ""
        self.headers: Headers = ()
        self.coding = ""  # of the body: all content codings, as one list
        self.raw_head: bytes | None = None
        self.wants_body = False
        self.wire: bytes | bytearray = b""
        self.size = 0  # of `wire`; of a body that is cut, as far as it was read
        self._guard = guard
        self._cap = max_body_bytes
        self._enough = request.cut_body_at

    def start_clock(self) -> None:
        """Let the exchange's time begin now, if it had to wait for a thread or the like; its deadline stays."""
        self.started_at = clock.wall()
        self.started = clock.monotonic()

    def permits(self, address: str) -> bool:
        """Return whether the guard lets a connection go to this address. To be asked before anything is sent."""
        return self._guard.permits(address, self.request.named)

    def take_head(self, status: int, http_version: str, headers: Headers, raw: bytes | None = None) -> bool:
        """Take the final response's head, and return whether its body is to be read.

        Args:
            http_version: such as "1.1".
            headers: in the order in which they came, names in lower case, repeated ones kept, values as Latin-1.
            raw: the head as it came, if the request says `keep_raw`.
        """
        if self.is_over:
            return False
        self.status, self.http_version, self.headers, self.raw_head = status, http_version, headers, raw
        self.phase = "reading the body"
        try:
            self._judge(dict(reversed(headers)))  # the first of repeated ones counts
        except Failure as failure:
            self.failure = failure
        return self.wants_body

    def take(self, data: bytes) -> bool:
        """Take a part of the body, freed of chunks but in its content coding; return whether more of it is wanted."""
        if self.is_over:
            return False
        if not self.size:
            self.wire = data
        else:  # a bytearray, not a list: a body may come in millions of tiny chunks
            self.wire = self.wire if isinstance(self.wire, bytearray) else bytearray(self.wire)
            self.wire += data
        self.size += len(data)
        if self._enough:
            self.is_complete = self.size >= self._enough
        elif self.size > self._cap:
            self.failure = too_large(self._cap, "transferred")
        return not (self.is_complete or self.failure)

    def fail(self, reason: str, text: str) -> None:
        """Note that no more will come, and why, unless all is there or a failure was noted before."""
        if not (self.is_complete or self.failure or self.is_over):
            self.failure = Failure(reason, text)

    def end(self) -> None:
        """Note that this was all. To be called last; the next `wait` returns the exchange."""
        if not self.is_over:
            self.ended = clock.monotonic()

    def _judge(self, headers: dict[str, str]) -> None:
        check_headers(self.headers)
        request = self.request
        wanted = request.method != "HEAD" and (request.wants_any or is_wanted(self.status, headers, request.types))
        if wanted and not request.cut_body_at and announced_bytes(headers) > self._cap:
            raise too_large(self._cap, "announced")
        if "content-encoding" in headers:
            self.coding = ", ".join([value for name, value in self.headers if name == "content-encoding"])
            self._enough *= 2  # a coded body that has twice as many bytes has at least as many decoded
        self.wants_body = wanted
        self.is_complete = not wanted


class Transport(Protocol):
    """Gives whole answers, bodies decoded. Up to `capacity` requests in flight; who starts them does not start more.

    Two things may be added. `has_network = False` says that it has none, and so no peers whose addresses matter; if it
    has one, it must ask a guard itself, and an answer without a permitted `ip` is refused. `cancel(tag)` ends what is
    overdue; without it, such a request is answered all the same, and what comes for it later is dropped.
    """

    capacity: int

    def start(self, request: Request) -> None:
        """Send a request; returns at once."""

    def wait(self, seconds: float) -> list[Answer]:
        """Return what has been answered since, waiting at most so long for the first."""

    def close(self) -> None:
        """End everything in flight without an answer and free all sockets and threads."""


class WireTransport(Protocol):
    """Brings heads and bodies as they come over the wire. Up to `capacity` exchanges in flight.

    `has_network = False` may be added, as for a `Transport`.
    """

    capacity: int

    def begin(self, exchange: Exchange) -> None:
        """Send the exchange's request; returns at once."""

    def wait(self, seconds: float) -> Sequence[Exchange]:
        """Return what has ended since, waiting at most so long for the first."""

    def cancel(self, tag: int) -> None:
        """End an exchange at once, its connection too if that serves no other. `wait` does not return it any more."""

    def close(self) -> None:
        """End everything in flight and free all sockets and threads."""


class Marking(Protocol):
    """Where a worker writes which page it is working on, in case that it dies of it."""

    value: int  # a tag, or 0


def headers_of(config: Config) -> Headers:
    """Return the headers of every request of a config, for `Request.headers`; raises as `request_headers` does."""
    return tuple(request_headers(config, accepted_codings()).items())


def request_headers(config: Config, accept_encoding: str) -> dict[str, str]:
    """Return the headers of every request; the config's stand in the place of ours, whatever their case.

    Raises:
        UsageError: one of them cannot be sent.
    """
    headers = {"User-Agent": config.user_agent, "Accept": _ACCEPT, "Accept-Encoding": accept_encoding}
    given = {name.lower() for name in config.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in given} | config.headers
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise UsageError(
                f"{name!r}: {value!r} cannot be sent as a header: expected latin-1 without control characters"
            )
    return headers
