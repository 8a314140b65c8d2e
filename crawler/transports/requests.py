"""The default transport: `requests` in threads.

    pump's thread       begin(exchange) ─► orders ─► thread: adapter.send, read body ─► ended ─► wait() ─► wrapper
                        cancel(tag): its flight's socket is shut down, which ends its thread's call at once; what the
                                     thread brings later is dropped

Lives in a worker process; `begin`, `wait`, `cancel` and `close` are called by one thread, the pump's. `orders` is
filled by `begin`, emptied by the threads, bounded by the pump (it starts at most `capacity` requests), and ends with a
None for each thread. `ended` is filled by the threads, emptied by `wait`, bounded by the flights. Threads are hired
when there is an order and none is spare, up to `capacity`. One that is stuck where no socket can be shut down (in the
resolver) counts as lost when its flight is cancelled, and another may be hired for it, up to twice `capacity` in all.
No thread ever works for two flights, none touches what the condition `_changed` guards without holding it.

Not `Session.send`: it reads a redirect's body whole even when it is told not to follow it, and costs more than the
request. The session only says which adapter sends, and all goes through `HTTPAdapter.send`, which `responses` and the
like replace. It is one session and one adapter for all threads: nothing in them changes after they were made but the
pools, which are made to be shared, and a host's next request finds its connection whichever thread it runs in.

This is the only module that imports `requests`. Must not know what a body means, nor how it is decoded.
"""

from __future__ import annotations

import contextlib
import http.client
import queue
import socket
import ssl
import threading
from functools import lru_cache
from typing import Any, Final

import certifi
import requests
import requests.adapters
import urllib3
from requests.structures import CaseInsensitiveDict

from crawler import clock
from crawler.config import Config
from crawler.model import Headers
from crawler.transports.body import STEP_BYTES
from crawler.transports.contract import Exchange
from crawler.transports.failures import Row, explain
from crawler.transports.limits import DRAIN_SECONDS, MAX_DRAIN_BYTES, most_connections
from crawler.transports.wire import Flight, Pools, board, current

