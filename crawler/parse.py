"""What a page says: its text decoded as browsers do, its links and metadata, by lexbor. Pure; runs in a worker.

One pass over the elements that matter; each odd href is counted and costs the page none of its other links. As in a
browser without scripting, what is in a `template` is inert, and what is in a `noscript` counts. A page with very many
tags loses those that say nothing about links before it is parsed, because lexbor's time, like any HTML parser's, is
quadratic in the depth of the tree and worse in unclosed formatting. Must not know the network, a host or a crawl.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec
from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode

from crawler import embeds, urls
from crawler.config import ROBOTS_TOKEN
from crawler.model import EMBED_REL, MAX_LINKS_PER_PAGE

MAX_TEXT = 1_000  # characters of a title, description, heading
MAX_LINK_TEXT = 200
SNIFFED_BYTES = 1_024  # where a <meta charset> is looked for: HTML standard, section 13.2.3.2
MAX_TAGS = 4_000  # with more, end tags included, a page is thinned out: 2,000 unclosed <font><p> take 1 s
MAX_TAG_BYTES = 16_384  # with a longer tag, too, and that tag is dropped: 20,000 attributes take 0.7 s

_BLOCK_BYTES = MAX_TAG_BYTES // 2

_HTML_TYPES = ("text/html", "application/xhtml+xml")
_BOMS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16le"), (b"\xfe\xff", "utf-16be"))
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,>]+)", re.IGNORECASE)
_META = re.compile(rb"<!--.*?(?:-->|\Z)|<meta[\s/]([^>]*)", re.IGNORECASE | re.DOTALL)
_ATTRIBUTE = re.compile(r"([^\s=/>\"']++)\s*=\s*(?:\"([^\"]*)|'([^']*)|([^\s\"'>]*))")
_XML_ENCODING = re.compile(rb"<\?xml\s[^>]*?encoding\s*=\s*[\"']([^\"'>]+)")
#: what makes a body without a type HTML: MIME Sniffing standard, section 7.1
_SNIFFED = re.compile(
    rb"(?:\xef\xbb\xbf)?[\t\n\f\r ]*+<(?:!--|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title"
    rb"|b|body|br|p)[ >\t\n\f\r])",
    re.IGNORECASE,
)
_REFRESH = re.compile(
    r"(?:\d[\d.]*+|\.[\d.]*+)(?=[\s;,])\s*+[;,]?+\s*+(?:url\s*+=\s*+)?+(?:\"([^\"]*)|'([^']*)|(.+))", re.I | re.S
)
_KEPT_TAGS = b"a|area|base|frame|frameset|h1|html|iframe|link|meta|noembed|noframes|template|textarea|title|xmp"
_NOISE = re.compile(
    rb"<!--.*?(?:-->|\Z)|<(script|style)[\s/>].*?(?:</\1[\s/>]|\Z)"
    rb"|</?(?!(?:" + _KEPT_TAGS + rb")[\s/>])[a-z](?:[^<>=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+')?+)*+>"
    rb"|<[a-z][^<>]{%d,}+>?+" % MAX_TAG_BYTES,
    re.IGNORECASE | re.DOTALL,
)
#: the same, but for what is embedded
_NOISE_AROUND_EMBEDS = re.compile(
    _NOISE.pattern.replace(rb"|<(script|style)[\s/>].*?(?:</\1[\s/>]|\Z)", b"").replace(
        _KEPT_TAGS, _KEPT_TAGS + b"|" + embeds.TAGS
    ),
    re.IGNORECASE | re.DOTALL,
)
_HUGE_TAG = re.compile(rb"<[a-z][^<>]{%d}" % MAX_TAG_BYTES, re.IGNORECASE)
_H1 = re.compile(rb"<h1(?=[\s/>])[^<>]*+>", re.IGNORECASE)
_SPACE = " \t\n\f\r"  # what HTML strips: a no-break space is a part of the URL

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
_NO_SUPERSET_OF_ASCII: Final = frozenset({"iso-2022-jp", "utf-16be", "utf-16le"})
_NAMES: Final = {label: name for name, _, *labels in _ROWS for label in (name, *labels)}

_FOLLOWED_RELS = frozenset({"canonical", "alternate", "next", "prev"})
#: all that is read of a page, in one walk over its tree: a walk takes as long as a third of the parsing, each
#: alternative a part of it
_SELECTOR = "[href], frame, iframe, meta, title, h1"
_LINK_TAGS = frozenset({"a", "area", "link", "frame", "iframe"})
_WITHOUT_EVENTS = LexborDocumentOptions.WO_EVENTS.value  # nothing looks at the tree while it grows
#: X-Robots-Tag directives that have a value, and so look like a "user-agent:"
_VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})


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
    follow: list[str]  # those of them that may be followed
    links_found: int
    links_bad: int  # no http(s) URL
    embeds: list[Link]  # only if asked for: in order, the first of each URL


def is_html(content_type: str, start: bytes) -> bool:
    """Tell whether a body is HTML, by its Content-Type, or without one by how it starts."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind in _HTML_TYPES or (not kind and _SNIFFED.match(start) is not None)


