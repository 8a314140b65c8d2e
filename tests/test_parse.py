"""What a page says: links from everywhere, odd input survived."""

from __future__ import annotations

import pytest

from crawler.model import MAX_LINKS_PER_PAGE
from crawler.pages import parse
from crawler.pages.parse import Document
from crawler.pages.thin import MAX_TAGS

URL = "http://a.test/dir/page.html"


def read(html: str, **options: object) -> Document:
    return parse.parse_html(html, URL, **options)  # type: ignore[arg-type]


def test_links_come_from_everywhere_and_are_resolved() -> None:
    document = read(
        '<link rel=canonical href="/c"><link rel="alternate" href="/de">'
        '<link rel=next href="?p=2"><link rel=prev href="?p=0">'
        '<link rel=stylesheet href="s.css"><a href="a">x <b>y</b></a><map><area href="area" alt="ar"></map>'
        '<iframe src="i"></iframe><a href=" /sp ace#f ">s</a><meta http-equiv="Refresh" content="5; URL=\'/r\'">'
        "<a href='http://other.test'>o</a><a name=x>no</a>"
    )
    assert [(link.url, link.text, link.rel) for link in document.links] == [
        ("http://a.test/c", "", "canonical"),
        ("http://a.test/de", "", "alternate"),
        ("http://a.test/dir/page.html?p=2", "", "next"),
        ("http://a.test/dir/page.html?p=0", "", "prev"),
        ("http://a.test/dir/a", "x y", ""),
        ("http://a.test/dir/area", "ar", ""),
        ("http://a.test/dir/i", "", ""),
        ("http://a.test/sp%20ace", "s", ""),
        ("http://other.test/", "o", ""),
        ("http://a.test/r", "", ""),
    ]
    assert document.follow == [link.url for link in document.links]
    assert (document.canonical, document.links_found, document.links_bad) == ("http://a.test/c", 10, 0)


def test_frames_are_links() -> None:
    html = '<frameset><frame src="f1"><frame src="f2"></frameset>'
    assert [link.url for link in read(html).links] == ["http://a.test/dir/f1", "http://a.test/dir/f2"]


def test_base_is_obeyed_the_first_one_and_only_if_it_is_a_url() -> None:
    assert [link.url for link in read('<base href="/b/"><base href="/no/"><a href=x>').links] == ["http://a.test/b/x"]
    assert [link.url for link in read('<base href="javascript:1"><a href=x>').links] == ["http://a.test/dir/x"]


def test_odd_hrefs_are_counted_and_cost_the_page_no_other_link() -> None:
    odd = ["http://[broken", "mailto:a@b.test", "javascript:x()", "tel:1", "data:,x", "http://", "x" * 9_000]
    html = (
        "".join(f'<a href="{href}">o</a>' for href in odd)
        + '<a href="#top">t</a><a href="ok">k</a><a href="ok#2">k</a>'
    )
    document = read(html)
    assert [link.url for link in document.links] == ["http://a.test/dir/ok"]
    assert (document.links_found, document.links_bad) == (len(odd) + 3, len(odd))


def test_template_is_inert_noscript_counts_and_svg_links_do_not() -> None:
    html = "<template><a href=t></a></template><noscript><a href=n>n</a></noscript><svg><a xlink:href=s>s</a></svg>"
    assert [link.url for link in read(html).links] == ["http://a.test/dir/n"]


@pytest.mark.parametrize(
    ("html", "header", "obeyed"),
    [
        ('<meta name=robots content="noindex, NoFollow">', "", True),
        ('<meta name=poolcrawl content="none">', "", True),
        ('<meta name=googlebot content="nofollow">', "", False),
        ("", "nofollow", True),
        ("", "poolcrawl: noindex, nofollow", True),
        ("", "googlebot: nofollow", False),
        ("", "unavailable_after: 25 Jun 2099 15:00:00 PST", False),
        ('<meta name=robots content="index,follow">', "all", False),
    ],
)
def test_nofollow_of_a_page_is_obeyed_if_it_is_meant_for_us(html: str, header: str, obeyed: bool) -> None:
    document = read(html + "<a href=x>x</a>", x_robots_tag=header)
    assert (document.nofollow, len(document.links), len(document.follow)) == (obeyed, 1, 0 if obeyed else 1)
    assert read(html + "<a href=x>x</a>", x_robots_tag=header, obey_nofollow=False).follow == ["http://a.test/dir/x"]


def test_nofollow_of_a_link_holds_for_that_link_unless_another_one_leads_there() -> None:
    html = '<a rel="NoFollow ugc" href=a>a</a><a rel=nofollow href=b>b</a><a href=b>b</a>'
    assert read(html).follow == ["http://a.test/dir/b"]
    assert [link.rel for link in read(html).links] == ["NoFollow ugc", ""]
    assert len(read(html, obey_nofollow=False).follow) == 2


