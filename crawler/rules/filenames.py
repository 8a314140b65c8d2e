"""The name of the file that a URL is saved as: a pure rule, by which no two URLs ever share a file.

    https://example.org/                    example.org/index.html
    https://example.org/a/b.html            example.org/a/b.html
    https://example.org/a       (HTML)      example.org/a@.html            a suffix that we add comes after an "@",
    https://example.org/a.php?b=c           example.org/a.php@b=c.html     and so does the query
    https://example.org/index.html          example.org/index_.html        not the file of "/"
    https://example.org/r%C3%A9sum%C3%A9.pdf      example.org/résumé.pdf
    http://example.org:8000/a.html/b.png    example.org+8000/a.html@/b.png

It holds because each step can be undone. (1) What a normal form has as a percent-escape only, UTF-8 and the space, is
decoded where people can read it. (2) What a file system may not like, "%" itself included, is escaped again, the "@" of
a file's own name too. (3) A file always ends in a suffix of the closed list below, a folder never: so `/a.png` and
`/a.png/b` do not meet. (4) What is too long, or differs from another by capitals alone where the file system ignores
them, is cut and told apart by 80 bits of a hash behind "%-", which step 2 never leaves.

Every segment is a valid name on Linux, macOS and Windows, in Unicode's form NFC. Pure; runs anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from functools import lru_cache
from typing import Final

from crawler.rules import urls

MAX_NAME_BYTES: Final = 180  # of a file or folder; file systems allow 255, some encrypted ones 143
MAX_PATH_BYTES: Final = 700  # of a whole relative path; macOS allows 1,023 for an absolute one
HTML_SUFFIXES: Final = frozenset({"html", "htm", "xhtml", "xht"})

#: content type → the suffixes by which a browser knows such a file: another one gets the first of these behind it
_STRICT: Final = {
    "text/html": ("html", "htm"),
    "application/xhtml+xml": ("xhtml", "xht", "html", "htm"),
    "text/css": ("css",),
    "text/javascript": ("js", "mjs", "cjs"),
    "application/javascript": ("js", "mjs", "cjs"),
    "application/x-javascript": ("js", "mjs", "cjs"),
    "image/svg+xml": ("svg", "svgz"),
}
#: content type → the suffix of one that has none that we know
_SUFFIX: Final = {
    **dict(part.split(" ") for part in """\
