"""In which encoding a page is written, and its text: as browsers find out, and decode. Pure; runs in a worker.

Must not know HTML beyond what the search for a declaration takes: HTML standard, section 13.2.3.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from crawler.rules import mime

SNIFFED_BYTES = 1_024  # where a <meta charset> is looked for: HTML standard, section 13.2.3.2

BOMS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16le"), (b"\xfe\xff", "utf-16be"))
_META = re.compile(rb"<!--.*?(?:-->|\Z)|<meta[\s/]([^>]*)", re.IGNORECASE | re.DOTALL)
_ATTRIBUTE = re.compile(r"([^\s=/>\"']++)\s*=\s*(?:\"([^\"]*)|'([^']*)|([^\s\"'>]*))")
_XML_ENCODING = re.compile(rb"<\?xml\s[^>]*?encoding\s*=\s*[\"']([^\"'>]+)")

#: an encoding's name, Python's codec for it, further labels: WHATWG Encoding standard, section 4.2, less the encodings
#: that browsers refuse; "latin-1" and "x-user-defined" are ours, and the four that browsers decode as a larger one are
#: named by Python's name of that. A table and no codecs.lookup(), which imports modules by the names that pages make
#: up, and remembers each
_ENCODINGS: Final = """
utf-8 utf-8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf8 x-unicode20utf8
utf-16be utf-16be unicodefffe
utf-16le utf-16le csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16
ibm866 cp866 866 cp866 csibm866
iso-8859-2 iso8859-2 csisolatin2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2
iso-8859-3 iso8859-3 csisolatin3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3
iso-8859-4 iso8859-4 csisolatin4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4
iso-8859-5 iso8859-5 csisolatincyrillic cyrillic iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988
iso-8859-6 iso8859-6 arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6-e iso-8859-6-i
iso-8859-6 iso8859-6 iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987
iso-8859-7 iso8859-7 csisolatingreek ecma-118 elot_928 greek greek8 iso-ir-126 iso8859-7 iso88597 iso_8859-7
iso-8859-7 iso8859-7 iso_8859-7:1987 sun_eu_greek
iso-8859-8 iso8859-8 csiso88598e csisolatinhebrew hebrew iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8
iso-8859-8 iso8859-8 iso_8859-8:1988 visual
iso-8859-8-i iso8859-8 csiso88598i logical
iso-8859-10 iso8859-10 csisolatin6 iso-ir-157 iso8859-10 iso885910 l6 latin6
iso-8859-13 iso8859-13 iso8859-13 iso885913
iso-8859-14 iso8859-14 iso8859-14 iso885914
iso-8859-15 iso8859-15 csisolatin9 iso8859-15 iso885915 iso_8859-15 l9
iso-8859-16 iso8859-16
koi8-r koi8-r cskoi8r koi koi8 koi8_r
koi8-u koi8-u koi8-ru
macintosh mac-roman csmacintosh mac x-mac-roman
x-mac-cyrillic mac-cyrillic x-mac-ukrainian
windows-874 cp874 dos-874 iso-8859-11 iso8859-11 iso885911 tis-620
windows-1250 cp1250 cp1250 x-cp1250
windows-1251 cp1251 cp1251 x-cp1251
windows-1252 cp1252 ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591
windows-1252 cp1252 iso_8859-1 iso_8859-1:1987 l1 latin1 latin-1 us-ascii x-cp1252 x-user-defined
windows-1253 cp1253 cp1253 x-cp1253
windows-1254 cp1254 cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5
windows-1254 cp1254 x-cp1254
windows-1255 cp1255 cp1255 x-cp1255
windows-1256 cp1256 cp1256 x-cp1256
windows-1257 cp1257 cp1257 x-cp1257
windows-1258 cp1258 cp1258 x-cp1258
gb18030 gb18030 gbk chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 iso-ir-58 x-gbk
big5hkscs big5hkscs big5 big5-hkscs cn-big5 csbig5 x-x-big5
euc-jp euc-jp cseucpkdfmtjapanese x-euc-jp
iso-2022-jp iso-2022-jp csiso2022jp
cp932 cp932 shift_jis csshiftjis ms932 ms_kanji shift-jis sjis windows-31j x-sjis
cp949 cp949 euc-kr cseuckr csksc56011987 iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949
"""
_ROWS: Final = [line.split() for line in _ENCODINGS.split("\n") if line]
_CODECS: Final = {name: codec for name, codec, *_ in _ROWS}
#: encodings in which bytes below 0x80 may be anything but ASCII
NO_SUPERSET_OF_ASCII: Final = frozenset({"iso-2022-jp", "utf-16be", "utf-16le"})
#: what the encodings that have Python's name here are called in pages
_LABELS: Final = {"big5hkscs": "big5", "cp932": "shift_jis", "cp949": "euc-kr"}
_NAMES: Final = {label: name for name, _, *labels in _ROWS for label in (name, *labels)}


def decode(body: bytes, content_type: str) -> tuple[str, str]:
    """Decode a body as browsers do: BOM, HTTP charset, meta within 1,024 bytes, UTF-8 if it is, else windows-1252.

    Returns:
        The text, and the encoding's name. Never raises; unknown labels are ignored.
    """
    for bom, marked in BOMS:
        if body.startswith(bom):
            return body[len(bom) :].decode(marked, "replace"), marked
    name = _declared(body, content_type)
    if name:
        return _decode(body, name), name
    try:
        return body.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return _decode(body, "windows-1252"), "windows-1252"


def codec_of(name: str) -> str:
    """Return Python's codec for an encoding, by the name that `decode` gives it."""
    return _CODECS[name]


