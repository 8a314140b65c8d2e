"""Which bodies are kept, and which URLs are not asked, by types, accept and reject."""

from __future__ import annotations

import pytest

from crawler.config import Config
from crawler.errors import UsageError
from crawler.rules.selection import Selection

HOST = "https://a.test"


def select(types: str = "", accept: str = "", reject: str = "") -> Selection:
    return Selection.of(Config(types=tuple(types.split()), accept=tuple(accept.split()), reject=tuple(reject.split())))


@pytest.mark.parametrize(
    ("rule", "target", "kind", "is_kept"),
    [
        ({}, "/", "text/html", True),
        ({}, "/a", "", True),
        ({"types": "html"}, "/a", "text/html", True),
        ({"types": "HTML"}, "/a", "application/xhtml+xml", True),
        ({"types": "html"}, "/a.html", "image/png", False),
        ({"types": "html pdf"}, "/a", "application/pdf", True),
        ({"types": "images"}, "/a", "image/svg+xml", True),
        ({"types": "image/*"}, "/a", "image/svg+xml", True),
        ({"types": "image/png"}, "/a", "image/svg+xml", False),
        ({"types": "json"}, "/a", "application/ld+json", True),
        ({"types": "fonts"}, "/a", "font/woff2", True),
        ({"types": "documents"}, "/a", "application/vnd.oasis.opendocument.text", True),
        ({"types": "archives"}, "/a", "application/x-bzip2", True),
        ({"accept": "pdf"}, "/a.pdf", "application/pdf", True),
        ({"accept": ".pdf"}, "/a.PDF", "application/pdf", True),
        ({"accept": "*.pdf"}, "/a.pdf?x=1", "application/pdf", True),
        ({"accept": "pdf"}, "/download?id=1", "application/pdf", True),  # saved as download@id=1.pdf
        ({"accept": "pdf"}, "/apdf", "text/html", False),
        ({"accept": "pdf"}, "/a.html", "text/html", False),
        ({"accept": "html"}, "/", "text/html", True),
        ({"accept": "html"}, "/a", "text/html", True),
        ({"accept": "report-*"}, "/x/report-1.pdf", "application/pdf", True),
        ({"accept": "report-*"}, "/report-1/x.pdf", "application/pdf", False),
        ({"accept": "caf%C3%A9.pdf café.pdf"}, "/caf%C3%A9.pdf", "application/pdf", False),  # suffixes, both
        ({"accept": "café*"}, "/caf%C3%A9.pdf", "application/pdf", True),
        ({"accept": "pdf image/*"}, "/a.png", "image/png", True),
        ({"accept": "pdf image/*"}, "/a.txt", "text/plain", False),
        ({"reject": "pdf"}, "/a.pdf", "application/pdf", False),
        ({"reject": "pdf"}, "/a", "application/pdf", False),
        ({"reject": "application/pdf"}, "/a.pdf", "application/pdf", False),
        ({"reject": "application/pdf"}, "/a.pdf", "text/html", True),
        ({"reject": "gif"}, "/a.png", "image/png", True),
        ({"accept": "*.png", "reject": "logo*"}, "/logo.png", "image/png", False),
        ({"types": "images", "reject": "gif"}, "/a.gif", "image/gif", False),
    ],
)  # fmt: skip
def test_a_body_is_kept(rule: dict[str, str], target: str, kind: str, is_kept: bool) -> None:
    assert select(**rule).keeps(HOST + target, kind) is is_kept


@pytest.mark.parametrize(
    ("rule", "refused"),
    [
        ({}, ""),
        ({"reject": "pdf"}, "a.pdf"),
        ({"reject": "*.p*"}, "a.pdf a.png"),
        ({"reject": "html php"}, ""),  # they may have links
        ({"reject": "image/*"}, ""),  # a type is not known before it is asked
        ({"types": "html"}, ""),
        ({"accept": "pdf"}, "a.png a.css"),
        ({"accept": "pdf image/*"}, ""),
        ({"accept": "pdf", "reject": "a*"}, "a.pdf a.png a.css"),
    ],
)  # fmt: skip
def test_what_is_no_page_by_its_name_and_would_not_be_kept_is_not_asked(rule: dict[str, str], refused: str) -> None:
    names = ["", "a", "a.html", "a.php", "a.unknown", "a.pdf", "a.png", "a.css"]
    selection = select(**rule)
    assert [name for name in names if selection.refuses(f"{HOST}/dir.png/{name}?x.gif")] == refused.split()


def test_the_bodies_that_are_read_are_those_that_are_kept_and_those_with_links() -> None:
    wanted = select(types="pdf").wanted(HOST + "/a", ("", "text/html"))
    assert [kind in wanted for kind in ("", "text/html", "application/pdf", "image/png")] == [True, True, True, False]


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"types": "image"}, "not 'image'; did you mean images\\?"),
        ({"types": "zzz"}, "types: expected a content type, such as application/pdf or image/\\*, or one of html, css"),
        ({"accept": "a/b/c"}, "accept: expected a suffix such as pdf, .* not 'a/b/c'"),
        ({"reject": "dir/"}, "reject: expected a suffix such as pdf, .* not 'dir/'"),
    ],
)  # fmt: skip
def test_what_is_no_type_and_no_pattern_is_named(rule: dict[str, str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        select(**rule)
