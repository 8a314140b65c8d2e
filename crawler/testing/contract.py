"""The contract of a transport as tests that anybody can run against their own.

    class TestMine(TransportContract):
        transport = "mine:Transport"

is collected by pytest; `check_transport("mine:Transport")` runs the same tests without it. Each test serves a site on
loopback, opens the transport as a worker does, asks, and looks at the answers. Must not know any transport.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any, Final

from crawler import clock
from crawler.config import Config
from crawler.model import Answer
from crawler.testing.server import RawServer, Visitor, answers_once_with, answers_with, response, says_nothing
from crawler.transports import Request, open_transport

PATIENCE_SECONDS: Final = 10.0  # with what must come
TIMEOUT_SECONDS: Final = 0.5  # of a request that must not be answered
LOOPBACK: Final = ("127.0.0.0/8", "::1")
PAGE: Final = b"<html><title>page</title></html>"
#: a request target → how it must go out: byte for byte
TARGETS: Final = ("/", "/?", "/{1}|2^3", "/a[x]?q=[y]", "/%zz%2", "/%7euser/~user", "//double//slash", "/a/./b/../c")


class TransportContract:
    """Subclass it, and name the transport."""

    transport = ""  # as in the option `transport`: "module:factory"
    capacity = 4  # requests at once

    # ---- what a whole answer holds

    def test_a_page_comes_back_with_all_that_is_known_of_it(self) -> None:
        sent = response(PAGE, "Set-Cookie: a=1\r\nX-Own: Yes\r\nSet-Cookie: b=2\r\n")
        with RawServer(answers_with(sent)) as server:
            before, at = clock.wall(), clock.monotonic()
            answer = self._ask(server.host, "/page?x=1")
            after, until = clock.wall(), clock.monotonic()
        _same(
            "tag, reason, error and asked", (answer.tag, answer.reason, answer.error, answer.asked), (1, "", "", True)
        )
        _same("status, version and address", (answer.status, answer.http_version, answer.ip), (200, "1.1", "127.0.0.1"))
        _same("body and wire size", (answer.body, answer.wire_size), (PAGE, len(PAGE)))
        _same("headers, in any order", sorted(answer.headers), [
            ("content-length", str(len(PAGE))), ("content-type", "text/html"),
            ("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-own", "Yes"),
        ])  # fmt: skip
        _is_true("started_at is Unix time", before <= answer.started_at <= after)
        _is_true("ended is monotonic time", at <= answer.ended - answer.elapsed_seconds <= answer.ended <= until)

    def test_targets_go_out_byte_for_byte(self) -> None:
        with RawServer(answers_with(response(PAGE))) as server:
            for target in TARGETS:
                self._ask(server.host, target)
        _same("targets", server.targets, [target.encode("ascii") for target in TARGETS])

    def test_a_request_has_the_headers_that_it_is_given_and_no_cookie(self) -> None:
        with RawServer(answers_with(response(PAGE, "Set-Cookie: a=1; Path=/\r\n"))) as server, self._open() as opened:
            for number in (1, 2):
                opened.ask(server.host, headers=(("User-Agent", f"tester/{number}"), ("X-Own", "yes")))
        lines = [set(head.decode("latin-1").lower().split("\r\n")) for head in server.heads]
        _is_true("the headers of each request", all(
            {f"user-agent: tester/{number}", "x-own: yes"} <= line for number, line in enumerate(lines, 1)
        ))  # fmt: skip
        _is_true("no cookie comes back", not any(each.startswith("cookie:") for line in lines for each in line))

    def test_a_coded_body_is_decoded(self) -> None:
        packed = gzip.compress(PAGE)
        with RawServer(answers_with(response(packed, "Content-Encoding: gzip\r\n"))) as server:
            answer = self._ask(server.host)
        _same("reason and body", (answer.reason, answer.body), ("", PAGE))

    def test_a_body_in_chunks_is_put_together(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n"
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (PAGE[:7], PAGE[7:]))
        with RawServer(answers_with(head + chunks + b"0\r\n\r\n")) as server:
            answer = self._ask(server.host)
        _same("reason and body", (answer.reason, answer.body), ("", PAGE))

    # ---- what is not read, and not followed

    def test_a_redirect_is_an_answer(self) -> None:
        with RawServer(answers_with(response(PAGE, "Location: /there\r\n", "302 Found"))) as server:
            answer = self._ask(server.host)
        _same("status and location", (answer.status, answer.header("location")), (302, "/there"))
        _same("body", answer.body, None)
        _same("what the server was asked", server.targets, [b"/"])

    def test_a_body_that_nobody_wants_is_not_read(self) -> None:
        with RawServer(_sends_without_end(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n")) as server:
            answer = self._ask(server.host)
            _is_true("the server is left", server.left.wait(PATIENCE_SECONDS))
        _same("reason, status and body", (answer.reason, answer.status, answer.body), ("", 200, None))

    def test_a_head_has_no_body(self) -> None:
        with RawServer(answers_once_with(response(PAGE).partition(PAGE)[0])) as server:
            answer = self._ask(server.host, method="HEAD")
        _same("reason, status and body", (answer.reason, answer.status, answer.body), ("", 200, None))
        _is_true("the method is HEAD", server.heads[0].startswith(b"HEAD / "))

    def test_a_body_is_cut_where_it_is_said(self) -> None:
        with RawServer(answers_with(response(bytes(5000), content_type="text/plain"))) as server:
            answer = self._ask(server.host, types=(), cut_body_at=100)
        _same("reason and body", (answer.reason, answer.body), ("", bytes(100)))

    # ---- what goes wrong

    def test_a_body_without_an_end_is_too_large(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
        with RawServer(_sends_without_end(head)) as server:
            answer = self._ask(server.host, config={"max_body_bytes": 100_000})
            _is_true("the server is left", server.left.wait(PATIENCE_SECONDS))
        _same("reason and body", (answer.reason, answer.body), ("too-large", None))

    def test_what_breaks_off_is_no_page(self) -> None:
        whole = response(PAGE)
        for sent, reason in ((whole[:-5], "truncated"), (b"", "reset"), (b"what?\r\n\r\n", "bad-response")):
            with RawServer(answers_once_with(sent)) as server:
                answer = self._ask(server.host)
            _same(f"reason, asked and body after {sent[-20:]!r}", _ends(answer), (reason, True, None))
            _same("what the server was asked", server.targets, [b"/"])
            _is_true("an error is explained", answer.error)

    def test_a_closed_port_is_refused(self) -> None:
        with RawServer(says_nothing) as server:
            host = server.host
        _same("reason", self._ask(host).reason, "refused")

    def test_a_server_that_says_nothing_is_left_at_the_deadline(self) -> None:
        with RawServer(says_nothing) as server:
            answer = self._ask(server.host, config={"timeout_seconds": TIMEOUT_SECONDS})
            _is_true("the server is left", server.left.wait(PATIENCE_SECONDS))
        _same("reason, asked and body", _ends(answer), ("timeout", True, None))
        _is_true("it took as long as it may", TIMEOUT_SECONDS <= answer.elapsed_seconds + 0.1 < PATIENCE_SECONDS)

    def test_an_address_that_is_not_permitted_is_not_connected_to(self) -> None:
        with RawServer(answers_with(response(PAGE))) as server:
            private = self._ask(server.host, config={"allow_private": ()})
            _same("reason, asked and body", _ends(private), ("blocked-address", False, None))
            _same("connections", server.connections, 0)
            named = self._ask(server.host, config={"allow_private": ()}, named=True)
            _same("reason for a host that the user named", named.reason, "")

    # ---- many, none and the end

    def test_many_requests_at_once_are_each_answered_once(self) -> None:
        with RawServer(answers_with(response(PAGE))) as server, self._open() as opened:
            tags = [answer.tag for answer in opened.ask_many(server.host, 50)]
        _same("tags of the answers", sorted(tags), list(range(50)))
        _same("targets", sorted(server.targets), sorted(b"/%d" % tag for tag in range(50)))

    def test_wait_does_not_wait_longer_than_it_may(self) -> None:
        with self._open() as opened:
            at = clock.monotonic()
            _same("answers", opened.transport.wait(0.05), [])
            _is_true("it took 0.05 s or a little more", 0.05 <= clock.monotonic() - at < 2)

    def test_close_ends_what_is_in_flight(self) -> None:
        with RawServer(says_nothing) as server:
            with self._open() as opened:
                opened.transport.start(Request(1, server.host, "/"))
                until = clock.monotonic() + PATIENCE_SECONDS
                while not server.heads and clock.monotonic() < until:
                    opened.transport.wait(0.01)
            _is_true("the server is left", server.left.wait(PATIENCE_SECONDS))

    # ----

    def _open(self, **config: Any) -> _Opened:
        settings = {"timeout_seconds": PATIENCE_SECONDS, "allow_private": LOOPBACK, "transport": self.transport}
        return _Opened(Config(**{**settings, **config}), self.capacity)

    def _ask(self, host: str, target: str = "/", config: dict[str, Any] | None = None, **options: Any) -> Answer:
        with self._open(**(config or {})) as opened:
            return opened.ask(host, target, **options)


def check_transport(transport: str) -> None:
    """Run the contract's tests against a transport, "module:factory", one after the other.

    Raises:
        AssertionError: says which sentence of the contract it does not keep, and what it gave instead.
    """
    contract = TransportContract()
    contract.transport = transport
    for name in [name for name in vars(TransportContract) if name.startswith("test_")]:
        try:
            getattr(contract, name)()
        except AssertionError as error:
            raise AssertionError(f"{name.removeprefix('test_').replace('_', ' ')}: {error}") from error


class _Opened:
    """A transport that is closed after use."""

    def __init__(self, config: Config, capacity: int) -> None:
        self.transport = open_transport(config, capacity)

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.transport.close()

    def ask(self, host: str, target: str = "/", **options: Any) -> Answer:
        """Return the answer to a request."""
        self.transport.start(Request(1, host, target, **options))
        return self._collect(1)[0]

    def ask_many(self, host: str, count: int) -> list[Answer]:
        """Return the answers to so many requests, of which no more are in flight than may be."""
        answers: list[Answer] = []
        started = 0
        while len(answers) < count:
            while started < min(count, len(answers) + self.transport.capacity):
                self.transport.start(Request(started, host, f"/{started}"))
                started += 1
            answers += self._collect(1)
        return answers

    def _collect(self, count: int) -> list[Answer]:
        answers: list[Answer] = []
        until = clock.monotonic() + 2 * PATIENCE_SECONDS
        while len(answers) < count and clock.monotonic() < until:
            answers += self.transport.wait(0.5)
        _is_true("an answer comes", len(answers) >= count)
        return answers


def _sends_without_end(head: bytes) -> Callable[[Visitor], None]:
    def behave(visitor: Visitor) -> None:
        if visitor.head() and visitor.send(head):
            for _ in range(2_000):
                if visitor.server.stopping.is_set() or not visitor.send(bytes(100_000)):
                    return

    return behave


def _ends(answer: Answer) -> tuple[str, bool, bytes | None]:
    return answer.reason, answer.asked, answer.body


def _same(what: str, found: object, wanted: object) -> None:
    """Not `assert`: pytest explains only those of test files, and `python -O` drops them."""
    if found != wanted:
        raise AssertionError(f"{what}: expected {wanted!r}, not {found!r}")


def _is_true(what: str, found: object) -> None:
    if not found:
        raise AssertionError(f"it is not so that: {what}")
