"""What a page says: its links and metadata, by lexbor. Pure; runs in a worker.

One pass over the elements that matter; each odd href is counted and costs the page none of its other links. As in a
browser without scripting, what is in a `template` is inert, and what is in a `noscript` counts. A page with very many
tags is thinned out before (`thin`). Must not know the network, a host or a crawl.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode

from crawler.config import ROBOTS_TOKEN
from crawler.model import MAX_LINKS_PER_PAGE
from crawler.pages import embeds, fragments
from crawler.pages.thin import thin_out
from crawler.rules import urls
from crawler.rules.follow import EMBED, NOFOLLOW, header_says_nofollow, is_followed, kind_of_rel, metas_say_nofollow

MAX_TEXT = 1_000  # characters of a title, description, heading
MAX_LINK_TEXT = 200
_REFRESH = re.compile(
    r"(?:\d[\d.]*+|\.[\d.]*+)(?=[\s;,])\s*+[;,]?+\s*+(?:url\s*+=\s*+)?+(?:\"([^\"]*)|'([^']*)|(.+))", re.I | re.S
)
_SPACE = " \t\n\f\r"  # what HTML strips: a no-break space is a part of the URL

_FOLLOWED_RELS = frozenset({"canonical", "alternate", "next", "prev"})
#: all that is read of a page, in one walk over its tree: a walk takes as long as a third of the parsing, each
#: alternative a part of it
_SELECTOR = "[href], frame, iframe, meta, title, h1"
_LINK_TAGS = frozenset({"a", "area", "link", "frame", "iframe"})
_WITHOUT_EVENTS = LexborDocumentOptions.WO_EVENTS.value  # nothing looks at the tree while it grows


class Link(msgspec.Struct, omit_defaults=True):
    """A link, as it is stored."""

    url: str
    text: str = ""
    rel: str = ""
    kind: str = ""  # see `follow`


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
    anchors: list[str] | None = None  # only if asked for; None also if there are too many to know
    pointers: Sequence[fragments.Pointer] = ()  # only if asked for


def parse_html(
    page: str | bytes, url: str, *, obey_nofollow: bool = True, x_robots_tag: str = "", with_embeds: bool = False,
    with_fragments: bool = False,
) -> Document:  # fmt: skip
    """Read a page's links and metadata. Never raises for what a page holds.

    Args:
        page: a text, or its UTF-8.
        url: the page's own, in normal form.
        x_robots_tag: the response's headers of that name, joined by line feeds; joined by commas, a user agent's name
            in one of them counts for those after it.
    """
    utf8 = page if isinstance(page, bytes) else page.encode("utf-8", "replace")
    thinned = thin_out(utf8, with_embeds=with_embeds)
    tree = LexborHTMLParser(thinned, options=_WITHOUT_EVENTS)
    found = _Found(tree)
    names, refresh = _read_metas(found.metas)
    robots = ", ".join(filter(None, (names.get("robots"), names.get(ROBOTS_TOKEN))))
    nofollow = obey_nofollow and (metas_say_nofollow(robots) or header_says_nofollow(x_robots_tag))
    base = urls.normalise(found.base, url) if found.base else None
    read = _Links(base or url, obey_nofollow=obey_nofollow)
    for tag, node in found.links:
        read.add_node(tag, node)
    if refresh:
        read.add(refresh, "", "")
    root = tree.root
    document = Document(
        _text_of(found.title),
        _clean(names.get("description")),
        _text_of(found.h1),
        read.canonical,
        _clean(root.attributes.get("lang"), 35) if root is not None else None,
        _clean(robots),
        nofollow,
        list(read.links.values()),
        [] if nofollow else list(read.follow),
        read.found,
        read.bad,
        _join_all(embeds.in_tree(tree), base or url) if with_embeds else [],
    )
    if not with_fragments:
        return document
    anchors = fragments.in_tree(tree) if thinned is utf8 else fragments.in_source(utf8)
    pointers = fragments.Pointers(base or url, url, anchors, _link_text)
    for tag, node in found.links:
        pointers.add_node(tag, node)
    pointers.add(refresh, "")
    return document._replace(anchors=anchors, pointers=list(pointers.found.values()))


def anchors_of(utf8: bytes) -> list[str] | None:
    """Return the anchors of a page of which nothing else is wanted; None: there are too many to know."""
    is_whole = thin_out(utf8) is utf8
    return fragments.in_tree(LexborHTMLParser(utf8, options=_WITHOUT_EVENTS)) if is_whole else fragments.in_source(utf8)


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
            found[url] = Link(url, _clean(text, MAX_LINK_TEXT) or "", rel="embed", kind=EMBED)
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
    """Return whether an element is a part of a drawing, such as the title of one."""
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
        kind = kind_of_rel(rel) if rel else ""
        link = self.links.get(url)
        if link is None:
            if len(self.links) >= MAX_LINKS_PER_PAGE:
                return url
            words = text if isinstance(text, str) else text.text()
            self.links[url] = Link(url, _clean(words, MAX_LINK_TEXT) or "", _clean(rel, MAX_LINK_TEXT) or "", kind)
        elif link.kind and link.kind == NOFOLLOW != kind:
            # Another link to it said nofollow: what is stored must say that it may be followed.
            link.rel, link.kind = _clean(rel, MAX_LINK_TEXT) or "", kind
        if not kind or is_followed(kind, page_says_nofollow=False, obey_nofollow=self._obey_nofollow):
            self.follow[url] = None
        return url

    def _add_relation(self, href: str, rel: str) -> None:
        rels = set(rel.lower().split())
        if not rels & _FOLLOWED_RELS or "stylesheet" in rels:
            return
        url = self.add(href, "", rel)
        if "canonical" in rels and self.canonical is None:
            self.canonical = url


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


def _text_of(node: LexborNode | None) -> str | None:
    return _clean(node.text()) if node is not None else None


def _link_text(text: str | LexborNode) -> str:
    return _clean(text if isinstance(text, str) else text.text(), MAX_LINK_TEXT) or ""


def _clean(text: str | None, most: int = MAX_TEXT) -> str | None:
    """Collapse white space, drop NULs, cut."""
    if not text:
        return None
    if len(text) <= most and "\0" not in text:
        return " ".join(text.split()) or None
    return " ".join(text.replace("\0", "").split(None, most)[:most])[:most].rstrip() or None
