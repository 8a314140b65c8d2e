"""References are replaced where browsers find them, and every other byte stays as it is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.pages.embeds import in_css, in_srcset, replace_in_css, replace_in_srcset
from crawler.pages.rewriting import declare_charset, find_base, rewrite_css, rewrite_html


def mark(reference: str) -> str | None:
    """Replace what begins with "x" by the same in brackets; the rest stays."""
    return f"[{reference}]" if reference.startswith("x") else None


def rewritten(page: str, codec: str = "utf-8") -> str:
    return rewrite_html(page.encode(codec), codec, mark).decode(codec)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<a href=x>", '<a href="[x]">'),
        ('<a href="x">', '<a href="[x]">'),
        ("<a href='x'>", "<a href='[x]'>"),
        ("<A CLASS=b HREF = 'x' id=c>", "<A CLASS=b HREF = '[x]' id=c>"),
        ("<a\nhref=x\n>", '<a\nhref="[x]"\n>'),
        ("<a href=x/>", '<a href="[x/]">'),
        ("<img src=x alt='a > b' />", "<img src=\"[x]\" alt='a > b' />"),
        ("<a title='<a href=x>' href=y>", "<a title='<a href=x>' href=y>"),
        ("<a href=y><a href=>", "<a href=y><a href=>"),
        ("<!-- <a href=x> --><a href=x>", '<!-- <a href=x> --><a href="[x]">'),
        ("<!--><a href=x><!-- -->", '<!--><a href="[x]"><!-- -->'),
        ("<!-- never closed <a href=x>", "<!-- never closed <a href=x>"),
        ("<!doctype html><?php <a href=x> ?>", "<!doctype html><?php <a href=x> ?>"),
        ("<script>a = '<a href=x>'</script><a href=x>", "<script>a = '<a href=x>'</script><a href=\"[x]\">"),
        ("<script src=x>'<a href=x>'</SCRIPT >", "<script src=\"[x]\">'<a href=x>'</SCRIPT >"),
        ("<textarea><a href=x></textarea><a href=x>", '<textarea><a href=x></textarea><a href="[x]">'),
        ("<title><a href=x></title><a href=x>", '<title><a href=x></title><a href="[x]">'),
        ("<noscript><img src=x></noscript><template><img src=x></template>",
         '<noscript><img src="[x]"></noscript><template><img src="[x]"></template>'),
        ("<style>a { src: url(x) }</style><a href=x>", '<style>a { src: url([x]) }</style><a href="[x]">'),
        ("<p style='background: url(x); color: red'>", "<p style='background: url([x]); color: red'>"),
        ('<p style="background: url(\'x\')">', "<p style=\"background: url('[x]')\">"),
        ('<p style="background: url(&quot;x&quot;)">', '<p style="background: url(&quot;[x]&quot;)">'),
        ("<img srcset='x 1x, y 2x, x2 3x'>", "<img srcset='[x] 1x, y 2x, [x2] 3x'>"),
        ("<link imagesrcset='x 1x' href=x>", "<link imagesrcset='[x] 1x' href=\"[x]\">"),
        ("<object data=x><div data=x>", '<object data="[x]"><div data=x>'),
        ("<video poster=x><body background=x><q cite=x>", '<video poster="[x]"><body background="[x]"><q cite="[x]">'),
        ("<form action=x><button formaction=x>", '<form action="[x]"><button formaction="[x]">'),
        ("<svg><use xlink:href=x /><image href=x /></svg>", '<svg><use xlink:href="[x]" /><image href="[x]" /></svg>'),
        ("<meta http-equiv=refresh content='5; url=x'>", "<meta http-equiv=refresh content='5; url=[x]'>"),
        ("<meta http-equiv=Refresh content=\"0;URL='x'\">", "<meta http-equiv=Refresh content=\"0;URL='[x]'\">"),
        ("<meta name=x content='5; url=x'>", "<meta name=x content='5; url=x'>"),
        ('<a href="x?a=1&amp;b=2">', '<a href="[x?a=1&amp;b=2]">'),
        ('<a href="x?a=1&copy=2&lt=3&reg;">', '<a href="[x?a=1&amp;copy=2&amp;lt=3®]">'),
        ("<a href='x&#39;&#x22;y'>", '<a href="[x\'&quot;y]">'),
        ("<a href='xä'>ü", "<a href='[xä]'>ü"),
        ("<a href=x", '<a href="[x]"'),
        ("a < b <a href=x> <3", 'a < b <a href="[x]"> <3'),
        ("<base href=x><a href=x>", '<a href="[x]">'),
        ("<BASE href='x' target=_blank >", "<base target=_blank>"),
        ("<META http-equiv='Content-Security-Policy' content=\"default-src 'self'\"><meta name=x>", "<meta name=x>"),
        ("<link rel=stylesheet href=x integrity='sha256-x' crossorigin>", '<link rel=stylesheet href="[x]">'),
        ("<script src=x crossorigin=anonymous defer></script>", '<script src="[x]" defer></script>'),
        ("<script src=y crossorigin></script>", "<script src=y crossorigin></script>"),
        ("<plaintext><a href=x>", "<plaintext><a href=x>"),
        ("</a href=x>", "</a href=x>"),
    ],
)  # fmt: skip
def test_a_page_becomes(page: str, expected: str) -> None:
    assert rewritten(page) == expected


@pytest.mark.parametrize(
    ("css", "expected"),
    [
        ("a { background: url(x) }", "a { background: url([x]) }"),
        ("a { background: url( 'x y' ) }", "a { background: url( '[x y]' ) }"),
        ("@import 'x'; @import url(x2);", "@import '[x]'; @import url([x2]);"),
        ("/* url(x) */ a::before { content: 'url(x)' }", "/* url(x) */ a::before { content: 'url(x)' }"),
        ("a { background: url(\\78 y) }", "a { background: url([xy]) }"),
        ("@namespace url(x); a { background: url(y) }", "@namespace url(x); a { background: url(y) }"),
        ("é { background: url(x) }", "é { background: url([x]) }"),
    ],
)
@pytest.mark.parametrize("codec", ["utf-8", "cp1252", "utf-16le"])
def test_a_stylesheet_becomes(css: str, expected: str, codec: str) -> None:
    assert rewrite_css(css.encode(codec), codec, mark).decode(codec) == expected


def test_what_css_cannot_say_plainly_is_quoted() -> None:
    assert replace_in_css("url(x)", lambda _: "a(b)'c") == 'url("a(b)\'c")'
    assert replace_in_css("url('x')", lambda _: "it's\\") == "url('it\\'s\\\\')"
    assert list(in_css(replace_in_css("url(x) url('y')", lambda _: "a)'\"\\b"))) == ["a)'\"\\b"] * 2


def test_bytes_that_are_no_text_in_the_encoding_stay_as_they_are() -> None:
    page = b"\xff\xfe<a href=x>\x80\xc3\x28</a><style>\xff url(x)</style>"
    assert rewrite_html(page, "utf-8", mark) == page.replace(b"=x", b'="[x]"').replace(b"(x)", b"([x])")


@pytest.mark.parametrize("codec", ["cp932", "gb18030", "big5hkscs", "cp949", "euc-jp", "koi8-r", "cp1251"])
def test_in_any_encoding_of_pages_only_references_are_touched(codec: str) -> None:
    words = {"koi8-r": "Привет", "cp1251": "Привет", "cp949": "안녕", "gb18030": "你好", "big5hkscs": "功能"}.get(
        codec, "表示ソ"
    )
    page = f"<p title='{words}'>{words}<a href='x{words}'>{words}</a>"
    assert rewritten(page, codec) == page.replace(f"x{words}", f"[x{words}]")


@pytest.mark.parametrize(
    ("page", "base"),
    [
        ("<base href=a><base href=b>", "a"),
        ("<base target=x><base href=' b '>", "b"),
        ("<!-- <base href=a> --><BASE HREF='b&amp;c'>", "b&c"),
        ("<script>'<base href=a>'</script>", ""),
        ("<p>", ""),
    ],
)
def test_a_pages_base_is(page: str, base: str) -> None:
    assert find_base(page.encode(), "utf-8") == base


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<html><head><title>ä", "<html><head>{}<title>ä"),
        ("<!DOCTYPE html>\n<html lang=de>\n<body>ä", "<!DOCTYPE html>\n<html lang=de>{}\n<body>ä"),
        ("<!doctype html>ä", "<!doctype html>{}ä"),
        ("<p>ä", "{}<p>ä"),
        ("ä", "{}ä"),
        ("<!doctype html><!--[if IE]><html class=ie><![endif]--><html><head>ä",
         "<!doctype html><!--[if IE]><html class=ie><![endif]--><html><head>{}ä"),
        ("<html><!--" + "x" * 2_000 + "--><head>ä", "<html>{}<!--" + "x" * 2_000 + "--><head>ä"),
        ("<html class='" + "x" * 2_000 + "'><head>ä", "{}<html class='" + "x" * 2_000 + "'><head>ä"),
    ],
)  # fmt: skip
def test_an_encoding_is_declared_where_browsers_look_for_it(page: str, expected: str) -> None:
    assert declare_charset(page.encode(), "utf-8").decode() == expected.format('<meta charset="utf-8">')


@given(st.text(alphabet=st.sampled_from("<>!-/='\" axhref&;\n")))
def test_whatever_a_page_holds_nothing_changes_without_a_reason(text: str) -> None:
    page = text.encode()
    assert rewrite_html(page, "utf-8", lambda _: None).replace(b"<base", b"") == page.replace(b"<base", b"")


@given(st.text(alphabet=st.sampled_from("abx ,()\t12w")))
def test_a_srcset_keeps_what_is_no_reference(text: str) -> None:
    assert replace_in_srcset(text, lambda reference: reference) == text
    assert replace_in_srcset(text, lambda _: "r") == text or list(in_srcset(replace_in_srcset(text, lambda _: "r")))


HOSTILE = {
    "tags in tags": "<a " * 300_000,
    "an apostrophe that is not closed": "<a href='" * 100_001,
    "a quote that is not closed": '<a b="' * 100_001,
    "comments": "<!--" * 200_000,
    "styles": "<style>" * 100_000,
    "end tags": "</" * 300_000,
    "attributes": "<a " + "b=c " * 200_000 + ">",
    "references": "<a href=x>" * 50_000,
    "urls in urls": "<p style='" + "url(" * 100_000 + "'>",
    "bases": "<base" * 100_000,
    "guards": "<link href=x " + "integrity=a " * 50_000 + ">",
}


@pytest.mark.parametrize("page", HOSTILE.values(), ids=HOSTILE)
def test_hostile_pages_take_no_time(page: str) -> None:
    started = time.process_time()
    rewritten(page)
    find_base(page.encode(), "utf-8")
    declare_charset(page.encode(), "utf-8")
    assert time.process_time() - started < 2.0
