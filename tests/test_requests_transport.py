"""What the requests transport alone has: threads, the resolver, mocks."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from typing import Any

import pytest
import requests
import responses

from crawler.model import REASONS
from crawler.transports import Request
from crawler.transports.failures import describe
from tests import hostile
from tests.hostile import PAGE, Hostile, answers_with, response
from tests.transports import PATIENCE_SECONDS, Open, ask, collect, request_threads

pytestmark = pytest.mark.parametrize("open_transport", ["requests"], indirect=True)


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
        assert repr(transport) == (
            "<Guarded: 0 open, by <RequestsTransport: 0 in flight, 0 ended, 2 threads for 1, 1 lost>>"
        )
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
