"""The crawled set equals the computed one, whatever the timing, the processes and the consumers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from crawler import Config, Report, crawl
from crawler.api.report import reading
from tests.webgraph import WebServer

RETRIES = 2


def settings(**changes: object) -> Config:
    """Options that make a crawl of the synthetic web quick."""
    base: dict[str, object] = {
        "delay_seconds": 0.0, "per_host": 8, "retries": RETRIES, "retry_wait_seconds": 0.02,
        "retry_wait_max_seconds": 0.2, "log_seconds": 0.0, "concurrency": 32, "processes": 2,
    }  # fmt: skip
    return Config(**{**base, **changes})  # type: ignore[arg-type]


def found(report: Report) -> dict[str, tuple[str, str | None]]:
    rows = [(row.url, (row.state, row.reason)) for row in report.urls()]
    assert len(rows) == len(dict(rows))
    return dict(rows)


def check(server: WebServer, report: Report, max_depth: int = -1) -> None:
    """Compare a finished crawl without accidents with the computed one, and with the server's log."""
    web = server.web
    expected = web.expected(max_depth)
    assert found(report) == expected
    assert report.finish_reason == "finished"
    pages = [page.url for page in report.pages()]
    assert sorted(pages) == sorted(
        url for url, (state, reason) in expected.items() if state == "done" or reason == "server-error"
    )
    asked = server.asked()
    assert asked == {
        url: web.requests(url, RETRIES)
        for url, (_, reason) in expected.items()
        if reason not in ("robots", "robots-unreachable", "too-many-redirects")
    }
    assert server.first_targets() == {"/robots.txt"}


@pytest.mark.parametrize("processes", [0, 1, 2, 4])
@pytest.mark.parametrize("consumers", [1, 3])
def test_the_crawled_set_is_the_computed_one(processes: int, consumers: int) -> None:
    with WebServer(seed=processes * 10 + consumers) as server:
        config = settings(processes=processes, consumers=consumers)
        with crawl(server.web.seeds(), config) as report:
            check(server, report)


@pytest.mark.parametrize("processes", [0, 2])
def test_by_curl_too_the_crawled_set_is_the_computed_one(processes: int) -> None:
    config = settings(processes=processes, transport="curl")
    with WebServer(seed=processes) as server, crawl(server.web.seeds(), config) as report:
        check(server, report)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_with_depth_3_the_crawled_set_is_the_computed_one(seed: int) -> None:
    with WebServer(seed) as server, crawl(server.web.seeds(), settings(max_depth=3)) as report:
        check(server, report, max_depth=3)


def test_the_synthetic_web_has_every_ending() -> None:
    reasons = {reason for _, reason in WebServer(seed=1).web.expected().values()}
    assert reasons == {
        "ok", "redirect", "client-error", "server-error", "robots", "robots-unreachable", "too-many-redirects",
    }  # fmt: skip


@pytest.mark.parametrize("processes", [0, 2])
def test_max_pages_is_exact_and_a_larger_one_continues(tmp_path: Path, processes: int) -> None:
    with WebServer(seed=5) as server:
        ledger = tmp_path / "crawl.db"
        for limit in (100, 250):
            report = crawl(server.web.seeds(), settings(max_pages=limit, processes=processes), ledger=ledger)
            assert (len(list(report.pages())), report.finish_reason) == (limit, "max-pages")
        again = crawl(server.web.seeds(), settings(max_pages=250, processes=processes), ledger=ledger)
        assert (len(list(again.pages())), again.finish_reason) == (250, "max-pages")
        report = crawl(server.web.seeds(), settings(processes=processes), ledger=ledger)
        check(server, report)


def test_a_larger_depth_continues_where_the_smaller_one_ended(tmp_path: Path) -> None:
    with WebServer(seed=6) as server:
        for depth in (1, 3):
            report = crawl(server.web.seeds(), settings(max_depth=depth), ledger=tmp_path / "crawl.db")
            check(server, report, max_depth=depth)


