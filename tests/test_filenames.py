"""The file of a URL: as wget's users expect it, valid everywhere, and no two URLs have the same."""

from __future__ import annotations

import ntpath
import re
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawler.rules import filenames, urls
from crawler.rules.filenames import KNOWN, MAX_NAME_BYTES, MAX_PATH_BYTES, file_name

HTML = "text/html"


@pytest.mark.parametrize(
    ("url", "kind", "name"),
    [
        ("https://example.org/", HTML, "example.org/index.html"),
        ("https://example.org/a/", HTML, "example.org/a/index.html"),
        ("https://example.org/a/b.html", HTML, "example.org/a/b.html"),
        ("https://example.org/a.htm", HTML, "example.org/a.htm"),
        ("https://example.org/a", HTML, "example.org/a@.html"),
        ("https://example.org/a.php", HTML, "example.org/a.php@.html"),
        ("https://example.org/v1.2/x", HTML, "example.org/v1.2/x@.html"),
        ("https://example.org/a.php?b=c&d=e", HTML, "example.org/a.php@b=c&d=e.html"),
        ("https://example.org/?b=c", HTML, "example.org/index@b=c.html"),
        ("https://example.org/s?q=a/b", HTML, "example.org/s@q=a%2Fb.html"),
        ("https://example.org/a?", HTML, "example.org/a@@.html"),
        ("https://example.org/index.html", HTML, "example.org/index_.html"),
        ("https://example.org/index_.html", HTML, "example.org/index__.html"),
        ("https://example.org/index", HTML, "example.org/index_@.html"),
        ("https://example.org/index.php", HTML, "example.org/index.php@.html"),
        ("https://example.org/a.png", "image/png", "example.org/a.png"),
        ("https://example.org/a.jpg", "image/webp", "example.org/a.jpg"),
        ("https://example.org/A.PDF", "application/pdf", "example.org/A.PDF"),
        ("https://example.org/a.tar.gz", "application/octet-stream", "example.org/a.tar.gz"),
        ("https://example.org/a.jpg", HTML, "example.org/a.jpg@.html"),  # MediaWiki's File:a.jpg, and soft errors
        ("https://example.org/a.html", "text/plain", "example.org/a.html@.txt"),
        ("https://example.org/style.css?v=3", "text/css", "example.org/style.css@v=3.css"),
        ("https://example.org/style.php", "text/css", "example.org/style.php@.css"),
        ("https://example.org/icon", "image/vnd.microsoft.icon", "example.org/icon@.ico"),
        ("https://example.org/icon@2x.png", "image/png", "example.org/icon%402x.png"),
        ("https://example.org/@user/x.html", HTML, "example.org/@user/x.html"),
        ("https://example.org/feed", "application/rss+xml", "example.org/feed@.xml"),
        ("https://example.org/api", "application/vnd.api+json", "example.org/api@.json"),
        ("https://example.org/data.parq", "application/x-thing", "example.org/data.parq@.bin"),
        ("https://example.org/LICENSE", "", "example.org/LICENSE@.bin"),
        ("https://example.org/a.html/b.png", "image/png", "example.org/a.html@/b.png"),
        ("https://example.org//a//b.html", HTML, "example.org/@/a/@/b.html"),
        ("https://example.org/r%C3%A9sum%C3%A9.pdf", "application/pdf", "example.org/résumé.pdf"),
        ("https://example.org/re%CC%81.pdf", "application/pdf", "example.org/re%25CC%2581.pdf"),
        ("https://example.org/%FF%C3%A4.html", HTML, "example.org/%25FFä.html"),
        ("https://example.org/my%20file.html", HTML, "example.org/my file.html"),
        ("https://example.org/%20a%20/%20b%20.html", HTML, "example.org/%20a%20/%20b%20.html"),
        ("https://example.org/%41.html", HTML, "example.org/%2541.html"),  # is not /A.html to a crawler
        ("https://example.org/%zz.html", HTML, "example.org/%25zz.html"),
        ("https://example.org/a%2Fb.html", HTML, "example.org/a%252Fb.html"),
        ("https://example.org/a%00b.html", HTML, "example.org/a%2500b.html"),
        ("https://example.org/Talk:Foo", HTML, "example.org/Talk%3AFoo@.html"),
        ("https://example.org/a*b|c.html", HTML, "example.org/a%2Ab%7Cc.html"),
        ("https://example.org/con/nul.html", HTML, "example.org/%63on/%6Eul.html"),
        ("https://example.org/COM1.txt/Aux", HTML, "example.org/%43OM1.txt@/Aux@.html"),
        ("https://example.org/a./b", HTML, "example.org/a%2E/b@.html"),
        ("https://example.org/%E2%80%AEtxt.exe", "application/octet-stream", "example.org/%25E2%2580%25AEtxt.exe"),
        ("http://example.org/", HTML, "example.org+80/index.html"),
        ("http://example.org:8000/", HTML, "example.org+8000/index.html"),
        ("https://example.org:8000/", HTML, "example.org+8000+https/index.html"),
        ("https://[2001:db8::1]/", HTML, "[2001-db8--1]/index.html"),
        ("https://xn--bcher-kva.example/", HTML, "xn--bcher-kva.example/index.html"),
    ],
)  # fmt: skip
def test_a_url_is_saved_as(url: str, kind: str, name: str) -> None:
    assert urls.normalise(url) == url
    assert file_name(url, kind) == name


