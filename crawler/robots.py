"""robots.txt as RFC 9309 has it: what its answer means, and whether it allows a target. Pure.

The matching is protego's (longest match, `*`, `$`, groups merged). It is asked about the very string that would be sent
on the wire.
"""

from __future__ import annotations

import math
from typing import Final

from protego import Protego

MAX_BODY_BYTES: Final = 512_000  # RFC 9309 section 2.5: at least 500 kibibytes
MAX_REDIRECTS: Final = 5  # section 2.3.1.2: at least five
MAX_CRAWL_DELAY_SECONDS: Final = 3_600.0  # Crawl-delay is no part of the RFC; more than this is a typing error, or a no

#: reason (no whole answer) or "server-error" → tries before the host counts as unreachable
TRIES: Final[dict[str, int]] = {
    "dns": 1, "tls": 1, "blocked-address": 1, "internal-error": 1, "too-large": 1,
    "refused": 3, "reset": 3,
    "server-error": 5, "timeout": 5, "truncated": 5, "bad-response": 5,
}  # fmt: skip


class Rules:
    """What one robots.txt tells us."""

    def __init__(self, body: str, token: str = "poolcrawl") -> None:  # noqa: S107  (a product token)
        self._rules = Protego.parse(body)
        self._token = token
        delay = self._rules.crawl_delay(token)
        self.crawl_delay: float | None = None
        if delay is not None and math.isfinite(delay) and delay >= 0:
            self.crawl_delay = min(float(delay), MAX_CRAWL_DELAY_SECONDS)

    def allows(self, target: str) -> bool:
        """Tell whether a target (path and query, as sent) may be asked."""
        if target == "/robots.txt":  # section 2.2.2: implicitly allowed
            return True
        return bool(self._rules.can_fetch("http://host" + target, self._token))


def decode(body: bytes) -> str:
    """Return a robots.txt as text: UTF-8 by section 2.3, with debris of other encodings replaced."""
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
