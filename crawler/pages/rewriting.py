"""Replacing the references of a page, and nothing else of it: all other bytes stay as they are.

A tree cannot be written back as it was read, so HTML is read here as the tokens that browsers see (HTML standard,
section 13.2.5): comments, tags with their attributes, and the elements whose content is text. Bytes are looked at as
latin-1, one character each, which is right for every encoding in which markup is ASCII; what is replaced is decoded.
Patterns do not go back: each is linear in what it reads. Pure; runs in the processes that convert links.
"""

from __future__ import annotations

import html
import html.entities
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, NamedTuple

from crawler.pages import embeds

#: a reference as it is written → as it is to be written; None: as it is
Replace = Callable[[str], str | None]

SPACE: Final = " \t\n\f\r"
_DECLARED_WITHIN: Final = 900  # bytes: browsers look for a charset in the first 1,024

_MARKUP: Final = re.compile(
    r"<!--(?:>|->|.*?(?:--!?>|\Z))"
    r"|<[!?/][^>]*+>?"  # a doctype, an end tag, what else has no content
    r"|<(?P<tag>[a-zA-Z][^ \t\n\f\r/>]*+)"
    r"(?P<attributes>(?:[^>\"'=]++|=[ \t\n\f\r]*+(?:\"[^\"]*+\"|'[^']*+')?+|[\"'])*+)>?",
    re.DOTALL,
)
#: text, end tags, and the many tags without a reference, at one stroke: most of a page
_BORING: Final = re.compile(
    r"(?:[^<]++|</[a-zA-Z][^>]*+>"
    r"|<(?!(?i:script|style|textarea|title|xmp|iframe|noembed|noframes|plaintext|base)[ \t\n\f\r/>])"
    r"[a-zA-Z][a-zA-Z0-9]*+"
    r"(?:[ \t\n\f\r]++(?:class|id|title|alt|width|height|lang|dir|role|type|rel|target)=\"[^\"]*+\")*+"
    r"[ \t\n\f\r]*+/?>)*+"
)
_ATTRIBUTE: Final = re.compile(
    r"(?P<name>[^ \t\n\f\r/>=]++)"
    r"(?:[ \t\n\f\r]*+=[ \t\n\f\r]*+(?P<value>\"[^\"]*+\"?|'[^']*+'?|[^ \t\n\f\r>]++))?+"
)
#: attributes that hold one URL, of any element
_URLS: Final = frozenset(
    {"href", "src", "action", "background", "cite", "formaction", "longdesc", "lowsrc", "poster", "xlink:href"}
)
_SRCSETS: Final = frozenset({"srcset", "imagesrcset"})
#: attributes that make a browser refuse a local file, or one that was changed
_GUARDS: Final = frozenset({"integrity", "crossorigin"})
_IS_WORTH_A_LOOK: Final = re.compile(
    r"href|src|action|background|cite|longdesc|poster|style|data|content", re.IGNORECASE
)
#: elements whose content is text; a noscript's is markup, as it is without scripting
_RAW: Final = {
    tag: re.compile(rf"</{tag}(?=[ \t\n\f\r/>])|\Z", re.IGNORECASE)
    for tag in ("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes")
}
_ENTITY: Final = re.compile(r"&(?:#[xX][0-9a-fA-F]++;?|#[0-9]++;?|[a-zA-Z][a-zA-Z0-9]*+;?)(=?)")
_REFRESH: Final = re.compile(
    r"(?P<before>[ \t\n\f\r]*+[\d.]*+[ \t\n\f\r;,]++(?:url[ \t\n\f\r]*+=[ \t\n\f\r]*+)?)"
    r"(?P<quote>[\"']?)(?P<url>[^\"']++)",
    re.IGNORECASE,
)


class _Tag(NamedTuple):
    """A start tag, and where it stands."""

    name: str
    attributes: str
    start: int
    attributes_start: int
    end: int
    content_end: int  # of an element whose content is text; else `end`


def find_base(body: bytes, codec: str) -> str:
    """Return the reference in the first `base` of a page, "" if there is none."""
    text = body.decode("latin-1")
    if "<base" not in text.lower():
        return ""
    bases = (tag for tag in _tags(text) if tag.name == "base")
    for found in chain.from_iterable(_ATTRIBUTE.finditer(tag.attributes) for tag in bases):
        if found["name"].lower() == "href" and found["value"]:
            return _read(found["value"], codec).strip(SPACE)
    return ""


def rewrite_html(body: bytes, codec: str, replace: Replace) -> bytes:
    """Replace a page's references, and take out its `base` and what would keep a browser from showing local files.

    Args:
        codec: Python's, of an encoding in which markup is ASCII.
    """
    text = body.decode("latin-1")
    parts: list[str] = []
    position = 0
    for tag in _tags(text):
        if tag.name == "base" or (tag.name == "meta" and "content-security-policy" in tag.attributes.lower()):
            parts += text[position : tag.start], _without_base(tag) if tag.name == "base" else ""
            position = tag.end
        elif _IS_WORTH_A_LOOK.search(tag.attributes) and (new := _rewrite_tag(tag, codec, replace)) != tag.attributes:
            parts += text[position : tag.attributes_start], new
            position = tag.attributes_start + len(tag.attributes)
        if tag.name == "style" and tag.content_end > tag.end:
            style = text[tag.end : tag.content_end].encode("latin-1")
            parts += text[position : tag.end], rewrite_css(style, codec, replace).decode("latin-1")
            position = tag.content_end
    return "".join((*parts, text[position:])).encode("latin-1")


