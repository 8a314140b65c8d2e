"""Media types: what a Content-Type header says of a body, and how a body without one starts.

The only place where a Content-Type is taken apart; whoever asks "is it HTML?" asks here. Pure; runs anywhere.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

SNIFFED_BYTES: Final = 1_024  # that are looked at of a body without a type

HTML_TYPES: Final = ("text/html", "application/xhtml+xml")
#: what a page is; "" because one without a type is mostly a page
PAGE_TYPES: Final = ("", *HTML_TYPES)
CSS_TYPES: Final = ("text/css",)

#: what makes a body without a type HTML: MIME Sniffing standard, section 7.1
_HTML_START: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?[\t\n\f\r ]*+<(?:!--|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title"
    rb"|b|body|br|p)[ >\t\n\f\r])",
    re.IGNORECASE,
)
_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,>]+)", re.IGNORECASE)


@lru_cache(32)  # few are in use, and headers may be long
def essence(content_type: str) -> str:
    """Return the type in a Content-Type header, such as "text/html": in lower case, without parameters."""
    return content_type.partition(";")[0].strip().lower()


@lru_cache(32)
def charset(content_type: str) -> str:
    """Return what a Content-Type, a header's or a meta's, says of the encoding, in lower case; "" if it does not."""
    found = _CHARSET.search(content_type)
    return found[1].lower() if found else ""


def is_html(content_type: str, body: bytes) -> bool:
    """Return whether a body is HTML: by its Content-Type, or without one by how it starts."""
    kind = essence(content_type)
    return kind in HTML_TYPES or (not kind and _HTML_START.match(body[:SNIFFED_BYTES]) is not None)


def is_css(content_type: str) -> bool:
    """Return whether a body is a stylesheet, by its Content-Type."""
    return essence(content_type) in CSS_TYPES
