"""Decoding a body: in steps, never more of it in memory than the cap and one step.

A chain of generators, `wire → decoder → … → decode_body`, each pulling from the one before, so that nothing is
inflated before the step before it was counted. Knows no transport; runs in the pump's thread.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from io import BytesIO
from itertools import chain
from typing import Any, Final

from crawler.transports.failures import Failure, describe
from crawler.transports.limits import too_large

STEP_BYTES: Final = 65_536
_ZSTD_FEED_BYTES: Final = 64  # four bytes may stand for a block of 128 KiB: at most 2 MiB come out of a feed
_ZSTD_WINDOW_BYTES: Final = 8 << 20  # RFC 9659: the largest that the coding may ask for
_MAX_CODINGS: Final = 5  # as in urllib3; nobody means more

_Chunks = Iterator[bytes]


def decode_body(chunks: _Chunks, content_encoding: str, cap: int, cut_at: int = 0) -> bytes:
    """Return a body as it was before the server coded it.

    Args:
        cap: the most bytes that it may have.
        cut_at: > 0: return so many bytes of a larger body, instead of failing.

    Raises:
        Failure: it is larger, or does not decompress, or is not whole.
    """
    first = next(chunks, b"")
    if not first:
        return b""  # whatever its coding: servers label empty bodies as gzip
    body = BytesIO()  # not a list: a body may come in millions of tiny chunks
    for piece in _decoded(chain((first,), chunks), content_encoding):
        body.write(piece)
        if cut_at and body.tell() >= cut_at:
            body.truncate(cut_at)
            break
        if body.tell() > cap:
            raise too_large(cap, "decoded")
    return body.getvalue()


def accepted_codings() -> str:
    """Return the value of Accept-Encoding: what can be decoded here."""
    found = [coding for coding, module in (("br", "brotli"), ("zstd", "zstandard")) if find_spec(module)]
    return ", ".join(["gzip", "deflate", *found])


def _decoded(chunks: _Chunks, content_encoding: str) -> _Chunks:
    codings = [coding for part in content_encoding.split(",") if (coding := part.strip().lower()) not in _AS_IT_IS]
    if len(codings) > _MAX_CODINGS or any(coding not in _DECODERS for coding in codings):
        return chunks
    for coding in reversed(codings):
        chunks = _DECODERS[coding](chunks)
    return chunks


def _gunzip(chunks: _Chunks) -> _Chunks:
    inflater = zlib.decompressobj(wbits=31)
    try:
        for chunk in chunks:
            # What follows the last member and begins none is padding, which browsers ignore too.
            while chunk and not (inflater.eof and chunk[0] != 0x1F):
                inflater = zlib.decompressobj(wbits=31) if inflater.eof else inflater
                yield inflater.decompress(chunk, STEP_BYTES)
                chunk = inflater.unconsumed_tail or inflater.unused_data
    except zlib.error as error:
        raise _broken("gzip", error) from error
    if not inflater.eof:
        raise _unfinished("gzip")


def _inflate(chunks: _Chunks) -> _Chunks:
    # RFC 9110 says zlib's format, some servers send the bare one. A bare stream never begins with a low nibble of 8.
    first = next(chunks, b"")
    inflater = zlib.decompressobj(wbits=15 if first[:1] and first[0] & 0x0F == 8 else -15)
    try:
        for chunk in chain((first,), chunks):
            while chunk and not inflater.eof:
                yield inflater.decompress(chunk, STEP_BYTES)
                chunk = inflater.unconsumed_tail
    except zlib.error as error:
        raise _broken("deflate", error) from error
    if not inflater.eof:
        raise _unfinished("deflate")


def _unbrotli(chunks: _Chunks) -> _Chunks:
    import brotli  # type: ignore[import-untyped]  # it comes without annotations

    decoder = brotli.Decompressor()
    try:
        for chunk in chunks:
            yield from _brotli_steps(decoder, chunk)
    except brotli.error as error:
        raise _broken("br", error) from error
    if not decoder.is_finished():
        raise _unfinished("br")


def _brotli_steps(decoder: Any, chunk: bytes) -> _Chunks:
    while not decoder.is_finished():
        # It takes in all input long before all output came out, so only an empty step ends a chunk.
        piece = decoder.process(chunk, output_buffer_limit=STEP_BYTES)
        chunk = b""
        if not piece and decoder.can_accept_more_data():
            return
        yield piece


def _unzstd(chunks: _Chunks) -> _Chunks:
    import zstandard

    codec = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    frame = codec.decompressobj()
    try:
        for feed in _in_feeds(chunks):
            while feed:
                frame = codec.decompressobj() if frame.eof else frame
                yield frame.decompress(feed)
                feed = frame.unused_data
    except zstandard.ZstdError as error:
        raise _broken("zstd", error) from error
    if not frame.eof:
        raise _unfinished("zstd")


def _in_feeds(chunks: _Chunks) -> _Chunks:
    for chunk in chunks:
        for start in range(0, len(chunk), _ZSTD_FEED_BYTES):
            yield chunk[start : start + _ZSTD_FEED_BYTES]


_AS_IT_IS: Final = ("", "identity")
_DECODERS: Final[dict[str, Callable[[_Chunks], _Chunks]]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}


def _broken(coding: str, error: Exception) -> Failure:
    return Failure("truncated", f"the body does not decompress ({coding}): {describe(error)}")


def _unfinished(coding: str) -> Failure:
    return Failure("truncated", f"the body ends in the midst of its {coding} stream")
