"""The encoding of a page, decided as browsers do, and its text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.pages import encodings


@pytest.mark.parametrize(
    ("body", "content_type", "text", "charset"),
    [
        (b"\xef\xbb\xbf\xc3\xa4", "text/html; charset=latin-1", "ä", "utf-8"),
        (b"\xff\xfea\x00", "", "a", "utf-16le"),
        (b"\xfe\xff\x00a", "", "a", "utf-16be"),
        (b"\xe4", "text/html; charset=iso-8859-1", "ä", "windows-1252"),
        (b"\x80\x81\x8d\x8f\x90\x9d", "text/html; charset=ascii", "€\x81\x8d\x8f\x90\x9d", "windows-1252"),
        (b"\x8e\xa0", 'text/html; charset="Shift_JIS"', "滋", "cp932"),
        (b"<meta charset=koi8-r>\xc1", "text/html", "<meta charset=koi8-r>\u0430", "koi8-r"),
        (
            b'<meta http-equiv=content-type content="text/html; charset=windows-1251">\xe0',
            "text/html; charset=klingon",
            '<meta http-equiv=content-type content="text/html; charset=windows-1251">\u0430',
            "windows-1251",
        ),
        (b"<meta charset=utf-16>\xc3\xa4", "", "<meta charset=utf-16>ä", "utf-8"),
        (b" " * 1024 + b"<meta charset=koi8-r>\xc3\xa4", "", " " * 1024 + "<meta charset=koi8-r>ä", "utf-8"),
        (b"\xc3\xa4", "text/html", "ä", "utf-8"),
        (b"\xe4 and", "text/html", "ä and", "windows-1252"),
        (b"a\xff", "text/html; charset=utf-8", "a\ufffd", "utf-8"),
        (b"abc", "text/html; charset=hex", "abc", "utf-8"),
    ],
)
def test_the_charset_is_decided_as_browsers_do(body: bytes, content_type: str, text: str, charset: str) -> None:
    assert encodings.decode(body, content_type) == (text, charset)


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        (b"<!-- <meta charset=koi8-r> --><p>", "utf-8"),
        (b"<meta name=description content='charset=koi8-r'>", "utf-8"),
        (b"<meta charset=klingon><meta charset=koi8-r>", "koi8-r"),
        (b"<meta charset=x-user-defined>", "windows-1252"),
        (b"<?xml version='1.0' encoding='ISO-8859-2'?><html>", "iso-8859-2"),
        (b"<?xml version='1.0' encoding='UTF-16'?><html>", "utf-8"),
    ],
)
def test_only_what_declares_a_charset_declares_one(body: bytes, charset: str) -> None:
    assert encodings.decode(body, "text/html")[1] == charset


def test_every_label_has_a_codec_that_decodes_all_bytes() -> None:
    every_byte = bytes(range(256))
    for label, name in encodings._NAMES.items():
        text, charset = encodings.decode(every_byte, f"text/html; charset={label.upper()}")
        assert (charset, bool(text)) == (name, True)


def test_the_encodings_that_do_not_read_ascii_as_ascii_are_known() -> None:
    text = bytes(range(128)).decode()
    others = {name for name, codec in encodings._CODECS.items() if text.encode().decode(codec, "replace") != text}
    assert others | {"iso-2022-jp"} == encodings.NO_SUPERSET_OF_ASCII  # which changes its state in the middle


@pytest.mark.parametrize("label", ["utf-7", "utf-32", "idna", "punycode", "cp037", "base64", "hz-gb-2312", "no\0name"])
def test_what_only_python_calls_an_encoding_is_ignored(label: str) -> None:
    assert encodings.decode(b"\xc3\xa4", f"text/html; charset={label}") == ("ä", "utf-8")


def test_the_undefined_bytes_of_windows_encodings_decode_as_browsers_do() -> None:
    assert encodings.decode(b"\x98", "text/html; charset=windows-1251")[0] == "\x98"
    assert encodings.decode(b"\x81\xd2", "text/html; charset=windows-1253")[0] == "\x81\ufffd"


@pytest.mark.parametrize("body", [b"caf\xc3\xa9", b"caf\xe9", b"\xef\xbb\xbfa", b"\xef\xbf\xbd", b"\xed\xa0\x80"])
def test_a_body_in_utf_8_goes_to_the_parser_as_it_came_unless_it_is_broken(body: bytes) -> None:
    text, name = encodings.decode(body, "text/html; charset=utf-8")
    assert encodings.to_utf8(body, "text/html; charset=utf-8") == (text.encode(), name)


@given(st.binary(max_size=60), st.sampled_from(sorted(encodings._NAMES)))
def test_as_utf_8_a_page_is_what_it_is_as_text(body: bytes, label: str) -> None:
    for content_type in (f"text/html; charset={label}", "text/html"):
        text, name = encodings.decode(body, content_type)
        assert encodings.to_utf8(body, content_type) == (text.encode("utf-8", "replace"), name)
        ascii_body = bytes(byte & 0x7F for byte in body)
        text, name = encodings.decode(ascii_body, content_type)
        assert encodings.to_utf8(ascii_body, content_type) == (text.encode("utf-8", "replace"), name)
