"""What every transport must do, each against the same servers on loopback: the contract of `crawler.transports`."""

from __future__ import annotations

import gzip
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from crawler import transports
from crawler.config import Config
from crawler.errors import UsageError
from crawler.model import Answer
from crawler.pages import encodings
from crawler.transports import Request
from tests import hostile
from tests.hostile import PAGE, Behaviour, Hostile, Visitor, answers_with, response
from tests.transports import PATIENCE_SECONDS, TIMEOUT_SECONDS, Open, ask, collect, request_threads
from tests.webgraph import FAULTS, PLAIN

# The contract in short, for the transport without a wire, too


def answers_like_the_web(visitor: Visitor) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in PLAIN.headers)
    answers_with(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + PLAIN.body)(visitor)


ALL = pytest.mark.parametrize("open_transport", ["requests", "curl", "tests.webgraph:WebTransport"], indirect=True)
BEHAVIOURS: dict[str, Behaviour] = {
    "refused": hostile.says_nothing,  # and is closed before it is asked
    "reset": hostile.resets,
    "timeout": hostile.says_nothing,
    "tls": hostile.says_nothing,
    "truncated": hostile.truncates_body,
    "too-large": hostile.announces_huge_body,
    "bad-response": hostile.garbles_status_line,
}


@ALL
def test_an_answer_is_the_same_by_every_transport(
    open_transport: Open, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBGRAPH", '{"seed": 1}')
    with Hostile(answers_like_the_web) as server:
        before, at = time.time(), time.monotonic()
        on_the_wire = request.node.callspec.params["open_transport"] in ("requests", "curl")
        answer = ask(open_transport(), server.host if on_the_wire else "http://plain.test")
    assert (answer.tag, answer.reason, answer.error, answer.asked) == (1, "", "", True)
    assert (answer.status, answer.http_version, answer.wire_size) == (200, "1.1", len(PLAIN.body))
    assert sorted(answer.headers) == sorted((name.lower(), value) for name, value in PLAIN.headers)
    assert answer.body == PLAIN.body
    assert encodings.decode(answer.body, answer.header("content-type")) == ("<title>\xe9</title>", "windows-1252")
    assert before <= answer.started_at <= time.time()
    assert at <= answer.ended - answer.elapsed_seconds <= answer.ended <= time.monotonic()


@ALL
@pytest.mark.parametrize("reason", FAULTS)
def test_a_failure_is_the_same_by_every_transport(
    open_transport: Open, reason: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBGRAPH", '{"seed": 1}')
    tls = request.getfixturevalue("certificate")[1] if reason == "tls" else None  # nobody vouches for it
    transport = open_transport(timeout_seconds=TIMEOUT_SECONDS if reason == "timeout" else PATIENCE_SECONDS)
    with Hostile(BEHAVIOURS[reason], tls) as server:
        if reason == "refused":
            server.__exit__(None, None, None)
        on_the_wire = request.node.callspec.params["open_transport"] in ("requests", "curl")
        at = time.monotonic()
        answer = ask(transport, server.host if on_the_wire else f"http://{reason}.test")
    assert (answer.tag, answer.reason, answer.asked, answer.body) == (1, reason, True, None)
    assert 0 < len(answer.error) <= 300
    assert at <= answer.ended - answer.elapsed_seconds <= answer.ended <= time.monotonic()


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


def test_a_head_is_answered_without_a_body_and_leaves_its_connection_for_a_get(open_transport: Open) -> None:
    def answers_as_asked(visitor: Visitor) -> None:
        whole = response(PAGE)
        while head := visitor.head():
            visitor.send(whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if head.startswith(b"HEAD ") else whole)

    with Hostile(answers_as_asked) as server:
        transport = open_transport()
        answers = [ask(transport, server.host, f"/{n}", method=method) for n, method in enumerate(METHODS)]
        assert server.connections == 1
    assert [head.partition(b" ")[0].decode() for head in server.heads] == list(METHODS)
    assert {(answer.reason, answer.status, answer.header("content-length")) for answer in answers} == {
        ("", 200, str(len(PAGE)))
    }
    assert [answer.body for answer in answers] == [PAGE if method == "GET" else None for method in METHODS]


METHODS = ("HEAD", "GET", "HEAD", "HEAD", "GET")


def test_what_a_server_sends_after_a_head_is_not_read(open_transport: Open) -> None:
    with Hostile(answers_with(response(PAGE))) as server:
        answer = ask(open_transport(), server.host, method="HEAD")
    assert (answer.reason, answer.status, answer.body, answer.wire_size) == ("", 200, None, None)


@pytest.mark.parametrize(("types", "body"), [(("text/html",), PAGE), (("text/css",), None), ((), None)])
def test_only_bodies_of_the_types_wanted_are_read(open_transport: Open, types: tuple[str, ...], body: object) -> None:
    with Hostile(answers_with(response(PAGE))) as server:
        answer = ask(open_transport(), server.host, types=types)
    assert (answer.reason, answer.status, answer.body) == ("", 200, body)


def test_one_connection_serves_a_hosts_requests_one_after_the_other(open_transport: Open) -> None:
    with Hostile(answers_with(response(PAGE))) as server:
        transport = open_transport(capacity=4)
        answers = [ask(transport, server.host, f"/{n}") for n in range(20)]
        assert (server.connections, len(server.heads)) == (1, 20)
    assert {(answer.reason, answer.ip) for answer in answers} == {("", "127.0.0.1")}


def test_many_requests_at_once_are_each_answered_once(open_transport: Open) -> None:
    with Hostile(answers_with(response(PAGE))) as server:
        transport = open_transport(capacity=8)
        answered: list[int] = []
        started = 0
        while len(answered) < 200:
            for tag in range(started, min(200, len(answered) + 8)):
                transport.start(Request(tag, server.host, f"/{tag}"))
                started += 1
            answers = transport.wait(PATIENCE_SECONDS)
            assert answers
            answered += [answer.tag for answer in answers]
        assert sorted(answered) == list(range(200))
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


def test_head_and_wire_bytes_are_kept_where_they_are_wanted(open_transport: Open) -> None:
    packed = gzip.compress(PAGE)
    head = b"HTTP/1.1 200 Fine\r\nX-Odd:  a \r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n"
    sent = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    with Hostile(answers_with(sent)) as server:
        transport = open_transport()
        answers = [ask(transport, server.host, keep_raw=keep) for keep in (True, False)]
        answers.append(ask(transport, server.host, method="HEAD", keep_raw=True))
    assert [(answer.raw_head, answer.raw_body) for answer in answers] == [(head, packed), (None, None), (head, None)]
    assert [answer.body for answer in answers] == [PAGE, PAGE, None]


def test_requests_may_have_headers_of_their_own(open_transport: Open) -> None:
    with Hostile(answers_with(response(PAGE))) as server:
        transport = open_transport(user_agent="tester/1")
        for number in range(4):
            headers = (("User-Agent", f"own/{number}"), ("X-Empty", "")) if number % 2 else ()
            ask(transport, server.host, headers=headers)
        assert server.connections == 1
    sent = [[line for line in head.lower().split(b"\r\n") if line[:2] in (b"us", b"x-")] for head in server.heads]
    assert [line[0] for line in sent] == [
        b"user-agent: " + name for name in (b"tester/1", b"own/1", b"tester/1", b"own/3")
    ]
    assert [line[1:] for line in sent] == [[], [sent[1][1]], [], [sent[1][1]]]
    assert sent[1][1].rstrip() == b"x-empty:"


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
        cut = [
            ask(transport, server.host, "/robots.txt", cut_body_at=size, types=()) for size in (1, 100, 14_000, 20_000)
        ]
    assert [answer.reason for answer in cut] == [""] * 4
    assert [answer.body for answer in cut] == [text[:1], text[:100], text, text]


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
    assert answer.error


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


@pytest.mark.parametrize("open_transport", ["curl"], indirect=True)
def test_time_that_the_pump_spends_elsewhere_is_not_the_requests(open_transport: Open) -> None:
    """Transfers move inside `wait` alone; meanwhile another page may take its time with the parse hook."""
    with Hostile(answers_with(response(PAGE))) as server:
        transport = open_transport(timeout_seconds=TIMEOUT_SECONDS)
        transport.start(Request(1, server.host, "/"))
        until = time.monotonic() + PATIENCE_SECONDS
        answers: list[Answer] = []
        while not (server.heads or answers) and time.monotonic() < until:
            answers += transport.wait(0)
        time.sleep(2 * TIMEOUT_SECONDS)  # it is the hook that takes so long
        answers += transport.wait(PATIENCE_SECONDS)
    assert [(answer.reason, answer.body) for answer in answers] == [("", PAGE)]


def test_without_its_library_the_curl_transport_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.transports.registry.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs pycurl: pip install 'poolcrawl\[curl\]'"):
        transports.check(Config(transport="curl"))


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


def test_an_idle_connection_is_not_for_requests_that_might_not_have_made_it(open_transport: Open) -> None:
    with Hostile(answers_with(response(PAGE))) as server:
        transport = open_transport(allow_private=())
        answers = [ask(transport, server.host, f"/{n}", named=named) for n, named in enumerate((True, False, True))]
        assert [(answer.reason, answer.asked) for answer in answers] == [
            ("", True),
            ("blocked-address", False),
            ("", True),
        ]
        assert server.targets == [b"/0", b"/2"]


@pytest.mark.parametrize(
    "options",
    [
        {"allow_private": ("nonsense",)},
        {"headers": {"X-A": "a\r\nX-B: b"}},
        {"headers": {"X A": "a"}},
        {"user_agent": "snowman \u2603"},
    ],
)
def test_unusable_options_are_usage_errors(open_transport: Open, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        open_transport(**options)


# TLS


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
    assert answer.reason == "tls"


def test_a_dribbling_body_over_tls_is_within_the_deadline(
    open_transport: Open, certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certifi.where", lambda: str(certificate[0]))
    with Hostile(hostile.dribbles_body, tls=certificate[1]) as server:
        answer = ask(open_transport(timeout_seconds=TIMEOUT_SECONDS), server.host)
        assert server.left.wait(PATIENCE_SECONDS)
    assert answer.reason == "timeout"


# HTTP/2

_NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error;
events {{}}
http {{
    log_format seen '$connection $server_protocol $request_uri';
    access_log {folder}/log seen;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
        location / {{ default_type text/html; return 200 "<title>two</title>"; }}
    }}
}}
"""


@pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx here")
@pytest.mark.parametrize("open_transport", ["curl"], indirect=True)
def test_requests_to_a_host_share_one_connection_over_http_2(
    open_transport: Open, certificate: tuple[Path, ssl.SSLContext], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certifi.where", lambda: str(certificate[0]))
    for name in ("cert.pem", "key.pem"):
        shutil.copy(certificate[0].parent / name, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (tmp_path / "nginx.conf").write_text(_NGINX.format(folder=tmp_path, port=port))
    nginx = shutil.which("nginx") or ""
    with subprocess.Popen([nginx, "-c", str(tmp_path / "nginx.conf")], stderr=subprocess.DEVNULL) as server:
        try:
            transport = open_transport(capacity=16)
            until = time.monotonic() + PATIENCE_SECONDS
            while ask(transport, f"https://127.0.0.1:{port}", "/first").reason and time.monotonic() < until:
                pass
            targets = [f"/{{{number}}}|" for number in range(16)]
            for tag, target in enumerate(targets):
                transport.start(Request(tag, f"https://127.0.0.1:{port}", target))
            answers = collect(transport, 16)
        finally:
            server.terminate()
    assert {(answer.reason, answer.status, answer.http_version, answer.body) for answer in answers} == {
        ("", 200, "2", b"<title>two</title>")
    }
    seen = [line.split(" ", 2) for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted(target for _, _, target in seen) == sorted([*targets, "/first"])
    assert {(connection, protocol) for connection, protocol, _ in seen} == {(seen[0][0], "HTTP/2.0")}


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_plain_http_on_a_tls_port_is_tls(open_transport: Open, greeting: bytes) -> None:
    def behave(visitor: Visitor) -> None:
        visitor.sock.recv(65_536)
        visitor.send(greeting)

    with Hostile(behave) as server:
        assert ask(open_transport(), server.host.replace("http", "https")).reason == "tls"
