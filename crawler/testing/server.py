"""A server on loopback that speaks raw bytes: proper ones, or whatever a test is about.

A behaviour is a function of a `Visitor`, the server's end of one connection; when it returns the connection is closed.
Every pause ends when the server is closed. One thread accepts connections, and one serves each of them.

    with RawServer(answers_with(response(b"<p>hello"))) as server:
        ...  # ask server.host for something
        assert server.targets == [b"/"]

Must not know the crawler.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final

_PAUSE_SECONDS: Final = 0.01


class Visitor:
    """The server's end of a connection."""

    def __init__(self, sock: socket.socket, server: RawServer) -> None:
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
        """Send, and return whether the client is still there."""
        try:
            self.sock.sendall(data)
        except OSError:
            self.server.left.set()
            return False
        return True

    def pause(self) -> bool:
        """Let a little time pass, and return whether the server goes on."""
        return not self.server.stopping.wait(_PAUSE_SECONDS)

    def reset(self) -> None:
        """Close with an RST instead of a FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Behaviour = Callable[[Visitor], None]


class RawServer:
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
        self._threads = [threading.Thread(target=self._accept, name="raw server", daemon=True)]
        self._sockets: list[socket.socket] = []

    @property
    def targets(self) -> list[bytes]:
        """Return the request targets as they came."""
        return [head.split(b" ", 1)[1].rsplit(b" HTTP/", 1)[0] for head in (h.split(b"\r\n", 1)[0] for h in self.heads)]

    def __enter__(self) -> RawServer:
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
            thread = threading.Thread(target=self._serve, args=(sock,), name="raw server", daemon=True)
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


def says_nothing(visitor: Visitor) -> None:
    """Take requests and leave the client waiting."""
    while visitor.head():
        pass
