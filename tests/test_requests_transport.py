"""The requests transport against servers on loopback: what it answers, and what the servers saw of it."""

from __future__ import annotations

import gzip
import shutil
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped]  # it comes without annotations
import pytest
import requests
import responses
import zstandard

from crawler.config import Config
from crawler.errors import UsageError
from crawler.model import REASONS, Answer
from crawler.transports import Request
from crawler.transports.failures import describe, explain
from crawler.transports.requests import RequestsTransport
from tests import hostile
from tests.hostile import PAGE, Behaviour, Hostile, Visitor, answers_with, encoded, response

PATIENCE_SECONDS = 10.0  # of a test, with what must come
TIMEOUT_SECONDS = 0.3  # of a request that must not be answered
LOOPBACK = ("127.0.0.0/8", "::1")

Open = Callable[..., RequestsTransport]


@pytest.fixture
def open_transport() -> Iterator[Open]:
    """Make transports that are closed after the test, and check that they leave no thread."""
    opened: list[RequestsTransport] = []

    def make(capacity: int = 4, **options: Any) -> RequestsTransport:
        options = {"timeout_seconds": PATIENCE_SECONDS, "allow_private": LOOPBACK, **options}
        opened.append(RequestsTransport(Config(**options), capacity))
        return opened[-1]

    yield make
    for transport in opened:
        transport.close()
    assert request_threads() == set()


def request_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "request"}


def collect(transport: RequestsTransport, count: int) -> list[Answer]:
    """Return the next `count` answers."""
    answers: list[Answer] = []
    until = time.monotonic() + PATIENCE_SECONDS
    while len(answers) < count and time.monotonic() < until:
        answers += transport.wait(0.5)
    assert len(answers) == count
    return answers


def ask(transport: RequestsTransport, host: str, target: str = "/", **options: Any) -> Answer:
    transport.start(Request(1, host, target, **options))
    return collect(transport, 1)[0]


# What a whole answer holds


