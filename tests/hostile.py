"""Servers on loopback that misbehave, each named after what it does; the server itself is `crawler.testing`'s.

    with Hostile(dribbles_headers) as server:
        ...  # ask server.host for something
        assert server.targets == [b"/"]

All loops are bounded.
"""

from __future__ import annotations

import gzip
import zlib
from typing import Final

from crawler.testing.server import (
    Behaviour,
    Visitor,
    answers_once_with,
    answers_with,
    response,
    says_nothing,
)
from crawler.testing.server import RawServer as Hostile

__all__ = ["PAGE", "Behaviour", "Hostile", "Visitor", "answers_once_with", "answers_with", "response", "says_nothing"]

PAGE: Final = b"<html><title>page</title></html>"
_MANY: Final = 2_000  # times a behaviour repeats itself before it gives up
_MEGABYTE: Final = bytes(1_000_000)


# Slow


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
