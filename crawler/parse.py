"""What a page says: its text decoded as browsers do, its links and metadata, by lexbor. Pure.

One pass over the elements that matter; each odd href is counted and costs the page none of its other links. As in a
browser without scripting, what is in a `template` is inert, and the links in a `noscript` count.
"""

from __future__ import annotations

import codecs
import re
from typing import Final, NamedTuple

import msgspec
from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler import urls
from crawler.model import MAX_LINKS_PER_PAGE

MAX_TEXT = 1_000  # characters of a title, description, heading
MAX_LINK_TEXT = 200
SNIFFED_BYTES = 1_024  # where a <meta charset> is looked for: HTML standard, section 13.2.3.2

_HTML_TYPES = ("text/html", "application/xhtml+xml")
_BOMS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16le"), (b"\xfe\xff", "utf-16be"))
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,>]+)", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta\s[^>]{0,500}?charset\s*=\s*[\"']?\s*([^\s\"';/>]+)", re.IGNORECASE)
_SNIFFED = re.compile(rb"\s*(?:<!--.{0,400}?-->\s*)*<(?:!doctype\s+html|html|head|body|title)[\s>]", re.I | re.S)
_REFRESH = re.compile(r"^\s*[\d.]*\s*[;,\s]\s*(?:url\s*=\s*)?[\"']?([^\"']+)", re.IGNORECASE)
#: labels that mean another encoding to a browser than to Python (WHATWG Encoding standard, section 4.2)
_BROWSER_NAMES: Final = {
    "ascii": "windows-1252", "us-ascii": "windows-1252", "latin-1": "windows-1252", "latin1": "windows-1252",
    "l1": "windows-1252", "iso-8859-1": "windows-1252", "iso8859-1": "windows-1252", "iso_8859-1": "windows-1252",
    "cp1252": "windows-1252", "x-cp1252": "windows-1252", "x-user-defined": "windows-1252", "utf8": "utf-8",
    "iso-8859-9": "windows-1254", "tis-620": "windows-874", "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030",
    "big5": "big5hkscs", "shift_jis": "cp932", "shift-jis": "cp932", "sjis": "cp932", "x-sjis": "cp932",
    "windows-31j": "cp932", "euc-kr": "cp949", "ks_c_5601-1987": "cp949", "x-x-big5": "big5hkscs",
}  # fmt: skip
_FOLLOWED_RELS = frozenset({"canonical", "alternate", "next", "prev"})
_SELECTOR = "a[href], area[href], link[href][rel], frame[src], iframe[src]"


class Link(msgspec.Struct, omit_defaults=True):
    """A link, as it is stored."""

    url: str
    text: str = ""
    rel: str = ""


class Document(NamedTuple):
    """What a page says."""

    title: str | None
    meta_description: str | None
    h1: str | None
    canonical: str | None  # normal form
    lang: str | None
    meta_robots: str | None
    nofollow: bool  # the page as a whole said so, and it is obeyed
    links: list[Link]  # in order, the first of each URL, at most MAX_LINKS_PER_PAGE
    follow: list[str]  # those that may be followed
    links_found: int
    links_bad: int  # no http(s) URL