def test_a_page_comes_back_with_all_that_is_known_of_it(open_transport: Open) -> None:
    with Hostile(answers_with(response(PAGE, "Server: a\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"))) as server:
        before, at = time.time(), time.monotonic()
        answer = ask(open_transport(), server.host, "/page?x=1")
    assert (answer.tag, answer.reason, answer.error, answer.asked) == (1, "", "", True)
    assert (answer.status, answer.http_version, answer.ip) == (200, "1.1", "127.0.0.1")
    assert (answer.body, answer.wire_size) == (PAGE, len(PAGE))
    assert sorted(answer.headers) == [
        ("content-length", str(len(PAGE))),
        ("content-type", "text/html"),
        ("server", "a"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ]
    assert before <= answer.started_at <= time.time()
    assert at <= answer.ended - answer.elapsed_seconds <= answer.ended <= time.monotonic()


def test_the_request_has_our_headers_and_no_cookie(open_transport: Open) -> None:
    with Hostile(answers_with(response(PAGE, "Set-Cookie: a=1; Path=/\r\n"))) as server:
        transport = open_transport(user_agent="tester/1", headers={"X-Own": "yes", "accept": "text/html"})
        for _ in range(2):
            ask(transport, server.host)
    for head in server.heads:
        line, *headers = head.decode("ascii").rstrip().split("\r\n")
        assert line == "GET / HTTP/1.1"
        assert sorted(header.lower() for header in headers) == [
            "accept-encoding: gzip, deflate, br, zstd",
            "accept: text/html",
            f"host: 127.0.0.1:{server.port}",
            "user-agent: tester/1",
            "x-own: yes",
        ]


TARGETS = [
    "/",
    "/?",
    "/a?",
    "/{1}|2^3",
    "/a[x]?q=[y]",
    "/%zz%2",
    "/%7euser/%7Euser/~user",
    "//double//slash",
    "/a/./b/../c",
    '/"<>`\\',
    "/a?b?c#d",
    "/a;b=c?d=e&f=%20+g",
    "/http://example.org/",
]


def test_targets_go_out_byte_for_byte(open_transport: Open) -> None:
    with Hostile(answers_with(response(PAGE))) as server:
        transport = open_transport()
        answers = [ask(transport, server.host, target) for target in TARGETS]
    assert server.targets == [target.encode("ascii") for target in TARGETS]
    assert {answer.reason for answer in answers} == {""}


@pytest.mark.parametrize("target", ["", "a", "/a b", "/a\nb", "/a\r\nX: y", "/\x00", "/\x7f", "/\xe4", "http://x/"])
def test_what_is_no_target_is_not_sent(open_transport: Open, target: str) -> None:
    with Hostile(answers_with(response(PAGE))) as server:
        answer = ask(open_transport(), server.host, target)
        assert (answer.reason, answer.asked, answer.body) == ("internal-error", False, None)
        assert server.connections == 0


def test_one_connection_serves_a_hosts_requests_one_after_the_other(open_transport: Open) -> None:
    with Hostile(answers_with(response(PAGE))) as server:
        transport = open_transport(capacity=4)
        answers = [ask(transport, server.host, f"/{n}") for n in range(20)]
        assert (server.connections, len(server.heads)) == (1, 20)
    assert {(answer.reason, answer.ip) for answer in answers} == {("", "127.0.0.1")}


def test_many_requests_at_once_are_each_answered_once(open_transport: Open) -> None:
    with Hostile(answers_with(response(PAGE))) as server:
        transport = open_transport(capacity=8)
        for tag in range(200):
            transport.start(Request(tag, server.host, f"/{tag}"))
        assert sorted(answer.tag for answer in collect(transport, 200)) == list(range(200))
        assert server.connections <= 8
        assert len(request_threads()) <= 8
    assert sorted(server.targets) == sorted(b"/%d" % tag for tag in range(200))


def test_idle_connections_of_many_hosts_do_not_pile_up(open_transport: Open) -> None:
    behave = answers_with(response(PAGE))
    servers = [Hostile(behave, address=f"127.0.0.{n}") for n in range(2, 22)]
    try:
        transport = open_transport(capacity=1)
        for server in servers:
            server.__enter__()
            assert ask(transport, server.host).reason == ""
        assert [server.left.wait(PATIENCE_SECONDS) for server in servers[:12]] == [True] * 12
        assert [server.left.is_set() for server in servers[12:]] == [False] * 8
    finally:
        for server in servers:
            server.__exit__(None, None, None)


def test_an_ipv6_host_is_asked(open_transport: Open) -> None:
    try:
        server = Hostile(answers_with(response(PAGE)), address="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        answer = ask(open_transport(), server.host)
    assert (answer.reason, answer.ip) == ("", "::1")
    assert f"\r\nHost: [::1]:{server.port}\r\n".encode() in server.heads[0]


def test_interim_responses_are_skipped(open_transport: Open) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    with Hostile(answers_with(hints + response(PAGE))) as server:
        answer = ask(open_transport(), server.host)
    assert (answer.status, answer.body, answer.header("link")) == (200, PAGE, "")


def test_an_old_server_is_understood(open_transport: Open) -> None:
    with Hostile(hostile.answers_once_with(b"HTTP/1.0 200 OK\r\n\r\n" + PAGE)) as server:
        answer = ask(open_transport(), server.host)
    assert (answer.http_version, answer.body, answer.wire_size) == ("1.0", PAGE, len(PAGE))


# Which bodies are read, and how they are decoded

WANTED = [
    ("200 OK", "text/html; charset=utf-8", ""),
    ("200 OK", "TEXT/HTML", ""),
    ("200 OK", "application/xhtml+xml", ""),
    ("200 OK", "", ""),
    ("404 Not Found", "text/html", ""),
    ("500 Oops", "text/html", ""),
    ("300 Multiple Choices", "text/html", ""),
]
UNWANTED = [
    ("200 OK", "application/pdf", ""),
    ("200 OK", "text/plain", ""),
    ("200 OK", "text/htmlish", ""),
    ("404 Not Found", "image/png", ""),
    ("301 Moved", "text/html", "Location: /there\r\n"),
    ("307 Moved", "", "Location: /there\r\n"),
]


@pytest.mark.parametrize(("status", "content_type", "headers"), WANTED)
def test_pages_are_read(open_transport: Open, status: str, content_type: str, headers: str) -> None:
    with Hostile(answers_with(response(PAGE, headers, status, content_type))) as server:
        answer = ask(open_transport(), server.host)
    assert (answer.reason, answer.status, answer.body) == ("", int(status[:3]), PAGE)


@pytest.mark.parametrize(("status", "content_type", "headers"), UNWANTED)
def test_other_bodies_are_not_read_but_small_ones_cost_no_connection(
    open_transport: Open, status: str, content_type: str, headers: str
) -> None:
    with Hostile(answers_with(response(PAGE, headers, status, content_type))) as server:
        transport = open_transport()
        for _ in range(2):
            answer = ask(transport, server.host)
            assert (answer.reason, answer.status, answer.body, answer.wire_size) == ("", int(status[:3]), None, None)
            assert answer.header("content-length") == str(len(PAGE))
        assert server.connections == 1


@pytest.mark.parametrize("behave", [hostile.redirects_with_huge_body, hostile.dribbles_redirect_body])
def test_a_redirects_body_is_not_waited_for(open_transport: Open, behave: Behaviour) -> None:
    with Hostile(behave) as server:
        answer = ask(open_transport(), server.host)
        assert server.left.wait(PATIENCE_SECONDS)
    assert (answer.reason, answer.status, answer.header("location")) == ("", 302, "/there")
    assert (answer.body, answer.wire_size) == (None, None)
    assert answer.elapsed_seconds < 2


def test_a_body_that_is_asked_for_is_read_whatever_its_type_and_cut(open_transport: Open) -> None:
    text = b"User-agent: *\n" * 1000
    with Hostile(answers_with(response(text, content_type="text/plain"))) as server:
        transport = open_transport(max_body_bytes=5000)
        cut = [ask(transport, server.host, "/robots.txt", cut_body_at=size) for size in (1, 100, 14_000, 20_000)]
    assert [answer.reason for answer in cut] == [""] * 4
    assert [answer.body for answer in cut] == [text[:1], text[:100], text, text]


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


# Broken


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (hostile.truncates_body, "truncated"),
        (hostile.truncates_chunk, "truncated"),
        (hostile.forgets_last_chunk, "truncated"),
        (hostile.sends_bad_chunk, "truncated"),
        (hostile.garbles_status_line, "bad-response"),
        (hostile.garbles_status_code, "bad-response"),
        (hostile.garbles_header, "bad-response"),
        (hostile.contradicts_itself, "bad-response"),
        (hostile.floods_headers, "bad-response"),
        (hostile.sends_long_header, "bad-response"),
        (hostile.sends_heavy_headers, "bad-response"),
        (hostile.closes_at_once, "reset"),
        (hostile.resets, "reset"),
        (hostile.resets_in_body, "reset"),
    ],
)
def test_a_broken_answer_has_its_reason(open_transport: Open, behave: Behaviour, reason: str) -> None:
    with Hostile(behave) as server:
        answer = ask(open_transport(), server.host)
        assert (answer.reason, answer.asked, answer.body) == (reason, True, None)
        assert answer.error
        assert server.targets == [b"/"]  # no second try on a new connection