def test_dots_never_lead_out_of_the_folder() -> None:
    for text in ("/../../a", "/%2e%2e/%2E./a", "/a/..%2f..%2fb", "/..%5C..%5Cb", "/.../b", "/%252e%252e/b"):
        url = urls.normalise("https://example.org" + text)
        assert url is not None
        segments = file_name(url, HTML).split("/")
        assert segments[0] == "example.org"
        assert not {"", ".", ".."} & set(segments)


def test_capitals_are_left_alone_or_told_apart_as_the_file_system_needs_it() -> None:
    names = [file_name(f"https://a.test/{name}.html", HTML) for name in ("Readme", "README", "readme")]
    assert names == ["a.test/Readme.html", "a.test/README.html", "a.test/readme.html"]
    names = [file_name(f"https://a.test/{name}.html", HTML, folds_case=True) for name in ("Readme", "README", "readme")]
    assert re.fullmatch(r"a\.test/Readme%-[a-z2-7]{16}\.html", names[0])
    assert len({name.casefold() for name in names}) == 3
    assert names[2] == "a.test/readme.html"


def test_long_names_and_paths_are_cut_and_still_differ() -> None:
    long = [f"https://a.test/{'x' * 5_000}{end}" for end in ("", "y", "?", "?z", "/", "/y")]
    deep = [f"https://a.test/{'x/' * 900}{end}" for end in ("", "y", "x/", "?z")]
    names = [file_name(url, HTML) for url in long + deep]
    assert len(set(names)) == 10
    assert all(name.endswith(".html") and len(name.encode()) <= MAX_PATH_BYTES for name in names)
    assert all(len(part.encode()) <= MAX_NAME_BYTES for name in names for part in name.split("/"))


def test_what_a_file_may_end_in_no_folder_ends_in() -> None:
    for suffix in sorted(KNOWN):
        folder = file_name(f"https://a.test/x.{suffix}/y.html", HTML).split("/")[1]
        assert folder == f"x.{suffix}@"
        kind = "" if suffix not in filenames.HTML_SUFFIXES else "application/xhtml+xml"
        assert file_name(f"https://a.test/x.{suffix}", kind).startswith("a.test/x.")


# The property: whatever the URLs, valid, bounded, inside, and never the same file.

_ODD = (
    "index index.html index_ a A a.html a.png con CON. .. . %20 %41 %2E @ %40 a@b.html ä Ä a\u0308 ß ss SS \u0131 i I "
    "\u212a k %C3 %A4 % ? %- %25 ~ : * | \\ html .html @.html \u202e \x00"
)
_WORDS = st.sampled_from([*_ODD.split(" "), "", " ", "x" * 170, "x" * 200, "ä" * 90])
_SEGMENTS = st.lists(st.one_of(_WORDS, st.text(max_size=5)), max_size=4).map("".join)
_TARGETS = st.lists(_SEGMENTS, max_size=5).map(lambda parts: "/" + "/".join(parts))
_SITES = (
    "http://a.test https://a.test http://a.test:443 https://a.test:80 http://[::1] http://a+80 http://a https://con "
    "https://a.test. https://.a.test https://xn--a-ecp.test http://127.0.0.1:8000"
)
_HOSTS = st.sampled_from(_SITES.split())
_KINDS = st.sampled_from(["", HTML, "text/css", "image/png", "text/plain", "application/xhtml+xml", "application/x-y"])
_URLS = st.builds(lambda host, target: urls.normalise(host + target), _HOSTS, _TARGETS).filter(
    lambda url: url is not None
)

_FORBIDDEN = re.compile(r'[\x00-\x1f"*:<>?\\|\x7f]')


def is_reserved(path: str) -> bool:
    """Return whether Windows keeps a name for itself; its own rule for paths says so before Python 3.13."""
    since_3_13 = getattr(ntpath, "isreserved", None)
    return bool(since_3_13(path)) if since_3_13 else PureWindowsPath(path).is_reserved()


def check_valid(name: str) -> None:
    assert len(name.encode()) <= MAX_PATH_BYTES
    segments = name.split("/")
    assert len(segments) >= 2
    for segment in segments:
        assert segment not in ("", ".", "..")
        assert not _FORBIDDEN.search(segment)
        assert segment[-1] not in " ."
        assert segment[0] != " "
        assert len(segment.encode()) <= MAX_NAME_BYTES + 2
        assert len(segment.encode("utf-16-le")) <= 2 * 255
        assert unicodedata.is_normalized("NFC", segment)
        assert segment.isprintable()
    assert not PureWindowsPath(name).is_absolute()
    assert not is_reserved(str(PureWindowsPath(*segments)))
    assert PurePosixPath("copy", name).is_relative_to("copy")
    assert segments[-1].rpartition(".")[2].lower() in KNOWN
    assert not any(part.rpartition(".")[2].lower() in KNOWN for part in segments[1:-1] if "." in part)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(_URLS, _KINDS), min_size=2, max_size=6), st.booleans())
@example([("https://a.test/A", HTML), ("https://a.test/a", HTML)], True)
def test_no_two_urls_share_a_file_and_each_name_is_valid_everywhere(
    found: list[tuple[str, str]], folds_case: bool
) -> None:
    by_name: dict[str, str] = {}
    folders: set[str] = set()
    for url, kind in found:
        name = file_name(url, kind, folds_case=folds_case)
        assert name == file_name(url, kind, folds_case=folds_case)
        check_valid(name)
        key = unicodedata.normalize("NFC", name)
        for folded in {key, key.casefold(), key.upper(), key.lower()} if folds_case else {key}:
            assert by_name.setdefault(folded, url) == url
        folders.update(str(parent).casefold() for parent in PurePosixPath(name).parents)
    assert not folders & {name.casefold() for name in by_name}
