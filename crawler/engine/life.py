"""One life of one worker: the visits it holds, the calls under way, and how long it has had them.

What is here holds wherever the worker lives; what a local process has besides (pids, a mark, memory) is its pool's. A
life is never mended: it is retired when all its calls are back, and a new one takes its place, in the main loop
(replacing an executor in its own callback deadlocks on Python 3.12). `held` is filled by `called`, emptied by
`take_back`, both in the main loop, and bounded by `capacity`; `call_back` reads it in the pool's thread, for visits
that the main loop cannot settle before.

Must not know the frontier, the queue, or what a worker does.
"""

from __future__ import annotations

from collections.abc import Iterable

from crawler.model import Visit
from crawler.processes.kinds import Pool

LATE_SECONDS = 5.0  # beyond page_deadline_seconds, at which a worker should end itself
AHEAD_VISITS = 128  # held by a worker beyond what it may have in flight
MAX_CALLS = 2


class Life:
    """One life of one worker."""

    def __init__(self, worker: int, generation: str, pool: Pool, in_flight: int) -> None:
        """Begin a life; its worker begins to live with the first call.

        Args:
            worker: a number that is the worker's in all its lives.
            generation: a name of this life, unique in the world.
            in_flight: requests that the worker may have in flight.
        """
        self.worker = worker
        self.generation = generation
        self.pool = pool
        self.in_flight = in_flight
        self.capacity = in_flight + AHEAD_VISITS  # visits that it may hold
        self.held: dict[int, Visit] = {}  # by tag, in the order they were handed out
        self.pauses: set[int] = set()  # hosts that failed elsewhere, to be told with the next call
        self.calls = 0
        self.has_returned = False
        self.is_alone = False  # reserved for one suspect visit
        self.is_draining = False  # gets no more visits, and is replaced when it holds none
        self.is_retired = False
        self.error = ""  # why no more calls are made
        self._handed_at: dict[int, float] = {}  # when each visit that is held was handed out, by tag
        self._since = 0.0  # when the call under way began

    def __repr__(self) -> str:
        return f"<Life {self.generation}: {len(self.held)} held, {self.calls} calls, {self.error or 'well'}>"

    @property
    def room(self) -> int:
        """Return how many more visits the worker may be given now."""
        if self.error or self.calls >= MAX_CALLS or self.is_alone or self.is_draining:
            return 0
        return max(0, self.capacity - len(self.held))

    @property
    def is_idle(self) -> bool:
        """Return whether the worker is well and has nothing at all to do."""
        return not (self.held or self.calls or self.error)

    def called(self, visits: Iterable[Visit], now: float) -> None:
        """Take note of a call."""
        if self.calls == 0:
            self._since = now
        self.calls += 1
        for visit in visits:
            self.held[visit.tag] = visit
            self._handed_at[visit.tag] = now

    def take_back(self, tag: int) -> Visit:
        """Return a visit whose outcome is there, and hold it no longer."""
        del self._handed_at[tag]
        return self.held.pop(tag)

    def take_all_back(self) -> list[Visit]:
        """Return all visits that are held, and hold them no longer: the worker is dead."""
        lost, self.held = list(self.held.values()), {}
        self._handed_at.clear()
        return lost

    def pause(self, host_id: int) -> None:
        """Let the next call give back what waits for a host that failed, if anything does."""
        if any(visit.clock_id == host_id for visit in self.held.values()):
            self.pauses.add(host_id)

    def returned(self, error: str, now: float) -> None:
        """Take note of a call's end; what the calls behind it are given begins now."""
        self.calls -= 1
        self._since = now
        if error:
            self.error = self.error or error
        else:
            self.has_returned = True

    def look(self, now: float, deadline_seconds: float) -> str:
        """Look after the worker behind the open calls: every few hundredths of a second.

        Returns what is wrong, if anything new is.
        """
        if not self.calls or self.pool.look(now):
            return ""
        if now - self._since > deadline_seconds + LATE_SECONDS and self.pool.kill():
            self._since = now
            return f"worker {self.worker} did not come back from a call for {deadline_seconds:g} s and was killed"
        return ""

    def waits_for(self, now: float) -> str:
        """Return what is waited for, for people; "" if nothing is."""
        if self.held:
            tag, visit = next(iter(self.held.items()))
            age = now - self._handed_at[tag]
            return f"worker {self.worker} has had {visit.url} for {age:.0f} s, and {len(self.held) - 1} more"
        return f"worker {self.worker} has not come back from a call" if self.calls else ""

    def death(self) -> str:
        """Return what ended it, for people."""
        return "out of memory" if self.pool.mark.is_out_of_memory else self.error
