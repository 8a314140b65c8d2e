"""The wrapper around every transport, with transports that do as they are told: no socket, no thread, no real time."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from crawler import clock
from crawler.config import Config
from crawler.errors import UsageError
from crawler.model import Answer
from crawler.transports import Exchange, Request
from crawler.transports.guarded import Guarded

HOST = "http://a.test"
PUBLIC, PRIVATE = "8.8.8.8", "10.0.0.1"
HTML = (("content-type", "text/html"),)
GZIP = (*HTML, ("content-encoding", "gzip"))
PAGE = b"<title>page</title>"


class Time:
    """A clock that moves when it is told to."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        patch.setattr(clock, "monotonic", lambda: self.now)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


class Wires:
    """A transport that brings what a test gave it; an exchange stays open until the test ends it."""

    capacity = 4

    def __init__(self, time: Time | None = None) -> None:
        self.begun: dict[int, Exchange] = {}
        self.cancelled: list[int] = []
        self.closed = False
        self._ended: list[Exchange] = []
        self._time = time

    def begin(self, exchange: Exchange) -> None:
        self.begun[exchange.tag] = exchange

    def wait(self, seconds: float) -> list[Exchange]:
        if self._time is not None and not self._ended:
            self._time.now += seconds
        ended, self._ended = self._ended, []
        return ended

    def cancel(self, tag: int) -> None:
        self.cancelled.append(tag)

    def close(self) -> None:
        self.closed = True

    def end(self, tag: int, *, ip: str = PUBLIC) -> None:
        """End an exchange with what it has."""
        exchange = self.begun[tag]
        exchange.ip = ip
        exchange.end()
        self._ended.append(exchange)

    def bring(self, tag: int, headers: tuple[tuple[str, str], ...], *parts: bytes, ip: str = PUBLIC) -> list[bool]:
        """Fill an exchange, and end it; return what was said to each step."""
        exchange = self.begun[tag]
        said = [exchange.take_head(200, "1.1", headers), *(exchange.take(part) for part in parts)]
        self.end(tag, ip=ip)
        return said


class Answers:
    """A transport of the simple kind, which gives whole answers."""

    capacity = 4

    def __init__(self, *answers: Answer) -> None:
        self.started: list[Request] = []
        self.answers = list(answers)

    def start(self, request: Request) -> None:
        self.started.append(request)

    def wait(self, seconds: float) -> list[Answer]:
        answers, self.answers = self.answers, []
        return answers

    def close(self) -> None:
        """Nothing to free."""


class Offline(Answers):
    """The same, without a network."""

    has_network = False


