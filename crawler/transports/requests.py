"""The default transport: `requests` in threads, with a deadline over the whole of each request.

    pump's thread       start(request) ─► orders ─► thread: adapter.send, read body ─► answers ─► wait() ─► pump
                        wait(): a flight past its deadline is answered "timeout" here, and its socket shut down,
                                which ends its thread's call at once; what the thread brings later is dropped

Lives in a worker process; `start`, `wait` and `close` are called by one thread, the pump's. `orders` is filled by
`start`, emptied by the threads, bounded by the pump (it starts at most `capacity` requests), and ends with a None for
each thread. `answers` is filled by the threads and by `wait`, emptied by `wait`, bounded by the flights. Threads are
hired when there is an order and none is spare, up to `capacity`. One that is stuck where no socket can be shut down
(in the resolver) counts as lost when its flight is overdue, and another may be hired for it, up to twice `capacity`
in all. No thread ever works for two flights, none touches what the condition `_changed` guards without holding it.

Not `Session.send`: it reads a redirect's body whole even when it is told not to follow it, and costs more than the
request. The session only says which adapter sends, and all goes through `HTTPAdapter.send`, which `responses` and the
like replace. It is one session and one adapter for all threads: nothing in them changes after they were made but the
pools, which are made to be shared, and a host's next request finds its connection whichever thread it runs in.

This is the only module that imports `requests`.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import queue
import socket
import ssl
import threading
from typing import Any, Final

import certifi
import requests
import requests.adapters
import urllib3
from requests.structures import CaseInsensitiveDict

from crawler import clock
from crawler.config import Config
from crawler.model import Answer
from crawler.transports import Request, request_headers
from crawler.transports.body import accepted_codings, read_body
from crawler.transports.failures import Row, explain
from crawler.transports.guard import Guard
from crawler.transports.limits import (
    DRAIN_SECONDS,
    MAX_DRAIN_BYTES,
    Headers,
    check_headers,
    check_target,
    is_wanted,
    most_connections,
)
from crawler.transports.wire import Flight, Pools, board, current

_CLOSE_SECONDS: Final = 1.0

# What an exception means: the first row that any link of its chain fits. The order matters: RemoteDisconnected is also
# a BadStatusLine, an SSLError is also an OSError; requests' own say something only where nothing inside them does (a
# mock raises them bare).
_ROWS: Final[tuple[Row, ...]] = (
    (socket.gaierror, "dns"),
    (ConnectionRefusedError, "refused"),
    (TimeoutError, "timeout"),
    (urllib3.exceptions.ReadTimeoutError, "timeout"),
    (ssl.SSLEOFError, "reset"),  # after the handshake; a failure during it is a `Failure`
    (ssl.SSLZeroReturnError, "reset"),
    (ssl.SSLError, "tls"),
    (urllib3.exceptions.SSLError, "tls"),
    (ConnectionError, "reset"),
    (http.client.IncompleteRead, "truncated"),
    (http.client.HTTPException, "bad-response"),
    (urllib3.exceptions.InvalidHeader, "bad-response"),
    (urllib3.exceptions.ProtocolError, "truncated"),  # urllib3's own complaints about chunks
    (requests.exceptions.SSLError, "tls"),
    (requests.exceptions.Timeout, "timeout"),
    (requests.exceptions.ChunkedEncodingError, "truncated"),
    (requests.exceptions.ContentDecodingError, "truncated"),
    (requests.exceptions.ConnectionError, "refused"),
    (requests.exceptions.RequestException, "internal-error"),
    (OSError, "reset"),
)


class _Adapter(requests.adapters.HTTPAdapter):
    """requests' adapter on our connections. `send` stays requests' own, so that it can be replaced from outside."""

    def __init__(self, pools: Pools) -> None:
        super().__init__(max_retries=0)
        self._pools = pools

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> Any:
        """Return the host's pool, found without parsing the URL again."""
        return self._pools.of(current().request.host)

    def cert_verify(self, *_: Any) -> None:
        """Do nothing: our connections verify by a context of their own, always."""

    def request_url(self, *_: Any) -> str:
        """Return something short to quote: the connection sends the flight's own target."""
        return "/"

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """Wrap what came back, without copying its headers. Cookies are not even parsed."""
        response = requests.Response()
        response.request = req
        response.url = req.url or ""
        response.raw = resp
        response.status_code = resp.status
        response.reason = resp.reason
        response.headers = resp.headers  # urllib3's mapping is case-insensitive too
        return response

    def close(self) -> None:
        """Close all idle connections."""
        super().close()
        self._pools.close()