def test_metadata_is_clean_and_plain_text() -> None:
    html = (
        "<html lang=de-AT><title> A\n\tB\0 \ud800</title><meta name=Description content=' d  e '>"
        "<h1>One <i>two</i></h1><h1>no</h1>"
    )
    document = read(html)
    assert document[:3] == ("A B\ufffd ?", "d e", "One two")
    assert document.lang == "de-AT"
    assert {type(value) for value in document[:3]} == {str}
    assert read("<p>").title is None
    assert len(read(f"<title>{'x' * 5000}</title>").title or "") == 1_000


@pytest.mark.parametrize(
    "html", ["<div>" * 10_000, "<a " * 32_000, "<" * 1_000_000, f"<a href='{'x' * 500_000}'>y</a>", "\0" * 10_000, ""]
)
def test_hostile_html_is_survived(html: str) -> None:
    assert read(html + "<a href=x>").follow in (["http://a.test/dir/x"], [])


def test_links_beyond_the_limit_are_counted_and_not_stored() -> None:
    document = read("".join(f"<a href={number}>" for number in range(MAX_LINKS_PER_PAGE + 5)))
    assert (len(document.links), document.links_found) == (MAX_LINKS_PER_PAGE, MAX_LINKS_PER_PAGE + 5)
    assert len(document.follow) == MAX_LINKS_PER_PAGE


@pytest.mark.parametrize(
    ("content", "links"),
    [
        ("0;url=it's.html", ["http://a.test/dir/it's.html"]),
        ('0; URL="x y"z', ["http://a.test/dir/x%20y"]),
        (".5 x", ["http://a.test/dir/x"]),
        ("5", []), ("5; ", []), ("url=x", []), ("; url=x", []),
        ("5" + " " * 8_000 + "'", []),
    ],
)  # fmt: skip
def test_a_refresh_leads_where_a_browser_would_go(content: str, links: list[str]) -> None:
    escaped = content.replace('"', "&quot;")
    assert [link.url for link in read(f'<meta http-equiv=refresh content="{escaped}">').links] == links
    assert not read(f'<meta name=refresh content="{escaped}">').links


@pytest.mark.parametrize(
    ("html", "header"),
    [
        ('<meta name=robots content="max-snippet:-1, max-image-preview:large, nofollow">', ""),
        ('<meta name=robots content="noindex nofollow">', ""),
        ("<meta name=robots content=noindex><meta name=robots content=nofollow>", ""),
        ("", "unavailable_after: 25 Jun 2099 15:00:00 PST, nofollow"),
        ("", "max-snippet:-1, nofollow"),
        ("", "googlebot: noindex\nnofollow"),
    ],
)
def test_nofollow_is_seen_beside_other_directives(html: str, header: str) -> None:
    assert read(html + "<a href=x>x</a>", x_robots_tag=header).nofollow


def test_an_svg_title_is_not_the_page_s() -> None:
    assert read("<body><svg><title>drawing</title></svg>").title is None
    assert read("<body><svg><title>drawing</title></svg><title>page</title>").title == "page"


def test_a_link_s_text_is_found_behind_much_white_space() -> None:
    assert [link.text for link in read(f"<a href=x>{' ' * 5_000}a\n b</a>").links] == ["a b"]


def test_an_indented_fragment_is_the_page_itself() -> None:
    document = read('<a href=" #top">t</a><a href="\n#">t</a>')
    assert (document.links, document.follow, document.links_found, document.links_bad) == ([], [], 2, 0)


def test_what_may_be_followed_is_among_the_links() -> None:
    unfollowed = "".join(f"<a rel=nofollow href=n{number}>" for number in range(MAX_LINKS_PER_PAGE // 2))
    document = read(unfollowed + "".join(f"<a href={number}>" for number in range(MAX_LINKS_PER_PAGE)))
    assert (len(document.links), len(document.follow)) == (MAX_LINKS_PER_PAGE, MAX_LINKS_PER_PAGE // 2)
    assert set(document.follow) <= {link.url for link in document.links}


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 100_000,
        "".join(f"<font color={number}><p>" for number in range(20_000)),
        "<a href=x><object>" * 20_000,
        "<h1><a href=x>" * 20_000,
        "<a " + " ".join(f"a{number}=1" for number in range(60_000)) + ">",
        "<b =" * 250_000 + "'",
    ],
    ids=["divs", "fonts", "nested links", "nested headings", "attributes", "quotes"],
)
def test_what_takes_a_parser_minutes_is_thinned_out(html: str) -> None:
    urls = {link.url for link in read(html + "</a></h1><a href=x>x</a>").links}
    assert urls <= {"http://a.test/dir/x"}  # with each tag parsed, one of these would outlast the timeout


def test_a_page_that_is_thinned_out_keeps_what_is_read_of_it() -> None:
    html = (
        "<html lang=de><head><title>T</title><base href=/b/><!-- <a href=no> --><script>x='<a href=no>'</script>"
        "<link rel=next href=n><meta name=description content='a > b'></head><body><h1>H<b>1</b></h1>"
        "<div title='> <a href=no>'><a href=x title='>'>t <i>u</i></a></div><template><a href=no></a></template>"
        "<textarea><a href=no></textarea>"
    )
    assert read(html + "<p></p>" * MAX_TAGS) == read(html)
