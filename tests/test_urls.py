"""URLs: the normal form as a table and as properties, and what a person may type as a seed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.rules import urls

BASE = "https://example.org/docs/guide.html?q=1"
ANY_CHARACTER = st.characters()  # lone surrogates and NUL included
ANY_TEXT = st.text(ANY_CHARACTER)
PIECES = [
    "", " ", "\t", "\n", "\0", "\ud800", "\ufffe", "http", "https", "ftp", "://", "//", "/", ":", "@", "?", "#", "%",
    "%2f", "%C3%a9", "%7e", "%zz", "..", ".", "\\", "[", "]", "[::1]", "example.org", "EXAMPLE.ORG", "bücher.example",
    "127.0.0.1", ":8080", ":80", ":443", ":99999", "user:pass@", "a", "b", "{1}|2^3", "é", "=", "&", "+", ";",
]  # fmt: skip
URL_LIKE = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)

NORMAL_FORMS = {
    "http://example.org": "http://example.org/",
    "HTTP://Example.ORG:80/": "http://example.org/",
    "https://example.org:443/a": "https://example.org/a",
    "https://example.org:80/a": "https://example.org:80/a",
    "http://example.org/a/../b/./c": "http://example.org/b/c",
    "http://example.org/a#part": "http://example.org/a",
    "http://example.org/?#": "http://example.org/?",
    "http://example.org/a?": "http://example.org/a?",
    "http://user:secret@example.org/a@b": "http://example.org/a@b",
    "http://example.org/@a?@b": "http://example.org/@a?@b",
    "http://user@example.org:8080?x=@": "http://example.org:8080/?x=@",
    "http://a@b@example.org/": "http://example.org/",
    "http://example.org/a%2fb%c3%a9": "http://example.org/a%2Fb%C3%A9",
    "http://example.org/%7e%zz%2": "http://example.org/%7E%zz%2",
    "http://example.org/%%2f%2g": "http://example.org/%%2F%2g",
    "http://example.org/%aF%Fa%Af%ff": "http://example.org/%AF%FA%AF%FF",
    "http://example.org/?q=%e2%82%ac": "http://example.org/?q=%E2%82%AC",
    "http://example.org/{1}|2^3": "http://example.org/%7B1%7D|2%5E3",
    "http://example.org/?{1}|2^3[x]": "http://example.org/?{1}|2^3[x]",
    "http://example.org/é?é": "http://example.org/%C3%A9?%C3%A9",
    "http://bücher.example/": "http://xn--bcher-kva.example/",
    "http://0x7f.1/": "http://127.0.0.1/",
    "http://[::0:1]:8080/": "http://[::1]:8080/",
    "  http://example.org/a b\n": "http://example.org/a%20b",
    "http:\\\\example.org\\a": "http://example.org/a",
}
NOT_HTTP = [
    "", "/path", "example.org", "ftp://example.org/", "mailto:a@example.org", "javascript:alert(1)", "data:,x",
    "file:///etc/passwd", "blob:http://example.org/1", "ws://example.org/", "http://", "http://[broken", "http://]",
    "http://example.org:99999/", "http://exa mple.org/", "http://%zz/", "http://\ud800/", "http://a/\udcff",
    "http://user@/", "http://1.2.3.256/", "\0", "http://\0/",
]  # fmt: skip
REFERENCES = {
    "": BASE,
    "#top": BASE,
    "?q=2": "https://example.org/docs/guide.html?q=2",
    "b.html": "https://example.org/docs/b.html",
    "../../..": "https://example.org/",
    "/": "https://example.org/",
    "//www.example.org": "https://www.example.org/",
    "http:b.html": "http://b.html/",  # another scheme than the base's: b.html is a host
    "https:b.html": "https://example.org/docs/b.html",
    "mailto:a@example.org": None,
    "http://[broken": None,
    "//[broken": None,
    "x\ud800": None,
}


@pytest.mark.parametrize(("text", "expected"), NORMAL_FORMS.items())
def test_a_url_has_one_normal_form(text: str, expected: str) -> None:
    assert urls.normalise(text) == expected


@pytest.mark.parametrize("text", NOT_HTTP)
def test_what_is_no_http_url_has_no_normal_form(text: str) -> None:
    assert urls.normalise(text) is None


@pytest.mark.parametrize(("reference", "expected"), REFERENCES.items())
def test_a_reference_is_joined_to_its_base(reference: str, expected: str | None) -> None:
    assert urls.normalise(reference, BASE) == expected


def test_a_base_that_is_no_url_gives_nothing() -> None:
    assert {urls.normalise("/a", base) for base in ("", "nonsense", "http://[broken", "\ud800")} == {None}


def test_a_long_url_is_taken_up_to_the_limit() -> None:
    longest = "http://example.org/".ljust(urls.MAX_LENGTH, "a")
    assert urls.normalise(longest) == longest
    assert urls.normalise(longest + "a") is None
    assert urls.normalise("a" * 100_000, BASE) is None
    assert urls.normalise("./" * urls.MAX_LENGTH, BASE) is None  # as typed, however short it would become


def test_a_url_that_grows_beyond_the_limit_when_it_is_escaped_is_none() -> None:
    assert urls.normalise("http://example.org/" + "é" * 2_000) is None


@settings(deadline=None)
@given(st.one_of(ANY_TEXT, URL_LIKE, URL_LIKE.map("http://".__add__)), st.sampled_from([None, BASE, "x:y"]))
def test_a_normal_form_is_its_own_normal_form(text: str, base: str | None) -> None:
    url = urls.normalise(text, base)
    if url is None:
        return
    assert urls.normalise(url) == url
    assert urls.normalise(url, BASE) == url
    host, target = urls.split(url)
    assert host + target == url
    assert url.isascii()
    assert "#" not in url
    assert "@" not in host
    assert target.startswith("/")
    assert host.startswith(("http://", "https://"))
    assert host.partition("//")[2].startswith(urls.host_name(host))


@settings(deadline=None)
@given(st.binary())
def test_bytes_of_any_kind_never_raise(debris: bytes) -> None:
    for text in (debris.decode("latin-1"), debris.decode("utf-8", "surrogateescape")):
        for start in ("", "http://", "http://[", "//", "http://example.org/"):
            url = urls.normalise(start + text, BASE)
            assert url is None or url.startswith(("http://", "https://"))


def test_a_url_is_split_before_its_path() -> None:
    assert {url: urls.split(url) for url in ("https://example.org:8080/path?query=/", "http://a/")} == {
        "https://example.org:8080/path?query=/": ("https://example.org:8080", "/path?query=/"),
        "http://a/": ("http://a", "/"),
    }


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("https://www.example.org:8080", "www.example.org"),
        ("http://example.org", "example.org"),
        ("http://127.0.0.1:99", "127.0.0.1"),
        ("http://[::1]:8080", "[::1]"),
        ("https://[2001:db8::1]", "[2001:db8::1]"),
    ],
)
def test_a_host_has_a_name(host: str, name: str) -> None:
    assert urls.host_name(host) == name


def test_fingerprints_stay_the_same_between_releases() -> None:
    assert urls.fingerprint("http://example.org/", b"0123456789abcdef") == -8258031733492894715


def test_fingerprints_are_keyed_and_fill_64_bits() -> None:
    found = [urls.fingerprint(f"http://example.org/{n}", key) for n in range(1_000) for key in (b"a", b"b")]
    assert len(set(found)) == 2_000
    assert -(2**63) <= min(found) < -(2**62)
    assert 2**62 < max(found) < 2**63


SEEDS = {
    "example.org": "http://example.org/",
    " example.org/docs\n": "http://example.org/docs",
    "example.org/?from=http://other.example/": "http://example.org/?from=http://other.example/",
    "example.org?q=a:b": "http://example.org/?q=a:b",
    "localhost": "http://localhost/",
    "localhost:8000": "http://localhost:8000/",
    "localhost:8000?x": "http://localhost:8000/?x",
    "127.0.0.1:99/x": "http://127.0.0.1:99/x",
    "[::1]:8000/x": "http://[::1]:8000/x",
    "HTTP://Example.org/": "http://example.org/",
    "https://example.org#top": "https://example.org/",
    "//example.org/x": "http://example.org/x",
    "bücher.example/ä": "http://xn--bcher-kva.example/%C3%A4",
    "https://例え.テスト/": "https://xn--r8jz45g.xn--zckzah/",
    "http://user:secret@example.org/": "http://example.org/",
    "user@example.org": "http://example.org/",
}
NO_SEEDS = {
    "": "got nothing",
    " \t\n": "got nothing",
    "ftp://example.org/": "http:// or https://",
    "mailto:someone@example.org": "http:// or https://",
    "mailto:1@example.org": "http:// or https://",
    "file:///etc/passwd": "http:// or https://",
    "1http://example.org": "http:// or https://",
    "javascript:alert(1)": "http:// or https://",
    "C:\\site\\index.html": "http:// or https://",
    "http://": "https://example.org/",
    "https:///": "https://example.org/",
    "http://:80/": "https://example.org/",
    "://example.org": "https://example.org/",
    "example.org:99999": "https://example.org/",
    "http://[broken": "https://example.org/",
    "%%%": "https://example.org/",
    "\ud800": "https://example.org/",
    "a" * 100_000: "https://example.org/",
    "example.org /docs": "no spaces",
    "http://example.org/a b": "no spaces",
    "exam\u00a0ple.org": "no spaces",
}


@pytest.mark.parametrize(("typed", "url"), SEEDS.items())
def test_a_seed_is_read_as_a_person_types_it(typed: str, url: str) -> None:
    assert urls.read_seed(typed) == url


@pytest.mark.parametrize(("typed", "hint"), NO_SEEDS.items(), ids=lambda text: ascii(text[:20]))
def test_what_is_no_seed_is_told_in_a_sentence(typed: str, hint: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        urls.read_seed(typed)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(st.one_of(ANY_TEXT, URL_LIKE))
def test_a_seed_is_a_normal_form_or_a_value_error(typed: str) -> None:
    try:
        url = urls.read_seed(typed)
    except ValueError as error:
        assert type(error) is ValueError  # noqa: PT017  (UnicodeError would be one too)
    else:
        assert urls.normalise(url) == url
        assert urls.read_seed(url) == url


@given(st.one_of(URL_LIKE, ANY_TEXT), st.sampled_from([BASE, "http://a.test/", "https://b.test:81/x/y/?/z/w"]))
@settings(max_examples=500)
def test_what_is_remembered_of_a_reference_is_what_joining_it_gives(reference: str, base: str) -> None:
    joiner = urls.Joiner(base)
    assert joiner.join(reference) == joiner.join(reference) == urls.normalise(reference, base)


@pytest.mark.parametrize(
    "reference",
    ["", "?q", "\x01?q", "http:?q", "http:b", "https:?q", ".", "..", "./?q", "//c.test", "/d", "\\d", "e", "1:2"],
)
def test_references_that_depend_on_the_whole_base_are_not_taken_from_another_page(reference: str) -> None:
    for base in ("https://a.test/x/1?a", "https://a.test/x/2?b", "http://a.test/x/1?a"):
        assert urls.Joiner(base).join(reference) == urls.normalise(reference, base)
