"""Thinning out: a page with very many tags, or a huge one, loses those that say nothing of its links. Pure.

Lexbor's time, like any HTML parser's, is quadratic in the depth of the tree and worse in unclosed formatting. What is
left after a few expressions over the source, each linear in it, is read in time. Runs in a worker.
"""

from __future__ import annotations

import re
from typing import Final

from crawler.pages import embeds

MAX_TAGS: Final = 4_000  # with more, end tags not counted, a page is thinned out: 2,000 unclosed <font><p> take 1 s
MAX_TAG_BYTES: Final = 16_384  # with a longer tag, too, and that tag is dropped: 20,000 attributes take 0.7 s

_BLOCK_BYTES = MAX_TAG_BYTES // 2

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


def thin_out(page: bytes, *, with_embeds: bool = False) -> bytes:
    """Drop what a page has too much of, but for what is read of it: comments, scripts, other elements, huge tags.

    Args:
        page: its UTF-8.
        with_embeds: what it embeds is read, too.

    Returns:
        The very same object if the page is no such one.
    """
    # A tag has three bytes at least. A huge one fills an aligned block of half its size without another "<".
    tags = page.count(b"<") if len(page) > 3 * MAX_TAGS else 0
    many = tags > MAX_TAGS and tags - page.count(b"</") > MAX_TAGS
    blocks = range(0, len(page) - _BLOCK_BYTES, _BLOCK_BYTES)
    huge = any(page.find(b"<", start, start + _BLOCK_BYTES) < 0 for start in blocks) and _HUGE_TAG.search(page)
    if not many and not huge:
        return page
    page = (_NOISE_AROUND_EMBEDS if with_embeds else _NOISE).sub(b"", page)
    first = _H1.search(page)
    if first is None:
        return page
    # Headings nest by way of links, and each link's text would be that of all within it.
    return page[: first.end()] + _H1.sub(b"", page[first.end() :])
