"""Attempts: a row for each try that was not a success at once: when, how it ended, and after how long.

A URL whose first visit succeeded has none: its page says it all. Costs such a page nothing. Must not know what is
tried again, or when (`rules.politeness`). `_apply` runs in a consumer, the view in the process that asks.
"""

from __future__ import annotations

from typing import Final

from crawler.ledger.features.feature import Applying, Feature
from crawler.ledger.phrases import iso
from crawler.ledger.records import ddl, insert
from crawler.model import AttemptRow

_TABLES: Final = f"""
CREATE TABLE _attempts (
    id INTEGER PRIMARY KEY,
    {ddl(AttemptRow)}
);
CREATE INDEX _attempts_by_url ON _attempts (host_id, seq);
"""
_VIEW: Final = f"""
SELECT h.host || u.target AS url, a.visit,
       {iso("a.time_ms / 1000.0")} AS time, a.reason, a.status, a.elapsed_ms
FROM _attempts a JOIN _urls u ON u.host_id = a.host_id AND u.seq = a.seq JOIN _hosts h ON h.id = a.host_id"""  # noqa: S608  (our own names)
_ADD: Final = insert("_attempts", AttemptRow.__struct_fields__)


def _apply(applying: Applying) -> None:
    if rows := [result.attempt for result in applying.batch.results if result.attempt is not None]:
        applying.executemany(_ADD, rows)


FEATURE: Final = Feature(_TABLES, {"attempts": _VIEW}, _apply)
