"""One transfer of libcurl: the options of its handle, and the callbacks that it calls.

    begin ─► libcurl ─► on_connect, on_connected: the guard ─► on_header: is the body wanted? ─► on_body ─► end

A handle is used again and again. Lives in a worker process, in the pump's thread; knows no event loop (that is `curl`).
The callbacks run inside libcurl: they must not raise.
"""

from __future__ import annotations

import contextlib
import socket
from functools import lru_cache
from typing import Any, Final

import certifi
import pycurl

from crawler import clock
from crawler.model import Headers
from crawler.transports.contract import Exchange
from crawler.transports.limits import DRAIN_SECONDS, MAX_DRAIN_BYTES, announced_bytes

_BUFFER_BYTES: Final = 131_072  # a page is mostly one call of on_body
_HEADERS_REMEMBERED: Final = 256  # hosts may have headers of their own
_ABORT: Final = 0  # fewer bytes than a callback was given: libcurl ends the transfer

#: libcurl's error code → reason; the rest is internal-error
_REASONS: Final = {
    pycurl.E_UNSUPPORTED_PROTOCOL: "bad-response",  # HTTP/0.9, that is: anything without a status line
    pycurl.E_COULDNT_RESOLVE_HOST: "dns",
    pycurl.E_COULDNT_CONNECT: "refused",
    pycurl.E_FTP_WEIRD_SERVER_REPLY: "bad-response",  # the name it had when it was FTP's own
    pycurl.E_HTTP2: "reset",
    pycurl.E_PARTIAL_FILE: "truncated",
    pycurl.E_OPERATION_TIMEDOUT: "timeout",
    pycurl.E_SSL_CONNECT_ERROR: "tls",
    pycurl.E_GOT_NOTHING: "reset",
    pycurl.E_SEND_ERROR: "reset",
    pycurl.E_RECV_ERROR: "reset",
    pycurl.E_SSL_CERTPROBLEM: "tls",
    pycurl.E_SSL_CIPHER: "tls",
    pycurl.E_PEER_FAILED_VERIFICATION: "tls",
    pycurl.E_SSL_ISSUER_ERROR: "tls",
    pycurl.E_SSL_INVALIDCERTSTATUS: "tls",
    92: "reset",  # CURLE_HTTP2_STREAM: this one and the next have no name in pycurl
    100: "bad-response",  # CURLE_TOO_LARGE: more headers than libcurl takes
}
#: what the text of an E_RECV_ERROR may be about, if not about the connection → reason
_MALFORMED: Final = {"chunk": "truncated", "headers": "bad-response"}