def test_links_are_complete_also_those_that_are_not_followed() -> None:
    with WebServer(seed=7, pages=60) as server, crawl(server.web.seeds(), settings()) as report:
        links: dict[str, set[str]] = {}
        for link in report.links():
            links.setdefault(link.source, set()).add(link.url)
        start = server.web.seeds()[0]
        answer = server.web.answer(server.web.hosts[0], "/p0", 1)
        extra = {"http://elsewhere.invalid/", f"{server.web.hosts[0]}/nofollow"}
        assert links[start] == set(answer.links) | extra


@pytest.mark.parametrize("processes", [0, 2])
def test_two_requests_to_a_host_are_never_closer_than_its_delay(processes: int) -> None:
    delay_seconds = 0.05
    with WebServer(seed=8, pages=60) as server:
        config = settings(delay_seconds=delay_seconds, processes=processes)
        with crawl(server.web.seeds(), config) as report:
            check(server, report)
        gaps = server.gaps()
        assert len(gaps) == len(server.web.hosts)
        assert min(gaps.values()) >= delay_seconds


def check_all(server: WebServer, report: Report, max_depth: int = -1) -> None:
    """Compare a finished crawl that asks for everything with the computed one, and with the server's log."""
    web = server.web
    expected = web.expected_with_all(max_depth)
    assert found(report) == {url: (state, reason) for url, (_, state, reason) in expected.items()}
    pages = [page.url for page in report.pages()]
    assert sorted(pages) == sorted(
        url for url, (_, state, reason) in expected.items() if state == "done" or reason == "server-error"
    )
    methods: dict[str, list[str]] = {}
    for hit in server.hits:
        if hit.target != "/robots.txt":
            methods.setdefault(hit.host + hit.target, []).append(hit.method)
    unasked = ("robots", "robots-unreachable", "too-many-redirects")
    assert set(methods) == {url for url, (_, _, reason) in expected.items() if reason not in unasked}
    for url, how in methods.items():
        purpose, times = expected[url][0], web.requests(url, RETRIES)
        if purpose < 2:  # a page or an embed, taken for less at first, perhaps
            assert "GET" in how
            assert len(how) <= 3 * (RETRIES + 2)
        elif web.refuses_head(url):
            assert how[:1] + sorted(set(how[1:])) == ["HEAD", "GET"]
            assert len(how) <= times + 1, url
        else:  # a page that is missing may be missing for a HEAD only
            is_missing = expected[url][2] == "client-error"
            assert how == ["HEAD"] + ["GET"] * (times - 1 + is_missing)


ALL = {"check_external": True, "embeds": True, "allow_private": ("127.0.0.0/8",)}


@pytest.mark.parametrize("transport", ["requests", "curl"])
@pytest.mark.parametrize("processes", [0, 2])
def test_with_externals_and_embeds_each_url_has_the_computed_end(transport: str, processes: int) -> None:
    with WebServer(seed=9 + processes, hosts=8, outside=4) as server:
        config = settings(processes=processes, transport=transport, **ALL)
        with crawl(server.web.seeds(), config) as report:
            check_all(server, report)


def test_the_synthetic_web_has_every_claim() -> None:
    web = WebServer(seed=9, hosts=8, outside=4).web
    expected = web.expected_with_all()
    assert {purpose for purpose, _, _ in expected.values()} == {0, 1, 2}
    assert {purpose for url, (purpose, _, _) in expected.items() if "/css/" in url} == {1}
    assert sum(purpose == 1 for url, (purpose, _, _) in expected.items() if web.is_outside(url)) > 10
    assert sum(web.refuses_head(url) for url, (purpose, _, _) in expected.items() if purpose == 2) > 10


@pytest.mark.parametrize("seed", [1, 2])
def test_with_a_depth_limit_the_same_holds(seed: int) -> None:
    config = settings(max_depth=2, **ALL)
    with WebServer(seed, hosts=8, outside=4) as server, crawl(server.web.seeds(), config) as report:
        check_all(server, report, max_depth=2)


