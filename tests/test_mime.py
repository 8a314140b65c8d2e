"""Media types: what a Content-Type says, and how a body without one starts."""

from __future__ import annotations

import pytest

from crawler.rules import mime


@pytest.mark.parametrize(
    ("content_type", "start", "html"),
    [
        ("text/html", b"", True), ("Text/HTML; charset=x", b"", True), ("application/xhtml+xml", b"", True),
        ("text/plain", b"<html>", False), ("", b"  <!DOCTYPE html>", True), ("", b"<!-- x --><html >", True),
        ("", b"%PDF-1.7", False), ("image/svg+xml", b"<svg>", False),
    ],
)  # fmt: skip
def test_html_is_known_by_its_type_or_without_one_by_how_it_starts(content_type: str, start: bytes, html: bool) -> None:
    assert mime.is_html(content_type, start) is html


def test_a_body_that_starts_with_very_many_comments_is_sniffed_at_once() -> None:
    assert mime.is_html("", b"<!---->" * 73)  # a pattern that skips comments would try 2**72 ways
    assert mime.is_html("", b"\xef\xbb\xbf\n<html>")
    assert not mime.is_html("", b"<htmlx>")


@pytest.mark.parametrize(
    ("content_type", "essence", "charset"),
    [
        ("", "", ""),
        ("text/html", "text/html", ""),
        (" Text/CSS ;charset=UTF-8", "text/css", "utf-8"),
        ('text/html; a=b; CharSet = "Latin-1"', "text/html", "latin-1"),
        ("text/html; charset='x y'", "text/html", "x"),
        # as it is today: a standard parser says otherwise of these
        ("text/html charset=utf-8", "text/html charset=utf-8", "utf-8"),
        ("text/html, text/html", "text/html, text/html", ""),
    ],
)
def test_a_content_type_is_taken_apart(content_type: str, essence: str, charset: str) -> None:
    assert (mime.essence(content_type), mime.charset(content_type)) == (essence, charset)


def test_a_stylesheet_is_known_by_its_type_alone() -> None:
    assert [mime.is_css(text) for text in ("text/css", "TEXT/CSS; charset=x", "", "text/html")] == [
        True, True, False, False,
    ]  # fmt: skip
