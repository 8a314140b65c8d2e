"""What a page or a stylesheet embeds: images, scripts, stylesheets, fonts, media, icons. Pure; runs in a worker.

References are found here as they are written; joining and counting them is `parse`'s. CSS is read by one regular
expression that knows the tokens in which a `url(` could hide: comments, strings, escapes. That is all of CSS Syntax
(level 3) that matters for references; tinycss2 knows the rest too, token by token in Python, and would be one more
dependency for every install.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

MAX_CSS_CHARS: Final = 2_000_000  # of a stylesheet; more is not looked at

#: tag → attributes that hold one URL each
_ATTRIBUTES: Final[dict[str, tuple[str, ...]]] = {
    "audio": ("src",),
    "embed": ("src",),
    "image": ("href", "xlink:href"),  # of a drawing
    "img": ("src",),
    "input": ("src",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src",),
    "track": ("src",),
    "video": ("src", "poster"),
    "body": ("background",),
    "table": ("background",),
    "td": ("background",),
    "th": ("background",),
}
_LINK_RELS: Final = frozenset(
    {"stylesheet", "icon", "apple-touch-icon", "apple-touch-icon-precomposed", "mask-icon", "manifest", "preload"}
    | {"modulepreload", "prefetch", "image_src"}
)
SELECTOR: Final = (
    "audio, body[background], embed, image, img, input[src], link[href][rel], object[data], script[src], source, "
    "style, table[background], td[background], th[background], track, video, [style*='url(' i]"
)
#: names of the elements above, as a part of a regular expression over bytes
TAGS: Final = b"audio|embed|image|img|input|object|script|source|style|track|video"

_ESCAPE = r"\\(?:[0-9a-fA-F]{1,6}(?:\r\n|[ \t\r\n\f])?|\r\n|[^0-9a-fA-F])"
_STRING = rf"\"(?:[^\"\\\n\r\f]|{_ESCAPE})*+\"|'(?:[^'\\\n\r\f]|{_ESCAPE})*+'"
_CSS: Final = re.compile(
    rf"/\*.*?(?:\*/|\Z)"
    rf"|@namespace\b(?:{_STRING}|[^;\"'])*+;?"  # its URL is a name
    rf"|@import\s*+(?P<imported>{_STRING})"
    rf"|(?<![\w\x80-\U0010ffff-])(?:url|src)\(\s*+(?:(?P<quoted>{_STRING})|(?P<bare>(?:[^\s\"'()\\]|{_ESCAPE})++)\s*+(?:\)|\Z))"
    rf"|{_STRING}",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)
_ESCAPES: Final = re.compile(_ESCAPE, re.DOTALL)
#: HTML standard, "parse a srcset attribute": a URL has no space; a descriptor may have commas in parentheses only
_SRCSET: Final = re.compile(r"[\s,]*+(\S++)((?:\([^)]*+\)|[^,(])*+),?", re.ASCII)
_PLAIN: Final = re.compile(r"[^\s\"'()\\]++", re.ASCII)  # of a URL that needs no quotes in CSS


def in_css(text: str) -> Iterator[str]:
    """Iterate over the references in a stylesheet or in a style attribute: `url()` and `@import`."""
    for reference, _, _ in _found_in_css(text):
        yield reference


def replace_in_css(text: str, replace: Callable[[str], str | None]) -> str:
    """Return a stylesheet, or a style attribute, with its references replaced; None leaves one as it is."""
    parts: list[str] = []
    position = 0
    for reference, start, end in _found_in_css(text):
        new = replace(reference)
        if new is not None and new != reference:
            quote = text[start] if text[start] in "\"'" else "" if _PLAIN.fullmatch(new) else '"'
            parts += text[position:start], quote + re.sub(rf"[\\{quote}]", r"\\\g<0>", new) + quote
            position = end
    return "".join((*parts, text[position:]))


def _found_in_css(text: str) -> Iterator[tuple[str, int, int]]:
    """Iterate over the references in CSS, each with the place of its token."""
    for found in _CSS.finditer(text, 0, MAX_CSS_CHARS):
        group = found.lastgroup
        if group is None:
            continue
        token = found[group]
        reference = _unescape(token if group == "bare" else token[1:-1])
        if reference and not reference.startswith("#"):  # a part of the drawing that it is in
            yield reference, *found.span(group)


def in_srcset(text: str) -> Iterator[str]:
    """Iterate over the references in a srcset attribute."""
    for reference, _ in _found_in_srcset(text):
        yield reference


def replace_in_srcset(text: str, replace: Callable[[str], str | None]) -> str:
    """Return a srcset attribute with its references replaced; None leaves one as it is."""
    parts: list[str] = []
    position = 0
    for reference, start in _found_in_srcset(text):
        new = replace(reference)
        if new is not None:
            parts += text[position:start], new
            position = start + len(reference)
    return "".join((*parts, text[position:]))


def _found_in_srcset(text: str) -> Iterator[tuple[str, int]]:
    """Iterate over the references in a srcset attribute, each with its place."""
    position = 0
    while found := _SRCSET.match(text, position):
        reference = found[1]
        if reference.endswith(","):  # then it has no descriptor
            position = found.end(1)
            reference = reference.rstrip(",")
        else:
            position = found.end()
        if reference:
            yield reference, found.start(1)


def in_tree(tree: LexborHTMLParser) -> Iterator[tuple[str, str]]:
    """Iterate over the references of a page to what it embeds, each with a text that says what it is to the page."""
    for node in tree.css(SELECTOR):
        tag = node.tag or ""
        attributes = node.attributes
        if tag == "style":
            yield from ((reference, "") for reference in in_css(node.text()))
        elif tag == "link":
            yield from _in_link(attributes)
        elif tag != "input" or (attributes.get("type") or "").lower() == "image":
            yield from _in_attributes(node, tag, attributes)
        if style := attributes.get("style"):
            yield from ((reference, "") for reference in in_css(style))


def _in_attributes(node: LexborNode, tag: str, attributes: dict[str, str | None]) -> Iterator[tuple[str, str]]:
    text = attributes.get("alt") or ""
    for name in _ATTRIBUTES.get(tag, ()):
        if reference := attributes.get(name):
            yield reference, text
    if tag == "img" or (tag == "source" and _is_in_picture(node)):
        yield from ((reference, text) for reference in in_srcset(attributes.get("srcset") or ""))


def _in_link(attributes: dict[str, str | None]) -> Iterator[tuple[str, str]]:
    rels = (attributes.get("rel") or "").lower().split()
    if _LINK_RELS.intersection(rels):
        yield attributes.get("href") or "", ""
        yield from ((reference, "") for reference in in_srcset(attributes.get("imagesrcset") or ""))


def _is_in_picture(node: LexborNode) -> bool:
    parent = node.parent
    return parent is not None and parent.tag == "picture"


def _unescape(text: str) -> str:
    """Resolve the escapes of a CSS string: CSS Syntax, section 4.3.7."""
    return _ESCAPES.sub(_escaped_character, text) if "\\" in text else text


def _escaped_character(found: re.Match[str]) -> str:
    escape = found[0][1:]
    if escape[0] in "\r\n\f":  # a line that goes on
        return ""
    if not re.match("[0-9a-fA-F]", escape):
        return escape
    number = int(escape.strip(), 16)
    return chr(number) if 0 < number < 0x110000 and not 0xD800 <= number < 0xE000 else "\N{REPLACEMENT CHARACTER}"