application/atom+xml xml|application/epub+zip epub|application/font-woff woff|application/gzip gz|application/json json
application/ld+json json|application/manifest+json webmanifest|application/msword doc|application/ogg ogg
application/pdf pdf|application/postscript ps|application/rss+xml xml|application/rtf rtf|application/wasm wasm
application/vnd.ms-excel xls|application/vnd.ms-fontobject eot|application/vnd.ms-powerpoint ppt
application/vnd.oasis.opendocument.presentation odp|application/vnd.oasis.opendocument.spreadsheet ods
application/vnd.oasis.opendocument.text odt
application/vnd.openxmlformats-officedocument.presentationml.presentation pptx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
application/vnd.openxmlformats-officedocument.wordprocessingml.document docx
application/x-7z-compressed 7z|application/x-bzip2 bz2|application/x-font-ttf ttf|application/x-gzip gz
application/x-tar tar|application/x-xz xz|application/xml xml|application/zip zip|application/zstd zst
audio/aac aac|audio/flac flac|audio/midi mid|audio/mp4 m4a|audio/mpeg mp3|audio/ogg ogg|audio/wav wav|audio/webm weba
audio/x-wav wav|font/collection ttc|font/otf otf|font/ttf ttf|font/woff woff|font/woff2 woff2|image/apng apng
image/avif avif|image/bmp bmp|image/gif gif|image/heic heic|image/jpeg jpg|image/jpg jpg|image/jxl jxl|image/png png
image/tiff tif|image/vnd.microsoft.icon ico|image/webp webp|image/x-icon ico|text/calendar ics|text/csv csv
text/markdown md|text/vtt vtt|text/xml xml|video/mp4 mp4|video/mpeg mpg|video/ogg ogv|video/quicktime mov
video/webm webm|video/x-msvideo avi""".replace("\n", "|").split("|")),
}  # fmt: skip
#: further suffixes that a file may keep, and a folder may not
_OTHERS: Final = """
aif aiff apk asc atom azw3 bak bib bin bz c cab cbr cbz cer cfg class conf cpp crt csl cue cur dat db deb diff djvu dmg
dot dotx dtd dvi eml emf exe fb2 fits fla flv geojson glb gltf go gpg gpx h hdf5 hpp icns img ini ipynb iso jar java
jpe jpeg jfif json5 jsonl jsonld kml kmz lib log lua lz lz4 lzma m m2ts m3u m3u8 m4v map mdb mdx mhtml mkv mobi mpd mpeg
msg msi nb nc ndjson o oga opml opus otp ots ott p7s pack parquet patch pem pl pls po pot potx pps ppsx prc psd pub py
pyc pyi qt r ra ram rar raw rb rdf rm roff rpm rs rss rst s3m sass sav scss sh sha1 sha256 sig smi snap so sql sqlite
srt swf swift tar tbz tex text tgz tiff toml torrent ts tsv ttml txt txz vcf vcs wax webp whl wma wmf wmv wsdl xbm xlsb
xlsm xml xpi xpm xsd xsl xslt xspf yaml yml z zip zst
"""
KNOWN: Final = frozenset(
    {*(suffix for suffixes in _STRICT.values() for suffix in suffixes), *_SUFFIX.values(), *_OTHERS.split()}
)

_DECODED: Final = re.compile(r"%20|(?:%[89A-F][0-9A-F])+")
_UNSAFE: Final = re.compile(r'[\x00-\x1f"%*/:<>?\\|\x7f]|^ |[ .]$')
_UNSAFE_IN_FILES: Final = re.compile(_UNSAFE.pattern + "|@")
_UNSAFE_IN_HOSTS: Final = re.compile(r"[^\w.-]|^\.|\.$", re.ASCII)
_TOKENS: Final = re.compile(r"%[0-9A-F]{2}|.", re.DOTALL)
#: a folder's name that a file could have, or nobody
_TAKEN_BY_FILES: Final = re.compile(rf"(?:|.*\.(?:{'|'.join(sorted(KNOWN))}))@*", re.IGNORECASE | re.DOTALL)
_TAKEN_BY_FOLDERS: Final = re.compile(r"(index)(_*(?:\.html)?)")
_RESERVED: Final = re.compile(
    r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$|clock\$) *(?:\.|$)", re.IGNORECASE
)


def file_name(url: str, kind: str, *, folds_case: bool = False) -> str:
    """Return the relative path of the file that a URL is saved as, with "/" between its segments.

    Args:
        url: in normal form.
        kind: the content type, in lower case and without parameters; "" if it is not known.
        folds_case: names that differ by capitals alone must not meet.
    """
    host, target = urls.split(url)
    path, question, query = target.partition("?")
    *folders, last = path[1:].split("/")
    name = _name_file(last, query if question else None, kind, folds_case)
    found = "/".join([_name_host(host), *(_name_folder(folder, folds_case) for folder in folders), name])
    if len(found.encode()) <= MAX_PATH_BYTES:
        return found
    stem, dot, suffix = name.rpartition(".")
    return f"{_name_host(host)}/{_escape_reserved(_cut(stem, target, dot + suffix))}"


def suffix_of(name: str) -> str:
    """Return the suffix of a file's name, in lower case and without its dot; "" if it has none that we know."""
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    return suffix if suffix in KNOWN else ""


@lru_cache(1_024)
def _name_host(host: str) -> str:
    """Name a host's folder: plain for https on its own port, with "+" and the port for all others."""
    scheme, _, authority = host.partition("://")
    name = urls.host_name(host)
    port = authority[len(name) + 1 :]
    is_ipv6 = name.startswith("[")  # nothing else has brackets
    text = name.replace(":", "-") if is_ipv6 else _UNSAFE_IN_HOSTS.sub(_escape, name)
    if scheme == "http":
        text += f"+{port or 80}"
    elif port:
        text += f"+{port}+https"
    return _finish(text, host)


