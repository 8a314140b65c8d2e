"""Links that leave the scope, and what pages embed: asked, and not followed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler import Config, Report, crawl
from crawler.report import reading
from tests.site import Site


@pytest.fixture
def home() -> Iterator[Site]:
    with Site("127.0.0.1") as site:
        yield site


@pytest.fixture
def other() -> Iterator[Site]:
    with Site("127.0.0.2") as site:
        yield site


BASE = {"processes": 0, "delay_seconds": 0.0, "log_seconds": 0.0, "retry_wait_seconds": 0.01,
        "allow_private": ("127.0.0.0/8",)}  # fmt: skip


def check(site: Site, ledger: Path | None = None, **options: object) -> Report:
    return crawl([site.url("/")], Config(**{**BASE, **options}), ledger=ledger)  # type: ignore[arg-type]


def asked(site: Site) -> list[tuple[str, str]]:
    return sorted((hit.method, hit.target) for hit in site.log if hit.target != "/robots.txt")


def test_an_external_link_is_asked_once_and_not_followed(home: Site, other: Site) -> None:
    home.add_page("/", ["/a", other.url("/")])
    home.add_page("/a", [other.url("/")])
    other.add_page("/", ["/next"])
    with check(home, check_external=True) as report:
        assert {page.url: page.status for page in report.pages()} == {
            home.url("/"): 200, home.url("/a"): 200, other.url("/"): 200,
        }  # fmt: skip
    assert asked(other) == [("HEAD", "/")]


def test_where_its_redirects_lead_is_asked_too(home: Site, other: Site) -> None:
    home.add_page("/", [other.url("/old")])
    home.add_page("/never", ["/linked"])
    other.add_redirect("/old", "/new")
    other.add_redirect("/new", home.url("/never"))
    with check(home, check_external=True) as report:
        assert {page.status for page in report.pages()} == {200, 301}
    assert asked(other) == [("HEAD", "/new"), ("HEAD", "/old")]
    assert asked(home) == [("GET", "/"), ("HEAD", "/never")]


@pytest.mark.parametrize("status", [400, 403, 404, 405, 406, 501])
def test_a_head_that_is_refused_is_followed_by_a_get(home: Site, other: Site, status: int) -> None:
    home.add_page("/", [other.url("/")])
    other.add_page("/")
    other.fail("/", [status])
    with check(home, check_external=True, retries=0) as report:
        assert [page.status for page in report.pages()] == [200, 200]
    assert asked(other) == [("GET", "/"), ("HEAD", "/")]


@pytest.mark.parametrize("status", [401, 410])
def test_another_answer_to_a_head_is_believed(home: Site, other: Site, status: int) -> None:
    home.add_page("/", [other.url("/")])
    other.fail("/", [status])
    check(home, check_external=True).close()
    assert asked(other) == [("HEAD", "/")]


def test_robots_excludes_and_nofollow_keep_external_links_out(home: Site, other: Site) -> None:
    links = f"<a href={other.host}/secret>1</a><a href={other.host}/tracker>2</a>"
    links += f"<a rel=nofollow href={other.host}/bought>3</a>"
    home.add_page("/", html=links)
    other.robots("User-agent: *\nDisallow: /secret")
    with check(home, check_external=True, exclude=("tracker",)) as report:
        assert {url.url: url.reason for url in report.urls()} == {home.url("/"): "ok", other.url("/secret"): "robots"}
    assert asked(other) == []


def test_a_private_address_is_reported_and_not_broken(home: Site, other: Site) -> None:
    home.add_page("/", [other.url("/")])
    with check(home, check_external=True, allow_private=()) as report:
        assert {url.url: url.reason for url in report.urls()}[other.url("/")] == "blocked-address"
        with reading(report.ledger) as connection:
            assert connection.execute("SELECT count(*) FROM broken_links").fetchone() == (0,)
    assert other.log == []


def test_without_the_options_nothing_of_it_is_asked(home: Site, other: Site) -> None:
    home.add_page("/", html=f"<a href={other.url('/')}>x</a><img src=/a.png><link rel=stylesheet href=/a.css>")
    check(home).close()
    assert (asked(home), other.log) == ([("GET", "/")], [])


def test_what_a_page_embeds_is_asked_wherever_it_is(home: Site, other: Site) -> None:
    home.add_page("/", html=f"<link rel=stylesheet href=/a.css><img src={other.url('/a.png')}><img src=/gone.png>")
    home.add_file("/a.css", b"@import 'b.css'; a { background: url(/i.png) }", "text/css; charset=utf-8")
    home.add_file("/b.css", b"b { background: url(gone.svg) }", "text/css")
    home.add_file("/i.png", b"x" * 100_000, "image/png")
    other.add_file("/a.png", b"x", "image/png")
    with check(home, embeds=True, max_depth=0) as report:
        hops = {url.url: url.hop for url in report.urls()}
        assert hops == {
            home.url("/"): "L", home.url("/a.css"): "E", home.url("/b.css"): "E", home.url("/i.png"): "E",
            home.url("/gone.png"): "E", home.url("/gone.svg"): "E", other.url("/a.png"): "E",
        }  # fmt: skip
        with reading(report.ledger) as connection:
            broken = connection.execute("SELECT url, source FROM broken_links ORDER BY url").fetchall()
    assert broken == [(home.url("/gone.png"), home.url("/")), (home.url("/gone.svg"), home.url("/b.css"))]


def test_an_embed_that_is_a_page_is_not_followed(home: Site) -> None:
    home.add_page("/", html="<object data=/o></object>")
    home.add_page("/o", ["/next"])
    check(home, embeds=True).close()
    assert asked(home) == [("GET", "/"), ("GET", "/o")]


@pytest.mark.parametrize("processes", [0, 2])
def test_an_embed_that_turns_out_to_be_a_link_is_crawled(home: Site, tmp_path: Path, processes: int) -> None:
    home.add_page("/", html="<object data=/o></object><a href=/late>x</a>")
    home.add_page("/late", ["/o"], delay_seconds=0.2)
    home.add_page("/o", ["/next"])
    home.add_page("/next")
    with check(home, tmp_path / "crawl.db", embeds=True, processes=processes) as report:
        found = sorted((url.url.removeprefix(home.host), url.hop) for url in report.urls())
        assert found == [("/", "L"), ("/late", "L"), ("/next", "L"), ("/o", "L")]
        assert report.counts["pages"] == len(list(report.pages())) == 4
    assert home.asked()["/o"] == 2


def test_stylesheets_that_import_one_another_for_ever_end(home: Site) -> None:
    home.add_page("/", html="<link rel=stylesheet href=/0.css>")
    for number in range(20):
        home.add_file(f"/{number}.css", f"@import '{number + 1}.css';".encode(), "text/css")
    check(home, embeds=True).close()
    assert asked(home)[1:] == [("GET", f"/{number}.css") for number in range(5)]


def test_an_external_page_that_becomes_a_seed_is_crawled_also_without_the_option(
    home: Site, other: Site, tmp_path: Path
) -> None:
    home.add_page("/", [other.url("/")])
    other.add_page("/", ["/next"])
    other.add_page("/next")
    check(home, tmp_path / "crawl.db", check_external=True)
    with crawl([other.url("/")], Config(**BASE), ledger=tmp_path / "crawl.db") as report:  # type: ignore[arg-type]
        assert {url.url: url.state for url in report.urls()} == {
            home.url("/"): "done", other.url("/"): "done", other.url("/next"): "done",
        }  # fmt: skip
        assert report.counts["pages"] == 3