def label_of(name: str) -> str:
    """Return what a page calls an encoding, by the name that `decode` gives it."""
    return _LABELS.get(name, name)


def to_utf8(body: bytes, content_type: str) -> tuple[bytes, str]:
    """Return what `decode` does, as UTF-8: of most bodies nothing but themselves."""
    if body.isascii():
        name = _declared(body, content_type) or "utf-8"
        if name not in NO_SUPERSET_OF_ASCII:
            return body, name
    text, name = decode(body, content_type)
    if name == "utf-8" and "\ufffd" not in text and not body.startswith(codecs.BOM_UTF8):
        return body, name  # it was what it said
    return text.encode("utf-8", "replace"), name


def _declared(body: bytes, content_type: str) -> str | None:
    """Return the encoding that the HTTP header, else the page itself, declares."""
    return _NAMES.get(mime.charset(content_type)) or declared_within(body[:SNIFFED_BYTES])


def declared_within(start: bytes) -> str | None:
    """Return the encoding that a meta, else an XML declaration, declares: HTML standard, section 13.2.3.2."""
    for found in _META.finditer(start):
        if found[1] is None:  # a comment
            continue
        matches = _ATTRIBUTE.findall(found[1].decode("latin-1").lower())
        attributes = {key: double or single or bare for key, double, single, bare in reversed(matches)}
        label = attributes.get("charset", "")
        if not label and attributes.get("http-equiv") == "content-type":
            label = mime.charset(attributes.get("content", ""))
        if name := _NAMES.get(label.strip()):
            return _readable_as_ascii(name)
    xml = _XML_ENCODING.match(start)
    declared = _NAMES.get(xml[1].decode("latin-1").strip().lower()) if xml else None
    return _readable_as_ascii(declared) if declared else None


def _readable_as_ascii(name: str) -> str:
    """Return the encoding that is meant by a declaration that could be read as ASCII."""
    return "utf-8" if name.startswith("utf-16") else name


def _decode(body: bytes, name: str) -> str:
    return body.decode(_CODECS[name], "crawler.c1" if name.startswith("windows-") else "replace")


def _keep_c1(error: UnicodeError) -> tuple[str, int]:
    """Decode what Python leaves undefined as browsers do: C1 controls as they are, the rest as U+FFFD."""
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101  (the only kind that decode gives)
    undefined = error.object[error.start : error.end]
    return "".join(chr(byte) if byte < 0xA0 else "\N{REPLACEMENT CHARACTER}" for byte in undefined), error.end


codecs.register_error("crawler.c1", _keep_c1)
