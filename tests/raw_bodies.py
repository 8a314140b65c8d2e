"""Bodies that a server may send: lengths, chunks, content codings."""

from __future__ import annotations

import gzip
import zlib
from functools import reduce
from typing import Final

import brotli  # type: ignore[import-untyped]  # it comes without annotations
import zstandard

from tests.hostile import deflate
from tests.raw_responses import CHUNKED, CURL_IS_STRICT, LENGTH, OK, PAGE, Gives, Raw, Today, chunk, coded

_GZ: Final = gzip.compress(PAGE, mtime=0)
_TWO: Final = gzip.compress(PAGE[:5], mtime=0) + gzip.compress(PAGE[5:], mtime=0)
_BR: Final = brotli.compress(_GZ)
_FIVE: Final = reduce(lambda data, _: gzip.compress(data, mtime=0), range(5), PAGE)
_SIX: Final = gzip.compress(_FIVE, mtime=0)
_CHUNKS: Final = Today("requests takes what are no proper chunks", Gives(), Gives(reason="truncated"))

BODIES: Final[dict[str, Raw]] = {
    "no length: to the end of the connection": Raw(OK + b"\r\n" + PAGE),
    "a length that is too small": Raw(OK + b"Content-Length: 5\r\n\r\n" + PAGE, Gives(body=b"<titl")),
    "a length that is too large": Raw(OK + b"Content-Length: 1000\r\n\r\n" + PAGE, Gives(reason="truncated")),
    "a length of 0 with a body": Raw(OK + b"Content-Length: 0\r\n\r\n" + PAGE, Gives(body=b"")),
    "the same length twice": Raw(OK + b"Content-Length: %d\r\n" % len(PAGE) + LENGTH + PAGE),
    "the same length twice in one header": Raw(OK + b"Content-Length: %d, %d\r\n\r\n" % (len(PAGE), len(PAGE)) + PAGE),
    "two lengths": Raw(OK + b"Content-Length: 5\r\n" + LENGTH + PAGE, Gives(reason="bad-response", status=0)),
    "two lengths in one header": Raw(
        OK + b"Content-Length: 5, %d\r\n\r\n" % len(PAGE) + PAGE, Gives(reason="bad-response", status=0)
    ),
    "a length with a plus sign": Raw(
        OK + b"Content-Length: +%d\r\n\r\n" % len(PAGE) + PAGE,
        today=CURL_IS_STRICT,
    ),
    "a negative length": Raw(
        OK + b"Content-Length: -1\r\n\r\n" + PAGE,
        today=CURL_IS_STRICT,
    ),
    "a length in hexadecimal": Raw(
        OK + b"Content-Length: 0x13\r\n\r\n" + PAGE,
        today=CURL_IS_STRICT,
    ),
    "a length with a fraction": Raw(
        OK + b"Content-Length: 19.0\r\n\r\n" + PAGE,
        today=CURL_IS_STRICT,
    ),
    "a length with an underscore": Raw(
        OK + b"Content-Length: 1_9\r\n\r\n" + PAGE,
        today=CURL_IS_STRICT,
    ),
    "a length in other digits": Raw(
        OK + b"Content-Length: \xb2\r\n\r\n" + PAGE,
        today=CURL_IS_STRICT,
    ),
    "a length with leading zeros": Raw(OK + b"Content-Length: 00019\r\n\r\n" + PAGE),
    "an empty length": Raw(
        OK + b"Content-Length:\r\n\r\n" + PAGE,
        today=CURL_IS_STRICT,
    ),
    "a length of words": Raw(
        OK + b"Content-Length: many\r\n\r\n" + PAGE,
        today=CURL_IS_STRICT,
    ),
    "a length of 30 digits": Raw(OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n" + PAGE, Gives(reason="too-large")),
    "a length beyond the cap": Raw(OK + b"Content-Length: 100000\r\n\r\n" + PAGE, Gives(reason="too-large")),
    "a length beyond the cap of a body that is cut": Raw(
        OK + b"Content-Length: 100000\r\n\r\n" + PAGE, Gives(body=b"<titl", wire=19), asks={"cut_body_at": 5}
    ),
    "a body beyond the cap": Raw(OK + b"\r\n" + bytes(20_001), Gives(reason="too-large")),
    "a body of the cap": Raw(OK + b"\r\n" + bytes(20_000), Gives(body=bytes(20_000))),
    "bytes after the end, then the end of the connection": Raw(OK + LENGTH + PAGE + b"more"),
    "bytes after the end, and the connection stays": Raw(OK + LENGTH + PAGE + b"more", keeps=True, connections=(1, 2)),
    "another response after the end": Raw(
        (OK + LENGTH + PAGE) + (OK + b"Content-Length: 5\r\n\r\nstray"), keeps=True, connections=(1, 2)
    ),
    "chunks": Raw(CHUNKED + chunk(PAGE[:7]) + chunk(PAGE[7:]) + b"0\r\n\r\n", keeps=True),
    "chunks and a length": Raw(
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + chunk(PAGE) + b"0\r\n\r\n"
    ),
    "chunks and a length beyond the cap": Raw(
        OK + b"Content-Length: 100000\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(PAGE) + b"0\r\n\r\n"
    ),
    "chunks without an end": Raw(CHUNKED + chunk(PAGE), Gives(reason="timeout"), keeps=True, connections=(2, 2)),
    "a length that is not reached": Raw(
        OK + b"Content-Length: 1000\r\n\r\n" + PAGE, Gives(reason="timeout"), keeps=True, connections=(2, 2)
    ),
    "no length and no end": Raw(OK + b"\r\n" + PAGE, Gives(reason="timeout"), keeps=True, connections=(2, 2)),
    "chunks with extensions": Raw(CHUNKED + b"13;a=b;c\r\n" + PAGE + b"\r\n0;d\r\n\r\n"),
    "chunks with trailers": Raw(
        CHUNKED + chunk(PAGE) + b"0\r\nX-Trailer: a\r\nContent-Type: image/png\r\n\r\n", keeps=True
    ),
    "chunks without the last empty line": Raw(
        CHUNKED + chunk(PAGE) + b"0\r\n",
        today=_CHUNKS,
    ),
    "chunks without the last chunk's line end": Raw(
        CHUNKED + chunk(PAGE) + b"0",
        today=_CHUNKS,
    ),
    "chunks without the last chunk": Raw(CHUNKED + chunk(PAGE), Gives(reason="truncated")),
    "chunks cut in their data": Raw(CHUNKED + b"13\r\n" + PAGE[:9], Gives(reason="truncated")),
    "chunks cut in a trailer": Raw(
        CHUNKED + chunk(PAGE) + b"0\r\nX-Trail",
        today=_CHUNKS,
    ),
    "chunks with LF only": Raw(
        (CHUNKED + chunk(PAGE) + b"0\r\n\r\n").replace(b"\r\n", b"\n"),
        today=Today("one is more lenient than the other", requests=Gives(reason="truncated"), curl=Gives()),
    ),
    "a chunk size with leading zeros": Raw(CHUNKED + b"0000000013\r\n" + PAGE + b"\r\n0\r\n\r\n"),
    "a chunk size with spaces": Raw(
        CHUNKED + b" 13 \r\n" + PAGE + b"\r\n0\r\n\r\n",
        today=_CHUNKS,
    ),
    "a chunk size in upper case with 0x": Raw(
        CHUNKED + b"0X13\r\n" + PAGE + b"\r\n0\r\n\r\n",
        today=Today("one is more lenient than the other", requests=Gives(), curl=Gives(reason="bad-response")),
    ),
    "a chunk size with a plus sign": Raw(
        CHUNKED + b"+13\r\n" + PAGE + b"\r\n0\r\n\r\n",
        today=_CHUNKS,
    ),
    "a chunk size with an underscore": Raw(
        CHUNKED + b"1_3\r\n" + PAGE + b"\r\n0\r\n\r\n",
        today=_CHUNKS,
    ),
    "a negative chunk size": Raw(CHUNKED + b"-1\r\n" + PAGE + b"\r\n0\r\n\r\n", Gives(reason="truncated")),
    "an empty chunk size": Raw(CHUNKED + b"\r\n" + PAGE + b"\r\n0\r\n\r\n", Gives(reason="truncated")),
    "a chunk size of words": Raw(CHUNKED + b"zz\r\n" + PAGE + b"\r\n0\r\n\r\n", Gives(reason="truncated")),
    "a chunk size of 20 digits": Raw(
        CHUNKED + b"f" * 20 + b"\r\n" + PAGE + b"\r\n0\r\n\r\n", Gives(reason="truncated")
    ),
    "a chunk that is longer than it says": Raw(CHUNKED + b"5\r\n" + PAGE + b"\r\n0\r\n\r\n", Gives(reason="truncated")),
    "no chunk where chunks are announced": Raw(CHUNKED + PAGE, Gives(reason="truncated")),
    "chunks in upper case": Raw(OK + b"Transfer-Encoding: CHUNKED\r\n\r\n" + chunk(PAGE) + b"0\r\n\r\n"),
    "chunks twice": Raw(
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(PAGE) + b"0\r\n\r\n"
    ),
    "chunks of gzip in the transfer coding": Raw(
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunk(_GZ) + b"0\r\n\r\n",
        today=Today(
            "requests takes the coded bytes for the page; curl calls what the server did an internal error",
            requests=Gives(body=_GZ),
            curl=Gives(reason="internal-error", status=0),
        ),
    ),
    "an unknown transfer coding": Raw(
        OK + b"Transfer-Encoding: rot13\r\n\r\n" + PAGE,
        today=Today(
            "requests takes the coded bytes for the page; curl calls what the server did an internal error",
            requests=Gives(),
            curl=Gives(reason="internal-error", status=0),
        ),
    ),
    "the transfer coding identity": Raw(OK + b"Transfer-Encoding: identity\r\n" + LENGTH + PAGE),
    "gzip": Raw(coded(b"gzip", _GZ), Gives(wire=len(_GZ)), keeps=True),
    "gzip in upper case": Raw(coded(b"GZip", _GZ), Gives(wire=len(_GZ))),
    "x-gzip": Raw(coded(b"x-gzip", _GZ), Gives(wire=len(_GZ))),
    "gzip of two members": Raw(coded(b"gzip", _TWO), Gives(wire=len(_TWO))),
    "gzip with padding": Raw(coded(b"gzip", _GZ + bytes(9)), Gives(wire=len(_GZ) + 9)),
    "gzip with bytes after its end": Raw(coded(b"gzip", _GZ + b"more"), Gives(wire=len(_GZ) + 4)),
    "gzip cut before its checksum": Raw(coded(b"gzip", _GZ[:-8]), Gives(reason="truncated")),
    "gzip cut in its checksum": Raw(coded(b"gzip", _GZ[:-3]), Gives(reason="truncated")),
    "gzip with a wrong checksum": Raw(coded(b"gzip", _GZ[:-8] + bytes(4) + _GZ[-4:]), Gives(reason="truncated")),
    "gzip that is none": Raw(coded(b"gzip", PAGE), Gives(reason="truncated")),
    "gzip of nothing": Raw(coded(b"gzip", b""), Gives(body=b"")),
    "gzip without a length": Raw(OK + b"Content-Encoding: gzip\r\n\r\n" + _GZ, Gives(wire=len(_GZ))),
    "gzip in chunks cut inside": Raw(
        OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(_GZ[:20]),
        Gives(reason="truncated"),
    ),
    "gzip with a length that is too large": Raw(
        OK + b"Content-Encoding: gzip\r\nContent-Length: 1000\r\n\r\n" + _GZ, Gives(reason="truncated")
    ),
    "gzip that is cut where it is said": Raw(
        coded(b"gzip", _GZ), Gives(body=b"<titl", wire=len(_GZ)), asks={"cut_body_at": 5}
    ),
    "gzip beyond the cap": Raw(coded(b"gzip", gzip.compress(bytes(20_001), mtime=0)), Gives(reason="too-large")),
    "deflate": Raw(coded(b"deflate", zlib.compress(PAGE)), Gives(wire=len(zlib.compress(PAGE)))),
    "deflate without its frame": Raw(
        coded(b"deflate", deflate(PAGE, bare=True)), Gives(wire=len(deflate(PAGE, bare=True)))
    ),
    "deflate cut": Raw(coded(b"deflate", zlib.compress(PAGE)[:-6]), Gives(reason="truncated")),
    "br": Raw(coded(b"br", brotli.compress(PAGE)), Gives(wire=len(brotli.compress(PAGE)))),
    "br cut": Raw(coded(b"br", brotli.compress(PAGE)[:-3]), Gives(reason="truncated")),
    "zstd": Raw(coded(b"zstd", zstandard.compress(PAGE)), Gives(wire=len(zstandard.compress(PAGE)))),
    "zstd cut": Raw(coded(b"zstd", zstandard.compress(PAGE)[:-3]), Gives(reason="truncated")),
    "an unknown coding": Raw(coded(b"rot13", PAGE)),
    "an empty coding": Raw(coded(b"", PAGE)),
    "the coding identity": Raw(coded(b"identity", PAGE)),
    "none as a coding": Raw(coded(b"none", PAGE)),
    "UTF-8 as a coding": Raw(coded(b"utf-8", PAGE)),
    "two codings": Raw(coded(b"gzip, br", _BR), Gives(wire=len(_BR))),
    "two codings in two headers": Raw(
        OK + b"Content-Encoding: gzip\r\nContent-Encoding: br\r\nContent-Length: %d\r\n\r\n" % len(_BR) + _BR,
        Gives(wire=len(_BR)),
    ),
    "five codings": Raw(coded(b"gzip, gzip, gzip, gzip, gzip", _FIVE), Gives(wire=len(_FIVE))),
    "six codings": Raw(
        coded(b"gzip, gzip, gzip, gzip, gzip, gzip", _SIX),
        today=Today(
            "requests calls what the server did an internal error; curl takes the coded bytes for the page",
            requests=Gives(reason="internal-error"),
            curl=Gives(body=_SIX),
        ),
    ),
    "a known coding over an unknown one": Raw(
        coded(b"rot13, gzip", _GZ), Gives(body=_GZ), today=Today("the coded bytes are taken for the page")
    ),
}