def decode(body: bytes, content_type: str) -> tuple[str, str]:
    """Decode a body as browsers do: BOM, HTTP charset, meta within 1,024 bytes, UTF-8 if it is, else windows-1252.

    Returns:
        The text, and the encoding's name. Never raises; unknown labels are ignored.
    """
    for bom, marked in _BOMS:
        if body.startswith(bom):
            return body[len(bom) :].decode(marked, "replace"), marked
    name = _declared(body, content_type)
    if name:
        return _decode(body, name), name
    try:
        return body.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return _decode(body, "windows-1252"), "windows-1252"


def to_utf8(body: bytes, content_type: str) -> tuple[bytes, str]:
    """Return what `decode` does, as UTF-8: of most bodies nothing but themselves."""
    if body.isascii():
        name = _declared(body, content_type) or "utf-8"
        if name not in _NO_SUPERSET_OF_ASCII:
            return body, name
    text, name = decode(body, content_type)
    if name == "utf-8" and "\ufffd" not in text and not body.startswith(codecs.BOM_UTF8):
        return body, name  # it was what it said
    return text.encode("utf-8", "replace"), name


def parse_html(
    page: str | bytes, url: str, *, obey_nofollow: bool = True, x_robots_tag: str = "", with_embeds: bool = False
) -> Document:
    """Read a page's links and metadata. Never raises for what a page holds.

    Args:
        page: a text, or its UTF-8.
        url: the page's own, in normal form.
        x_robots_tag: the response's headers of that name, joined by line feeds; joined by commas, a user agent's name
            in one of them counts for those after it.
    """
    utf8 = page if isinstance(page, bytes) else page.encode("utf-8", "replace")
    tree = LexborHTMLParser(_thin_out(utf8, _NOISE_AROUND_EMBEDS if with_embeds else _NOISE), options=_WITHOUT_EVENTS)
    found = _Found(tree)
    names, refresh = _read_metas(found.metas)
    robots = ", ".join(filter(None, (names.get("robots"), names.get(ROBOTS_TOKEN))))
    nofollow = obey_nofollow and (_page_says_nofollow(robots) or _header_says_nofollow(x_robots_tag))
    base = urls.normalise(found.base, url) if found.base else None
    harvest = _Links(base or url, obey_nofollow=obey_nofollow)
    for tag, node in found.links:
        harvest.add_node(tag, node)
    if refresh:
        harvest.add(refresh, "", "")
    root = tree.root
    return Document(
        _text_of(found.title),
        _clean(names.get("description")),
        _text_of(found.h1),
        harvest.canonical,
        _clean(root.attributes.get("lang"), 35) if root is not None else None,
        _clean(robots),
        nofollow,
        list(harvest.links.values()),
        [] if nofollow else list(harvest.follow),
        harvest.found,
        harvest.bad,
        _join_all(embeds.in_tree(tree), base or url) if with_embeds else [],
    )


def css_embeds(text: str, url: str) -> list[Link]:
    """Return what a stylesheet embeds; url is its own, in normal form."""
    return _join_all(((reference, "") for reference in embeds.in_css(text)), url)