def rewrite_css(body: bytes, codec: str, replace: Replace) -> bytes:
    """Replace a stylesheet's references."""
    try:
        text = body.decode(codec)
        if text.encode(codec) != body:
            codec = "latin-1"
    except UnicodeError:
        codec = "latin-1"
    text = body.decode(codec)
    return embeds.replace_in_css(text, replace).encode(codec)


def declare_charset(body: bytes, label: str) -> bytes:
    """Say in a page what its encoding is, before anything else that it says of it."""
    place = 0
    for found in _MARKUP.finditer(body[:_DECLARED_WITHIN].decode("latin-1")):
        tag = (found["tag"] or "").lower()
        if tag not in ("", "html", "head") or not found[0].endswith(">"):
            break
        if not found[0].startswith("<!--"):
            place = found.end()
        if tag == "head":
            break
    return body[:place] + f'<meta charset="{label}">'.encode() + body[place:]


def _tags(text: str) -> Iterator[_Tag]:
    position = 0
    while True:
        boring = _BORING.match(text, position)
        position = boring.end() if boring else position
        found = _MARKUP.match(text, position)
        if found is None:
            if position == len(text):
                return
            position += 1  # a "<" that is text
            continue
        position = end = found.end()
        if found["tag"] is None:
            continue
        name = found["tag"].lower()
        if name in _RAW:
            closing = _RAW[name].search(text, end)
            position = closing.start() if closing else len(text)
        elif name == "plaintext":
            position = len(text)
        yield _Tag(name, found["attributes"], found.start(), found.start("attributes"), end, position)


def _without_base(tag: _Tag) -> str:
    """Return a base without its reference: its target stays."""
    kept = [found[0] for found in _ATTRIBUTE.finditer(tag.attributes) if found["name"].lower() != "href"]
    return f"<base {' '.join(kept)}>" if kept else ""


def _rewrite_tag(tag: _Tag, codec: str, replace: Replace) -> str:
    """Return a tag's attributes with their references replaced."""
    attributes = tag.attributes
    parts: list[str] = []
    position = 0
    is_local = False
    for found in _ATTRIBUTE.finditer(attributes):
        value = found["value"]
        if not value:
            continue
        old = _read(value, codec)
        new = _replace_in(tag, found["name"].lower(), old, replace)
        if new is None:
            continue
        is_local = is_local or not new.lower().startswith(("http:", "https:"))
        if new != old:
            parts += attributes[position : found.start("value")], _written(new, value, codec)
            position = found.end("value")
    rewritten = "".join((*parts, attributes[position:]))
    return _unguarded(rewritten) if is_local and tag.name in ("link", "script", "img", "video", "audio") else rewritten


def _replace_in(tag: _Tag, name: str, value: str, replace: Replace) -> str | None:
    """Return an attribute's new value; None: it has no reference, or is to stay as it is."""
    if name in _URLS or (name == "data" and tag.name == "object"):
        return replace(value)
    if name in _SRCSETS:
        return embeds.replace_in_srcset(value, replace)
    if name == "style":
        return embeds.replace_in_css(value, replace)
    if name == "content" and tag.name == "meta" and "refresh" in tag.attributes.lower():
        found = _REFRESH.fullmatch(value) or _REFRESH.match(value)
        new = replace(found["url"]) if found else None
        return None if found is None or new is None else f"{found['before']}{found['quote']}{new}{found['quote']}"
    return None


def _unguarded(attributes: str) -> str:
    """Take out what makes a browser refuse a local file."""
    parts: list[str] = []
    position = 0
    for found in _ATTRIBUTE.finditer(attributes):
        if found["name"].lower() in _GUARDS:
            parts.append(attributes[position : found.start()].rstrip(SPACE))
            position = found.end()
    return "".join((*parts, attributes[position:]))


def _read(value: str, codec: str) -> str:
    """Return what an attribute's value, with its quotes, means."""
    if value[0] in "\"'":
        value = value[1:-1] if len(value) > 1 and value[-1] == value[0] else value[1:]
    if not value.isascii():
        value = value.encode("latin-1").decode(codec, "replace")
    return _ENTITY.sub(_character, value) if "&" in value else value


def _character(reference: re.Match[str]) -> str:
    """Return what a character reference in an attribute stands for: HTML standard, section 13.2.5.73."""
    text, equals = reference[0], reference[1]
    if text[1] == "#":
        return html.unescape(text)
    name = text[1 : len(text) - len(equals)]
    if name not in html.entities.html5 or (not name.endswith(";") and equals):
        return text
    return html.entities.html5[name] + equals


def _written(new: str, old: str, codec: str) -> str:
    """Return a value as an attribute in the place of an old one, in its quotes if it had some."""
    quote = "'" if old[0] == "'" and "'" not in new else '"'
    text = new.replace("&", "&amp;").replace('"', "&quot;") if quote == '"' else new.replace("&", "&amp;")
    return quote + text.encode(codec, "xmlcharrefreplace").decode("latin-1") + quote
