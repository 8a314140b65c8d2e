"""What a worker gives back with a call: outcomes, which the coordinator reads, and a batch, which a consumer applies.

Filled by the pump, visit by visit; emptied by the end of each call; bounded by `BATCH_BYTES` and `BATCH_RESULTS`, with
which a call returns. Each result is encoded when it is added, so that one that cannot be costs itself alone. Runs in a
worker, in the pump's thread; must not know what an answer is made into, nor who reads a batch.
"""

from __future__ import annotations

import msgspec

from crawler import clock
from crawler.model import UNASKED, Answer, Batch, HostFacts, Outcome, Result, Visit

BATCH_BYTES = 256 * 1024
BATCH_RESULTS = 64


class Outgoing:
    """What comes back with this call."""

    def __init__(self) -> None:
        self.encode = msgspec.msgpack.Encoder().encode
        self._clear()

    def __repr__(self) -> str:
        return f"<Outgoing: {len(self._outcomes)} outcomes, {len(self._results)} results, {self._bytes} bytes>"

    @property
    def has_outcomes(self) -> bool:
        """Return whether anything comes back."""
        return bool(self._outcomes)

    def add(self, outcome: Outcome, result: Result, ended: float) -> None:
        """Add how a visit ended, and what it gave; `ended` is the end of the exchange, monotonic."""
        self.append(outcome, self.encode(result), ended)

    def append(self, outcome: Outcome, encoded: bytes, ended: float) -> None:
        """Add how a visit ended, and its result, encoded; `ended` is the end of the exchange, monotonic."""
        self._outcomes.append(outcome)
        self._ended.append(ended)
        self._results.append(msgspec.Raw(encoded))
        self._bytes += len(encoded)
        self.is_full = self._bytes >= BATCH_BYTES or len(self._results) >= BATCH_RESULTS

    def unask(self, visit: Visit) -> None:
        """Give a visit back as it came."""
        self._outcomes.append(Outcome(visit.tag, UNASKED))
        self._ended.append(0.0)

    def count(self, host_id: int, answer: Answer, outcome: Outcome) -> None:
        """Add an exchange to the facts of the host that was asked, if it was."""
        if not answer.asked:
            return
        facts = self._facts.get(host_id)
        if facts is None:
            facts = self._facts[host_id] = HostFacts(host_id, 0, 0.0, False, 0)
        facts.asked += 1
        facts.asked_at = max(facts.asked_at, answer.started_at + answer.elapsed_seconds)
        facts.bytes_received += answer.wire_size or 0
        facts.elapsed_ms += outcome.elapsed_ms
        if outcome.host_failed:
            facts.failures += 1
        else:
            facts.succeeded, facts.failures = True, 0
        if outcome.retry_after_seconds:
            facts.retry_at = max(facts.retry_at, clock.wall() + outcome.retry_after_seconds)

    def hand_back(self) -> tuple[bytes, bytes]:
        """Return the outcomes and the batch, encoded, b"" where there is none, and begin anew."""
        now = clock.monotonic()
        for outcome, ended in zip(self._outcomes, self._ended, strict=True):
            outcome.ended_ago_seconds = now - ended if ended else 0.0
        outcomes = self.encode(self._outcomes) if self._outcomes else b""
        batch = self.encode(Batch(self._results, list(self._facts.values()))) if self._results else b""
        self._clear()
        return outcomes, batch

    def _clear(self) -> None:
        self._outcomes: list[Outcome] = []
        self._ended: list[float] = []
        self._results: list[msgspec.Raw] = []
        self._facts: dict[int, HostFacts] = {}
        self._bytes = 0
        self.is_full = False  # then a call returns before it takes in more answers