class Transfer:
    """A libcurl handle, and the exchange that it is at work on. Used again and again."""

    def __init__(self, timeout_seconds: float, draining: list[Drain]) -> None:
        self.exchange: Exchange
        self._is_head = False
        self._headers: Headers = ()
        self._timeout_seconds = timeout_seconds
        self._draining = draining
        self.curl = curl = pycurl.Curl()
        curl.setopt(pycurl.HEADERFUNCTION, self.on_header)
        curl.setopt(pycurl.WRITEFUNCTION, self.on_body)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, self.on_connect)
        curl.setopt(pycurl.PREREQFUNCTION, self.on_connected)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        curl.setopt(pycurl.PROXY, "")  # whatever the environment says
        curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)
        curl.setopt(pycurl.HTTP_CONTENT_DECODING, 0)
        curl.setopt(pycurl.HTTP09_ALLOWED, 0)
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.CAINFO, certifi.where())
        curl.setopt(pycurl.BUFFERSIZE, _BUFFER_BYTES)
        self._allowed_seconds = 0.0
        self.allow(timeout_seconds)

    def begin(self, exchange: Exchange) -> None:
        """Get ready for a request."""
        exchange.phase = "looking up the name"
        self.exchange = exchange
        self._is_headed = False
        self._lines: list[bytes] = []
        self._sockets: list[socket.socket] = []  # of connections that are being made
        self._refused: list[str] = []  # addresses that the guard did not let pass
        request = exchange.request
        curl = self.curl
        curl.setopt(pycurl.URL, request.host)
        curl.setopt(pycurl.REQUEST_TARGET, request.target)
        if self._headers is not request.headers:
            self._headers = request.headers
            curl.setopt(pycurl.HTTPHEADER, _lines_of(request.headers))
        if self._is_head != (request.method == "HEAD"):
            self._is_head = not self._is_head
            curl.setopt(pycurl.NOBODY, self._is_head)
            if not self._is_head:
                curl.setopt(pycurl.HTTPGET, 1)
        curl.setopt(pycurl.PIPEWAIT, request.host.startswith("https:"))
        if self._allowed_seconds != self._timeout_seconds:
            self.allow(self._timeout_seconds)

    def allow(self, seconds: float) -> None:
        """Let it take so long to connect, from its beginning on: libcurl shares that out among a name's addresses."""
        self._allowed_seconds = seconds
        self.curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(seconds * 1000)))

    # ---- called by libcurl; they must not raise

    def on_connect(self, purpose: int, address: Any) -> Any:
        """Make a socket for an address, unless the guard forbids it."""
        self.exchange.phase = "connecting"
        if not self.exchange.permits(address.addr[0]):
            self._refused.append(address.addr[0])
            return pycurl.SOCKET_BAD
        sock = socket.socket(address.family, address.socktype, address.protocol)
        self._sockets.append(sock)  # libcurl gets a duplicate of it
        return sock

    def on_connected(self, address: str, *_: object) -> int:
        """Ask the guard about the peer, before a request is sent: it may be another (0.0.0.0 leads to loopback)."""
        exchange = self.exchange
        for sock in self._sockets:
            with sock, contextlib.suppress(OSError):  # of several that were tried, the others are not connected
                address = sock.getpeername()[0]
        self._sockets.clear()
        if not exchange.permits(address):
            self._refused.append(address)
            return int(pycurl.PREREQFUNC_ABORT)
        exchange.ip = address
        exchange.phase = "waiting for the answer"
        return int(pycurl.PREREQFUNC_OK)

    def on_header(self, line: bytes) -> int | None:
        """Take a line of the head; at its end, ask whether the body is wanted."""
        if self._is_headed:  # a trailer
            return None
        self._lines.append(line)
        if line not in (b"\r\n", b"\n"):
            return None
        raw, self._lines = b"".join(self._lines), []
        lines = raw.replace(b"\r\n", b"\n").decode("latin-1").split("\n")
        version, _, rest = lines[0].partition(" ")
        status = int(rest[:3]) if rest[:3].isdecimal() else 0
        if status < 200:  # an interim response, or none at all: libcurl knows
            return None
        self._is_headed = True
        pairs = (text.partition(":") for text in lines[1:-2])
        headers = tuple([(name.lower(), value.strip(" \t")) for name, _, value in pairs])
        exchange = self.exchange
        kept = raw if exchange.request.keep_raw else None
        if exchange.take_head(status, version.removeprefix("HTTP/"), headers, kept):
            return None
        return _ABORT if exchange.failure else self._leave_body()

    def _leave_body(self) -> int | None:
        """Read a small body that nobody wants, so that its connection can be kept; give up any other."""
        exchange = self.exchange
        announced = announced_bytes(dict(reversed(exchange.headers)))
        if self._is_head or announced == 0 or exchange.status in (204, 304):
            return None
        if not 0 < announced <= MAX_DRAIN_BYTES:
            return _ABORT
        self._draining.append((clock.monotonic() + DRAIN_SECONDS, self, exchange))
        return None

    def on_body(self, data: bytes) -> int | None:
        """Take a part of the body."""
        exchange = self.exchange
        return None if not exchange.wants_body or exchange.take(data) else _ABORT

    # ---- the end

    def end(self, code: int, text: str) -> Exchange:
        """Return the exchange of a transfer that has ended with libcurl's error code (0: none) and text."""
        for sock in self._sockets:
            sock.close()
        exchange = self.exchange
        if code:
            exchange.fail(*self._explain(code, text))
        exchange.end()
        return exchange

    def _explain(self, code: int, text: str) -> tuple[str, str]:
        if self._refused and not self._is_headed and code != pycurl.E_OPERATION_TIMEDOUT:
            self.exchange.asked = False
            return "blocked-address", f"not public: {', '.join(self._refused)}"
        reason = _REASONS.get(code, "internal-error")
        if code == pycurl.E_RECV_ERROR:
            reason = next((meant for word, meant in _MALFORMED.items() if word in text), reason)
        return reason, f"curl {code}: {text}"


@lru_cache(_HEADERS_REMEMBERED)
def _lines_of(headers: Headers) -> list[bytes]:
    """Return headers as libcurl wants them: "Name;" is its way to say that one is to be sent without a value."""
    return [(f"{name}: {value}" if value else f"{name};").encode("latin-1") for name, value in headers]


#: until when a body that nobody wants may take
Drain = tuple[float, Transfer, Exchange]
