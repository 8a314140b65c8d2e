"""What a worker knows of hosts: their briefings, as far as it has them, and which hosts it leaves alone for a while.

Filled by the coordinator, which sends a host's briefing with the first visits that ask it; bounded by `MAX_HOSTS`: the
host that had no visit for longest is forgotten, and its next visits are given back, which brings its briefing again.
Runs in a worker, in the pump's thread; must not know the ledger.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from crawler import clock
from crawler.config import ROBOTS_TOKEN, Config
from crawler.model import Briefing, Headers, Visit
from crawler.rules.robots import Rules
from crawler.transports import headers_of

MAX_HOSTS = 2_048
#: why a host is denied whose URLs fail for that very reason; for all other reasons it is its robots.txt's
OWN_REASONS: Final = frozenset({"blocked-address"})


class Known(NamedTuple):
    """What is known of a host."""

    version: int
    is_complete: bool  # its pages may be asked for, as far as its rules let them; else nothing but its robots.txt
    denial: str  # the reason with which its URLs fail; "": it may be asked
    rules: Rules | None  # None: all is allowed
    headers: Headers  # of each request to it


class Briefings:
    """What is known of hosts, by their ids."""

    def __init__(self, config: Config) -> None:
        self._known: OrderedDict[int, Known] = OrderedDict()
        self._paused: dict[int, float] = {}  # until when (monotonic)

        @lru_cache(64)
        def headers_with(given: Headers) -> Headers:
            return headers_of(msgspec.structs.replace(config, headers=dict(given)))

        self._headers_with = headers_with  # hosts share one tuple

    def learn(self, briefing: Briefing) -> None:
        """Take note of what the coordinator knows of a host: whatever comes last is the newest."""
        verdict = briefing.verdict
        self._known[briefing.host_id] = Known(
            briefing.version,
            bool(verdict),
            _denial(briefing),
            Rules(briefing.body, ROBOTS_TOKEN) if verdict == "rules" else None,
            self._headers_with(briefing.headers),
        )
        self._known.move_to_end(briefing.host_id)
        if len(self._known) > MAX_HOSTS:
            self._known.popitem(last=False)

    def of(self, visit: Visit) -> Known | None:
        """Return what is known of the host that a visit asks; None: nothing, or less than the visit needs."""
        known = self._known.get(visit.clock_id)
        if known is None or known.version < visit.briefing:
            return None
        self._known.move_to_end(visit.clock_id)
        return known

    def headers_of(self, host_id: int) -> Headers | None:
        """Return the headers of requests to a host; None: it was forgotten."""
        known = self._known.get(host_id)
        return None if known is None else known.headers

    def pause(self, host_id: int, until: float) -> None:
        """Leave a host alone until then (monotonic): it has failed."""
        if len(self._paused) > MAX_HOSTS:
            now = clock.monotonic()
            self._paused = {host: end for host, end in self._paused.items() if end > now}
        self._paused[host_id] = max(self._paused.get(host_id, 0.0), until)

    def is_paused(self, host_id: int) -> bool:
        """Return whether a host is left alone now."""
        until = self._paused.get(host_id)
        return until is not None and until > clock.monotonic()


def _denial(briefing: Briefing) -> str:
    if briefing.verdict != "deny":
        return ""
    return briefing.reason if briefing.reason in OWN_REASONS else "robots-unreachable"