def test_a_closed_port_is_refused(open_transport: Open) -> None:
    with Hostile(hostile.says_nothing) as server:
        host = server.host
    answer = ask(open_transport(), host)
    assert (answer.reason, answer.asked, answer.status, answer.ip) == ("refused", True, 0, "")
    assert answer.error == "ConnectionRefusedError: [Errno 111] Connection refused"


def test_an_idle_connection_that_the_server_closed_is_replaced_unnoticed(open_transport: Open) -> None:
    with Hostile(hostile.closes_idle) as server:
        transport = open_transport()
        answers = [ask(transport, server.host, f"/{n}") for n in range(3)]
        assert [(answer.reason, answer.body) for answer in answers] == [("", PAGE)] * 3
        assert server.targets == [b"/0", b"/1", b"/1", b"/2", b"/2"]
        assert server.connections == 3


def test_it_is_replaced_only_once(open_transport: Open) -> None:
    with Hostile(hostile.answers_only_the_first) as server:
        transport = open_transport()
        assert [ask(transport, server.host, target).reason for target in ("/0", "/1")] == ["", "reset"]
        assert server.targets == [b"/0", b"/1", b"/1"]


# Time


@pytest.mark.parametrize(
    "behave",
    [hostile.says_nothing, hostile.dribbles_headers, hostile.says_continue_for_ever, hostile.dribbles_body],
)
def test_the_deadline_covers_the_whole_request_and_ends_its_connection(open_transport: Open, behave: Behaviour) -> None:
    with Hostile(behave) as server:
        transport = open_transport(timeout_seconds=TIMEOUT_SECONDS)
        answer = ask(transport, server.host)
        assert server.left.wait(PATIENCE_SECONDS)
        assert server.targets == [b"/"]
    assert (answer.reason, answer.asked, answer.body) == ("timeout", True, None)
    assert TIMEOUT_SECONDS - 0.05 <= answer.elapsed_seconds < 2
    assert "0.3 s" in answer.error