def _join_all(references: Iterable[tuple[str, str]], base: str) -> list[Link]:
    """Return what is embedded by these references (each with its text), the first of each URL."""
    join = urls.Joiner(base).join
    found: dict[str, Link] = {}
    for reference, text in references:
        stripped = reference.strip(_SPACE)
        url = join(stripped) if stripped else None
        if url is not None and url not in found and len(found) < MAX_LINKS_PER_PAGE:
            found[url] = Link(url, _clean(text, MAX_LINK_TEXT) or "", EMBED_REL)
    return list(found.values())


class _Found:
    """The elements of a page that something is read of."""

    def __init__(self, tree: LexborHTMLParser) -> None:
        self.links: list[tuple[str, LexborNode]] = []
        self.metas: list[LexborNode] = []
        self.title: LexborNode | None = None
        self.h1: LexborNode | None = None
        self.base = ""
        bases: list[LexborNode] = []
        for node in tree.css(_SELECTOR):
            tag = node.tag or ""
            if tag in _LINK_TAGS:
                self.links.append((tag, node))
            elif tag == "meta":
                self.metas.append(node)
            elif tag == "h1":
                self.h1 = self.h1 or node
            elif tag == "title":
                self.title = self.title or (None if _is_in_svg(node) else node)
            elif tag == "base":
                bases.append(node)
        if bases:
            self.base = bases[0].attributes.get("href") or ""


def _is_in_svg(node: LexborNode) -> bool:
    """Tell that an element is a part of a drawing, such as the title of one."""
    parent = node.parent
    while parent is not None and parent.tag != "svg":
        parent = parent.parent
    return parent is not None


class _Links:
    """The links of one page."""

    def __init__(self, base: str, *, obey_nofollow: bool) -> None:
        self.links: dict[str, Link] = {}
        self.follow: dict[str, None] = {}  # an ordered set
        self.canonical: str | None = None
        self.found = self.bad = 0
        self._join = urls.Joiner(base).join
        self._obey_nofollow = obey_nofollow
        self._repeated: set[str] = set()  # what was the plain link of an <a> before: once more changes nothing

    def add_node(self, tag: str, node: LexborNode) -> None:
        """Add the link of an element."""
        attributes = node.attributes
        href = attributes.get("src" if tag in ("frame", "iframe") else "href")
        if href is None:  # no value; or lexbor's selector took an SVG link's xlink:href for one
            return
        if tag == "a" and href in self._repeated:
            self.found += 1
            return
        rel = attributes.get("rel") or ""
        if tag == "a":
            if self.add(href, node, rel) is not None and not rel:
                self._repeated.add(href)
        elif tag == "link":
            self._add_relation(href, rel)
        else:
            self.add(href, attributes.get("alt") or "" if tag == "area" else "", rel)

    def add(self, href: str, text: str | LexborNode, rel: str) -> str | None:
        """Add a link; return its normal form, None if it has none or is a place in this page.

        Args:
            text: or the element that has it: it is read only if it is stored.
        """
        self.found += 1
        reference = href.strip(_SPACE)
        if "#" in reference:
            reference = reference[: reference.index("#")]
            if not reference:
                return None
        url = self._join(reference)
        if url is None:
            self.bad += 1
            return None
        followed = not rel or not (self._obey_nofollow and "nofollow" in rel.lower().split())
        if url not in self.links:
            if len(self.links) >= MAX_LINKS_PER_PAGE:
                return url
            words = text if isinstance(text, str) else text.text()
            self.links[url] = Link(url, _clean(words, MAX_LINK_TEXT) or "", _clean(rel, MAX_LINK_TEXT) or "")
        elif followed and url not in self.follow:
            # Another link to it said nofollow: what is stored must say that it may be followed.
            self.links[url].rel = _clean(rel, MAX_LINK_TEXT) or ""
        if followed:
            self.follow[url] = None
        return url

    def _add_relation(self, href: str, rel: str) -> None:
        rels = set(rel.lower().split())
        if not rels & _FOLLOWED_RELS or "stylesheet" in rels:
            return
        url = self.add(href, "", rel)
        if "canonical" in rels and self.canonical is None:
            self.canonical = url


