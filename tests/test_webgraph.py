"""The synthetic web is what it says: the same every time, and its computed crawl is that of a naive walk."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urldefrag, urlsplit
from urllib.robotparser import RobotFileParser

import pytest

from crawler import Config, crawl
from crawler.model import REASONS, Answer
from crawler.transports import Request
from tests.webgraph import CHAIN, NO_ROBOTS, Web, WebServer, WebTransport

ROOT = Path(__file__).parent.parent
RETRIES = 2
ROBOTS_TRIES = 5
SILENT = {"robots", "robots-unreachable", "too-many-redirects"}


class Walk:
    """A crawl, the slow and simple way: one connection a request, a level of depth after the other, all in memory."""

    def __init__(self, server: WebServer) -> None:
        self._seeds = server.web.seeds()
        self._hosts = {url.rpartition("/")[0] for url in self._seeds}
        self._rules: dict[str, RobotFileParser | None] = {}
        self._answers: dict[str, tuple[int, str, list[str]]] = {}

    def run(self, max_depth: int) -> dict[str, tuple[str, str]]:
        ends: dict[str, tuple[str, str]] = {}
        expanded: set[str] = set()
        level = self._seeds
        depth = 0
        while level and depth != max_depth + 1:
            following: list[str] = []
            for start in level:
                url, redirects = start, 0
                while url:
                    end, target, links = self._visit(url, redirects)
                    if ends.get(url, end)[1] in (end[1], "too-many-redirects"):
                        ends[url] = end
                    following += [link for link in links if url not in expanded]
                    expanded.add(url)
                    url, redirects = target, redirects + 1
            level = sorted({link for link in following if f"http://{urlsplit(link).netloc}" in self._hosts})
            depth += 1
        return ends

    def _visit(self, url: str, redirects: int) -> tuple[tuple[str, str], str, list[str]]:
        if redirects > 10:
            return ("skipped", "too-many-redirects"), "", []
        rules = self._rules_of(f"http://{urlsplit(url).netloc}")
        if rules is None:
            return ("failed", "robots-unreachable"), "", []
        if not rules.can_fetch("poolcrawl", url):
            return ("skipped", "robots"), "", []
        if url not in self._answers:
            status, headers, body = ask(url, tries=1 + RETRIES)
            links = re.findall(r'<a href="(http://[^"\\[]*)"', body) if status == 200 else []
            self._answers[url] = (
                status,
                urldefrag(headers.get("location", "")).url,
                [urldefrag(link).url for link in links],
            )
        status, target, links = self._answers[url]
        if status == 503:
            return ("failed", "server-error"), "", []
        return ("done", {200: "ok", 404: "client-error"}.get(status, "redirect")), target, links

    def _rules_of(self, host: str) -> RobotFileParser | None:
        if host not in self._rules:
            status, _, body = ask(host + "/robots.txt", tries=ROBOTS_TRIES)
            rules = RobotFileParser()
            rules.parse(body.splitlines() if status == 200 else [])
            self._rules[host] = None if status >= 500 else rules
        return self._rules[host]


def ask(url: str, tries: int) -> tuple[int, dict[str, str], str]:
    """GET by the standard library; 503 is asked again."""
    parts = urlsplit(url)
    status, headers, body = 503, {}, ""
    while status == 503 and tries:
        connection = HTTPConnection(parts.netloc, timeout=10)
        connection.request("GET", parts.path)
        response = connection.getresponse()
        status, headers = response.status, {name.lower(): value for name, value in response.getheaders()}
        body = response.read().decode()
        connection.close()
        tries -= 1
    return status, headers, body


def places_of(web: Web) -> set[tuple[str, str]]:
    """Every page's host and target, and robots.txt of every host."""
    urls = {web.url(page) for page in range(web.pages)} | {host + "/robots.txt" for host in web.hosts}
    urls |= {f"{web.hosts[0]}/chain/{step}" for step in range(CHAIN + 1)}
    return {(url[: url.index("/", 7)], url[url.index("/", 7) :]) for url in urls}