class Marks:
    """Notes what is written to it."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "value":
            self.values.append(value)
        super().__setattr__(name, value)

    value = 0


def whole(**changes: Any) -> Answer:
    return Answer(1, status=200, headers=HTML, body=PAGE, wire_size=len(PAGE))._replace(**changes)


def brought(headers: tuple[tuple[str, str], ...], *parts: bytes, ip: str = PUBLIC, **options: Any) -> Answer:
    """Return what comes of a response, over a transport that brings it."""
    wires = Wires()
    guarded = Guarded(wires, Config(max_body_bytes=1000))
    guarded.start(Request(1, HOST, "/", **options))
    wires.bring(1, headers, *parts, ip=ip)
    return guarded.wait(0)[0]


# Caps and codings


@pytest.mark.parametrize(
    ("headers", "parts", "reason"),
    [
        (HTML, [bytes(999)], ""),
        (HTML, [bytes(1000)], ""),
        (HTML, [bytes(1001)], "too-large"),
        (HTML, [bytes(600), bytes(401)], "too-large"),
        ((*HTML, ("content-length", "1000")), [bytes(1000)], ""),
        ((*HTML, ("content-length", "1001")), [], "too-large"),
        ((*HTML, ("content-length", "1001"), ("transfer-encoding", "chunked")), [bytes(10)], ""),
        (GZIP, [gzip.compress(bytes(1000))], ""),
        (GZIP, [gzip.compress(bytes(1001))], "too-large"),
        (GZIP, [gzip.compress(bytes(1000))[:-9]], "truncated"),
    ],
)
def test_caps_count_what_is_announced_transferred_and_decoded(
    headers: tuple[tuple[str, str], ...], parts: list[bytes], reason: str
) -> None:
    answer = brought(headers, *parts)
    assert (answer.reason, answer.body is None) == (reason, bool(reason))
    assert answer.wire_size == (None if reason else sum(map(len, parts)))


def test_a_transport_is_told_when_there_is_enough() -> None:
    wires = Wires()
    guarded = Guarded(wires, Config(max_body_bytes=1000))
    for tag, options in enumerate([{}, {"cut_body_at": 10}, {"method": "HEAD"}, {"types": ("text/css",)}]):
        guarded.start(Request(tag, HOST, "/", **options))  # type: ignore[arg-type]
    assert wires.bring(0, HTML, bytes(1000), b"x", b"y") == [True, True, False, False]
    assert wires.bring(1, HTML, bytes(9), b"x", b"y") == [True, True, False, False]
    assert wires.bring(2, HTML) == [False]
    assert wires.bring(3, HTML) == [False]
    answers = {answer.tag: (answer.reason, answer.body) for answer in guarded.wait(0)}
    assert answers == {0: ("too-large", None), 1: ("", bytes(9) + b"x"), 2: ("", None), 3: ("", None)}


def test_a_body_in_a_million_parts_is_held_as_one() -> None:
    wires = Wires()
    guarded = Guarded(wires, Config())
    guarded.start(Request(1, HOST, "/"))
    wires.bring(1, HTML, *[b"ab"] * 10_000)
    assert len(wires.begun[1].wire) == 20_000
    assert guarded.wait(0)[0].body == b"ab" * 10_000
    assert wires.begun[1].wire == b""  # and not longer than it must be


def test_a_body_is_decoded_under_the_mark_of_its_page_and_no_other_is_marked() -> None:
    marks, wires = Marks(), Wires()
    guarded = Guarded(wires, Config(), marks)
    for tag in (1, 2, 3):
        guarded.start(Request(tag, HOST, "/"))
    wires.bring(1, HTML, PAGE)
    wires.bring(2, GZIP, gzip.compress(PAGE))
    wires.bring(3, GZIP, b"no gzip")
    assert [answer.reason for answer in guarded.wait(0)] == ["", "", "truncated"]
    assert [value for value in marks.values if value] == [2, 3]
    assert marks.values[-1] == 0


def test_memory_that_runs_out_in_a_decoder_leaves_the_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(*_: Any) -> bytes:
        raise MemoryError

    monkeypatch.setattr("crawler.transports.guarded.decode_body", run_out)
    marks, wires = Marks(), Wires()
    guarded = Guarded(wires, Config(), marks)
    guarded.start(Request(7, HOST, "/"))
    wires.bring(7, GZIP, gzip.compress(PAGE))
    with pytest.raises(MemoryError):
        guarded.wait(0)
    assert marks.value == 7


def test_a_decoders_bug_costs_its_page_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> bytes:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr("crawler.transports.guarded.decode_body", fail)
    answer = brought(GZIP, b"x")
    assert (answer.reason, answer.error) == ("internal-error", "ZeroDivisionError: odd")


def test_head_and_wire_bytes_are_kept_where_they_are_wanted() -> None:
    wires = Wires()
    guarded = Guarded(wires, Config())
    for keep_raw in (True, False):
        guarded.start(Request(1, HOST, "/", keep_raw=keep_raw))
        wires.begun[1].take_head(200, "1.1", GZIP, b"HTTP/1.1 200 OK\r\n\r\n" if keep_raw else None)
        wires.begun[1].take(gzip.compress(PAGE, mtime=0))
        wires.end(1)
        (answer,) = guarded.wait(0)
        raw = (b"HTTP/1.1 200 OK\r\n\r\n", gzip.compress(PAGE, mtime=0)) if keep_raw else (None, None)
        assert (answer.body, answer.raw_head, answer.raw_body) == (PAGE, *raw)


# Time


def test_what_is_overdue_is_cancelled_and_what_comes_for_it_later_is_dropped(time: Time) -> None:
    wires = Wires(time)
    guarded = Guarded(wires, Config(timeout_seconds=30.0))
    guarded.start(Request(1, HOST, "/"))
    time.now += 0.1
    guarded.start(Request(2, HOST, "/"))
    wires.begun[1].take_head(200, "1.1", HTML)
    (late,) = guarded.wait(60.0)
    assert (late.tag, late.reason, late.status, late.body, late.asked) == (1, "timeout", 200, None, True)
    assert late.error == "no whole answer within 30 s: reading the body"
    assert (time.now, late.elapsed_seconds) == (1030.0, 30.0)
    assert wires.begun[1].take(PAGE) is False
    wires.end(1)
    assert guarded.wait(0) == []
    assert wires.cancelled == [1]
    assert [answer.tag for answer in guarded.wait(60.0)] == [2]
    assert time.now == pytest.approx(1030.1)


def test_the_time_that_the_pump_spends_elsewhere_is_given_back(time: Time) -> None:
    wires = Wires(time)
    guarded = Guarded(wires, Config(timeout_seconds=10.0))
    guarded.start(Request(1, HOST, "/"))
    assert guarded.wait(4.0) == []
    time.now += 100.0  # a page takes long to parse
    guarded.start(Request(2, HOST, "/"))
    assert guarded.wait(5.9) == []
    assert [answer.tag for answer in guarded.wait(1.0)] == [1]
    assert [answer.tag for answer in guarded.wait(60.0)] == [2]
    assert time.now == 1114.0


def test_an_answer_that_is_complete_at_its_deadline_is_whole(time: Time) -> None:
    wires = Wires(time)
    guarded = Guarded(wires, Config(timeout_seconds=10.0))
    guarded.start(Request(1, HOST, "/", types=()))
    wires.begun[1].take_head(200, "1.1", HTML)  # a body that nobody wants is still being drained
    wires.begun[1].ip = PUBLIC
    assert [answer.reason for answer in guarded.wait(60.0)] == [""]


# The guard


@pytest.mark.parametrize(
    ("ip", "named", "reason", "error"),
    [
        (PUBLIC, False, "", ""),
        (PRIVATE, False, "blocked-address", "not public: 10.0.0.1"),
        ("", False, "blocked-address", "the transport does not say which address answered"),
        (PRIVATE, True, "", ""),
    ],
)
def test_an_answer_from_a_peer_that_was_not_permitted_is_refused(ip: str, named: bool, reason: str, error: str) -> None:
    found = [brought(HTML, PAGE, ip=ip, named=named)]
    guarded = Guarded(Answers(whole(ip=ip)), Config())
    guarded.start(Request(1, HOST, "/", named))
    found += guarded.wait(0)
    assert [(answer.reason, answer.error) for answer in found] == [(reason, error)] * 2
    assert [answer.body for answer in found] == [None if reason else PAGE] * 2


def test_a_transport_can_ask_the_guard_before_it_connects() -> None:
    wires = Wires()
    guarded = Guarded(wires, Config(allow_private=("10.0.0.0/8",)))
    guarded.start(Request(1, HOST, "/"))
    assert [wires.begun[1].permits(ip) for ip in (PUBLIC, PRIVATE, "127.0.0.1", "")] == [True, True, False, False]


def test_without_a_network_there_is_no_peer_to_ask_for() -> None:
    guarded = Guarded(Offline(whole()), Config())
    guarded.start(Request(1, HOST, "/"))
    assert [(answer.reason, answer.body) for answer in guarded.wait(0)] == [("", PAGE)]


# Transports of the simple kind


def test_a_transport_of_whole_answers_is_held_to_the_caps(time: Time) -> None:
    answers = [whole(tag=1, body=bytes(1001)), whole(tag=2, body=bytes(1001)), whole(tag=3, reason="dns", body=None)]
    guarded = Guarded(Offline(*answers), Config(max_body_bytes=1000))
    for tag in (1, 2, 3):
        guarded.start(Request(tag, HOST, "/", cut_body_at=10 if tag == 2 else 0))
    assert [(answer.reason, answer.body) for answer in guarded.wait(0)] == [
        ("too-large", None), ("", bytes(10)), ("dns", None),
    ]  # fmt: skip


def test_what_a_transport_says_of_its_own_is_escaped(time: Time) -> None:
    red = "\x1b[31m"
    failed, told, foreign = whole(reason="dns", error=red), whole(tag=2, error=red, ip=PUBLIC), whole(tag=3, ip=red)
    guarded = Guarded(Answers(failed, told, foreign), Config())
    for tag in (1, 2, 3):
        guarded.start(Request(tag, HOST, "/"))
    assert [(answer.reason, answer.error) for answer in guarded.wait(0)] == [
        ("dns", "\\u001b[31m"), ("", "\\u001b[31m"), ("blocked-address", "not public: \\u001b[31m"),
    ]  # fmt: skip


def test_one_that_cannot_cancel_is_late_all_the_same(time: Time) -> None:
    class Slow(Offline):
        def wait(self, seconds: float) -> list[Answer]:
            time.now += seconds
            return super().wait(seconds)

    slow = Slow()
    guarded = Guarded(slow, Config(timeout_seconds=10.0))
    guarded.start(Request(1, HOST, "/"))
    assert [(answer.tag, answer.reason) for answer in guarded.wait(60.0)] == [(1, "timeout")]
    slow.answers = [whole(), whole(tag=99)]
    assert guarded.wait(0) == []


# What goes in


def test_what_is_no_target_is_not_handed_on() -> None:
    wires = Wires()
    guarded = Guarded(wires, Config())
    guarded.start(Request(1, HOST, "/a b"))
    assert [(answer.reason, answer.asked) for answer in guarded.wait(60.0)] == [("internal-error", False)]
    assert wires.begun == {}


def test_a_requests_headers_are_its_own_or_the_configs() -> None:
    wires = Wires()
    guarded = Guarded(wires, Config(user_agent="tester/1", headers={"X-Own": "yes"}))
    own = (("User-Agent", "other/2"),)
    guarded.start(Request(1, HOST, "/"))
    guarded.start(Request(2, HOST, "/", headers=own))
    assert [name for name, _ in wires.begun[1].request.headers] == ["User-Agent", "Accept", "Accept-Encoding", "X-Own"]
    assert dict(wires.begun[1].request.headers)["User-Agent"] == "tester/1"
    assert wires.begun[2].request.headers is own


@pytest.mark.parametrize("options", [{"allow_private": ("nonsense",)}, {"headers": {"X A": "a"}}])
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Guarded(Wires(), Config(**options))


def test_close_ends_the_transport_and_every_exchange() -> None:
    wires = Wires()
    guarded = Guarded(wires, Config())
    guarded.start(Request(1, HOST, "/"))
    assert repr(guarded).startswith("<Guarded: 1 open, by <")
    guarded.close()
    assert (wires.closed, wires.begun[1].take_head(200, "1.1", HTML)) == (True, False)
    assert guarded.wait(0) == []