def _thin_out(page: bytes, noise: re.Pattern[bytes]) -> bytes:
    """Drop what a page has too much of, but for what is read here: comments, scripts, other elements, huge tags."""
    # A tag has three bytes at least. A huge one fills an aligned block of half its size without another "<".
    many = len(page) > 3 * MAX_TAGS and page.count(b"<") > MAX_TAGS
    blocks = range(0, len(page) - _BLOCK_BYTES, _BLOCK_BYTES)
    huge = any(page.find(b"<", start, start + _BLOCK_BYTES) < 0 for start in blocks) and _HUGE_TAG.search(page)
    if not many and not huge:
        return page
    page = noise.sub(b"", page)
    first = _H1.search(page)
    if first is None:
        return page
    # Headings nest by way of links, and each link's text would be that of all within it.
    return page[: first.end()] + _H1.sub(b"", page[first.end() :])


def _read_metas(metas: list[LexborNode]) -> tuple[dict[str, str], str]:
    """Return the contents of named metas (the first of each, of robots all), and where a refresh leads to."""
    names: dict[str, str] = {}
    refresh = ""
    for node in metas:
        attributes = node.attributes
        content = attributes.get("content")
        if content is None:
            continue
        name = (attributes.get("name") or "").strip().lower()
        if name in ("robots", ROBOTS_TOKEN) and name in names:
            names[name] += ", " + content
        elif name:
            names.setdefault(name, content)
        if not refresh and (attributes.get("http-equiv") or "").strip().lower() == "refresh":
            refresh = _read_refresh(content)
    return names, refresh


def _read_refresh(content: str) -> str:
    """Return the URL in a refresh, "" if it is the page itself: HTML standard, "shared declarative refresh steps"."""
    found = _REFRESH.match(content.strip()[: urls.MAX_LENGTH])
    return (found[1] or found[2] or found[3] or "").strip() if found else ""


def _page_says_nofollow(robots: str) -> bool:
    """Tell whether robots metas forbid to follow links; some people separate by spaces."""
    return bool(robots) and not {"nofollow", "none"}.isdisjoint(re.split(r"[\s,;]+", robots.lower()))


def _header_says_nofollow(lines: str) -> bool:
    """Tell whether X-Robots-Tag headers, each perhaps after a "user-agent:", forbid us to follow links."""
    for line in lines.lower().split("\n"):
        agent = ""
        for part in line.split(","):
            name, colon, value = part.partition(":")
            if not colon:
                value = name
            elif name.strip() not in _VALUED:
                agent = name.strip()
            if agent in ("", "*", "robots", ROBOTS_TOKEN) and value.strip() in ("nofollow", "none"):
                return True
    return False


def _text_of(node: LexborNode | None) -> str | None:
    return _clean(node.text()) if node is not None else None


def _clean(text: str | None, most: int = MAX_TEXT) -> str | None:
    """Collapse white space, drop NULs, cut."""
    if not text:
        return None
    if len(text) <= most and "\0" not in text:
        return " ".join(text.split()) or None
    return " ".join(text.replace("\0", "").split(None, most)[:most])[:most].rstrip() or None


def _declared(body: bytes, content_type: str) -> str | None:
    """Return the encoding that the HTTP header, else the page itself, declares."""
    declared = _CHARSET.search(content_type)
    return (declared and _NAMES.get(declared[1].lower())) or _declared_within(body[:SNIFFED_BYTES])


def _declared_within(start: bytes) -> str | None:
    """Return the encoding that a meta, else an XML declaration, declares: HTML standard, section 13.2.3.2."""
    for found in _META.finditer(start):
        if found[1] is None:  # a comment
            continue
        matches = _ATTRIBUTE.findall(found[1].decode("latin-1").lower())
        attributes = {key: double or single or bare for key, double, single, bare in reversed(matches)}
        label = attributes.get("charset", "")
        if not label and attributes.get("http-equiv") == "content-type":
            in_content = _CHARSET.search(attributes.get("content", ""))
            label = in_content[1] if in_content else ""
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
