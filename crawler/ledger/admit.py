"""Admission: the step of a merge that may refuse a URL that is new, with a reason.

A rule is SQL over the new URLs and their hosts, inside the merge's transaction: exact, whatever comes in which order.
What it refuses is a row of `urls` that ended `skipped` for that reason, so that it can be seen and, if the reason goes,
asked; a rule that may refuse without end keeps so many rows a host, and counts the rest, for good. Budgets are no
admission: they are spent when URLs are handed out. Must not know how URLs come into temp.fresh (`merge`), nor ask
anything beyond the ledger. Runs in a consumer, and in the coordinator at the start.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from crawler.model import MAX_REDIRECTS, REASONS, SKIPPED


class Admission(NamedTuple):
    """A rule that refuses URLs."""

    reason: str  # one of model.REASONS that ends `skipped`
    refuses: str  # SQL on the new URLs `f` (the columns of temp.fresh) and their hosts `h`
    most_rows: int = -1  # a host: so many are kept as rows of `urls`, the rest is counted; -1: all are kept


#: in the order in which they are asked; the first that refuses a URL gives the reason
ADMISSIONS: Final = (Admission("too-many-redirects", f"f.redirects > {MAX_REDIRECTS}"),)

_REFUSE: Final = """
UPDATE temp.fresh SET state = '{state}', reason = ?
WHERE state = 'queued' AND fingerprint IN (
    SELECT f.fingerprint FROM temp.fresh f JOIN _hosts h ON h.id = f.host_id WHERE {refuses}
)
"""
# Those beyond the cap leave the new URLs: the ones that came last, and what is there from earlier merges counts.
_COUNT_ONLY: Final = """
INSERT INTO _refused
SELECT fingerprint, host_id, ?1 FROM (
    SELECT f.fingerprint, f.host_id,
           row_number() OVER (PARTITION BY f.host_id ORDER BY f.seq) + coalesce(k.kept, 0) AS place
    FROM temp.fresh f LEFT JOIN (
        SELECT host_id, count(*) AS kept FROM _urls
        WHERE state = 'skipped' AND reason = ?1 AND reason <> 'ok' GROUP BY host_id
    ) AS k ON k.host_id = f.host_id
    WHERE f.reason = ?1
) WHERE place > ?2
"""
_LEAVE: Final = "DELETE FROM temp.fresh WHERE fingerprint IN (SELECT fingerprint FROM _refused)"
_CLOSE_THE_GAPS: Final = """
UPDATE temp.fresh SET seq = n.seq FROM (
    SELECT f.fingerprint, h.next_seq - 1 + row_number() OVER (PARTITION BY h.id ORDER BY f.seq) AS seq
    FROM temp.fresh f JOIN _hosts h ON h.id = f.host_id
) AS n WHERE fresh.fingerprint = n.fingerprint
"""


def admit(connection: sqlite3.Connection, admissions: Sequence[Admission]) -> int:
    """Mark what is refused of temp.fresh; return how many URLs are kept as refused."""
    kept = 0
    for admission in admissions:
        assert REASONS[admission.reason][0] == SKIPPED  # noqa: S101  (the table above)
        statement = _REFUSE.format(state=SKIPPED, refuses=admission.refuses)
        refused = connection.execute(statement, (admission.reason,)).rowcount
        if refused and admission.most_rows >= 0:
            beyond = connection.execute(_COUNT_ONLY, (admission.reason, admission.most_rows)).rowcount
            if beyond:
                connection.execute(_LEAVE)
                connection.execute(_CLOSE_THE_GAPS)
            refused -= beyond
        kept += refused
    return kept
