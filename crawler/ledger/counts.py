"""The counters of a run: what each batch adds up, so that nobody has to count rows to say where a crawl stands.

They are columns of `runs`, written in the transaction that changes what they count. Must not know what a batch is: who
applies one adds. Runs in a consumer (which adds), in the coordinator (which reads them a hundred times a second) and
wherever a status is asked for.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final, NamedTuple

from crawler.ledger.phrases import LATEST_OF_URL
from crawler.model import DONE, FAILED, QUEUED, SKIPPED


class Counters(NamedTuple):
    """Numbers of a run (`committed`), of the moment (`candidates`), or of all runs together (the others)."""

    committed: int  # number of the last batch
    candidates: int  # rows of _candidates now
    merges: int  # of all runs so far
    urls: int  # that were found, ...
    ended_urls: int
    pages: int  # URLs that got a page
    items: int
    item_errors: int
    requests: int
    bytes: int

    @property
    def queued(self) -> int:
        """Return how many URLs have not ended."""
        return self.urls - self.ended_urls


#: the counters of a run in the course of a transaction, by name
Counts = dict[str, int]

NAMES: Final = Counters._fields
_LIST: Final = ", ".join(NAMES)
#: those that a run adds to what earlier runs counted
_ADDED: Final = frozenset(NAMES) - {"committed", "candidates", "merges"}
_READ: Final = f"SELECT (SELECT max(id) FROM runs), {_LIST} FROM runs WHERE id = ?"  # noqa: S608  (our own names)
_WRITE: Final = f"UPDATE runs SET {' = ?, '.join(NAMES)} = ? WHERE id = ?"  # noqa: S608
READ_RUN: Final = f"SELECT {_LIST} FROM runs WHERE id = ?"  # noqa: S608
_TOTALS: Final = ", ".join(f"total({name})" if name in _ADDED else "0" for name in NAMES)
READ_BEFORE: Final = f"SELECT {_TOTALS} FROM runs WHERE id < ?"  # noqa: S608


def ddl() -> str:
    """Return the counters as columns of a CREATE TABLE."""
    return ", ".join(f"{name} INTEGER NOT NULL DEFAULT 0" for name in NAMES)


def read_newest(connection: sqlite3.Connection, run_id: int) -> Counts | None:
    """Read a run's counters to change them; None if there is no such run, or a newer one."""
    row = connection.execute(_READ, (run_id,)).fetchone()
    if row is None:
        return None
    newest, *numbers = row
    return dict(zip(NAMES, numbers, strict=True)) if newest == run_id else None


def write(connection: sqlite3.Connection, run_id: int, counts: Counts) -> None:
    """Write a run's counters back."""
    connection.execute(_WRITE, (*counts.values(), run_id))


_NOT_OK: Final = "SELECT state, reason, count(*) FROM _urls WHERE reason <> 'ok' GROUP BY state, reason"
_NOT_200: Final = f"""
SELECT p.status, count(*) FROM _pages p CROSS JOIN _urls u ON {LATEST_OF_URL}
WHERE p.status <> 200 GROUP BY p.status
"""  # noqa: S608  (our own names)


class Standing(NamedTuple):
    """Where a crawl stands, counted."""

    by_state: dict[str, int]
    by_reason: dict[str, int]
    by_status: dict[int, int]
    hosts: int
    totals: dict[str, int]  # of all runs, by the names of `Counters`


def standing(connection: sqlite3.Connection) -> Standing:
    """Count URLs and pages without looking at those that are ok: these come from the runs' own counters."""
    row: tuple[Any, ...] = connection.execute(f"SELECT {_TOTALS} FROM runs").fetchone()  # noqa: S608  (our own names)
    totals = {name: int(value) for name, value in zip(NAMES, row, strict=True)}
    by_state = dict.fromkeys((QUEUED, DONE, FAILED, SKIPPED), 0)
    by_reason: dict[str, int] = {}
    for state, reason, count in connection.execute(_NOT_OK):
        if state != QUEUED:
            by_state[state] = by_state.get(state, 0) + count
            by_reason[reason] = by_reason.get(reason, 0) + count
    by_state[QUEUED] = totals["urls"] - totals["ended_urls"]
    if ok := totals["ended_urls"] - sum(by_reason.values()):
        by_state[DONE] += ok
        by_reason["ok"] = ok
    by_status: dict[int, int] = dict(connection.execute(_NOT_200).fetchall())
    if whole := totals["pages"] - sum(by_status.values()):
        by_status[200] = whole
    hosts = connection.execute("SELECT count(*) FROM _hosts WHERE next_seq > 0").fetchone()[0]
    return Standing(by_state, dict(sorted(by_reason.items())), dict(sorted(by_status.items())), hosts, totals)