def test_a_tls_handshake_is_within_the_deadline(open_transport: Open) -> None:
    with Hostile(lambda visitor: none(visitor.sock.recv(65_536), visitor.head())) as server:
        answer = ask(open_transport(timeout_seconds=TIMEOUT_SECONDS), server.host.replace("http", "https"))
        assert server.left.wait(PATIENCE_SECONDS)
    assert answer.reason == "timeout"
    assert answer.error.endswith("shaking hands")


def none(*_: object) -> None:
    """Return None, whatever was done to get the arguments."""


def test_a_late_request_does_not_disturb_the_others(open_transport: Open) -> None:
    with Hostile(hostile.says_nothing) as silent, Hostile(answers_with(response(PAGE))) as good:
        transport = open_transport(capacity=4, timeout_seconds=1.0)
        for tag in range(3):
            transport.start(Request(tag, silent.host, f"/{tag}"))
        for tag in range(3, 40):
            transport.start(Request(tag, good.host, f"/{tag}"))
        reasons = {answer.tag: answer.reason for answer in collect(transport, 40)}
    assert reasons == {tag: "timeout" if tag < 3 else "" for tag in range(40)}


def test_wait_returns_as_soon_as_there_is_an_answer_and_not_before_its_time(open_transport: Open) -> None:
    with Hostile(answers_with(response(PAGE))) as server:
        transport = open_transport()
        at = time.monotonic()
        assert transport.wait(0.05) == []
        assert 0.05 <= time.monotonic() - at < 2
        assert transport.wait(0) == []
        transport.start(Request(1, server.host, "/"))
        assert [answer.reason for answer in transport.wait(PATIENCE_SECONDS)] == [""]
        assert time.monotonic() - at < PATIENCE_SECONDS / 2


