"""One transfer of libcurl: the options of its handle, the callbacks that it calls, and the answer that it gives.

    begin ─► libcurl ─► on_connect, on_connected: the guard ─► on_header: is the body wanted? ─► on_body ─► answer

A handle is used again and again. Lives in a worker process, in the pump's thread; knows no event loop (that is `curl`).
The callbacks run inside libcurl: they must not raise.
"""

from __future__ import annotations

import contextlib
import socket
from typing import Any, Final

import certifi
import pycurl

from crawler import clock
from crawler.config import Config
from crawler.model import Answer
from crawler.transports import Request
from crawler.transports.body import decode_body
from crawler.transports.failures import Failure, escaped
from crawler.transports.guard import Guard
from crawler.transports.limits import (
    DRAIN_SECONDS,
    MAX_DRAIN_BYTES,
    Headers,
    check_headers,
    check_target,
    is_wanted,
    too_large,
)

_BUFFER_BYTES: Final = 131_072  # a page is mostly one call of on_body
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
    """A libcurl handle, and the request that it is at work on. Used again and again."""

    def __init__(self, config: Config, guard: Guard, headers: list[bytes], draining: list[Drain]) -> None:
        self.request: Request
        self.timeout_seconds = 0.0
        self._is_head = False
        self._cap = config.max_body_bytes
        self._guard = guard
        self._draining = draining
        self.curl = curl = pycurl.Curl()
        curl.setopt(pycurl.HTTPHEADER, headers)
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

    def begin(self, request: Request, timeout_seconds: float) -> None:
        """Get ready for a request.

        Raises:
            Failure: it cannot be sent.
        """
        self.request = request
        self.failure: Failure | None = None
        self.is_cut = False  # all that is wanted is there, however the transfer ends
        self.chunks: list[bytes] = []
        self.size = 0
        self.status = 0
        self.http_version = self.ip = ""
        self.headers: Headers = ()
        self._is_headed = self._is_wanted = False
        self._lines: list[bytes] = []
        self._sockets: list[socket.socket] = []  # of connections that are being made
        self._refused: list[str] = []  # addresses that the guard did not let pass
        self._cut_at = request.cut_body_at
        self.started_at = clock.wall()
        self.started = clock.monotonic()
        check_target(request.target)
        curl = self.curl
        curl.setopt(pycurl.URL, request.host)
        curl.setopt(pycurl.REQUEST_TARGET, request.target)
        if self._is_head != (request.method == "HEAD"):
            self._is_head = not self._is_head
            curl.setopt(pycurl.NOBODY, self._is_head)
            if not self._is_head:
                curl.setopt(pycurl.HTTPGET, 1)
        curl.setopt(pycurl.PIPEWAIT, request.host.startswith("https:"))
        self.allow(timeout_seconds)

    def allow(self, timeout_seconds: float) -> None:
        """Let the transfer take so long, from its beginning on."""
        self.timeout_seconds = timeout_seconds
        self.curl.setopt(pycurl.TIMEOUT_MS, max(1, int(timeout_seconds * 1000)))
        self.curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, int(timeout_seconds * 1000)))

    # ---- called by libcurl; they must not raise

    def on_connect(self, purpose: int, address: Any) -> Any:
        """Make a socket for an address, unless the guard forbids it."""
        if not self._guard.permits(address.addr[0], self.request.named):
            self._refused.append(address.addr[0])
            return pycurl.SOCKET_BAD
        sock = socket.socket(address.family, address.socktype, address.protocol)
        self._sockets.append(sock)  # libcurl gets a duplicate of it
        return sock

    def on_connected(self, address: str, *_: object) -> int:
        """Ask the guard about the peer of a new connection: it may be another address (0.0.0.0 leads to loopback)."""
        self.ip = address
        for sock in self._sockets:
            with sock, contextlib.suppress(OSError):  # of several that were tried, the others are not connected
                self.ip = sock.getpeername()[0]
        if self._sockets and not self._guard.permits(self.ip, self.request.named):
            self._refused.append(self.ip)
            self.ip = ""
        self._sockets.clear()
        return int(pycurl.PREREQFUNC_OK if self.ip else pycurl.PREREQFUNC_ABORT)

    def on_header(self, line: bytes) -> int | None:
        """Take a line of the head; at its end, judge whether the body is wanted."""
        if self._is_headed:  # a trailer
            return None
        if line not in (b"\r\n", b"\n"):
            self._lines.append(line)
            return None
        lines, self._lines = b"".join(self._lines).replace(b"\r\n", b"\n").decode("latin-1").split("\n"), []
        version, _, rest = lines[0].partition(" ")
        self.status = int(rest[:3])
        if self.status < 200:  # an interim response
            return None
        self._is_headed = True
        self.http_version = version.removeprefix("HTTP/")
        pairs = (text.partition(":") for text in lines[1:-1])
        self.headers = tuple((name.lower(), value.strip(" \t")) for name, _, value in pairs)
        try:
            return self._judge()
        except Failure as failure:
            self.failure = failure
            return _ABORT

    def _judge(self) -> int | None:
        check_headers(self.headers)
        length = self._header("content-length")
        announced = int(length) if length.isdecimal() and len(length) < 16 else -1
        if self._is_head:
            return None
        self._is_wanted = self.request.wants_any or is_wanted(self.status, self.headers, self.request.types)
        if self._is_wanted:
            if not self._cut_at and announced > self._cap:
                raise too_large(self._cap, "announced")
        elif 0 < announced <= MAX_DRAIN_BYTES:
            self.is_cut = True  # with what came so far, if the rest takes time
            self._draining.append((clock.monotonic() + DRAIN_SECONDS, self))
        elif announced != 0 and self.status not in (204, 304):
            self.is_cut = True
            return _ABORT
        return None

    def on_body(self, chunk: bytes) -> int | None:
        """Take a part of the body."""
        if not self._is_wanted:
            return None
        self.chunks.append(chunk)
        self.size += len(chunk)
        # Twice: a body that is coded, and has so many bytes, has at least half of them decoded.
        if self._cut_at and self.size >= (2 * self._cut_at if self._header("content-encoding") else self._cut_at):
            self.is_cut = True
            return _ABORT
        if not self._cut_at and self.size > self._cap:
            self.failure = too_large(self._cap, "transferred")
            return _ABORT
        return None

    # ---- the end

    def answer(self, code: int, text: str) -> Answer:
        """Make the answer of a transfer that has ended with libcurl's error code (0: none) and text."""
        for sock in self._sockets:
            sock.close()
        failure = self.failure or (None if self.is_cut else self._explain(code, text))
        body = None
        if failure is None and self._is_wanted:
            try:
                body = decode_body(
                    iter(self.chunks), self._header("content-encoding"), max(self._cap, self._cut_at), self._cut_at
                )
            except Failure as error:
                failure = error
        now = clock.monotonic()
        return Answer(
            tag=self.request.tag,
            reason=failure.reason if failure else "",
            error=escaped(str(failure)) if failure else "",
            asked=failure is None or failure.reason != "blocked-address",
            status=self.status if self._is_headed else 0,
            http_version=self.http_version,
            headers=self.headers,
            body=body,
            wire_size=self.size if body is not None else None,
            ip=self.ip,
            started_at=self.started_at,
            elapsed_seconds=now - self.started,
            ended=now,
        )

    def _explain(self, code: int, text: str) -> Failure | None:
        if code == 0:
            return None
        if self._refused and not self._is_headed and code != pycurl.E_OPERATION_TIMEDOUT:
            return Failure("blocked-address", f"not public: {', '.join(self._refused)}")
        reason = _REASONS.get(code, "internal-error")
        if reason == "timeout":
            text = f"no whole answer within {self.timeout_seconds:g} s: {text}"
        elif code == pycurl.E_RECV_ERROR:
            reason = next((meant for word, meant in _MALFORMED.items() if word in text), reason)
        return Failure(reason, f"curl {code}: {text}")

    def _header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")


#: until when a body that nobody wants may take
Drain = tuple[float, Transfer]
