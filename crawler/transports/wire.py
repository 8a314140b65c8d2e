"""The wire under `requests`: guarded connections, exact request targets, and sockets within reach of the deadline.

    request's thread   board(flight) ─► HTTPAdapter.send ─► _Pool ─► PlainConnection: look up, guard, dial, guard again
                                                              │           └ flight.adopt(socket)
                                                              └ the connection goes back idle: flight.let_go()
    pump's thread      flight.end() ─► shutdown(SHUT_RDWR) on the adopted socket: the blocked call in the thread returns

What a connection must know of its request travels as the thread's current flight, because everything between
`HTTPAdapter.send` and the connection is the libraries' code. Knows no `requests`, no threads but its own, no bodies.

Idle connections are kept in `Pools`. Filled by: `_put_conn` after a body was read to its end. Emptied by: the next
request to the host, or the host's becoming the least recently asked one. Bounded by: hosts, and per host by the
number of threads. Ends with: `close`. One for all threads, so that a host's next request finds its connection in
whichever thread it runs: urllib3's pools are made for that (a locked queue per host; this module adds a lock around
the table of hosts), and a connection is in the hands of one thread at a time.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable
from email.errors import MultipartInvariantViolationDefect, StartBoundaryNotFoundDefect
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.util.ssl_ import create_urllib3_context

from crawler import clock
from crawler.transports.contract import Exchange
from crawler.transports.failures import Failure, describe

_MAX_ADDRESSES: Final = 8  # of a name, tried in the resolver's order
_HARMLESS: Final = (MultipartInvariantViolationDefect, StartBoundaryNotFoundDefect)  # multipart bodies are not parsed

_thread = threading.local()


class Flight:
    """An exchange on its way. Made by the pump's thread, flown by a thread of the transport."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        exchange.phase = "waiting for a thread"
        self.boarded = False  # a thread has taken it
        self.lost = False  # its thread is still with it, after it was cancelled
        self.on_network = False  # it came to our connections: no mock answered it
        self.reused = False  # the connection served a request before
        self.heard = False  # a status line came
        self.fresh_only = False  # no connection that was idle
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._ended = False

    def remaining_seconds(self) -> float:
        """Return the time left.

        Raises:
            TimeoutError: there is none.
        """
        left = self.exchange.deadline - clock.monotonic()
        if self._ended or left <= 0:
            raise TimeoutError(f"no time left while {self.exchange.phase}")
        return left

    def adopt(self, sock: socket.socket) -> None:
        """Let `end` shut this socket down from now on.

        Raises:
            TimeoutError: the flight was ended before.
        """
        with self._lock:
            if self._ended:
                raise TimeoutError(f"ended while {self.exchange.phase}")
            self._socket = sock

    def let_go(self) -> None:
        """Keep `end` from a socket that another request may use next."""
        with self._lock:
            self._socket = None

    def patience(self, seconds: float) -> None:
        """Bound each receive from now on."""
        with self._lock:
            if self._socket is not None:
                self._socket.settimeout(seconds)

    def end(self) -> None:
        """Make whatever the flight's thread is waiting for on its socket return at once, and nothing start after."""
        with self._lock:
            self._ended = True
            if self._socket is not None:
                # Not SSLSocket.shutdown: that would turn the socket into a plain one under the thread's hands.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def board(flight: Flight) -> None:
    """Make this the current flight of this thread, until the next one."""
    flight.exchange.start_clock()
    flight.boarded = True
    _thread.flight = flight


def current() -> Flight:
    """Return this thread's flight."""
    flight: Flight = _thread.flight
    return flight


class _Recorder:
    """Hands on the lines of a head, and keeps them."""

    def __init__(self, file: Any) -> None:
        self.lines: list[bytes] = []
        self._file = file

    def readline(self, limit: int) -> bytes:
        line: bytes = self._file.readline(limit)
        self.lines.append(line)
        return line

    def close(self) -> None:
        self._file.close()


class _Response(http.client.HTTPResponse):
    """The standard library's, with the gaps closed that a hostile server can get through."""

    raw_head: bytes | None = None  # as it came, where it is to be kept

    def _read_status(self) -> tuple[str, int, str]:
        if isinstance(self.fp, _Recorder):
            self.fp.lines.clear()  # of an interim response
        version, status, reason = super()._read_status()  # type: ignore[misc]
        current().heard = True
        # The caller skips a 100 with its headers, but would take a 103 for the answer.
        interim = 100 <= status < 200 and status != http.client.SWITCHING_PROTOCOLS
        return version, 100 if interim else status, reason

    def begin(self, *args: Any, **options: Any) -> None:
        if current().exchange.request.keep_raw:
            self._begin_recorded(*args, **options)
        else:
            super().begin(*args, **options)
        defects = [type(defect).__name__ for defect in self.msg.defects if not isinstance(defect, _HARMLESS)]
        if defects:
            # Only logged by urllib3, while all headers after the bad line are lost, Content-Length among them.
            raise http.client.HTTPException(f"malformed header: {', '.join(defects)}")

    def _begin_recorded(self, *args: Any, **options: Any) -> None:
        file: Any = self.fp
        recorder: Any = _Recorder(file)
        self.fp = recorder
        super().begin(*args, **options)
        self.raw_head = b"".join(recorder.lines)
        if self.fp is recorder:  # a response that can have no body closes its file at once
            self.fp = file

    def _safe_read(self, amt: int) -> bytes:
        if amt < 0:  # a chunk of size -1 would be read until the connection ends, into one string
            raise http.client.IncompleteRead(b"")
        data: bytes = super()._safe_read(amt)  # type: ignore[misc]
        return data


