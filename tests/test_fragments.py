"""Anchors and fragments, as browsers find them: which a page has, which its links name, and which are looked for."""

from __future__ import annotations

import time

import pytest

from crawler.model import MAX_LINKS_PER_PAGE
from crawler.pages import fragments
from crawler.pages.fragments import MAX_ANCHORS_PER_PAGE, MAX_FRAGMENT, redirect_pointers
from crawler.pages.parse import anchors_of, parse_html
from crawler.pages.thin import MAX_TAGS
from crawler.rules import urls

PAGE = "http://a.test/dir/page"
MANY = "<p>x</p>" * MAX_TAGS


def anchors(html: str) -> set[str] | None:
    found = parse_html(html, PAGE, with_fragments=True).anchors
    assert anchors_of(html.encode()) == found
    assert found is None or len(found) == len(set(found))
    return None if found is None else set(found)


def pointers(html: str, url: str = PAGE) -> list[tuple[str, str]]:
    found = parse_html(html, url, with_fragments=True).pointers
    return [(pointer.url.removeprefix("http://a.test"), pointer.fragment) for pointer in found]


@pytest.mark.parametrize("around", ["", MANY], ids=["small", "large"])
@pytest.mark.parametrize(
    ("html", "names"),
    [
        ("<p id=a><h2 id='b c'>x</h2><svg><g id=d /></svg>", {"a", "b c", "d"}),
        ("<a name=a></a><a id=b name=c href=x>x</a>", {"a", "b", "c"}),
        ("<A NAME=Top ID=TOP>", {"Top", "TOP"}),
        ("<p id='a&amp;b'><p id=\"&uuml;\"><p id=ü>", {"a&b", "ü"}),
        ("<p id=a/><p id = b>", {"a/", "b"}),
        ("<p id=''><p id><p data-id=x>", set()),
        ("<h2 id=user-content-install>", {"user-content-install", "install"}),
        ("<noscript><p id=a></noscript>", {"a"}),
    ],
)
def test_a_page_has_anchors(html: str, names: set[str], around: str) -> None:
    found = anchors(html + around)
    assert found is not None
    assert found >= names
    assert around or found == names


def test_only_what_a_browser_finds_is_an_anchor() -> None:
    html = "<!-- <p id=a> --><script>'<p id=b>'</script><template><p id=c></template><img name=d><meta name=e>"
    assert anchors(html) == set()
    assert anchors(html + MANY) == {"a", "b", "c", "d", "e"}  # rather too many than too few


def test_in_a_large_page_no_anchor_is_missed_whatever_hides_it() -> None:
    odd = "<!--><p id=a><script>if (a<b && c='</script><p title='>' id=b><p title=\"x\"id=c><x y='<' id\n=\n'd'>"
    assert anchors(odd + MANY) == {"a", "b", "c", "d"}
    huge = "<p data-x='" + "x" * 20_000 + "' id=e>"
    assert anchors(huge) == {"e"}


def test_too_many_anchors_are_not_known_and_long_ones_are_left_out() -> None:
    many = "".join(f"<p id=a{number}>" for number in range(MAX_ANCHORS_PER_PAGE + 1))
    assert anchors(many) is None
    long = f"<p id={'x' * MAX_FRAGMENT}><p id={'y' * (MAX_FRAGMENT + 1)}>"
    assert anchors(long) == {"x" * MAX_FRAGMENT}


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("a", "a"),
        ("A b", "A%20b"),
        ("ü", "%C3%BC"),
        ("%c3%BC", "%c3%BC"),  # as it is written: an id may look like that
        ("a#b?c", "a#b?c"),
        ("a\tb\n", "ab"),
        ("", ""),
        ("top", ""),
        ("ToP", ""),
        ("%74op", ""),
        ("topic", "topic"),
        (":~:text=word", ""),
        ("id:~:text=word", "id"),
        ("/route", ""),
        ("!route", ""),
        ("a/b", "a/b"),
        ("x" * MAX_FRAGMENT, "x" * MAX_FRAGMENT),
        ("x" * (MAX_FRAGMENT + 1), ""),
    ],
)
def test_a_fragment_is_looked_for_as(text: str, fragment: str) -> None:
    assert fragments.read(text) == fragment