def test_a_crawl_in_steps_that_asks_for_everything_ends_as_one_in_one_go(tmp_path: Path) -> None:
    with WebServer(seed=10, hosts=8, outside=4) as server:
        ledger = tmp_path / "crawl.db"
        for limit in (60, 200):
            report = crawl(server.web.seeds(), settings(max_pages=limit, **ALL), ledger=ledger)
            assert (len(list(report.pages())), report.finish_reason) == (limit, "max-pages")
        report = crawl(server.web.seeds(), settings(**ALL), ledger=ledger)
        check_all(server, report)


def test_external_links_can_be_checked_after_the_crawl(tmp_path: Path) -> None:
    with WebServer(seed=11, hosts=8, outside=4) as server:
        crawl(server.web.seeds(), settings(), ledger=tmp_path / "crawl.db")
        assert not any(server.web.is_outside(url) for url in server.asked())
        only = {**ALL, "embeds": False}
        report = crawl(server.web.seeds(), settings(**only), ledger=tmp_path / "crawl.db")
        with crawl(server.web.seeds(), settings(**only)) as at_once:
            assert found(report) == found(at_once)
        assert any(server.web.is_outside(url) for url in server.asked())


FRAGMENTS = {**ALL, "check_fragments": True}


def check_fragments(server: WebServer, report: Report) -> None:
    """Compare the broken fragments of a finished crawl with the computed ones; each is listed once."""
    with reading(report.ledger) as connection:
        done = dict(connection.execute("SELECT h.host || u.target, min(u.purpose, 2) FROM _urls u "
                                       "JOIN _hosts h ON h.id = u.host_id WHERE u.state = 'done'"))  # fmt: skip
    computed = server.web.broken_fragments(done)
    assert sorted(broken_fragments(report)) == sorted(computed)
    assert len(computed) > 30


def broken_fragments(report: Report) -> list[tuple[str, str, str]]:
    with reading(report.ledger) as connection:
        return list(connection.execute("SELECT source, url, fragment FROM broken_fragments"))


@pytest.mark.parametrize("transport", ["requests", "curl"])
@pytest.mark.parametrize("processes", [0, 2])
def test_broken_fragments_are_the_computed_ones(transport: str, processes: int) -> None:
    with WebServer(seed=20 + processes) as server:
        config = settings(processes=processes, transport=transport, check_fragments=True)
        with crawl(server.web.seeds(), config) as report:
            check(server, report)
            check_fragments(server, report)


@pytest.mark.parametrize("embeds", [False, True])
@pytest.mark.parametrize("processes", [0, 2])
def test_broken_fragments_of_external_pages_are_the_computed_ones(processes: int, embeds: bool) -> None:
    with WebServer(seed=30 + processes, hosts=8, outside=4) as server:
        config = settings(processes=processes, **{**FRAGMENTS, "embeds": embeds})
        with crawl(server.web.seeds(), config) as report:
            check_fragments(server, report)
            outside = {(url, fragment) for _, url, fragment in broken_fragments(report) if server.web.is_outside(url)}
            assert len(outside) > 10
            headed = Counter(hit.method for hit in server.hits)["HEAD"]
            assert headed > 20


def test_broken_fragments_of_a_crawl_in_steps_are_the_computed_ones(tmp_path: Path) -> None:
    with WebServer(seed=40, hosts=8, outside=4) as server:
        for limit in (60, 200):
            crawl(server.web.seeds(), settings(max_pages=limit, **FRAGMENTS), ledger=tmp_path / "crawl.db")
        check_fragments(server, crawl(server.web.seeds(), settings(**FRAGMENTS), ledger=tmp_path / "crawl.db"))


def test_external_fragments_can_be_checked_after_the_crawl(tmp_path: Path) -> None:
    with WebServer(seed=41, hosts=8, outside=4) as server:
        config = settings(check_fragments=True)
        crawl(server.web.seeds(), config, ledger=tmp_path / "crawl.db")
        config = settings(check_fragments=True, check_external=True, allow_private=ALL["allow_private"])
        check_fragments(server, crawl(server.web.seeds(), config, ledger=tmp_path / "crawl.db"))
