"""robots.txt as RFC 9309 has it: what its answer means, and whether it allows a target.

Which lines are for us is decided here: protego takes a group for "pool" as one for "poolcrawl", misses one for
"poolcrawl/1.0", and ends a group at any unknown record. The matching of paths is protego's: longest match, `*`, `$`,
`%7e` equal to `~` and `%7B` to `{`, but `%2F` no slash. It is asked about the very string that would be sent on the
wire. Pure: no network, disk, clock or process; runs in workers.
"""

from __future__ import annotations

import math
import re
from typing import Final

from protego import Protego

from crawler.model import Purpose
from crawler.rules.purposes import MEANINGS

MAX_BODY_BYTES: Final = MEANINGS[Purpose.ROBOTS].most_bytes
MAX_REDIRECTS: Final = 5  # section 2.3.1.2: at least five
MAX_CRAWL_DELAY_SECONDS: Final = 3_600.0  # Crawl-delay is no part of the RFC; more than this is a typing error, or a no

#: reason (no whole answer) or "server-error" → tries before the host counts as unreachable
TRIES: Final[dict[str, int]] = {
    "dns": 1, "tls": 1, "blocked-address": 1, "internal-error": 1, "too-large": 1,
    "refused": 3, "reset": 3,
    "server-error": 5, "timeout": 5, "truncated": 5, "bad-response": 5,
}  # fmt: skip

_USER_AGENT = re.compile(r"user[- ]?agent[ \t]*:?[ \t]*(\*(?!\S)|[a-z_-]*)", re.IGNORECASE)
_RECORD = re.compile(r"allow|dis|dias|crawl[- ]delay", re.IGNORECASE)  # with the misspellings that protego forgives


class Rules:
    """What one robots.txt tells us.

    Args:
        body: as `decode` gives it.
        token: our product token: letters, `_` and `-` (section 2.2.1); in any case.

    Limits: a crawl delay (no part of the RFC) is finite, and at most `MAX_CRAWL_DELAY_SECONDS`.
    """

    def __init__(self, body: str, token: str = "poolcrawl") -> None:  # noqa: S107  (a product token)
        self._rules = Protego.parse("\n".join(["User-agent: *", *_our_records(body, token.lower())]))
        delay = self._rules.crawl_delay("*")
        self.crawl_delay: float | None = None
        if delay is not None and math.isfinite(delay) and delay >= 0:
            self.crawl_delay = min(float(delay), MAX_CRAWL_DELAY_SECONDS)

    def allows(self, target: str) -> bool:
        """Return whether a target (path and query, as sent) may be asked."""
        if target == "/robots.txt":  # section 2.2.2: implicitly allowed
            return True
        return bool(self._rules.can_fetch("http://host" + target, "*"))


def decode(body: bytes) -> str:
    """Return a robots.txt as text: UTF-8 by section 2.3, with debris of other encodings replaced.

    Limits: `MAX_BODY_BYTES`; a line that is cut there is dropped, lest half of "Disallow: /a" forbid everything.
    """
    if len(body) >= MAX_BODY_BYTES:
        body = body[:MAX_BODY_BYTES]
        body = body[: max(body.rfind(b"\n"), body.rfind(b"\r")) + 1]
    return body.decode("utf-8-sig", errors="replace").replace("\0", "")


def verdict(status: int, reason: str, tries: int, elapsed_seconds: float, give_up_seconds: float) -> str:
    """Decide what the answer to a request for a robots.txt means.

    Args:
        status: of a whole answer (a redirect only where no further one is followed); 0 if there is none.
        reason: why there is no whole answer, "" if there is one.
        tries: with this one.
        elapsed_seconds: since the first try.

    Returns:
        "rules" (2xx: obey the body), "allow" (3xx and 4xx, unavailable: section 2.3.1.3), "deny" (unreachable: section
        2.3.1.4), or "": try again.
    """
    if not reason:
        if 200 <= status < 300:
            return "rules"
        if status != 429 and 300 <= status < 500:
            return "allow"
        reason = "server-error"
    return "deny" if tries >= TRIES[reason] or elapsed_seconds >= give_up_seconds else ""


def _our_records(body: str, token: str) -> list[str]:
    """Return the records of all groups that name us, or else of those for everybody (section 2.2.1).

    A record that we do not know ends no group (section 2.2.4).
    """
    records: dict[str, list[str]] = {}
    agents: set[str] = set()  # whose group this is: of us and "*"
    is_open = False  # another user-agent line would join the group
    for line in body.removeprefix("\ufeff").splitlines():
        record = line.partition("#")[0].strip()
        if named := _USER_AGENT.match(record):
            agents = agents if is_open else set()
            is_open = True
            agent = named[1].lower()
            if agent in (token, "*"):
                agents.add(agent)
                records.setdefault(agent, [])
        elif _RECORD.match(record):
            is_open = False
            for agent in agents:
                records[agent].append(record)
    return records.get(token, records.get("*", []))
