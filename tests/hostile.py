"""Servers on loopback that misbehave, each named after what it does.

A behaviour is a function of a `Visitor`, the server's end of one connection; when it returns the connection is closed.
All loops are bounded, and every pause ends when the server is closed.

    with Hostile(dribbles_headers) as server:
        ...  # ask server.host for something
        assert server.targets == [b"/"]
"""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Callable
from types import TracebackType
from typing import Final

PAGE: Final = b"<html><title>page</title></html>"
_MANY: Final = 2_000  # times a behaviour repeats itself before it gives up
_PAUSE_SECONDS: Final = 0.01
_MEGABYTE: Final = bytes(1_000_000)


class Visitor:
    """The server's end of a connection."""

    def __init__(self, sock: socket.socket, server: Hostile) -> None:
        self.sock = sock
        self.server = server

    def head(self) -> bytes:
        """Read a request up to its empty line and note it; b"" if the client has left."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            try:
                data = self.sock.recv(65_536)
            except OSError:
                data = b""
            if not data:
                self.server.left.set()
                return b""
            head += data
        self.server.heads.append(head)
        return head

    def send(self, data: bytes) -> bool:
        """Send, and say whether the client is still there."""
        try:
            self.sock.sendall(data)
        except OSError:
            self.server.left.set()
            return False
        return True

    def pause(self) -> bool:
        """Let a little time pass, and say whether the server goes on."""
        return not self.server.stopping.wait(_PAUSE_SECONDS)

    def reset(self) -> None:
        """Close with an RST instead of a FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Behaviour = Callable[[Visitor], None]


class Hostile:
    """A server of one behaviour, with a thread for each connection."""

    def __init__(self, behave: Behaviour, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> None:
        self.heads: list[bytes] = []  # the requests, in order of arrival
        self.connections = 0
        self.left = threading.Event()  # a client has gone before the behaviour was through
        self.stopping = threading.Event()
        self._behave = behave
        self._tls = tls
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, 0), family=family)
        self.port: int = self._listener.getsockname()[1]
        name = f"[{address}]" if ":" in address else address
        self.host = f"{'https' if tls else 'http'}://{name}:{self.port}"
        self._threads = [threading.Thread(target=self._accept, name="hostile", daemon=True)]
        self._sockets: list[socket.socket] = []

    @property
    def targets(self) -> list[bytes]:
        """Return the request targets as they came."""
        return [head.split(b" ", 1)[1].rsplit(b" HTTP/", 1)[0] for head in (h.split(b"\r\n", 1)[0] for h in self.heads)]

    def __enter__(self) -> Hostile:
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stopping.set()
        for sock in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), name="hostile", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._sockets.append(sock)
            with sock:
                self._behave(Visitor(sock, self))


def response(body: bytes, headers: str = "", status: str = "200 OK", content_type: str = "text/html") -> bytes:
    """Return a proper response."""
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    return f"HTTP/1.1 {status}\r\n{kind}{headers}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


def answers_with(data: bytes) -> Behaviour:
    """Make a server that answers every request with these bytes, and keeps the connection."""

    def behave(visitor: Visitor) -> None:
        while visitor.head() and visitor.send(data):
            pass

    return behave


def answers_once_with(data: bytes) -> Behaviour:
    """Make a server that answers with these bytes and closes."""

    def behave(visitor: Visitor) -> None:
        if visitor.head():
            visitor.send(data)

    return behave


# Slow


def says_nothing(visitor: Visitor) -> None:
    """Take the request and leave the client waiting."""
    while visitor.head():
        pass


def dribbles_headers(visitor: Visitor) -> None:
    """Send a status line and then a header that never ends, a byte at a time."""
    visitor.head()
    visitor.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _repeat(visitor, b"a")


def says_continue_for_ever(visitor: Visitor) -> None:
    """Send interim responses only."""
    visitor.head()
    _repeat(visitor, b"HTTP/1.1 100 Continue\r\n\r\n")


def dribbles_body(visitor: Visitor) -> None:
    """Send a body a byte at a time."""
    visitor.head()
    visitor.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n")
    _repeat(visitor, b"a")


