"""Fragments, the `#part` of a link, and anchors, the places of a page that they name. Pure; runs in a worker.

A fragment is looked for as browsers do (HTML standard, "select the indicated part"): among ids first, then among the
names of `<a>`; as it stands in the URL, then percent-decoded. What is no place in the text of a page is not looked for
at all: the empty fragment, `top`, text fragments, and the routes of scripts (`#/...`, `#!...`). Where anchors cannot
be known, there are none to be missing: whoever reports a broken fragment must be right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec
from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler.model import MAX_LINKS_PER_PAGE
from crawler.rules import urls

MAX_ANCHORS_PER_PAGE: Final = 50_000  # with more, those of a page are not known
MAX_FRAGMENT: Final = 1_000  # characters; longer ones are not looked for

#: Markup of users' texts is kept from taking over a page's own ids by this prefix (GitHub, GitLab, Gitea, npm ...), and
#: their scripts find an anchor without it.
_USER_CONTENT: Final = "user-content-"
_DIRECTIVE: Final = ":~:"  # URL Fragment Text Directives, section 3.1: what follows is no part of the fragment
#: everything that may be an anchor, in comments and scripts too: rather one too many than one too few
_MAYBE_ANCHOR: Final = re.compile(
    rb"(?<=[\s\"'/])(?:id|name)\s*+=\s*+(?:\"([^\"]*+)|'([^']*+)|([^\s>]++))", re.IGNORECASE
)


class Pointer(msgspec.Struct, array_like=True):
    """A link with a fragment, as it is stored: a JSON array."""

    url: str
    fragment: str  # as in a URL
    text: str = ""
    decoded: str | None = None  # what the fragment may stand for, if that is not itself


def read(text: str) -> str:
    """Return what follows the first "#" of a reference as it stands in a URL; "" if there is nothing to look for."""
    fragment = urls.fragment(text.partition(_DIRECTIVE)[0])
    if fragment.startswith(("/", "!")) or len(fragment) > MAX_FRAGMENT or decode(fragment).lower() == "top":
        return ""
    return fragment


def decode(fragment: str) -> str:
    """Return what a fragment may stand for: percent-decoded, as UTF-8."""
    return unquote_to_bytes(fragment).decode("utf-8", "replace") if "%" in fragment else fragment


def redirect_pointers(target: str | None, location: str) -> list[Pointer]:
    """Return the fragment of a redirect as a list of one pointer, or none.

    Whatever it is, it takes the place of the fragments of links to this redirect: Fetch standard, "location URL".
    """
    _, has_one, rest = location.partition("#")
    return [_pointer(target, read(rest))] if target is not None and has_one else []


def in_tree(tree: LexborHTMLParser) -> list[str] | None:
    """Return the anchors of a page; None: there are too many."""
    found: list[str | None] = []
    for node in tree.css("[id], a[name]"):
        attributes = node.attributes
        found.append(attributes.get("id"))
        if node.tag == "a":
            found.append(attributes.get("name"))
    return _anchors(found)


def in_source(page: bytes) -> list[str] | None:
    """Return what may be anchors in a page (UTF-8) that is too large for its tree; None: there are too many."""
    from html import unescape  # late: two thousand names of characters, which every crawl's start would pay for

    found: list[str] = []
    for match in _MAYBE_ANCHOR.finditer(page):
        value = (match[1] or match[2] or match[3] or b"").decode("utf-8", "replace")
        found.append(value)
        if "&" in value:
            found.append(unescape(value))
    return _anchors(found)


class Pointers:
    """The links of one page that have a fragment to look for, the first of each; not those that it answers itself."""

    def __init__(
        self, base: str, url: str, anchors: list[str] | None, to_text: Callable[[str | LexborNode], str]
    ) -> None:
        """Make a list of them.

        Args:
            url: the page's own, in normal form.
            anchors: its own; None: not known.
            to_text: makes the text of a link, as it is stored, of its element or of a text.
        """
        self.found: dict[tuple[str, str], Pointer] = {}
        self._join = urls.Joiner(base).join
        self._url = url
        self._anchors = None if anchors is None else frozenset(anchors)
        self._to_text = to_text

    def add_node(self, tag: str, node: LexborNode) -> None:
        """Add the link of an element, if it leads people somewhere."""
        if tag not in ("a", "area"):
            return
        attributes = node.attributes
        href = attributes.get("href")
        if href and "#" in href:
            self.add(href, attributes.get("alt") or "" if tag == "area" else node)

    def add(self, href: str, text: str | LexborNode) -> None:
        """Add a link, which may have a fragment.

        Args:
            text: or the element that has it: it is read only if it is stored.
        """
        reference, _, rest = href.partition("#")
        fragment = read(rest) if rest and len(self.found) < MAX_LINKS_PER_PAGE else ""
        url = self._join(reference) if fragment else None
        if url is None or (url, fragment) in self.found:
            return
        found = _pointer(url, fragment)
        if url == self._url and (self._anchors is None or {fragment, found.decoded} & self._anchors):
            return
        found.text = self._to_text(text)
        self.found[url, fragment] = found


def _pointer(url: str, fragment: str) -> Pointer:
    decoded = decode(fragment)
    return Pointer(url, fragment, decoded=decoded if decoded != fragment else None)


def _anchors(found: Iterable[str | None]) -> list[str] | None:
    anchors = dict.fromkeys(name for name in found if name and len(name) <= MAX_FRAGMENT)
    for name in [name for name in anchors if name.startswith(_USER_CONTENT)]:
        anchors[name.removeprefix(_USER_CONTENT)] = None
    return list(anchors) if len(anchors) <= MAX_ANCHORS_PER_PAGE else None