class PlainConnection(HTTPConnection):
    """A connection that goes where the guard lets it, and sends the flight's own target."""

    response_class = _Response
    peer = ""  # address that it is connected to

    def _new_conn(self) -> socket.socket:
        flight = current()
        sock = _connect(flight, self._dns_host, self.port)
        self.peer = flight.exchange.ip
        return sock

    def putrequest(self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False) -> None:
        """Begin a request. `url` was quoted anew on its way here, so the flight's target goes out instead."""
        flight = current()
        flight.exchange.phase = "waiting for the answer"
        super().putrequest(method, flight.exchange.request.target, skip_host, skip_accept_encoding)


class TlsConnection(PlainConnection):
    """The same over TLS. Not urllib3's: its handshake is out of the deadline's reach, and loads the roots each time."""

    default_port: ClassVar[int] = 443  # type: ignore[misc]

    def __init__(self, *args: Any, context: Callable[[], ssl.SSLContext], **options: Any) -> None:
        super().__init__(*args, **options)
        self._context = context

    def connect(self) -> None:
        """Connect and shake hands."""
        flight = current()
        plain = self._new_conn()
        flight.exchange.phase = "shaking hands"
        try:
            self.sock = tls = self._context().wrap_socket(
                plain, server_hostname=self.host, do_handshake_on_connect=False
            )
            flight.adopt(tls)
            tls.do_handshake()
        except ssl.SSLError as error:
            raise Failure("tls", describe(error)) from error
        finally:
            plain.close()  # of no effect once its descriptor has moved into the TLS socket
        self.is_verified = True


class _Pool(HTTPConnectionPool):
    """The connections of one host."""

    ConnectionCls: type[PlainConnection] = PlainConnection

    def _validate_conn(self, conn: Any) -> None:
        """Get a connection ready before anything is sent on it, idle or new."""
        flight = current()
        if flight.fresh_only:
            conn.close()
        flight.reused = not conn.is_closed
        if flight.reused:
            flight.adopt(conn.sock)
            flight.exchange.ip = conn.peer
            if not flight.exchange.permits(conn.peer):
                raise _blocked(flight, conn.peer)
        else:
            conn.connect()

    def _put_conn(self, conn: Any) -> None:
        current().let_go()
        super()._put_conn(conn)


class _TlsPool(_Pool):
    scheme = "https"
    ConnectionCls = TlsConnection


class Pools:
    """The idle connections of the hosts asked last. See the module's text."""

    def __init__(self, hosts: int, per_host: int, ca_file: str) -> None:
        self._hosts = hosts
        self._per_host = per_host
        self._ca_file = ca_file
        self._pools: dict[str, _Pool] = {}  # least recently asked first
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def of(self, host: str) -> HTTPConnectionPool:
        """Return the pool of a host (scheme and authority)."""
        with self._lock:
            pool = self._pools.pop(host, None) or self._make(host)
            self._pools[host] = pool
            oldest = self._pools.pop(next(iter(self._pools))) if len(self._pools) > self._hosts else None
        if oldest is not None:
            oldest.close()
        return pool

    def close(self) -> None:
        """Close all idle connections; those in use are closed when they come back."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    def _make(self, host: str) -> _Pool:
        parts = urlsplit(host)
        if parts.scheme == "http":
            return _Pool(parts.hostname or "", parts.port or 80, maxsize=self._per_host)
        return _TlsPool(parts.hostname or "", parts.port or 443, maxsize=self._per_host, context=self._trusted)

    def _trusted(self) -> ssl.SSLContext:
        """Return the one context, made by the first connection that needs it: loading the roots takes 10 ms or more."""
        with self._lock:
            if self._context is None:
                self._context = create_urllib3_context()
                self._context.load_verify_locations(self._ca_file)
                self._context.set_alpn_protocols(["http/1.1"])
            return self._context


def _connect(flight: Flight, host: str, port: int) -> socket.socket:
    """Connect to the first address of a host that the guard permits and that answers."""
    addresses = _look_up(flight, host, port)
    permitted = [entry for entry in addresses if flight.exchange.permits(entry[1][0])]
    if not permitted:
        raise _blocked(flight, ", ".join(address[0] for _, address in addresses))
    flight.exchange.phase = "connecting"
    permitted = permitted[:_MAX_ADDRESSES]
    failed = OSError("no address")
    for tried, (family, address) in enumerate(permitted):
        # The first of several addresses must not use up the time of the others.
        seconds = flight.remaining_seconds() / (len(permitted) - tried)
        try:
            return _dial(flight, family, address, seconds)
        except OSError as error:
            failed = error
    reason = "timeout" if isinstance(failed, TimeoutError) else "refused"
    raise Failure(reason, describe(failed)) from failed


def _blocked(flight: Flight, found: str) -> Failure:
    flight.exchange.asked = False
    return Failure("blocked-address", f"not public: {found}")


def _look_up(flight: Flight, host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    flight.exchange.phase = "looking up the name"
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: a label is empty or too long
        raise Failure("dns", describe(error)) from error
    return [(family, address) for family, _, _, _, address in entries]


def _dial(flight: Flight, family: socket.AddressFamily, address: tuple[Any, ...], seconds: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(seconds)
        flight.adopt(sock)
        sock.connect(address)
        peer = str(sock.getpeername()[0])
        if not flight.exchange.permits(peer):
            raise _blocked(flight, peer)
        sock.settimeout(flight.remaining_seconds())
    except BaseException:
        flight.let_go()
        sock.close()
        raise
    flight.exchange.ip = peer
    return sock
