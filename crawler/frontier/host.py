"""A host in the frontier's window: its clock, its next URLs, which of its visits are out, and which workers serve it.

A host finds its workers by rendezvous hashing: each worker has a weight for each host, and the heaviest are its. So a
worker that joins takes a fair share of the hosts from the others, one that leaves gives its own to the others, and no
other host moves. Must not know the ledger, processes or queues. Runs in the coordinator's main loop.

Sources: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

from crawler.config import Config
from crawler.frontier.errands import Errand
from crawler.ledger.reader import HostRow, ReadyRow
from crawler.model import Briefing

AHEAD = 8  # visits a worker may hold for each request that it may have in flight for a host without delay
LOCAL_AT_ONCE = 8  # requests in flight to a folder that we serve ourselves

Workers = tuple[int, ...]  # all that there are


class Host:
    """A host in the window."""

    __slots__ = (
        "_ranked", "_workers", "at_once", "delay_seconds", "drained", "due", "errand", "errands", "failures", "held",
        "id", "local", "name", "named", "out", "ready", "scheduled", "told", "version",
    )  # fmt: skip

    def __init__(self, row: HostRow) -> None:
        self.id = row.id
        self.name = row.host
        self.named = bool(row.named)
        self.local = bool(row.local)
        self.failures = row.failures
        self.held: dict[int, int] = {}  # visits, by worker, of those that hold any
        self.out: set[int] = set()  # seqs that must not be read again: ready here, held by a worker, or not committed
        self.ready: list[ReadyRow] = []  # a list, which is short: an empty deque has half a kilobyte
        self.version = 0  # of its briefing
        self.told: set[str] = set()  # generations that have it
        self.errand = Errand(row.id)  # for its own robots.txt, wherever that is
        self.errands: list[Host] = []  # hosts whose robots.txt is here
        self.drained = False  # the ledger has no more queued URLs than those that are out
        self.scheduled = False
        self.due = 0.0
        self.delay_seconds = 0.0
        self.at_once = 1
        self._workers: Workers = ()  # those that `_ranked` is of
        self._ranked: Workers = ()

    def __repr__(self) -> str:
        return f"<Host {self.name}: {len(self.ready)} ready, {len(self.out)} out, held by {self.held}>"

    @property
    def next_at(self) -> float:
        """When it may be handed out next: a host whose robots.txt forbids it all is not asked, and need not wait."""
        return 0.0 if self.errand.verdict == "deny" and not self.errands else self.due

    @property
    def is_idle(self) -> bool:
        """Return whether nothing of it is anywhere."""
        return not (self.out or self.errands or self.errand.is_out or self.scheduled or self.held)

    @property
    def is_single(self) -> bool:
        """Return whether one worker at a time serves it: the only way in which its delay can be kept."""
        return self.delay_seconds > 0 or self.at_once == 1

    def learn(self, row: HostRow, config: Config, now: Callable[[], float]) -> None:
        """Take over what the ledger knows of how it may be asked."""
        self.errand.learn(row, config, now)
        crawl_delay = row.crawl_delay or 0.0 if config.obey_robots else 0.0
        self.delay_seconds = 0.0 if self.local else max(config.delay_seconds, crawl_delay)
        self.at_once = max(config.per_host, LOCAL_AT_ONCE) if self.local else config.per_host
        if self.delay_seconds > 0:
            self.at_once = 1

    def brief(self, text: str, headers: tuple[tuple[str, str], ...]) -> Briefing:
        """Return what a worker must know of it.

        Args:
            text: of its robots.txt, or why that could not be had.
            headers: of requests to it.
        """
        verdict = self.errand.verdict
        reason, body = (text, "") if verdict == "deny" else ("", text)
        return Briefing(self.id, self.version, verdict, reason, body, self.delay_seconds, headers)

    def hold(self, worker: int) -> None:
        """Take note that a worker was given one of its visits."""
        self.held[worker] = self.held.get(worker, 0) + 1

    def release(self, worker: int) -> None:
        """Take note that a worker holds one of its visits no longer."""
        left = self.held[worker] - 1
        if left:
            self.held[worker] = left
        else:
            del self.held[worker]

    def choose_worker(self, left: Mapping[int, int], workers: Workers) -> int | None:
        """Return the worker for its next visit, None for none: where it is known, unless there is no room.

        Args:
            left: how many visits each worker may still be given.
        """
        if not self.is_single:
            return self._least_busy(left, workers)
        if self.held:
            if self.delay_seconds > 0 or sum(self.held.values()) >= AHEAD:
                return None
            home = next(iter(self.held))
            return home if left.get(home, 0) > 0 else None
        home = self._rank(workers)[0]
        return home if left[home] > 0 else max(workers, key=left.__getitem__)

    def share(self, worker: int, workers: Workers) -> int:
        """Return how many requests a worker may have in flight for it, if several serve it."""
        if self.is_single:
            return 1
        share, rest = divmod(self.at_once, len(workers))
        return share + (worker in self._rank(workers)[:rest])

    def _least_busy(self, left: Mapping[int, int], workers: Workers) -> int | None:
        share, rest = divmod(self.at_once, len(workers))
        best, fewest = None, 0
        for rank, worker in enumerate(self._rank(workers)):
            held = self.held.get(worker, 0)
            may_have = (share + (rank < rest)) * AHEAD
            if left[worker] > 0 and held < may_have and (best is None or held < fewest):
                best, fewest = worker, held
        return best

    def _rank(self, workers: Workers) -> Workers:
        if self._workers is not workers:
            self._workers, self._ranked = workers, rank_workers(self.id, workers)
        return self._ranked


def rank_workers(host_id: int, workers: Iterable[int]) -> Workers:
    """Return the workers in the order in which they serve a host: the first is its home."""
    return tuple(sorted(workers, key=lambda worker: _weight(host_id, worker), reverse=True))


def _weight(host_id: int, worker: int) -> bytes:
    return hashlib.blake2b(b"%d %d" % (host_id, worker), digest_size=8).digest()