class RequestsTransport:
    """Up to `capacity` requests in flight, a thread for each. See the module's text."""

    def __init__(self, config: Config, capacity: int) -> None:
        """Make a transport; threads and connections come with the requests.

        Raises:
            UsageError: `allow_private` or `headers` cannot be used.
        """
        self.capacity = capacity
        self._config = config
        self._guard = Guard(config.allow_private)
        self._headers = CaseInsensitiveDict(request_headers(config, accepted_codings()))
        adapter = _Adapter(Pools(most_connections(capacity), capacity, certifi.where()))
        self._session = requests.Session()
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._orders: queue.SimpleQueue[Flight | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._flights: dict[Flight, None] = {}  # started and not answered, in the order of their deadlines
        self._answers: list[Answer] = []
        self._threads: set[threading.Thread] = set()
        self._spare = 0  # threads without an order; below 0: orders without a thread
        self._lost = 0
        self._closed = False

    def __repr__(self) -> str:
        return (
            f"<RequestsTransport: {len(self._flights)} in flight, {len(self._answers)} answers, "
            f"{len(self._threads)} threads for {self.capacity}, {self._lost} lost>"
        )

    def start(self, request: Request) -> None:
        """Send a request; returns at once.

        Limits: its deadline runs from here on, also while it waits because `capacity` others are in flight.
        """
        flight = Flight(request, self._guard, self._config.timeout_seconds)
        with self._changed:
            self._flights[flight] = None
            self._spare -= 1
            self._hire_if_short()
        self._orders.put(flight)

    def wait(self, seconds: float) -> list[Answer]:
        """Return what has been answered since, waiting at most so long for the first; ends what is overdue."""
        until = clock.monotonic() + seconds
        with self._changed:
            while True:
                now = clock.monotonic()
                next_deadline = self._end_overdue(now)
                if self._answers or now >= until:
                    break
                self._changed.wait(min(until, next_deadline) - now)
            answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        """End everything in flight without an answer and free all sockets and threads.

        Limits: returns after a second, also when a thread is stuck in the resolver (it ends when that returns).
        """
        with self._changed:
            self._closed = True
            flights, self._flights = self._flights, {}
            threads = list(self._threads)
            self._answers.clear()
        for flight in flights:
            flight.end()
        for _ in threads:
            self._orders.put(None)
        self._session.close()
        until = clock.monotonic() + _CLOSE_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - clock.monotonic()))

    def _end_overdue(self, now: float) -> float:
        """Answer for what is past its deadline and return the next deadline. Called with `_changed` held."""
        while self._flights:
            flight = next(iter(self._flights))
            if flight.deadline > now:
                return flight.deadline
            del self._flights[flight]
            flight.end()
            self._answers.append(_answer(flight, "timeout", self._describe_timeout(flight), asked=True))
            if flight.boarded:
                flight.lost = True
                self._lost += 1
                self._hire_if_short()
        return math.inf

    def _describe_timeout(self, flight: Flight) -> str:
        return f"no whole answer within {self._config.timeout_seconds:g} s: {flight.phase}"

    def _hire_if_short(self) -> None:
        """Start a thread if an order has none. Called with `_changed` held."""
        at_work = len(self._threads) - self._lost
        if self._spare < 0 and at_work < self.capacity and len(self._threads) < 2 * self.capacity:
            thread = threading.Thread(target=self._serve, name="request", daemon=True)
            self._threads.add(thread)
            self._spare += 1
            thread.start()

    def _serve(self) -> None:
        """Take orders until there is no more need: the body of a thread."""
        while (flight := self._orders.get()) is not None:
            if not self._land(flight, self._fly(flight)):
                return
        with self._changed:
            self._threads.discard(threading.current_thread())

    def _land(self, flight: Flight, answer: Answer) -> bool:
        """Hand in an answer, if nobody answered before, and say whether this thread is still needed."""
        with self._changed:
            if flight in self._flights:
                del self._flights[flight]
                if answer.reason == "timeout":  # the socket's own, a moment before ours
                    answer = answer._replace(error=self._describe_timeout(flight))
                self._answers.append(answer)
                self._changed.notify()
            self._lost -= flight.lost
            needed = not self._closed and len(self._threads) - self._lost <= self.capacity
            if needed:
                self._spare += 1
            else:
                self._threads.discard(threading.current_thread())
            return needed

    def _fly(self, flight: Flight) -> Answer:
        board(flight)
        try:
            flight.remaining_seconds()
            return self._receive(flight, self._send(flight))
        except Exception as error:
            return _answer(flight, *explain(error, _ROWS), asked=flight.asked)

    def _send(self, flight: Flight) -> Any:
        """Return the raw response, with its body unread."""
        check_target(flight.request.target)
        flight.asked = True
        try:
            return self._send_once(flight)
        except Exception as error:
            # The server closed the idle connection while the request was on its way: nothing is known of this
            # request but that it was not answered, so it gets the new connection that it would have had a moment later.
            if not flight.reused or flight.heard or explain(error, _ROWS)[0] != "reset":
                raise
        flight.fresh_only = True
        return self._send_once(flight)

    def _send_once(self, flight: Flight) -> Any:
        prepared = requests.PreparedRequest()  # filled in by hand: preparing would rewrite the URL, and take longer
        prepared.method = flight.request.method
        prepared.url = flight.request.host + flight.request.target
        prepared.headers = self._headers  # urllib3 sends a copy
        adapter = self._session.get_adapter(prepared.url)
        return adapter.send(prepared, stream=True, timeout=flight.remaining_seconds()).raw

    def _receive(self, flight: Flight, raw: Any) -> Answer:
        reason = error = ""
        headers: Headers = ()
        body = wire_size = None
        try:
            headers = _headers(raw)
            flight.phase = "reading the body"
            request = flight.request
            is_head = request.method == "HEAD"
            if not is_head and (request.wants_any or is_wanted(raw.status, headers, request.types)):
                body, wire_size = read_body(raw, self._config.max_body_bytes, request.cut_body_at)
            else:
                _drain(flight, raw)
        except Exception as failure:
            reason, error = explain(failure, _ROWS)
        raw.close()  # of no effect on a body that was read to its end: its connection is in the pool again
        raw.release_conn()
        return _answer(flight, reason, error)._replace(
            status=raw.status,
            http_version=f"{raw.version // 10}.{raw.version % 10}" if raw.version else "",
            headers=headers,
            body=body,
            wire_size=wire_size,
        )


def _answer(flight: Flight, reason: str, error: str, asked: bool = True) -> Answer:
    now = clock.monotonic()
    return Answer(
        tag=flight.request.tag,
        reason=reason,
        error=error,
        asked=asked,
        ip=flight.ip,
        started_at=flight.started_at,
        elapsed_seconds=now - flight.started,
        ended=now,
    )


def _headers(raw: Any) -> Headers:
    """Return the headers as received, names in lower case, repeated ones kept."""
    headers = tuple((name.lower(), str(value)) for name, value in raw.headers.iteritems())
    check_headers(headers)
    return headers


def _drain(flight: Flight, raw: Any) -> None:
    """Read a small body that nobody wants, so that its connection can be kept; not if it takes time."""
    if raw.length_remaining is None or raw.length_remaining > MAX_DRAIN_BYTES:
        return
    flight.patience(DRAIN_SECONDS)
    until = clock.monotonic() + DRAIN_SECONDS
    with contextlib.suppress(Exception):  # the answer is whole without it
        while raw.read1(MAX_DRAIN_BYTES, decode_content=False) and clock.monotonic() < until:
            pass
