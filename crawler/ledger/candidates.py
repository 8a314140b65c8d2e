"""What waits to enter the frontier: links to be merged, and links that are in scope only if a seed redirects there.

Inside the caller's transaction. Must not know the rules of scope, nor when a merge is due. Runs in a consumer, and in
the coordinator at the start.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from crawler.ledger.features.frontier import CANDIDATE, KEEP_NEARER, STORED
from crawler.ledger.records import insert

# The one field that is not stored stands behind those that are. (To slice is faster than to unpack: it is each link's.)
_CONDITIONAL: Final = len(STORED)
_ADD: Final = insert("_candidates", STORED)
_HOLD: Final = insert("_conditional", STORED) + KEEP_NEARER
_IN_SCOPE_NOW: Final = "host IN (SELECT host FROM _hosts WHERE widened)"
_RELEASE: Final = f"""
INSERT INTO _candidates ({CANDIDATE}) SELECT {CANDIDATE} FROM _conditional WHERE {_IN_SCOPE_NOW}
"""  # noqa: S608  (our own names)
_FORGET: Final = f"DELETE FROM _conditional WHERE {_IN_SCOPE_NOW}"  # noqa: S608  (our own names)


class Candidates:
    """Candidates, as a connection that writes adds them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, rows: Sequence[Sequence[object]]) -> int:
        """Append rows in the order of `Candidate`'s fields; return how many wait to be merged because of it."""
        unconditional = [row[:_CONDITIONAL] for row in rows if not row[_CONDITIONAL]]
        self._connection.executemany(_ADD, unconditional)
        if len(unconditional) == len(rows):
            return len(unconditional)
        self._connection.executemany(_HOLD, [row[:_CONDITIONAL] for row in rows if row[_CONDITIONAL]])
        return len(unconditional) + self.release()

    def release(self) -> int:
        """Let in what waited for hosts that are in scope by now; return how many."""
        released = self._connection.execute(_RELEASE).rowcount
        self._connection.execute(_FORGET)
        return released