def is_html(content_type: str, start: bytes) -> bool:
    """Tell whether a body is HTML, by its Content-Type, or without one by how it starts."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind in _HTML_TYPES or (not kind and _SNIFFED.match(start) is not None)


def decode(body: bytes, content_type: str) -> tuple[str, str]:
    """Decode a body as browsers do: BOM, HTTP charset, meta within 1,024 bytes, UTF-8 if it is, else windows-1252.

    Returns:
        The text, and the encoding's name. Never raises.
    """
    for bom, name in _BOMS:
        if body.startswith(bom):
            return body[len(bom) :].decode(name, "replace"), name
    declared = _CHARSET.search(content_type)
    if declared and (name := _known_encoding(declared[1])):
        return _decode(body, name), name
    meta = _META_CHARSET.search(body, 0, SNIFFED_BYTES)
    if meta and (name := _known_encoding(meta[1].decode("ascii", "replace"))):
        if name.startswith("utf-16"):  # it was read as ASCII, so it cannot be
            name = "utf-8"
        return _decode(body, name), name
    try:
        return body.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return _decode(body, "windows-1252"), "windows-1252"


def parse_html(text: str, url: str, *, obey_nofollow: bool = True, x_robots_tag: str = "") -> Document:
    """Read a page's links and metadata. Never raises for what a page holds.

    Args:
        url: the page's own, in normal form.
        x_robots_tag: the response's headers of that name, joined by commas.
    """
    tree = LexborHTMLParser(text.encode("utf-8", "replace").decode("utf-8"))
    head = _read_metas(tree)
    robots = ", ".join(filter(None, (head.get("robots"), head.get("poolcrawl"))))
    nofollow = obey_nofollow and (_says_nofollow(robots) or _says_nofollow(x_robots_tag))
    base = _read_base(tree, url)
    harvest = _Links(base, obey_nofollow=obey_nofollow)
    for node in tree.css(_SELECTOR):
        harvest.add_node(node)
    if "refresh" in head and (target := _REFRESH.match(head["refresh"])):
        harvest.add(target[1].strip(), "", "")
    root = tree.root
    return Document(
        _text_of(tree.css_first("title")),
        _clean(head.get("description")),
        _text_of(tree.css_first("h1")),
        harvest.canonical,
        _clean(root.attributes.get("lang"), 35) if root is not None else None,
        _clean(robots),
        nofollow,
        list(harvest.links.values()),
        [] if nofollow else harvest.follow,
        harvest.found,
        harvest.bad,
    )


class _Links:
    """The links of one page."""

    def __init__(self, base: str, *, obey_nofollow: bool) -> None:
        self.links: dict[str, Link] = {}
        self.follow: list[str] = []
        self.canonical: str | None = None
        self.found = self.bad = 0
        self._base = base
        self._obey_nofollow = obey_nofollow
        self._followed: set[str] = set()

    def add_node(self, node: LexborNode) -> None:
        """Add the link of an element."""
        attributes = node.attributes
        tag = node.tag
        href = attributes.get("src" if tag in ("frame", "iframe") else "href")
        if href is None:  # lexbor's selector takes an SVG link's xlink:href for one
            return
        rel = (attributes.get("rel") or "").strip()
        if tag == "link":
            rels = set(rel.lower().split())
            if not rels & _FOLLOWED_RELS or "stylesheet" in rels:
                return
            url = self.add(href, "", rel)
            if "canonical" in rels and self.canonical is None:
                self.canonical = url
        elif tag == "a":
            self.add(href, node.text(), rel)
        elif tag == "area":
            self.add(href, attributes.get("alt") or "", rel)
        else:
            self.add(href, "", rel)

    def add(self, href: str, text: str, rel: str) -> str | None:
        """Add a link; return its normal form, None if it has none."""
        self.found += 1
        if href.startswith("#"):  # a place in this page
            return None
        url = urls.normalise(href.strip(), self._base)
        if url is None:
            self.bad += 1
            return None
        if url not in self.links and len(self.links) < MAX_LINKS_PER_PAGE:
            self.links[url] = Link(url, _clean(text, MAX_LINK_TEXT) or "", rel[:MAX_LINK_TEXT])
        if url not in self._followed and not (self._obey_nofollow and rel and "nofollow" in rel.lower().split()):
            self._followed.add(url)
            if len(self.follow) < MAX_LINKS_PER_PAGE:
                self.follow.append(url)
        return url


def _read_metas(tree: LexborHTMLParser) -> dict[str, str]:
    """Return the first content of each named <meta>, by lower-case name; http-equiv counts as a name."""
    found: dict[str, str] = {}
    for node in tree.css("meta[content]"):
        attributes = node.attributes
        name = (attributes.get("name") or attributes.get("http-equiv") or "").strip().lower()
        if name:
            found.setdefault(name, attributes.get("content") or "")
    return found


def _read_base(tree: LexborHTMLParser, url: str) -> str:
    node = tree.css_first("base[href]")
    if node is None:
        return url
    return urls.normalise((node.attributes.get("href") or "").strip(), url) or url


def _says_nofollow(directives: str) -> bool:
    """Tell whether robots directives, each perhaps after a "user-agent:", forbid to follow links."""
    if not directives:
        return False
    agent = ""
    for part in directives.lower().split(","):
        name, colon, value = part.rpartition(":")
        if colon:
            agent = name.strip()
        if agent in ("", "poolcrawl", "robots") and value.strip() in ("nofollow", "none"):
            return True
    return False


def _text_of(node: LexborNode | None) -> str | None:
    return _clean(node.text()) if node is not None else None


def _clean(text: str | None, most: int = MAX_TEXT) -> str | None:
    """Collapse white space, drop NULs, cut."""
    if not text:
        return None
    return " ".join(text[: most * 8].split()).replace("\0", "")[:most].rstrip() or None


def _known_encoding(label: str) -> str:
    """Return the name by which Python decodes what a browser decodes for this label, "" for an unknown one."""
    name = label.strip().lower()
    name = _BROWSER_NAMES.get(name, name)
    try:
        known = codecs.lookup(name)
    except (LookupError, ValueError):
        return ""
    return (
        name
        if getattr(known, "_is_text_encoding", False) and not known.name.startswith(("idna", "punycode", "utf-7"))
        else ""
    )


def _decode(body: bytes, name: str) -> str:
    if name == "windows-1252":  # a browser decodes all 256 bytes; Python leaves five undefined
        return body.decode("cp1252", "_latin1_rest")
    return body.decode(name, "replace")


def _latin1_rest(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101  (the only kind that decode gives)
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("_latin1_rest", _latin1_rest)
