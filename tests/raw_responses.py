"""What a server may send, byte for byte, and what comes of it with each transport: how the table is written.

A row is a name, the bytes that answer each request, and what the answer holds; the table itself is in `raw_heads` and
`raw_bodies`. A row with `today` records a fault, or a difference between the transports, that is not mended yet: it
says what each gives *today* and what is wrong with it, so that a change of it is seen, too.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from crawler.model import Answer

PAGE: Final = b"<title>page</title>"
MAX_BODY_BYTES: Final = 20_000
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
CHUNKED: Final = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH: Final = b"Content-Length: %d\r\n\r\n" % len(PAGE)

_INTERIM: Final = re.compile(rb"(?:HTTP/1\.1 1\d\d [^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n)+(?=HTTP/)")
Headers = tuple[tuple[str, str], ...]


class Gives(NamedTuple):
    """What an answer holds: by default a whole page, and the headers as they were sent."""

    reason: str = ""
    status: int = 200  # 0: no head came, and so no version, header or body either
    version: str = "1.1"
    body: bytes | None = PAGE  # of a failed answer always None
    wire: int = -1  # -1: the body's size
    headers: Headers | None = None  # None: as they were sent


class Today(NamedTuple):
    """What each transport gives today where it should not, or where they should not differ."""

    why: str
    requests: Gives | None = None  # None: as the row says
    curl: Gives | None = None


class Raw(NamedTuple):
    """A row of the table: the fields of `Gives`, and how it comes to that."""

    sent: bytes
    gives: Gives = Gives()
    keeps: bool = False  # the server keeps the connection, and answers the next request on it; else it closes
    asks: dict[str, Any] = {}  # noqa: RUF012  (never changed)  # fields of the request
    today: Today | None = None
    connections: tuple[int, int] = (0, 0)  # that two requests take; (0, 0): one if the server keeps it, else two

    def answer(self, transport: str) -> Answer:
        """Return the answer that a transport gives today, without what differs from run to run."""
        gives = (getattr(self.today, transport) if self.today else None) or self.gives
        if not gives.status:
            return Answer(1, gives.reason)
        body = None if gives.reason else gives.body
        wire = gives.wire if gives.wire >= 0 else len(body or b"")
        headers = sorted(self._heard() if gives.headers is None else gives.headers)
        return Answer(
            1, gives.reason, status=gives.status, http_version=gives.version, headers=tuple(headers), body=body,
            wire_size=None if body is None else wire,
        )  # fmt: skip

    def connects(self, transport: str) -> int:
        """Return how many connections two requests take."""
        return self.connections[transport == "curl"] or (1 if self.keeps else 2)

    def _heard(self) -> list[tuple[str, str]]:
        """Return the headers as they were sent, read as simply as can be."""
        head = _INTERIM.sub(b"", self.sent).replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("latin-1")
        pairs = (line.partition(":") for line in head.split("\n")[1:] if line)
        return [(name.lower(), value.strip(" \t")) for name, _, value in pairs]


CURL_IS_STRICT: Final = Today("curl refuses it, requests does not", Gives(), Gives(reason="bad-response", status=0))
REQUESTS_IS_STRICT: Final = Today("requests refuses it, curl does not", Gives(reason="bad-response", status=0), Gives())


def chunk(data: bytes) -> bytes:
    """Return a chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def coded(coding: bytes, body: bytes) -> bytes:
    """Return a response that says its body is in this coding."""
    return OK + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding, len(body)) + body
