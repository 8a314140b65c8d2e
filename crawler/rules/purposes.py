"""What each purpose of a visit means: how it is asked, who reads what comes back, what it leads to. One table.

Its order is the ranks' (`model.CHAIN`), errands last. A new purpose is a member of `model.Purpose`, a row here and, if
it has a reader of its own, a file in `worker.readers`. Pure; runs in workers and consumers. Must not know any reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from crawler.config import Config
from crawler.model import Purpose
from crawler.rules.mime import CSS_TYPES, PAGE_TYPES

#: the types of body that have readers
HTML, CSS = "html", "css"


class Meaning(NamedTuple):
    """A row of the table."""

    #: asked by HEAD once; who does not answer that properly is asked by GET
    head_first: bool = False
    #: the types of which a body is read
    types: tuple[str, ...] = ()
    #: and those that are read besides where embeds are wanted
    types_for_embeds: tuple[str, ...] = ()
    #: and those that are read besides where fragments are checked
    types_for_fragments: tuple[str, ...] = ()
    #: what max_body_bytes leaves of a body is enough; else a larger one is a failure
    is_cut: bool = False
    #: above 0: no more of a body than this is wanted, of whatever type
    most_bytes: int = 0
    #: its body is its URL's content: it has a digest, and may be saved
    is_kept: bool = False
    #: type of body → the name of its reader; without one, nothing but the head is noted
    readers: Mapping[str, str] = {}
    #: of an errand: the name of its reader, whatever came back
    reader: str = ""
    #: it is crawled: in scope, and its links count
    is_crawled: bool = False
    #: what it embeds is asked for, too
    has_embeds: bool = False


MEANINGS: Final[dict[Purpose, Meaning]] = {
    Purpose.PAGE: Meaning(
        types=PAGE_TYPES, types_for_embeds=CSS_TYPES, readers={HTML: "html", CSS: "css"},
        is_kept=True, is_crawled=True, has_embeds=True,
    ),
    Purpose.EMBED: Meaning(
        types=CSS_TYPES, types_for_fragments=PAGE_TYPES, readers={HTML: "anchors", CSS: "css"},
        is_kept=True, has_embeds=True,
    ),
    Purpose.EXTERNAL_FRAGMENT: Meaning(types=PAGE_TYPES, is_cut=True, readers={HTML: "anchors"}),
    Purpose.EXTERNAL: Meaning(head_first=True),
    Purpose.ROBOTS: Meaning(most_bytes=512_000, reader="robots"),  # RFC 9309 section 2.5: at least 500 kibibytes
}  # fmt: skip


def types_read(purpose: Purpose, config: Config) -> tuple[str, ...]:
    """Return the types of which the body of a visit is read."""
    meaning = MEANINGS[purpose]
    embeds = meaning.types_for_embeds if config.embeds else ()
    fragments = meaning.types_for_fragments if config.check_fragments else ()
    return meaning.types + embeds + fragments
