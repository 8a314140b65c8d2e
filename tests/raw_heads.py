"""Heads that a server may send: status lines, headers, interim responses, redirects, bodies that nobody wants."""

from __future__ import annotations

import gzip
from typing import Final

from tests.raw_responses import (
    CHUNKED,
    CURL_IS_STRICT,
    LENGTH,
    OK,
    PAGE,
    REQUESTS_IS_STRICT,
    Gives,
    Raw,
    Today,
    chunk,
    coded,
)

_MOVED: Final = b"HTTP/1.1 301 Moved\r\nContent-Type: text/html\r\nLocation: /there\r\n"

_CUT: Final = Today("a response that is cut in its head is taken for a whole one", Gives(body=b""), Gives(status=0))

HEADS: Final[dict[str, Raw]] = {
    "nothing at all": Raw(b"", Gives(reason="reset", status=0)),
    "a part of the status line": Raw(
        b"HTTP/1.1 20",
        today=Today(
            "the reasons differ", requests=Gives(reason="bad-response", status=0), curl=Gives(reason="reset", status=0)
        ),
    ),
    "a status line cut before its end": Raw(
        b"HTTP/1.1 200 OK",
        today=Today(
            "requests takes it for a whole, empty page", requests=Gives(body=b""), curl=Gives(reason="reset", status=0)
        ),
    ),
    "a status line only": Raw(
        b"HTTP/1.1 200 OK\r\n",
        today=_CUT,
    ),
    "a head cut in a header's name": Raw(
        OK + b"Content-Le",
        today=Today("the same, with curl only", requests=Gives(reason="bad-response", status=0), curl=Gives(status=0)),
    ),
    "a head cut in a header's value": Raw(
        OK + b"Content-Length: 1",
        today=Today(
            "the same; requests believes the length that was cut",
            requests=Gives(reason="truncated"),
            curl=Gives(status=0),
        ),
    ),
    "a head cut after a header": Raw(
        OK,
        today=_CUT,
    ),
    "a head cut after a header with a length of 0": Raw(
        OK + b"Content-Length: 0\r\n",
        today=_CUT,
    ),
    "a head cut before its last line feed": Raw(
        OK + b"Content-Length: 0\r\n\r",
        today=Today(
            "a response that is cut in its head is taken for a whole one",
            requests=Gives(headers=(("content-length", "0"), ("content-type", "text/html")), body=b""),
            curl=Gives(status=0),
        ),
    ),
    "a status line without a reason": Raw(b"HTTP/1.1 200\r\nContent-Type: text/html\r\n" + LENGTH + PAGE),
    "a status line with two spaces": Raw(
        b"HTTP/1.1  200 OK\r\nContent-Type: text/html\r\n" + LENGTH + PAGE,
        today=CURL_IS_STRICT,
    ),
    "a status of two digits": Raw(
        b"HTTP/1.1 20 OK\r\nContent-Type: text/html\r\n" + LENGTH + PAGE, Gives(reason="bad-response", status=0)
    ),
    "a status of four digits": Raw(
        b"HTTP/1.1 2000 OK\r\nContent-Type: text/html\r\n" + LENGTH + PAGE,
        today=REQUESTS_IS_STRICT,
    ),
    "status 0": Raw(
        b"HTTP/1.1 000 No\r\nContent-Type: text/html\r\n" + LENGTH + PAGE, Gives(reason="bad-response", status=0)
    ),
    "status 999": Raw(b"HTTP/1.1 999 No\r\nContent-Type: text/html\r\n" + LENGTH + PAGE, Gives(status=999)),
    "a reason with bytes beyond ASCII": Raw(
        b"HTTP/1.1 200 \xc3\xa4\xff\r\nContent-Type: text/html\r\n" + LENGTH + PAGE
    ),
    "lines that end in LF only": Raw((OK + LENGTH).replace(b"\r\n", b"\n") + PAGE),
    "an empty line before the head": Raw(b"\r\n" + OK + LENGTH + PAGE, Gives(reason="bad-response", status=0)),
    "HTTP/0.9": Raw(PAGE, Gives(reason="bad-response", status=0)),
    "HTTP/0.9 of a word that begins like a status line": Raw(
        b"HTTPS is good for you\r\n" + PAGE, Gives(reason="bad-response", status=0)
    ),
    "HTTP/1.0 without a length": Raw(
        b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + PAGE, Gives(version="1.0")
    ),
    "HTTP/1.0 with a length": Raw(
        b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n" + LENGTH + PAGE, Gives(version="1.0")
    ),
    "HTTP/1.0 that keeps the connection": Raw(
        b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nConnection: keep-alive\r\n" + LENGTH + PAGE,
        Gives(version="1.0"),
        keeps=True,
    ),
    "HTTP/1.0 in chunks": Raw(CHUNKED.replace(b"1.1", b"1.0") + chunk(PAGE) + b"0\r\n\r\n", Gives(version="1.0")),
    "HTTP/2.0 in a status line": Raw(
        (OK + LENGTH).replace(b"1.1", b"2.0") + PAGE,
        today=Today(
            "one is more lenient than the other",
            requests=Gives(reason="bad-response", status=0),
            curl=Gives(version="2.0"),
        ),
    ),
    "HTTP/1.2 in a status line": Raw(
        (OK + LENGTH).replace(b"1.1", b"1.2") + PAGE,
        today=CURL_IS_STRICT,
    ),
    "a lower-case protocol": Raw(
        (OK + LENGTH).replace(b"HTTP", b"http") + PAGE,
        today=Today(
            "one is more lenient than the other",
            requests=Gives(reason="bad-response", status=0),
            curl=Gives(version="http/1.1"),
        ),
    ),
    "a response as it should be": Raw(OK + LENGTH + PAGE, keeps=True),
    "a folded header": Raw(
        OK + b"X-Long: one\r\n  two\r\n\tthree\r\n" + LENGTH + PAGE,
        Gives(headers=(("content-length", "19"), ("content-type", "text/html"), ("x-long", "one two three"))),
    ),
    "a folded first header": Raw(
        b"HTTP/1.1 200 OK\r\n folded\r\nContent-Type: text/html\r\n" + LENGTH + PAGE,
        Gives(reason="bad-response", status=0),
    ),
    "a folded content type": Raw(
        b"HTTP/1.1 200 OK\r\nContent-Type:\r\n text/html\r\n" + LENGTH + PAGE,
        today=Today(
            "one is more lenient than the other",
            requests=Gives(headers=(("content-length", "19"), ("content-type", " text/html"))),
            curl=Gives(headers=(("content-length", "19"), ("content-type", "text/html"))),
        ),
    ),
    "a header without a colon": Raw(OK + b"what is this\r\n" + LENGTH + PAGE, Gives(reason="bad-response", status=0)),
    "a header without a name": Raw(
        OK + b": nameless\r\n" + LENGTH + PAGE,
        today=REQUESTS_IS_STRICT,
    ),
    "a header without a value": Raw(OK + b"X-Empty:\r\n" + LENGTH + PAGE),
    "a space before the colon": Raw(
        OK + b"X-Odd : a\r\n" + LENGTH + PAGE,
        today=REQUESTS_IS_STRICT,
    ),
    "a header's name with a space in it": Raw(
        OK + b"X Odd: a\r\n" + LENGTH + PAGE,
        today=REQUESTS_IS_STRICT,
    ),
    "repeated headers": Raw(OK + b"X-A: 1\r\nx-a: 2\r\nX-B: 3\r\nX-A: 4\r\n" + LENGTH + PAGE),
    "UTF-8 in a header": Raw(OK + "X-A: ä\u2028\r\n".encode() + LENGTH + PAGE),
    "Latin-1 in a header": Raw(OK + b"X-A: \xe4\xff\x85b\r\n" + LENGTH + PAGE),
    "a bare carriage return in a header": Raw(
        OK + b"X-A: a\rX-B: b\r\n" + LENGTH + PAGE,
        today=Today(
            "one is more lenient than the other",
            requests=Gives(
                headers=(("content-length", "19"), ("content-type", "text/html"), ("x-a", "a"), ("x-b", "b"))
            ),
            curl=Gives(reason="bad-response", status=0),
        ),
    ),
    "a zero byte in a header": Raw(
        OK + b"X-A: a\0b\r\n" + LENGTH + PAGE,
        today=CURL_IS_STRICT,
    ),
    "control characters in a header": Raw(OK + b"X-A: \x01\x1b[31m\x7f\x0b\x0c\x1cb\r\n" + LENGTH + PAGE),
    "two content types": Raw(OK + b"Content-Type: image/png\r\n" + LENGTH + PAGE),
    "an upper-case content type with a parameter": Raw(
        b"HTTP/1.1 200 OK\r\nCONTENT-TYPE: TEXT/HTML;Charset=x\r\n" + LENGTH + PAGE
    ),
    "two types in one content type": Raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html, text/html\r\n" + LENGTH + PAGE,
        Gives(body=None),
        today=Today("it is HTML, says Fetch; it is not read"),
    ),
    "200 headers": Raw(
        OK + b"".join(b"X-%d: a\r\n" % n for n in range(198)) + LENGTH + PAGE,
        today=REQUESTS_IS_STRICT,
    ),
    "201 headers": Raw(
        OK + b"".join(b"X-%d: a\r\n" % n for n in range(199)) + LENGTH + PAGE,
        today=Today(
            "one is more lenient than the other",
            requests=Gives(reason="bad-response", status=0),
            curl=Gives(reason="bad-response"),
        ),
    ),
    "100 headers": Raw(
        OK + b"".join(b"X-%d: a\r\n" % n for n in range(98)) + LENGTH + PAGE,
        today=REQUESTS_IS_STRICT,
    ),
    "101 headers": Raw(
        OK + b"".join(b"X-%d: a\r\n" % n for n in range(99)) + LENGTH + PAGE,
        today=REQUESTS_IS_STRICT,
    ),
    "204 with a body": Raw(
        (OK + LENGTH + PAGE).replace(b"200 OK", b"204 No Content"),
        Gives(status=204, body=b""),
        keeps=True,
        connections=(1, 2),
    ),
    "204 without a length": Raw(b"HTTP/1.1 204 No Content\r\n\r\n", Gives(status=204, body=b""), keeps=True),
    "205 with a body": Raw(
        (OK + LENGTH + PAGE).replace(b"200 OK", b"205 Reset Content"), Gives(status=205), keeps=True
    ),
    "304 with a length and no body": Raw(
        (OK + LENGTH).replace(b"200 OK", b"304 Not Modified"), Gives(status=304, body=b""), keeps=True
    ),
    "304 with a body": Raw((OK + LENGTH + PAGE).replace(b"200 OK", b"304 Not Modified"), Gives(status=304, body=b"")),
    "204 in chunks": Raw(
        CHUNKED.replace(b"200 OK", b"204 No Content") + chunk(PAGE) + b"0\r\n\r\n",
        today=Today(
            "requests reads a body where there can be none",
            requests=Gives(status=204),
            curl=Gives(status=204, body=b""),
        ),
    ),
    "a HEAD that is answered with a body": Raw(OK + LENGTH + PAGE, Gives(body=None), asks={"method": "HEAD"}),
    "a HEAD that is answered without one": Raw(OK + LENGTH, Gives(body=None), keeps=True, asks={"method": "HEAD"}),
    "a HEAD that is answered with chunks announced": Raw(
        CHUNKED, Gives(body=None), keeps=True, asks={"method": "HEAD"}
    ),
    "a HEAD that is answered with a coding announced": Raw(
        OK + b"Content-Encoding: gzip\r\n" + LENGTH, Gives(body=None), keeps=True, asks={"method": "HEAD"}
    ),
    "a HEAD that is answered with too large a length": Raw(
        OK + b"Content-Length: 100000\r\n\r\n", Gives(body=None), keeps=True, asks={"method": "HEAD"}
    ),
    "100 first": Raw(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + LENGTH + PAGE, keeps=True),
    "100 with a length first": Raw(b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n" + OK + LENGTH + PAGE),
    "103 with headers first": Raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + LENGTH + PAGE, keeps=True),
    "102 and 199 first": Raw(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 What\r\n\r\n" + OK + LENGTH + PAGE),
    "100 only": Raw(b"HTTP/1.1 100 Continue\r\n\r\n", Gives(reason="reset", status=0)),
    "100 and a head cut": Raw(
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        today=_CUT,
    ),
    "101 that nobody asked for": Raw(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + PAGE,
        today=Today(
            "it is no answer to what was asked",
            requests=Gives(status=101, headers=(("upgrade", "x"),), body=b""),
            curl=Gives(status=0),
        ),
    ),
    "30 interim responses first": Raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 30 + OK + LENGTH + PAGE),
    "a redirect with a body": Raw(_MOVED + LENGTH + PAGE, Gives(status=301, body=None), keeps=True),
    "a redirect with a broken body": Raw(_MOVED + b"Content-Length: 1000\r\n\r\n" + PAGE, Gives(status=301, body=None)),
    "a redirect in chunks": Raw(
        _MOVED + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(PAGE) + b"0\r\n\r\n",
        Gives(status=301, body=None),
        keeps=True,
        connections=(2, 2),
    ),
    "a redirect with a broken coding": Raw(
        _MOVED + b"Content-Encoding: gzip\r\n" + LENGTH + PAGE, Gives(status=301, body=None)
    ),
    "a redirect without a target": Raw(_MOVED.replace(b"Location: /there\r\n", b"") + LENGTH + PAGE, Gives(status=301)),
    "a redirect with an empty target": Raw(
        _MOVED.replace(b"/there", b"") + LENGTH + PAGE, Gives(status=301, body=None)
    ),
    "a redirect with raw UTF-8": Raw(
        _MOVED.replace(b"/there", "/\u00e4".encode()) + LENGTH + PAGE, Gives(status=301, body=None)
    ),
    "an image with a length": Raw(
        (OK + LENGTH + PAGE).replace(b"text/html", b"image/png"), Gives(body=None), keeps=True
    ),
    "an image without a length": Raw((OK + b"\r\n" + PAGE).replace(b"text/html", b"image/png"), Gives(body=None)),
    "an image in chunks": Raw(
        (CHUNKED + chunk(PAGE) + b"0\r\n\r\n").replace(b"text/html", b"image/png"),
        Gives(body=None),
        keeps=True,
        connections=(2, 2),
    ),
    "an image with two lengths": Raw(
        (OK + b"Content-Length: 5\r\n" + LENGTH + PAGE).replace(b"text/html", b"image/png"),
        Gives(reason="bad-response", status=0),
    ),
    "an image of no bytes": Raw(
        (OK + b"Content-Length: 0\r\n\r\n").replace(b"text/html", b"image/png"), Gives(body=None), keeps=True
    ),
    "an image beyond the cap": Raw(
        (OK + b"Content-Length: 100000\r\n\r\n").replace(b"text/html", b"image/png") + bytes(100_000), Gives(body=None)
    ),
    "a robots.txt that is cut": Raw(
        (OK + b"Content-Length: 19\r\n\r\n").replace(b"text/html", b"text/plain") + PAGE,
        Gives(body=b"<titl", wire=19),
        asks={"types": (), "cut_body_at": 5},
    ),
    "a robots.txt of a type of its own in chunks": Raw(
        (CHUNKED + chunk(PAGE) + b"0\r\n\r\n").replace(b"text/html", b"a/b"), asks={"types": (), "cut_body_at": 500}
    ),
    "a robots.txt that is cut, in gzip": Raw(
        coded(b"gzip", gzip.compress(bytes(1500), 0, mtime=0)),
        Gives(body=bytes(500), wire=1523),
        asks={"types": (), "cut_body_at": 500},
    ),
    "a head without an end": Raw(OK, Gives(reason="timeout", status=0), keeps=True, connections=(2, 2)),
}
