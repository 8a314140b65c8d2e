"""Errands: visits that are for no page, but for something that must be known of a host first. Today its robots.txt.

An errand is no row of the ledger's queue, and has a key of its own: its host, and what it is for. It is made when it is
wanted, asked alone, and known to be over when its batch is committed; it may lead to another host, on whose clock it is
asked then. Must not know the ledger's tables, processes or queues. Runs in the coordinator's main loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from crawler import clock
from crawler.config import Config
from crawler.ledger.reader import HostRow
from crawler.model import NO_ROW, PREREQUISITE, Purpose, Visit

ROBOTS_TARGET = "/robots.txt"


class Place(Protocol):
    """The host that an errand is run at."""

    @property
    def id(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def named(self) -> bool: ...
    @property
    def version(self) -> int: ...


class Errand:
    """What is known of a host's robots.txt, and of asking for it."""

    __slots__ = ("_expires", "_host", "_host_id", "_redirects", "_since", "_target", "_tries", "is_out", "verdict")

    def __init__(self, host_id: int) -> None:
        self.verdict = ""  # "": not known
        self.is_out = False  # it is being asked, or its batch is not committed
        self._host_id = host_id
        self._host = ""  # where it is to be asked for next, if a redirect said so
        self._target = ROBOTS_TARGET
        self._redirects = self._tries = 0
        self._since = 0.0
        self._expires = math.inf

    def is_due(self, now: float) -> bool:
        """Return whether the robots.txt has to be asked for before any page."""
        return self.verdict == "" or self._expires <= now

    def leads_away_from(self, name: str) -> str:
        """Return the other host that a redirect leads to; "" while it is to be asked for at its own."""
        return self._host if self._host != name else ""

    def visit(self, place: Place, tag: int, now: float) -> Visit:
        """Make the visit that asks for it."""
        self._since = self._since or now
        return Visit(
            self._host_id, NO_ROW, tag, place.name, self._target, PREREQUISITE, Purpose.ROBOTS, 0,
            self._redirects, self._tries, 0, place.named, 1, place.id, now - self._since, place.version,
        )  # fmt: skip

    def learn(self, row: HostRow, config: Config, now: Callable[[], float]) -> None:
        """Take over what the ledger knows of it."""
        if not config.obey_robots:
            self.verdict = "allow"
        elif (
            row.robots_verdict
            and 0 <= (age_seconds := clock.wall() - row.robots_fetched_at) < config.robots_max_age_seconds
        ):
            self.verdict = row.robots_verdict
            self._expires = now() + config.robots_max_age_seconds - age_seconds
        else:
            self.verdict = ""
        begins = row.robots_verdict != ""  # a verdict that has grown old is asked for from the beginning
        self._host = "" if begins else row.robots_host
        self._target = ROBOTS_TARGET if begins else row.robots_target or ROBOTS_TARGET
        self._redirects = 0 if begins else row.robots_redirects
        self._tries = 0 if begins else row.robots_tries

    def over(self) -> None:
        """Take note that its batch is committed, and learned; when the verdict has grown old, asking begins anew."""
        if self.verdict:
            self._since = 0.0