def dribbles_redirect_body(visitor: Visitor) -> None:
    """Send a redirect at once and its small body a byte at a time."""
    visitor.head()
    visitor.send(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 10000\r\n\r\n")
    _repeat(visitor, b"a")


def _repeat(visitor: Visitor, data: bytes) -> None:
    for _ in range(_MANY):
        if not visitor.send(data) or not visitor.pause():
            return


# Broken

truncates_body = answers_once_with(
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000\r\n\r\nonly this"
)
_CHUNKED: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
truncates_chunk = answers_once_with(_CHUNKED + b"5\r\nhello\r\n400\r\nonly this")
forgets_last_chunk = answers_once_with(_CHUNKED + b"5\r\nhello\r\n")
sends_bad_chunk = answers_once_with(_CHUNKED + b"5\r\nhello\r\nzz\r\nhello\r\n0\r\n\r\n")
garbles_status_line = answers_once_with(b"ICY 200 OK\r\n\r\nwhat?")
garbles_status_code = answers_once_with(b"HTTP/1.1 2x0 OK\r\n\r\n")
garbles_header = answers_once_with(b"HTTP/1.1 200 OK\r\nthis is no header\r\nContent-Length: 4\r\n\r\npage")
contradicts_itself = answers_once_with(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\npages")
floods_headers = answers_once_with(
    b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: flood\r\n" % n for n in range(20_000)) + b"\r\n"
)
sends_long_header = answers_once_with(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 200_000 + b"\r\n\r\n")
sends_heavy_headers = answers_once_with(
    b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 60_000) for n in range(20)) + b"\r\n"
)


def closes_at_once(visitor: Visitor) -> None:
    """Take the request and close without a word."""
    visitor.head()


def resets(visitor: Visitor) -> None:
    """Take the request and reset the connection."""
    visitor.head()
    visitor.reset()


def resets_in_body(visitor: Visitor) -> None:
    """Reset the connection after a part of the body was read."""
    visitor.head()
    visitor.send(_CHUNKED + b"5\r\nhello\r\n")
    visitor.pause()
    visitor.reset()


def closes_idle(visitor: Visitor) -> None:
    """Answer the first request of a connection, and close when the second is already on its way."""
    if visitor.head() and visitor.send(response(PAGE)):
        visitor.head()


def answers_only_the_first(visitor: Visitor) -> None:
    """Answer the first request of all, and none after it."""
    if visitor.head() and len(visitor.server.heads) == 1 and visitor.send(response(PAGE)):
        visitor.head()


# Large


def sends_huge_body(visitor: Visitor) -> None:
    """Send a body that seems to have no end, without saying its length."""
    visitor.head()
    visitor.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n")
    _pour(visitor)


def announces_huge_body(visitor: Visitor) -> None:
    """Announce a large body and wait."""
    visitor.head()
    visitor.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000000000\r\n\r\n")
    visitor.head()


def redirects_with_huge_body(visitor: Visitor) -> None:
    """Send a redirect with a large body."""
    visitor.head()
    visitor.send(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 1000000000\r\n\r\n")
    _pour(visitor)


def sends_negative_chunk(visitor: Visitor) -> None:
    """Send a chunk of size -1, which a naive reader takes for "everything"."""
    visitor.head()
    visitor.send(_CHUNKED + b"-1\r\n")
    _pour(visitor)


def _pour(visitor: Visitor) -> None:
    for _ in range(200):
        if visitor.server.stopping.is_set() or not visitor.send(_MEGABYTE):
            return


def encoded(body: bytes, coding: str, headers: str = "") -> bytes:
    """Return a response that says its body is in this coding."""
    return response(body, f"Content-Encoding: {coding}\r\n{headers}")


def gzip_bomb(megabytes: int) -> bytes:
    """Return so many zeros, compressed a thousandfold."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(_MEGABYTE) for _ in range(megabytes)), packer.flush()])


def deflate(body: bytes, bare: bool) -> bytes:
    """Return a body in zlib's format, or without its frame."""
    packer = zlib.compressobj(wbits=-15 if bare else 15)
    return packer.compress(body) + packer.flush()


def two_members(first: bytes, second: bytes) -> bytes:
    """Return a gzip body of two members."""
    return gzip.compress(first) + gzip.compress(second)
