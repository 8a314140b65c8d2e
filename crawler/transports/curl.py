"""The fast transport: libcurl, by way of pycurl; hundreds of transfers in the pump's own thread.

    pump's thread   begin(exchange) ─► a `Transfer` joins the CurlMulti
                    wait(): epoll ─► socket_action: libcurl sends, receives, calls the `Transfer`
                            info_read ─► exchanges that have ended
                    cancel(tag) ─► its transfer leaves the CurlMulti

Lives in a worker process; no thread but the resolver's, no queue: transfers move only inside `wait`, and what has
ended is returned by it. HTTP/1.1, and over TLS HTTP/2, with several requests to a host on one connection.

libcurl does connections, DNS and TLS; it decodes nothing, follows nothing, and reads no environment, netrc or cookie.
The guard is asked about each address that libcurl is about to connect to, and about the peer before a request is sent.
Raises nothing for what a server did. Must not know caps and codings, which are the wrapper's.
`pycurl` is imported here and in `transfer` only.
"""

from __future__ import annotations

import contextlib
import select
from typing import Any, Final

import pycurl

from crawler import clock
from crawler.config import Config
from crawler.transports.contract import Exchange
from crawler.transports.limits import most_connections
from crawler.transports.transfer import Drain, Transfer

_STALLED_SECONDS: Final = 0.25  # nothing moved for longer than this: what is being connected gets the time back
_EVENTS: Final = {
    pycurl.POLL_NONE: 0,
    pycurl.POLL_IN: select.POLLIN,
    pycurl.POLL_OUT: select.POLLOUT,
    pycurl.POLL_INOUT: select.POLLIN | select.POLLOUT,
}
_ACTIONS: Final = {
    select.POLLIN: pycurl.CSELECT_IN,
    select.POLLOUT: pycurl.CSELECT_OUT,
    select.POLLIN | select.POLLOUT: pycurl.CSELECT_IN | pycurl.CSELECT_OUT,
}


class CurlTransport:
    """Up to `capacity` transfers in one CurlMulti. See the module's text."""

    def __init__(self, config: Config, capacity: int) -> None:
        """Make a transport; connections come with the requests."""
        self.capacity = capacity
        self._timeout_seconds = config.timeout_seconds
        self._multi = multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_MAXCONNECTS, most_connections(capacity))
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        # epoll, or poll where there is none: they differ in the unit of their time-out alone.
        self._poll: Any = select.epoll() if hasattr(select, "epoll") else select.poll()
        self._poll_unit = 1 if hasattr(select, "epoll") else 1000
        self._timer_at = 0.0  # when libcurl wants to be called without any event
        self._flying: dict[pycurl.Curl, Transfer] = {}
        self._idle: list[Transfer] = []
        self._fds: set[int] = set()
        self._draining: list[Drain] = []  # until when a body that nobody wants may take
        self._driven_at = 0.0
        self._closed = False

    def __repr__(self) -> str:
        return f"<CurlTransport: {len(self._flying)} in flight, {len(self._idle)} idle>"

    def begin(self, exchange: Exchange) -> None:
        """Send a request; returns at once, and nothing moves before `wait`."""
        transfer = self._idle.pop() if self._idle else Transfer(self._timeout_seconds, self._draining)
        transfer.begin(exchange)
        if not self._flying:
            self._driven_at = clock.monotonic()
        self._flying[transfer.curl] = transfer
        self._multi.add_handle(transfer.curl)

    def wait(self, seconds: float) -> list[Exchange]:
        """Move all transfers; return what has ended, waiting at most so long for the first."""
        if self._closed:
            return []
        now = clock.monotonic()
        until = now + seconds
        self._give_back_time(now)
        ended: list[Exchange] = []
        while True:
            self._drive(until)
            self._collect(ended)
            now = clock.monotonic()
            if ended or now >= until:
                self._driven_at = now
                return ended

    def cancel(self, tag: int) -> None:
        """End a transfer, and its connection if no other is on it."""
        for transfer in self._flying.values():
            if transfer.exchange.tag == tag:
                self._end(transfer.curl, 0, "")
                return

    def close(self) -> None:
        """End everything in flight without an answer and free all sockets."""
        self._closed = True
        for transfer in self._flying.values():
            self._multi.remove_handle(transfer.curl)
        for transfer in (*self._flying.values(), *self._idle):
            transfer.curl.close()
        self._flying.clear()
        self._idle.clear()
        self._multi.close()
        if hasattr(self._poll, "close"):
            self._poll.close()

    def _give_back_time(self, now: float) -> None:
        """Make up for the time in which nobody drove the transfers: it was not their hosts' fault."""
        if now - self._driven_at > _STALLED_SECONDS:
            for transfer in self._flying.values():
                transfer.allow(transfer.exchange.deadline - transfer.exchange.started)

    def _drive(self, until: float) -> None:
        """Let libcurl do what it can do now, after waiting for that as long as the clock says."""
        now = clock.monotonic()
        wake_at = min(until, self._timer_at or until, self._draining[0][0] if self._draining else until)
        for fd, events in self._poll.poll(max(0.0, wake_at - now) * self._poll_unit):
            self._multi.socket_action(fd, _ACTIONS.get(events, pycurl.CSELECT_ERR))
        if self._timer_at and self._timer_at <= clock.monotonic():
            self._timer_at = 0.0
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def _collect(self, ended: list[Exchange]) -> None:
        """Take what has ended out of the multi."""
        _, whole, failed = self._multi.info_read()
        ended += [self._end(curl, 0, "") for curl in whole]
        ended += [self._end(curl, code, text) for curl, code, text in failed]
        while self._draining and self._draining[0][0] <= clock.monotonic():
            _, transfer, exchange = self._draining.pop(0)
            if transfer.curl in self._flying and transfer.exchange is exchange:
                ended.append(self._end(transfer.curl, 0, ""))

    def _end(self, curl: pycurl.Curl, code: int, text: str) -> Exchange:
        transfer = self._flying.pop(curl)
        self._multi.remove_handle(curl)
        self._idle.append(transfer)
        return transfer.end(code, text)

    def _on_socket(self, event: int, fd: int, *_: object) -> None:
        """Watch a socket as libcurl wants it watched."""
        if event == pycurl.POLL_REMOVE:
            self._fds.discard(fd)
            with contextlib.suppress(OSError, KeyError):  # it may be closed already
                self._poll.unregister(fd)
            return
        events = _EVENTS[event]
        if fd in self._fds:
            self._poll.modify(fd, events)
        else:
            self._fds.add(fd)
            self._poll.register(fd, events)

    def _on_timer(self, milliseconds: int) -> None:
        """Note when libcurl wants to be called without any event; -1: not at all."""
        self._timer_at = clock.monotonic() + milliseconds / 1000 if milliseconds >= 0 else 0.0
