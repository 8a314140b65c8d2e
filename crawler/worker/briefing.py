"""What a worker knows of hosts: what their robots.txt says, and which of them it leaves alone for a while.

Filled by the coordinator, which sends what is known of a host with its first visits; bounded by `MAX_HOSTS`: the host
that had no visit for longest is forgotten, and its next visits are given back, which brings it again. Runs in a worker,
in the pump's thread; must not know the ledger.
"""

from __future__ import annotations

from collections import OrderedDict

from crawler import clock
from crawler.config import ROBOTS_TOKEN
from crawler.model import HostRules
from crawler.rules.robots import Rules

MAX_HOSTS = 2_048
#: what is known of a host that must not be asked → the reason with which its URLs fail
DENIALS = {"deny": "robots-unreachable", "blocked-address": "blocked-address"}


class Briefings:
    """What is known of hosts, by their ids."""

    def __init__(self) -> None:
        self._rules: OrderedDict[int, tuple[str, Rules | None]] = OrderedDict()
        self._paused: dict[int, float] = {}  # until when (monotonic)

    def learn(self, rules: HostRules) -> None:
        """Take note of what the coordinator knows of a host."""
        parsed = Rules(rules.body, ROBOTS_TOKEN) if rules.verdict == "rules" else None
        # The reason of a denial matters where it is not the host's fault.
        verdict = rules.body if rules.verdict == "deny" and rules.body in DENIALS else rules.verdict
        self._rules[rules.host_id] = (verdict, parsed)
        self._rules.move_to_end(rules.host_id)
        if len(self._rules) > MAX_HOSTS:
            self._rules.popitem(last=False)

    def of(self, host_id: int) -> tuple[str, Rules | None] | None:
        """Return what is known of a host that has a visit; None: nothing."""
        known = self._rules.get(host_id)
        if known is not None:
            self._rules.move_to_end(host_id)
        return known

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
