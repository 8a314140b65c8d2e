"""How a body is decoded, and how much of it is read, whichever transport it came by."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]  # it comes without annotations
import pytest
import zstandard

from tests import hostile
from tests.hostile import PAGE, Behaviour, Hostile, answers_with, encoded, response
from tests.transports import PATIENCE_SECONDS, Open, ask

CODED: dict[str, bytes] = {
    "gzip": gzip.compress(PAGE),
    "x-gzip": gzip.compress(PAGE),
    "GZIP": gzip.compress(PAGE),
    "deflate": hostile.deflate(PAGE, bare=False),
    "deflate ": hostile.deflate(PAGE, bare=True),
    "br": brotli.compress(PAGE),
    "zstd": zstandard.compress(PAGE),
    "zstd ": zstandard.compress(PAGE[:10]) + zstandard.compress(PAGE[10:]),
    "gzip ": hostile.two_members(PAGE[:10], PAGE[10:]),
    " gzip": gzip.compress(PAGE) + b"\0\0padding",
    "identity": PAGE,
    "gzip, br": brotli.compress(gzip.compress(PAGE)),
    "rot13": PAGE,
    "gzip, rot13": PAGE,
}


@pytest.mark.parametrize("coding", CODED)
def test_a_coded_body_is_decoded_and_both_sizes_are_known(open_transport: Open, coding: str) -> None:
    with Hostile(answers_with(encoded(CODED[coding], coding))) as server:
        answer = ask(open_transport(), server.host)
    assert (answer.reason, answer.error) == ("", "")
    assert (answer.body, answer.wire_size) == (PAGE, len(CODED[coding]))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_large_coded_body_comes_through_in_many_chunks(open_transport: Open, coding: str) -> None:
    page = b"".join(b"<p>%d</p>" % (n * n) for n in range(200_000))
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": lambda data: hostile.deflate(data, bare=False),
        "br": lambda data: brotli.compress(data, quality=3),
        "zstd": zstandard.compress,
    }
    packed = packers[coding](page)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (packed[n : n + 999] for n in range(0, len(packed), 999)))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with Hostile(answers_with(head + chunks + b"0\r\n\r\n")) as server:
        answer = ask(open_transport(), server.host)
    assert (answer.reason, answer.body == page, answer.wire_size) == ("", True, len(packed))


def test_an_empty_body_is_whole_whatever_its_coding(open_transport: Open) -> None:
    with Hostile(answers_with(encoded(b"", "gzip"))) as server:
        answer = ask(open_transport(), server.host)
    assert (answer.reason, answer.body, answer.wire_size) == ("", b"", 0)


BROKEN_CODED: dict[str, list[bytes]] = {
    "gzip": [gzip.compress(PAGE)[:-4], gzip.compress(PAGE)[:15], b"not gzip", PAGE],
    "deflate": [hostile.deflate(PAGE, bare=False)[:-4], b"\xff\xff\xff\xff"],
    "br": [brotli.compress(PAGE)[:-3], b"\xff" * 50],
    "zstd": [zstandard.compress(PAGE)[:-3], b"not zstd at all"],
}


@pytest.mark.parametrize("coding", BROKEN_CODED)
def test_a_body_that_does_not_decompress_is_truncated(open_transport: Open, coding: str) -> None:
    for body in BROKEN_CODED[coding]:
        with Hostile(answers_with(encoded(body, coding))) as server:
            answer = ask(open_transport(), server.host)
        assert (answer.reason, answer.body) == ("truncated", None)
        assert coding in answer.error


# Too much


@pytest.mark.parametrize("behave", [hostile.sends_huge_body, hostile.announces_huge_body])
def test_a_huge_body_is_too_large_and_its_server_is_left(open_transport: Open, behave: Behaviour) -> None:
    with Hostile(behave) as server:
        answer = ask(open_transport(max_body_bytes=100_000), server.host)
        assert server.left.wait(PATIENCE_SECONDS)
    assert (answer.reason, answer.status, answer.body) == ("too-large", 200, None)
    assert "100000 bytes" in answer.error


@pytest.mark.parametrize(("size", "reason"), [(999, ""), (1000, ""), (1001, "too-large")])
def test_the_cap_is_exact_on_the_wire_and_decoded(open_transport: Open, size: int, reason: str) -> None:
    for data in (response(b"x" * size), encoded(gzip.compress(b"x" * size), "gzip")):
        with Hostile(answers_with(data)) as server:
            assert ask(open_transport(max_body_bytes=1000), server.host).reason == reason


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: hostile.gzip_bomb(100),
    "br": lambda: brotli.compress(bytes(100_000_000), quality=3),
    "zstd": lambda: zstandard.compress(bytes(100_000_000)),
    "gzip, gzip": lambda: gzip.compress(hostile.gzip_bomb(100)),
}


@pytest.mark.parametrize("coding", BOMBS)
def test_a_bomb_is_too_large_and_never_inflated_beyond_the_cap_and_a_step(open_transport: Open, coding: str) -> None:
    cap = 1_000_000
    data = encoded(BOMBS[coding](), coding)
    with Hostile(answers_with(data)) as server:
        transport = open_transport(max_body_bytes=cap)
        tracemalloc.start()
        try:
            answer = ask(transport, server.host)
            cut = ask(transport, server.host, cut_body_at=5000)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert (answer.reason, answer.body) == ("too-large", None)
    assert (cut.reason, cut.body) == ("", bytes(5000))
    assert peak < cap + 5_000_000


def test_a_negative_chunk_is_not_read_to_the_end(open_transport: Open) -> None:
    with Hostile(hostile.sends_negative_chunk) as server:
        tracemalloc.start()
        try:
            answer = ask(open_transport(), server.host)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert server.left.wait(PATIENCE_SECONDS)
    assert answer.reason == "truncated"
    assert peak < 5_000_000
