"""Runs: a row for each start of the program on a ledger, with its counters; the seeds; the key of the fingerprints.

Must not know what the counters count (`counts`), nor how a run begins (`opening`). `_apply` runs in a consumer: the
last batch of a run says why it ended.
"""

from __future__ import annotations

from typing import Final

from crawler import clock
from crawler.ledger import counts
from crawler.ledger.features.feature import Applying, Feature

_TABLES: Final = f"""
CREATE TABLE _meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO _meta VALUES ('fingerprint_key', randomblob(16));

CREATE TABLE seeds (url TEXT PRIMARY KEY, origin TEXT NOT NULL, folder TEXT, run INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,
    ended TEXT,
    finish_reason TEXT,
    config TEXT NOT NULL,
    versions TEXT NOT NULL,
    {counts.ddl()}
);
"""  # noqa: S608  (our own names)
_FINISH: Final = "UPDATE runs SET finish_reason = ?, ended = ? WHERE id = (SELECT max(id) FROM runs)"


def _apply(applying: Applying) -> None:
    if applying.batch.finish_reason:
        applying.execute(_FINISH, (applying.batch.finish_reason, clock.utc_now()))


FEATURE: Final = Feature(_TABLES, apply=_apply)
