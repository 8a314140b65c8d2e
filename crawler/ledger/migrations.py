"""How a ledger of an older version becomes one of this version: a list of statements for each step.

A change of `schema`'s tables adds a step here, and nothing else: the version is the number of steps. The views that are
an interface are made anew after any step. Knows SQL only; runs in the coordinator, which holds the ledger's lock.
"""

from __future__ import annotations

import sqlite3
from typing import Final

#: the step from version 1 to 2, from 2 to 3, ...
STEPS: Final = (
    # 2: what a crawl's end reports, without looking at every URL
    """
    ALTER TABLE _hosts ADD COLUMN elapsed_ms INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX _urls_not_ok ON _urls (state, reason) WHERE reason <> 'ok';
    CREATE INDEX _pages_not_200 ON _pages (status) WHERE status <> 200;
    CREATE INDEX _pages_item_errors ON _pages (item_error) WHERE item_error IS NOT NULL;
    """,
    "",  # 3: depths of what is asked and not crawled, which the views tell without what is added to them
    # 4: fragments; what leaves the scope without one has a depth of its own
    """
    CREATE TABLE _fragments (
        host_id INTEGER NOT NULL, seq INTEGER NOT NULL, anchors TEXT, links TEXT NOT NULL, UNIQUE (host_id, seq)
    );
    UPDATE _urls SET depth = depth + 1000000 WHERE depth >= 2000000;
    UPDATE _seen SET depth = depth + 1000000 WHERE depth >= 2000000;
    UPDATE _candidates SET depth = depth + 1000000 WHERE depth >= 2000000;
    """,
    # 5: where a page's body was saved, and whether a conversion of its links has begun
    """
    ALTER TABLE _pages ADD COLUMN file TEXT;
    ALTER TABLE _pages ADD COLUMN converted INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX _pages_saved ON _pages (size) WHERE file IS NOT NULL;
    """,
)
VERSION: Final = len(STEPS) + 1


def migrate(connection: sqlite3.Connection, views: str) -> int:
    """Bring a ledger up to this version, in one transaction; return the version that it had.

    Args:
        connection: without a transaction of its own.
        views: the script that makes all views.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version < VERSION:
        old = connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'").fetchall()
        drops = "".join(f"DROP VIEW {name};\n" for (name,) in old)
        steps = "\n".join(STEPS[version - 1 :])
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{drops}{steps}{views}PRAGMA user_version = {VERSION}; COMMIT;")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return version
