"""Which links are followed. What a link is for us is a field of it, its kind, and no word that a page could write.

One rule in two places: a worker asks it for a page that it has just read, a consumer for a stored page whose links are
offered again. Whether the target is in scope is another question (`offers`). Pure; runs in workers and consumers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from crawler.config import ROBOTS_TOKEN

#: the kinds of a link, as they are stored; "" is an ordinary one
NOFOLLOW: Final = "nofollow"  # its rel says so
HOOK: Final = "hook"  # a parse hook follows it, whatever the page says of it
EMBED: Final = "embed"  # the page embeds it
PLAIN: Final = "link"  # an ordinary one, whose rel could be taken for a mark that older versions made there

#: X-Robots-Tag directives that have a value, and so look like a "user-agent:"
_VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})


def is_followed(kind: str, *, page_says_nofollow: bool, obey_nofollow: bool) -> bool:
    """Return whether a link is followed.

    Args:
        page_says_nofollow: the page as a whole said so, and was obeyed.
        obey_nofollow: what links say is obeyed.
    """
    if kind == HOOK:
        return True
    if kind == EMBED or page_says_nofollow:
        return False
    return kind != NOFOLLOW or not obey_nofollow


def metas_say_nofollow(robots: str) -> bool:
    """Return whether robots metas forbid to follow links; some people separate by spaces."""
    return bool(robots) and not {"nofollow", "none"}.isdisjoint(re.split(r"[\s,;]+", robots.lower()))


def header_says_nofollow(lines: str) -> bool:
    """Return whether X-Robots-Tag headers, each perhaps after a "user-agent:", forbid us to follow links."""
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


def kind_of_rel(rel: str) -> str:
    """Return the kind of a link that a page has, by its whole `rel`."""
    words = rel.lower()
    if NOFOLLOW in words and NOFOLLOW in words.split():
        return NOFOLLOW
    return PLAIN if HOOK in words or EMBED in words else ""


def kind_of(link: Mapping[str, str]) -> str:
    """Return the kind of a stored link. Versions before the field was there marked links by words of their `rel`."""
    kind = link.get("kind")
    if kind is not None:
        return kind
    rel = link.get("rel", "")
    words = rel.lower().split()
    if HOOK in words:
        return HOOK
    if rel == EMBED:
        return EMBED
    return NOFOLLOW if NOFOLLOW in words else ""