def test_the_same_number_gives_the_same_web_and_another_number_another() -> None:
    web, twin, other = Web(1), Web(1), Web(2)
    assert web.seeds() == [f"http://h{number}.test/p{number}" for number in range(6)]
    assert web.expected() == twin.expected() != other.expected()
    for host, target in places_of(web):
        for asked_before in (0, 1, 9):
            assert web.respond(host, target, asked_before) == twin.respond(host, target, asked_before)


def test_what_is_answered_does_not_depend_on_what_was_asked_before_it() -> None:
    web = Web(3, pages=100)
    asked = sorted(places_of(web))
    forward = {place: web.respond(*place, 1) for place in asked}
    assert {place: web.respond(*place, 1) for place in reversed(asked)} == forward


def test_the_same_web_stands_on_loopback_and_on_names() -> None:
    with WebServer(seed=4, pages=120) as server:
        names = dict(zip(server.web.hosts, Web(4, pages=120).hosts, strict=True))
        moved = {
            names[url[: url.index("/", 7)]] + url[url.index("/", 7) :]: end
            for url, end in server.web.expected().items()
        }
    assert moved == Web(4, pages=120).expected()


@pytest.mark.parametrize("seed", range(1, 6))
def test_every_end_that_the_web_promises_is_in_it_and_in_the_closed_list(seed: int) -> None:
    expected = Web(seed).expected()
    assert all(REASONS[reason][0] == state for state, reason in expected.values())
    assert {reason for _, reason in expected.values()} == SILENT | {"ok", "redirect", "client-error", "server-error"}
    chain = [expected.get(f"http://h0.test/chain/{step}") for step in range(CHAIN + 1)]
    assert chain[:11] == [("done", "redirect")] * 11
    assert chain[11:] == [("skipped", "too-many-redirects"), None, None, None, None]


def test_a_deeper_crawl_has_all_of_a_shallower_one() -> None:
    web = Web(5)
    by_depth = [set(web.expected(depth)) for depth in range(12)]
    assert all(shallow <= deep for shallow, deep in itertools.pairwise(by_depth))
    assert set(web.seeds()) == by_depth[0] < by_depth[1] < by_depth[2]
    assert by_depth[-1] == set(web.expected())


def test_a_disallowed_path_counts_for_nothing_on_the_host_without_robots() -> None:
    web = Web(1)
    on_that_host = {url: end for url, end in web.expected().items() if url.startswith(web.hosts[NO_ROBOTS])}
    assert any("/no/" in url for url in on_that_host)
    assert "robots" not in {reason for _, reason in on_that_host.values()}


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("max_depth", [0, 1, 3, -1])
def test_the_computed_crawl_is_that_of_a_naive_walk(seed: int, max_depth: int) -> None:
    with WebServer(seed, pages=150) as server:
        expected = server.web.expected(max_depth)
        assert Walk(server).run(max_depth if max_depth >= 0 else 1_000) == expected
        asked = server.asked()
    assert asked == {
        url: server.web.requests(url, RETRIES) for url, (_, reason) in expected.items() if reason not in SILENT
    }
    assert set(asked) <= {hit.host + hit.target for hit in server.hits}


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> WebTransport:
    monkeypatch.setenv("WEBGRAPH", json.dumps({"seed": 1}))
    monkeypatch.setenv("WEBGRAPH_LOG", str(tmp_path / "log"))
    return WebTransport(Config(), 8)


def one(transport: WebTransport, host: str, target: str) -> Answer:
    """Ask, and wait for the answer."""
    transport.start(Request(7, host, target))
    (answer,) = transport.wait(5)
    return answer


def test_the_transport_answers_as_the_web_does(transport: WebTransport) -> None:
    web = Web(1)
    for number, (host, target) in enumerate(sorted(places_of(web))[:100]):
        reply = web.respond(host, target, 0)
        answer = one(transport, host, target)
        assert (answer.status, answer.body, answer.reason) == (reply.status, reply.body, "")
        assert answer.header("location") == dict(reply.headers).get("Location", "")
        assert reply.delay_seconds <= answer.elapsed_seconds < reply.delay_seconds + 1, number
    assert one(transport, "http://elsewhere.invalid", "/").reason == "dns"
    transport.close()