_CLOSE_SECONDS: Final = 1.0
_HEADERS_REMEMBERED: Final = 256  # hosts may have headers of their own

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
        flight = current()
        flight.on_network = True
        return self._pools.of(flight.exchange.request.host)

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
        """Make a transport; threads and connections come with the requests."""
        self.capacity = capacity
        adapter = _Adapter(Pools(most_connections(capacity), capacity, certifi.where()))
        self._session = requests.Session()
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        self._orders: queue.SimpleQueue[Flight | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._flights: dict[int, Flight] = {}  # by tag: begun and not ended
        self._ended: list[Exchange] = []
        self._threads: set[threading.Thread] = set()
        self._spare = 0  # threads without an order; below 0: orders without a thread
        self._lost = 0
        self._closed = False

    def __repr__(self) -> str:
        return (
            f"<RequestsTransport: {len(self._flights)} in flight, {len(self._ended)} ended, "
            f"{len(self._threads)} threads for {self.capacity}, {self._lost} lost>"
        )

    def begin(self, exchange: Exchange) -> None:
        """Send a request; returns at once. It waits while `capacity` others are in flight."""
        flight = Flight(exchange)
        with self._changed:
            self._flights[exchange.tag] = flight
            self._spare -= 1
            self._hire_if_short()
        self._orders.put(flight)

    def wait(self, seconds: float) -> list[Exchange]:
        """Return what has ended since, waiting at most so long for the first."""
        with self._changed:
            if not self._ended and seconds > 0:
                self._changed.wait(seconds)
            ended, self._ended = self._ended, []
        return ended

    def cancel(self, tag: int) -> None:
        """End an exchange: shut its socket down, and hire another thread if its own is stuck."""
        with self._changed:
            flight = self._flights.pop(tag, None)
            if flight is None:
                return
            flight.end()
            if flight.boarded:
                flight.lost = True
                self._lost += 1
                self._hire_if_short()

    def close(self) -> None:
        """End everything in flight without an answer and free all sockets and threads.

        Limits: returns after a second, also when a thread is stuck in the resolver (it ends when that returns).
        """
        with self._changed:
            self._closed = True
            flights, self._flights = self._flights, {}
            threads = list(self._threads)
            self._ended.clear()
        for flight in flights.values():
            flight.end()
        for _ in threads:
            self._orders.put(None)
        self._session.close()
        until = clock.monotonic() + _CLOSE_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - clock.monotonic()))

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
            self._fly(flight)
            if not self._land(flight):
                return
        with self._changed:
            self._threads.discard(threading.current_thread())

    def _land(self, flight: Flight) -> bool:
        """Hand in an exchange, unless it was cancelled, and return whether this thread is still needed."""
        exchange = flight.exchange
        exchange.end()
        with self._changed:
            if self._flights.get(exchange.tag) is flight:
                del self._flights[exchange.tag]
                self._ended.append(exchange)
                self._changed.notify()
            self._lost -= flight.lost
            needed = not self._closed and len(self._threads) - self._lost <= self.capacity
            if needed:
                self._spare += 1
            else:
                self._threads.discard(threading.current_thread())
            return needed

    def _fly(self, flight: Flight) -> None:
        board(flight)
        try:
            flight.remaining_seconds()
            self._receive(flight, self._send(flight))
        except Exception as error:
            _fail(flight.exchange, error)

    def _send(self, flight: Flight) -> Any:
        """Return the raw response, with its body unread."""
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
        request = flight.exchange.request
        prepared = requests.PreparedRequest()  # filled in by hand: preparing would rewrite the URL, and take longer
        prepared.method = request.method
        prepared.url = request.host + request.target
        prepared.headers = _sendable(request.headers)
        adapter = self._session.get_adapter(prepared.url)
        raw = adapter.send(prepared, stream=True, timeout=flight.remaining_seconds()).raw
        if not flight.on_network:
            flight.exchange.has_network = False  # `send` was replaced: a mock
        return raw

    def _receive(self, flight: Flight, raw: Any) -> None:
        exchange = flight.exchange
        try:
            version = f"{raw.version // 10}.{raw.version % 10}" if raw.version else ""
            if exchange.take_head(raw.status, version, _headers(raw), _raw_head(exchange, raw)):
                _read_body(exchange, raw)
            elif exchange.is_complete:
                _drain(flight, raw)
        except Exception as error:
            _fail(exchange, error)
        raw.close()  # of no effect on a body that was read to its end: its connection is in the pool again
        raw.release_conn()


def _fail(exchange: Exchange, error: Exception) -> None:
    exchange.fail(*explain(error, _ROWS))


@lru_cache(_HEADERS_REMEMBERED)
def _sendable(headers: Headers) -> CaseInsensitiveDict[str]:
    """Return headers as requests wants them. Made once for all requests that share them: urllib3 sends a copy."""
    return CaseInsensitiveDict(headers)


def _headers(raw: Any) -> Headers:
    """Return the headers as received, names in lower case, repeated ones kept."""
    return tuple((name.lower(), str(value)) for name, value in raw.headers.iteritems())


def _raw_head(exchange: Exchange, raw: Any) -> bytes | None:
    """Return the head as it came, if it is wanted; a mock has none."""
    return getattr(raw._original_response, "raw_head", None) if exchange.request.keep_raw else None


def _read_body(exchange: Exchange, raw: Any) -> None:
    """Read a body, coded as it came, until the exchange has enough of it."""
    for data in raw.stream(STEP_BYTES, decode_content=False):
        if not exchange.take(data):
            return


def _drain(flight: Flight, raw: Any) -> None:
    """Read a small body that nobody wants, so that its connection can be kept; not if it takes time."""
    if raw.length_remaining is None or raw.length_remaining > MAX_DRAIN_BYTES:
        return
    flight.patience(DRAIN_SECONDS)
    until = clock.monotonic() + DRAIN_SECONDS
    with contextlib.suppress(Exception):  # the answer is whole without it
        while raw.read1(MAX_DRAIN_BYTES, decode_content=False) and clock.monotonic() < until:
            pass
