"""Links that leave the scope, and what pages embed: asked, and not followed. Fragments: looked for in their pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler import Config, Report, crawl
from crawler.api.report import reading
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


def fragments(report: Report) -> list[tuple[str, ...]]:
    """Each broken fragment as source, URL, fragment and text."""
    with reading(report.ledger) as connection:
        return sorted(connection.execute("SELECT source, url, fragment, text FROM broken_fragments"))


def test_a_fragment_that_its_page_has_not_is_broken(home: Site) -> None:
    home.add_page("/", html="<a href=/a#here>1</a><a href=/a#gone>2</a><a href=#nowhere>3</a><a href=/b#x>4</a>")
    home.add_page("/a", html="<h2 id=here>here</h2><a href=/#gone>5</a><a href=/a#gone>6</a>")
    with check(home, check_fragments=True) as report:
        assert fragments(report) == [
            (home.url("/"), home.url("/"), "nowhere", "3"),
            (home.url("/"), home.url("/a"), "gone", "2"),
            (home.url("/a"), home.url("/"), "gone", "5"),
            (home.url("/a"), home.url("/a"), "gone", "6"),
        ]
        assert report.counts["reasons"] == {"ok": 2, "client-error": 1}


def test_percent_encoded_names_are_compared_as_browsers_do(home: Site) -> None:
    home.add_page("/", html="<a href=/a#ü>1</a><a href=/a#%C3%BC>2</a><a href=/a#%41>3</a><a href=/a#a%20b>4</a>"
                  "<a href=/a#%2541>5</a><a href=/a#A>6</a><a href=/a#%61>7</a>")  # fmt: skip
    home.add_page("/a", html="<p id=ü><p id=%41><p id='a b'>")
    with check(home, check_fragments=True) as report:
        assert [row[2] for row in fragments(report)] == ["%61", "A"]


def test_what_was_not_read_as_a_page_is_not_broken(home: Site, other: Site) -> None:
    home.add_page("/", ["/a.pdf#page=3", "/a.svg#part", "/gone#x", "/secret#x", "/text#x", other.url("/#x")])
    home.robots("User-agent: *\nDisallow: /secret")
    home.add_file("/a.pdf", b"%PDF", "application/pdf")
    home.add_file("/a.svg", b"<svg/>", "image/svg+xml")
    home.add_file("/text", b"x", "text/plain")
    with check(home, check_fragments=True) as report:
        assert fragments(report) == []


def test_a_fragment_goes_on_with_redirects_unless_they_have_their_own(home: Site) -> None:
    home.add_page("/", ["/old#here", "/old#gone", "/own#gone", "/own", "/reset#gone", "/round#x"])
    home.add_redirect("/old", "/older")
    home.add_redirect("/older", "/new")
    home.add_redirect("/own", "/new#lost")
    home.add_redirect("/reset", "/new#")
    home.add_redirect("/round", "/round2")
    home.add_redirect("/round2", "/round")
    home.add_page("/new", html="<p id=here>")
    with check(home, check_fragments=True) as report:
        assert [row[:3] for row in fragments(report)] == [
            (home.url("/"), home.url("/old"), "gone"),
            (home.url("/own"), home.url("/new"), "lost"),
        ]


def test_an_external_page_is_read_only_if_a_link_to_it_has_a_fragment(home: Site, other: Site) -> None:
    home.add_page("/", html=f"<a href={other.url('/a')}>1</a><a href={other.url('/b#gone')}>2</a><a href=/late>3</a>"
                  f"<a href={other.url('/r')}>4</a><a href={other.url('/c#/route')}>5</a>")  # fmt: skip
    home.add_page("/late", html=f"<a href={other.url('/a#here')}>6</a><a href={other.url('/a#gone')}>7</a>")
    for target in ("/a", "/c", "/d"):
        other.add_page(target, html="<p id=here><a href=/next>x</a>")
    other.add_file("/b", b"<p id=here>" * 10_000, "text/html")
    other.add_redirect("/r", "/d#gone")
    with check(home, check_external=True, check_fragments=True, max_body_bytes=200_000) as report:
        assert [row[:3] for row in fragments(report)] == [
            (home.url("/"), other.url("/b"), "gone"),
            (home.url("/late"), other.url("/a"), "gone"),
            (other.url("/r"), other.url("/d"), "gone"),
        ]
        assert {page.digest for page in report.pages() if page.url.startswith(other.host)} == {None}
        assert report.counts["pages"] == len(list(report.pages())) == 7
    assert [hit for hit in asked(other) if hit != ("HEAD", "/a")] == [  # that, or not, as /late came later or not
        ("GET", "/a"), ("GET", "/b"), ("GET", "/d"), ("HEAD", "/c"), ("HEAD", "/r"),
    ]  # fmt: skip


def test_of_a_large_external_page_only_a_part_is_read_and_nothing_is_broken(home: Site, other: Site) -> None:
    home.add_page("/", [other.url("/large#end"), other.url("/file#x")])
    other.add_page("/large", html="<p>" + "x" * 100_000 + "<p id=end>")
    other.add_file("/file", b"x" * 100_000, "application/zip")
    with check(home, check_external=True, check_fragments=True, max_body_bytes=50_000) as report:
        assert {(url.state, url.reason) for url in report.urls()} == {("done", "ok")}
        assert fragments(report) == []
    assert asked(other) == [("GET", "/file"), ("GET", "/large")]


def test_a_page_that_was_read_without_fragments_is_not_known_and_that_is_said_once(
    home: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home.add_page("/", ["/a", "/a#gone"])
    home.add_page("/a", ["/#gone", "/b#gone"])
    home.add_page("/b", ["/a#gone", "/b#lost"])
    ledger = tmp_path / "crawl.db"
    check(home, ledger, max_pages=2)
    with check(home, ledger, max_pages=3, check_fragments=True) as report:
        assert [row[:3] for row in fragments(report)] == [(home.url("/b"), home.url("/b"), "lost")]
    check(home, ledger, check_fragments=True)
    assert caplog.text.count("pages that this ledger has already were read without fragments: --fresh") == 1


def test_a_finished_crawl_says_that_its_pages_were_read_without_fragments(
    home: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home.add_page("/", ["/#gone"])
    check(home, tmp_path / "crawl.db")
    check(home, tmp_path / "crawl.db", check_fragments=True)
    assert "were read without fragments: --fresh reads them again" in caplog.text


def test_for_a_page_that_is_read_again_the_later_answer_counts(home: Site, other: Site, tmp_path: Path) -> None:
    home.add_page("/", [other.url("/a#here"), other.url("/a#new"), other.url("/b#x")])
    other.add_page("/a", html="<p id=here><a href=/a#nowhere>x</a>")
    other.add_page("/b", html="<p>")
    options = {"check_external": True, "check_fragments": True}
    with check(home, tmp_path / "crawl.db", **options) as report:
        assert [row[2] for row in fragments(report)] == ["new", "x"]
    other.add_page("/a", html="<p id=new><a href=/a#nowhere>x</a>")
    other.add_file("/b", b"no page any more", "text/plain")
    seeds = [home.url("/"), other.url("/a"), other.url("/b")]
    with crawl(seeds, Config(**{**BASE, **options}), ledger=tmp_path / "crawl.db") as report:  # type: ignore[arg-type]
        assert [row[:3] for row in fragments(report)] == [
            (home.url("/"), other.url("/a"), "here"),
            (other.url("/a"), other.url("/a"), "nowhere"),
        ]
        assert report.counts["pages"] == 3


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


def test_without_the_option_nothing_of_fragments_is_stored(home: Site) -> None:
    home.add_page("/", html="<p id=x><a href=#gone>1</a><a href=/r>2</a>")
    home.add_redirect("/r", "/#gone")
    with check(home) as report, reading(report.ledger) as connection:
        assert connection.execute("SELECT count(*) FROM _fragments").fetchone() == (0,)