@lru_cache(4_096)
def _name_folder(segment: str, folds_case: bool) -> str:
    readable = _readable(segment)
    text = _UNSAFE.sub(_escape, readable)
    if _TAKEN_BY_FILES.fullmatch(text):
        text += "@"
    return _finish(text, readable, folds_case=folds_case)


def _name_file(segment: str, query: str | None, kind: str, folds_case: bool) -> str:
    suffix = suffix_of(segment)
    default = _default_suffix(kind)
    if segment and query is None and _fits(kind, suffix):
        stem = _TAKEN_BY_FOLDERS.sub(r"\1_\2", segment, 1) if _TAKEN_BY_FOLDERS.fullmatch(segment) else segment
        text, suffix = stem[: -len(suffix) - 1], segment[-len(suffix) :]
        readable = _readable(text)
        return _finish(_UNSAFE_IN_FILES.sub(_escape, readable), f"{readable}.{suffix}", "." + suffix, folds_case)
    if not segment and query is None and default == "html":
        return "index.html"
    if not segment:
        segment = "index"
    elif _TAKEN_BY_FOLDERS.fullmatch(segment):
        segment = _TAKEN_BY_FOLDERS.sub(r"\1_\2", segment, 1)
    readable = _readable(segment)
    text = _UNSAFE_IN_FILES.sub(_escape, readable) + "@"
    if query is not None:
        asked = _readable(query)
        text += _UNSAFE_IN_FILES.sub(_escape, asked) or "@"
        readable += "?" + asked
    return _finish(text, readable, "." + default, folds_case)


def _fits(kind: str, suffix: str) -> bool:
    """Return whether a file of this type may keep this suffix."""
    if kind in _STRICT:
        return suffix in _STRICT[kind]
    return bool(suffix) and suffix not in HTML_SUFFIXES


def _default_suffix(kind: str) -> str:
    if kind in _STRICT:
        return _STRICT[kind][0]
    if kind.endswith(("+xml", "+json")):
        return _SUFFIX.get(kind, kind.rpartition("+")[2])
    return _SUFFIX.get(kind, "txt" if kind.startswith("text/") else "bin")


def _readable(segment: str) -> str:
    """Decode what can only be there as an escape, and that people can read; nothing else, so that it can be undone."""
    if "%" not in segment:
        return segment
    text = _DECODED.sub(_decode, segment)
    # One of two texts that look the same, and are the same to some file systems, stays as it is.
    return text if unicodedata.is_normalized("NFC", text) else segment


def _decode(escapes: re.Match[str]) -> str:
    if escapes[0] == "%20":
        return " "
    text = bytes.fromhex(escapes[0].replace("%", "")).decode("utf-8", "surrogateescape")
    return "".join(char if char.isprintable() else _escape_bytes(char) for char in text)


def _escape_bytes(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))


def _escape(found: re.Match[str]) -> str:
    return _escape_bytes(found[0])


def _finish(text: str, identity: str, suffix: str = "", folds_case: bool = False) -> str:
    """Return a name that is short enough and nobody else's.

    Args:
        text: the name without its suffix, escaped.
        identity: what tells it from all other names in its folder.
    """
    is_ambiguous = folds_case and identity != unicodedata.normalize("NFC", identity.upper().casefold())
    if is_ambiguous or len((text + suffix).encode()) > MAX_NAME_BYTES:
        return _escape_reserved(_cut(text, identity, suffix))
    return _escape_reserved(text + suffix)


def _cut(text: str, identity: str, suffix: str) -> str:
    digest = hashlib.blake2b(identity.encode(), digest_size=10).digest()
    mark = "%-" + base64.b32encode(digest).decode().lower() + suffix
    room = MAX_NAME_BYTES - len(mark)
    kept = []
    for token in _TOKENS.findall(text):
        room -= len(token.encode())
        if room < 0:
            break
        kept.append(token)
    return "".join(kept) + mark


def _escape_reserved(name: str) -> str:
    """Escape the first character of what is a device on Windows, whatever its suffix."""
    return f"%{ord(name[0]):02X}{name[1:]}" if _RESERVED.match(name) else name