@pytest.mark.parametrize(
    ("fragment", "decoded"), [("a", "a"), ("%C3%BC", "ü"), ("A%20b", "A b"), ("%zz", "%zz"), ("%ff", "\ufffd")]
)
def test_a_fragment_may_stand_for(fragment: str, decoded: str) -> None:
    assert fragments.decode(fragment) == decoded


def test_text_that_is_no_unicode_has_no_fragment() -> None:
    assert urls.fragment("\ud800") == ""


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<a href=b#x>x</a><a href=/c?d#y>y</a>", [("/dir/b", "x"), ("/c?d", "y")]),
        ("<a href=' b#x '>x</a><a href=b#x>again</a><a href=b#y>x</a>", [("/dir/b", "x"), ("/dir/b", "y")]),
        ("<map><area href=b#x></map>", [("/dir/b", "x")]),
        ("<meta http-equiv=refresh content='0; url=b#x'>", [("/dir/b", "x")]),
        ("<base href=/other/><a href=b#x>x</a><a href=#y>y</a>", [("/other/b", "x"), ("/other/", "y")]),
        ("<a href=#>x</a><a href=b>x</a><a href=b#top>x</a><a href=#/r>x</a><a href=b#!r>x</a><a href=b#>x</a>", []),
        ("<a href=mailto:a@b.test#x>x</a><a href='http://[#x'>x</a><a name=x>x</a>", []),
        ("<iframe src=b#x></iframe><img src=b#x><link rel=canonical href=b#x><svg><use href=b#x /></svg>", []),
    ],
)
def test_links_point_to(html: str, found: list[tuple[str, str]]) -> None:
    assert pointers(html) == found


def test_what_a_page_answers_itself_is_no_question() -> None:
    html = "<p id=x><p id=ü><p id='a b'><a href=#x>1</a><a href=page#x>2</a><a href=#%C3%BC>3</a><a href='#a b'>4</a>"
    assert pointers(html + "<a href=#y>5</a>") == [("/dir/page", "y")]
    assert pointers(html + "<a href=#y>5</a>" + "<p id=y>") == []


def test_a_page_whose_anchors_are_not_known_does_not_miss_one_of_its_own() -> None:
    many = "".join(f"<p id=a{number}>" for number in range(MAX_ANCHORS_PER_PAGE + 1))
    assert pointers(f"<a href=#y>x</a><a href=b#y>x</a>{many}") == [("/dir/b", "y")]


def test_a_link_is_stored_with_its_text_and_what_its_fragment_may_stand_for() -> None:
    (found,) = parse_html("<a href=b#%C3%BC> a <b>link</b></a>", PAGE, with_fragments=True).pointers
    assert (found.url, found.fragment, found.text, found.decoded) == ("http://a.test/dir/b", "%C3%BC", "a link", "ü")


def test_more_links_than_are_stored_are_not_looked_at() -> None:
    html = "".join(f"<a href=b#x{number}></a>" for number in range(MAX_LINKS_PER_PAGE + 1))
    assert len(pointers(html)) == MAX_LINKS_PER_PAGE


def test_without_being_asked_nothing_is_read_of_fragments() -> None:
    document = parse_html("<p id=x><a href=b#y>x</a>", PAGE)
    assert (document.anchors, document.pointers) == (None, ())


@pytest.mark.parametrize(
    ("location", "found"),
    [("/b", []), ("/b#x", ["x"]), ("/b#", [""]), ("/b#top", [""]), ("/b#%C3%BC", ["%C3%BC"])],
)
def test_a_redirect_points_to(location: str, found: list[str]) -> None:
    assert [pointer.fragment for pointer in redirect_pointers("http://a.test/b", location)] == found
    assert redirect_pointers(None, location) == []


@pytest.mark.parametrize("piece", ["id='", 'id="', "id=", " id ", " id=a", "<a name=", " id='&#", " id=&amp"])
def test_a_hostile_page_takes_no_time(piece: str) -> None:
    began = time.process_time()
    fragments.in_source((piece * 1_000_000)[:2_000_000].encode())
    fragments.in_source((" id" + " " * 1_000_000).encode())
    assert time.process_time() - began < 5