class StuckResolver:
    """A resolver that does not return for names that begin with "stuck", until it is released."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.release = threading.Event()
        self._real = socket.getaddrinfo
        patch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: str, *args: Any, **options: Any) -> Any:
        if host.startswith("stuck"):
            self.release.wait(PATIENCE_SECONDS)
            host = "127.0.0.1"
        return self._real(host, *args, **options)


def test_a_thread_stuck_in_the_resolver_is_replaced_and_its_late_result_dropped(
    open_transport: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = StuckResolver(monkeypatch)
    with Hostile(answers_with(response(PAGE))) as server:
        transport = open_transport(capacity=1, timeout_seconds=0.7)
        stuck = ask(transport, f"http://stuck.test:{server.port}")
        assert (stuck.reason, stuck.error.split(": ")[1]) == ("timeout", "looking up the name")
        assert ask(transport, server.host, "/while").reason == ""
        assert repr(transport) == "<RequestsTransport: 0 in flight, 0 answers, 2 threads for 1, 1 lost>"
        threads = request_threads()
        resolver.release.set()
        # one of the two ends: it is one more than there may be
        until = time.monotonic() + PATIENCE_SECONDS
        while all(thread.is_alive() for thread in threads) and time.monotonic() < until:
            transport.wait(0.01)
        assert sorted(thread.is_alive() for thread in threads) == [False, True]
        assert ask(transport, server.host, "/after").reason == ""
        assert server.targets == [b"/while", b"/after"]


def test_threads_stuck_in_the_resolver_are_bounded(open_transport: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = StuckResolver(monkeypatch)
    with Hostile(answers_with(response(PAGE))) as server:
        transport = open_transport(capacity=2, timeout_seconds=0.7)
        for tag in range(12):
            transport.start(Request(tag, f"http://stuck{tag}.test", "/"))
        assert {answer.reason for answer in collect(transport, 12)} == {"timeout"}
        assert len(request_threads()) <= 4
        resolver.release.set()
        until = time.monotonic() + PATIENCE_SECONDS
        while len(request_threads()) > 2 and time.monotonic() < until:
            transport.wait(0.01)
        assert [ask(transport, server.host).reason for _ in range(3)] == [""] * 3
        assert len(request_threads()) <= 2


def test_close_ends_everything_within_a_second(open_transport: Open) -> None:
    good = Hostile(answers_with(response(PAGE)))
    with Hostile(hostile.says_nothing) as silent, Hostile(hostile.dribbles_body) as slow, good:
        transport = open_transport(capacity=8)
        assert ask(transport, good.host).reason == ""
        for tag, server in enumerate([silent, slow] * 6):
            transport.start(Request(tag, server.host, f"/{tag}"))
        until = time.monotonic() + PATIENCE_SECONDS
        while len(silent.heads) + len(slow.heads) < 8 and time.monotonic() < until:
            assert transport.wait(0.01) == []
        at = time.monotonic()
        transport.close()
        assert time.monotonic() - at < 1.5
        assert request_threads() == set()
        assert [server.left.wait(PATIENCE_SECONDS) for server in (silent, slow, good)] == [True] * 3
        assert transport.wait(0) == []
        transport.close()


# The guard


def test_a_private_address_is_not_connected_to(open_transport: Open) -> None:
    with Hostile(answers_with(response(PAGE))) as server:
        transport = open_transport(allow_private=())
        for host in (server.host, f"http://localhost:{server.port}", f"http://[::ffff:127.0.0.1]:{server.port}"):
            answer = ask(transport, host)
            assert (answer.reason, answer.asked, answer.status, answer.ip) == ("blocked-address", False, 0, "")
        assert server.connections == 0
        assert ask(transport, server.host, named=True).reason == ""


def test_the_address_that_the_socket_is_connected_to_is_checked_again(open_transport: Open) -> None:
    with Hostile(answers_with(response(PAGE))) as server:
        # connecting to 0.0.0.0 leads to 127.0.0.1
        answer = ask(open_transport(allow_private=("0.0.0.0/32",)), f"http://0.0.0.0:{server.port}")
        assert (answer.reason, answer.asked, answer.error) == ("blocked-address", False, "not public: 127.0.0.1")
        assert server.heads == []


def resolve_to(patch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
    patch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_of_a_names_addresses_the_permitted_are_tried_in_order(
    open_transport: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    behave = answers_with(response(PAGE))
    with (
        Hostile(behave) as private,
        Hostile(hostile.says_nothing) as closed,
        Hostile(behave, address="127.0.0.3") as ok,
    ):
        closed.__exit__(None, None, None)
        resolve_to(monkeypatch, ("127.0.0.1", private.port), ("127.0.0.2", closed.port), ("127.0.0.3", ok.port))
        transport = open_transport(allow_private=("127.0.0.2", "127.0.0.3"))
        answer = ask(transport, "http://many.test")
        assert (answer.reason, answer.ip) == ("", "127.0.0.3")
        assert (private.connections, ok.connections) == (0, 1)


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_a_name_without_an_address_is_dns(
    open_transport: Open, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    answer = ask(open_transport(), "http://nowhere.test")
    assert (answer.reason, answer.asked, answer.error) == ("dns", True, describe(error))


@pytest.mark.parametrize(
    "options",
    [
        {"allow_private": ("nonsense",)},
        {"headers": {"X-A": "a\r\nX-B: b"}},
        {"headers": {"X A": "a"}},
        {"user_agent": "snowman \u2603"},
    ],
)
def test_unusable_options_are_usage_errors(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        RequestsTransport(Config(**options), 1)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """Make a self-signed certificate for 127.0.0.1 and a server's context with it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command here")
    folder = tmp_path_factory.mktemp("tls")
    made = subprocess.run(  # a fixed command with fixed arguments
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=loopback"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("this openssl cannot make a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


def test_a_certificate_that_nobody_vouches_for_is_tls(
    open_transport: Open, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    with Hostile(answers_with(response(PAGE)), tls=certificate[1]) as server:
        answer = ask(open_transport(), server.host)
        assert server.heads == []
    assert (answer.reason, answer.status) == ("tls", 0)
    assert "self-signed certificate" in answer.error


def test_a_trusted_certificate_is_enough_and_the_connection_is_kept(
    open_transport: Open, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certifi.where", lambda: str(certificate[0]))
    with Hostile(answers_with(response(PAGE)), tls=certificate[1]) as server:
        transport = open_transport()
        answers = [ask(transport, server.host, target) for target in ("/{1}", "/{2}")]
        assert [(answer.reason, answer.body, answer.ip) for answer in answers] == [("", PAGE, "127.0.0.1")] * 2
        assert (server.targets, server.connections) == ([b"/{1}", b"/{2}"], 1)


def test_a_certificate_for_another_name_is_tls(
    open_transport: Open, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certifi.where", lambda: str(certificate[0]))
    with Hostile(answers_with(response(PAGE)), tls=certificate[1]) as server:
        answer = ask(open_transport(), f"https://localhost:{server.port}")
        assert server.heads == []
    assert (answer.reason, "Hostname mismatch" in answer.error) == ("tls", True)


def test_a_dribbling_body_over_tls_is_within_the_deadline(
    open_transport: Open, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certifi.where", lambda: str(certificate[0]))
    with Hostile(hostile.dribbles_body, tls=certificate[1]) as server:
        answer = ask(open_transport(timeout_seconds=TIMEOUT_SECONDS), server.host)
        assert server.left.wait(PATIENCE_SECONDS)
    assert (answer.reason, answer.error.split(": ")[1]) == ("timeout", "reading the body")


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_plain_http_on_a_tls_port_is_tls(open_transport: Open, greeting: bytes) -> None:
    def behave(visitor: Visitor) -> None:
        visitor.sock.recv(65_536)
        visitor.send(greeting)

    with Hostile(behave) as server:
        assert ask(open_transport(), server.host.replace("http", "https")).reason == "tls"


# Mocks


def test_a_mock_that_is_active_before_the_transport_answers_for_it(open_transport: Open) -> None:
    with responses.RequestsMock() as mock:
        mock.get("http://mocked.test/page", body="<p>hello", content_type="text/html", headers={"X-A": "b"})
        answer = ask(open_transport(), "http://mocked.test", "/page")
    assert (answer.reason, answer.status, answer.body, answer.asked) == ("", 200, b"<p>hello", True)
    assert (answer.ip, answer.http_version, answer.header("x-a")) == ("", "", "b")


def test_a_mock_that_comes_later_answers_until_it_goes(open_transport: Open) -> None:
    with Hostile(answers_with(response(PAGE))) as server:
        transport = open_transport()
        assert ask(transport, server.host).body == PAGE
        with responses.RequestsMock() as mock:
            mock.get(f"{server.host}/", body=b"mocked", content_type="text/html")
            assert ask(transport, server.host).body == b"mocked"
        assert ask(transport, server.host).body == PAGE
        assert len(server.heads) == 2


def test_a_mock_sees_the_url_as_it_is_and_a_redirect_is_not_followed(open_transport: Open) -> None:
    seen = []

    def redirect(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        seen.append((request.url, request.headers["user-agent"]))
        return 302, {"Location": "http://elsewhere.test/"}, "<p>over there"

    with responses.RequestsMock() as mock:
        mock.add_callback(responses.GET, "http://mocked.test/{1}", callback=redirect)
        answer = ask(open_transport(user_agent="tester/1"), "http://mocked.test", "/{1}?a=[b]")
    assert seen == [("http://mocked.test/{1}?a=[b]", "tester/1")]
    assert (answer.status, answer.body, answer.header("location")) == (302, None, "http://elsewhere.test/")


def test_a_mocks_repeated_headers_and_coded_bodies_are_like_a_servers(open_transport: Open) -> None:
    kinds = [("Content-Type", "text/html"), ("Content-Encoding", "gzip")]
    headers: Any = [*kinds, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    with responses.RequestsMock() as mock:
        mock.add_callback(responses.GET, "http://mocked.test/", callback=lambda _: (200, headers, gzip.compress(PAGE)))
        answer = ask(open_transport(), "http://mocked.test")
    assert (answer.reason, answer.body) == ("", PAGE)
    assert [value for name, value in answer.headers if name == "set-cookie"] == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (requests.exceptions.ConnectionError("no way"), "refused"),
        (requests.exceptions.ConnectTimeout("late"), "timeout"),
        (requests.exceptions.ReadTimeout("late"), "timeout"),
        (requests.exceptions.SSLError("bad"), "tls"),
        (requests.exceptions.ConnectionError(ConnectionResetError(104, "gone")), "reset"),
        (requests.exceptions.InvalidSchema("what"), "internal-error"),
        (RuntimeError("bug"), "internal-error"),
    ],
)
def test_a_mock_may_raise(open_transport: Open, error: Exception, reason: str) -> None:
    with responses.RequestsMock() as mock:
        mock.get("http://mocked.test/", body=error)
        answer = ask(open_transport(), "http://mocked.test")
    assert (answer.reason, answer.asked) == (reason, True)
    assert REASONS[reason][0] == "failed"


# Texts


def test_an_error_text_is_short_and_safe_to_print() -> None:
    text = describe(ValueError("\x1b[31m\x9b\x7f\n\u202e\ud800 <socket at 0x7f00deadbeef> " + "x" * 10_000))
    assert text.startswith("ValueError: \\u001b[31m\\u009b\\u007f\\u000a\\u202e\\ud800 <socket> xxx")
    assert len(text) == 300


def test_a_chain_that_bites_its_tail_is_explained() -> None:
    error = RuntimeError("a")
    error.__cause__ = ValueError("b")
    error.__cause__.__context__ = error
    assert explain(error) == ("internal-error", "RuntimeError: a")
