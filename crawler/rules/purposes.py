"""What each purpose of a visit means: how it is asked, and what of its body is wanted. One table.

Which reader reads what came back is `worker.readers`' table; the ranks are `model.Purpose`'s own. A new purpose is a
member there, a row here and, if it has a reader of its own, a row there. Pure; runs in workers.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from crawler.config import Config
from crawler.model import Purpose
from crawler.rules.mime import CSS_TYPES, PAGE_TYPES


class Meaning(NamedTuple):
    """A row of the table."""

    head_first: bool = False  # once by HEAD; who does not answer that properly is asked by GET
    types: tuple[str, ...] = ()  # of bodies that are read,
    types_for_embeds: tuple[str, ...] = ()  # and these where embeds are wanted,
    types_for_fragments: tuple[str, ...] = ()  # and these where fragments are checked
    is_cut: bool = False  # what max_body_bytes leaves of a body is enough; else a larger one is a failure
    most_bytes: int = 0  # > 0: no more of a body than this is wanted, of whatever type
    is_kept: bool = False  # its body is its URL's content: it has a digest, and may be saved


MEANINGS: Final[dict[Purpose, Meaning]] = {
    Purpose.PAGE: Meaning(types=PAGE_TYPES, types_for_embeds=CSS_TYPES, is_kept=True),
    Purpose.EMBED: Meaning(types=CSS_TYPES, types_for_fragments=PAGE_TYPES, is_kept=True),
    Purpose.EXTERNAL_FRAGMENT: Meaning(types=PAGE_TYPES, is_cut=True),
    Purpose.EXTERNAL: Meaning(head_first=True),
    Purpose.ROBOTS: Meaning(most_bytes=512_000),  # RFC 9309 section 2.5: at least 500 kibibytes
}


def types_read(purpose: Purpose, config: Config) -> tuple[str, ...]:
    """Return the types of which the body of a visit is read."""
    meaning = MEANINGS[purpose]
    embeds = meaning.types_for_embeds if config.embeds else ()
    fragments = meaning.types_for_fragments if config.check_fragments else ()
    return meaning.types + embeds + fragments