def test_a_slow_page_comes_after_a_quick_one_and_no_wait_is_longer_than_it_may_be(transport: WebTransport) -> None:
    web = Web(1)
    delays = {
        web.url(page): web.respond(web.hosts[page % 6], web.url(page)[len(web.hosts[0]) :], 1) for page in range(400)
    }
    slow = next(url for url, reply in delays.items() if reply.delay_seconds)
    host, target = slow[: slow.index("/", 7)], slow[slow.index("/", 7) :]
    transport.start(Request(1, host, target))
    transport.start(Request(2, host, "/robots.txt"))
    assert [answer.tag for answer in transport.wait(0.05)] == [2]
    assert transport.wait(0) == []
    assert [answer.tag for answer in transport.wait(5)] == [1]
    begin = time.monotonic()
    assert transport.wait(0.02) == []
    assert 0.02 <= time.monotonic() - begin < 1
    transport.start(Request(3, host, target))
    transport.close()


def test_what_is_overdue_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    web = Web(1)
    slow = next(web.url(page) for page in range(400) if web.respond(web.hosts[page % 6], f"/p{page}", 1).delay_seconds)
    monkeypatch.setenv("WEBGRAPH", json.dumps({"seed": 1}))
    monkeypatch.delenv("WEBGRAPH_LOG", raising=False)
    transport = WebTransport(Config(timeout_seconds=0.01), 8)
    assert one(transport, slow[: slow.index("/", 7)], slow[slow.index("/", 7) :]).reason == "timeout"
    transport.close()


def test_two_transports_count_together_also_when_one_is_gone(transport: WebTransport) -> None:
    second = WebTransport(Config(), 8)
    late = "http://h2.test"  # its robots.txt comes after two failures
    assert [one(each, late, "/robots.txt").status for each in (transport, second)] == [503, 503]
    transport.close()
    assert one(second, late, "/robots.txt").status == 200
    third = WebTransport(Config(), 8)
    assert one(third, late, "/robots.txt").status == 200
    second.close()
    third.close()


def test_many_processes_that_ask_at_once_are_told_different_numbers(tmp_path: Path) -> None:
    program = (
        "from crawler.config import Config\n"
        "from tests.webgraph import WebTransport\n"
        "transport = WebTransport(Config(), 8)\n"
        "print([transport.count('http://h0.test', '/p0') for _ in range(5_000)])\n"
    )
    log = tmp_path / "log"
    environment = {**os.environ, "WEBGRAPH": '{"seed": 1}', "WEBGRAPH_LOG": str(log)}
    words = [sys.executable, "-c", program]
    running = [subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE) for _ in range(4)]
    told = [number for process in running for number in json.loads(process.communicate(timeout=60)[0])]
    assert sorted(told) == list(range(20_000))
    pids = Counter(int(line.rpartition(" ")[2]) for line in log.read_text().splitlines())
    assert pids == {process.pid: 5_000 for process in running}


def crawl_web(processes: int) -> tuple[Web, dict[str, tuple[str, str | None]]]:
    """Crawl a small web without sockets; the ends."""
    config = Config(
        transport="tests.webgraph:WebTransport", processes=processes, start_method="spawn", delay_seconds=0, per_host=8,
        retries=RETRIES, retry_wait_seconds=0.02, retry_wait_max_seconds=0.2, log_seconds=0,
    )  # fmt: skip
    web = Web(**json.loads(os.environ["WEBGRAPH"]))
    with crawl(web.seeds(), config) as report:
        return web, {row.url: (row.state, row.reason) for row in report.urls()}


@pytest.mark.parametrize("processes", [0, 2])
def test_a_crawl_over_the_transport_is_the_computed_one(
    processes: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WEBGRAPH", json.dumps({"seed": 9, "pages": 150, "hosts": 5}))
    monkeypatch.setenv("WEBGRAPH_LOG", str(tmp_path / "log"))
    web, ends = crawl_web(processes)
    expected = web.expected()
    assert ends == expected
    lines = [line.split(" ") for line in (tmp_path / "log").read_text().splitlines()]
    asked = Counter(host + target for _, host, target, _ in lines if target != "/robots.txt")
    assert asked == {url: web.requests(url, RETRIES) for url, (_, reason) in expected.items() if reason not in SILENT}
    assert len({pid for *_, pid in lines}) == max(processes, 1)
