"""How a ledger of an older version becomes one of this version: one numbered list of steps, each of a feature.

A change of a feature's tables adds a step here, and nothing else: the version is the number of steps. The views that
are an interface are made anew after any step. All steps are one transaction: whoever is killed in the middle, or finds
the disk full, has the old ledger. Knows SQL only, and the words of old versions; runs in the coordinator, which holds
the ledger's lock.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from crawler.errors import StorageError
from crawler.text import readable_bytes

Progress = Callable[[str], None]

AT_A_TIME: Final = 20_000  # rows copied between two words of progress
SPACE: Final = 2.2  # times the ledger's size: a table that is made anew is in the -wal file and then in the ledger


class Step(NamedTuple):
    """From one version to the next."""

    feature: str
    script: str = ""
    copies: str = ""  # a table that the script left as `_old_…`: it is copied by `rows`, and dropped
    rows: str = ""  # INSERT ... SELECT, for the rowids above one and up to another
    then: str = ""  # a script for when it is copied
    needs_space: bool = False


_OLD_PAGE: Final = (
    "status, fetch_time_ms, elapsed_ms, content_type, charset, size, wire_size, digest, ip, http_version, title, "
    "meta_description, h1, canonical, lang, meta_robots, redirect_url, etag, last_modified, links, links_found, "
    "links_bad, nofollow, item_error, file, converted"
)

#: the step from version 1 to 2, from 2 to 3, ...
STEPS: Final = (
    # 2: what a crawl's end reports, without looking at every URL
    Step(
        "counts",
        """
        ALTER TABLE _hosts ADD COLUMN elapsed_ms INTEGER NOT NULL DEFAULT 0;
        CREATE INDEX _urls_not_ok ON _urls (state, reason) WHERE reason <> 'ok';
        CREATE INDEX _pages_not_200 ON _pages (status) WHERE status <> 200;
        CREATE INDEX _pages_item_errors ON _pages (item_error) WHERE item_error IS NOT NULL;
        """,
    ),
    Step("embeds"),  # 3: depths of what is asked and not crawled, which the views tell without what is added to them
    # 4: fragments; what leaves the scope without one has a depth of its own
    Step(
        "fragments",
        """
        CREATE TABLE _fragments (
            host_id INTEGER NOT NULL, seq INTEGER NOT NULL, anchors TEXT, links TEXT NOT NULL, UNIQUE (host_id, seq)
        );
        UPDATE _urls SET depth = depth + 1000000 WHERE depth >= 2000000;
        UPDATE _seen SET depth = depth + 1000000 WHERE depth >= 2000000;
        UPDATE _candidates SET depth = depth + 1000000 WHERE depth >= 2000000;
        """,
    ),
    # 5: where a page's body was saved, and whether a conversion of its links has begun
    Step(
        "files",
        """
        ALTER TABLE _pages ADD COLUMN file TEXT;
        ALTER TABLE _pages ADD COLUMN converted INTEGER NOT NULL DEFAULT 0;
        CREATE INDEX _pages_saved ON _pages (size) WHERE file IS NOT NULL;
        """,
    ),
    # 6: what a visit is for stands in a column, where it was a number added to the depth
    Step(
        "purposes",
        """
        ALTER TABLE _urls ADD COLUMN purpose INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE _seen ADD COLUMN purpose INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE _candidates ADD COLUMN purpose INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE _parked ADD COLUMN purpose INTEGER NOT NULL DEFAULT 0;
        UPDATE _urls SET purpose = depth / 1000000, depth = depth % 1000000 WHERE depth >= 1000000;
        UPDATE _seen SET purpose = depth / 1000000, depth = depth % 1000000 WHERE depth >= 1000000;
        UPDATE _candidates SET purpose = depth / 1000000, depth = depth % 1000000 WHERE depth >= 1000000;
        ALTER TABLE _parked RENAME TO _conditional;
        DROP INDEX _parked_by_host;
        CREATE INDEX _conditional_by_host ON _conditional (host);
        """,
    ),
    # 7: pages are appended, and a URL names its latest; positions that readers have saved are their rowids, and stay
    Step(
        "pages",
        """
        ALTER TABLE _urls ADD COLUMN visits INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE _urls ADD COLUMN page INTEGER;
        UPDATE _urls SET page = p.rowid FROM _pages p WHERE p.host_id = _urls.host_id AND p.seq = _urls.seq;
        UPDATE _urls SET visits = max(attempts, page IS NOT NULL) WHERE attempts > 0 OR page IS NOT NULL;
        ALTER TABLE _pages RENAME TO _old_pages;
        DROP INDEX _pages_not_200;
        DROP INDEX _pages_item_errors;
        DROP INDEX _pages_saved;
        CREATE TABLE _pages (
            id INTEGER PRIMARY KEY, purpose INTEGER NOT NULL, host_id INTEGER NOT NULL, seq INTEGER NOT NULL,
            status INTEGER NOT NULL, fetch_time_ms INTEGER NOT NULL, elapsed_ms INTEGER NOT NULL, content_type TEXT,
            charset TEXT, size INTEGER, wire_size INTEGER, digest TEXT, ip TEXT, http_version TEXT, title TEXT,
            meta_description TEXT, h1 TEXT, canonical TEXT, lang TEXT, meta_robots TEXT, redirect_url TEXT, etag TEXT,
            last_modified TEXT, links TEXT, links_found INTEGER NOT NULL, links_bad INTEGER NOT NULL,
            nofollow INTEGER NOT NULL, item_error TEXT, file TEXT, converted INTEGER NOT NULL DEFAULT 0
        );
        """,
        copies="_old_pages",
        # A URL that is queued as a page, and has one, was asked for less.
        rows=f"""
        INSERT INTO _pages (id, purpose, host_id, seq, {_OLD_PAGE})
        SELECT o.rowid, iif(u.state = 'queued' AND u.purpose = 0, 1, u.purpose), o.host_id, o.seq, {_OLD_PAGE}
        FROM _old_pages o JOIN _urls u ON u.host_id = o.host_id AND u.seq = o.seq WHERE o.rowid > ? AND o.rowid <= ?
        """,  # noqa: S608  (our own names)
        then="""
        CREATE INDEX _pages_not_200 ON _pages (status, host_id, seq) WHERE status <> 200;
        CREATE INDEX _pages_item_errors ON _pages (item_error, host_id, seq) WHERE item_error IS NOT NULL;
        CREATE INDEX _pages_saved ON _pages (size) WHERE file IS NOT NULL;
        """,
        needs_space=True,
    ),
    # 8 and 9: what belongs to a page is kept by the page's id
    Step(
        "items",
        """
        ALTER TABLE _items RENAME TO _old_items;
        CREATE TABLE _items (
            page INTEGER NOT NULL, number INTEGER NOT NULL, item TEXT NOT NULL, PRIMARY KEY (page, number)
        );
        """,
        copies="_old_items",
        rows="""
        INSERT INTO _items (rowid, page, number, item)
        SELECT o.rowid, u.page, o.number, o.item
        FROM _old_items o JOIN _urls u ON u.host_id = o.host_id AND u.seq = o.seq
        WHERE o.rowid > ? AND o.rowid <= ? AND u.page IS NOT NULL
        """,
        needs_space=True,
    ),
    Step(
        "fragments",
        """
        ALTER TABLE _fragments RENAME TO _old_fragments;
        CREATE TABLE _fragments (page INTEGER PRIMARY KEY, anchors TEXT, links TEXT NOT NULL);
        """,
        copies="_old_fragments",
        rows="""
        INSERT INTO _fragments
        SELECT u.page, o.anchors, o.links
        FROM _old_fragments o JOIN _urls u ON u.host_id = o.host_id AND u.seq = o.seq
        WHERE o.rowid > ? AND o.rowid <= ? AND u.page IS NOT NULL
        """,
        needs_space=True,
    ),
    # 10: each try that was not a success at once
    Step(
        "attempts",
        """
        CREATE TABLE _attempts (
            id INTEGER PRIMARY KEY, host_id INTEGER NOT NULL, seq INTEGER NOT NULL, visit INTEGER NOT NULL,
            time_ms INTEGER NOT NULL, reason TEXT NOT NULL, status INTEGER, elapsed_ms INTEGER NOT NULL
        );
        CREATE INDEX _attempts_by_url ON _attempts (host_id, seq);
        """,
    ),
    # 11: what admission refuses is known when it is met again
    Step(
        "admission",
        """
        CREATE TABLE _refused (fingerprint INTEGER PRIMARY KEY, host_id INTEGER NOT NULL, reason TEXT NOT NULL);
        """,
    ),
)
VERSION: Final = len(STEPS) + 1


def migrate(connection: sqlite3.Connection, views: str, progress: Progress) -> int:
    """Bring a ledger up to this version, in one transaction; return the version that it had.

    Args:
        connection: without a transaction of its own.
        views: the script that makes all views.
        progress: is told, now and then, how far it is.

    Raises:
        StorageError: there is too little room on the disk.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version >= VERSION:
        return version
    steps = STEPS[version - 1 :]
    if any(step.needs_space for step in steps):
        _check_space(connection)
    try:
        connection.execute("BEGIN IMMEDIATE")
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'").fetchall():
            connection.execute(f"DROP VIEW {name}")
        for step in steps:
            _run(connection, step.script)
            if step.copies:
                _copy(connection, step, progress)
            _run(connection, step.then)
        progress("it is written into the file")
        _run(connection, views)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return version


def _copy(connection: sqlite3.Connection, step: Step, progress: Progress) -> None:
    """Copy a table some thousand rows at a time, and say how far it is."""
    last = int(connection.execute(f"SELECT coalesce(max(rowid), 0) FROM {step.copies}").fetchone()[0])  # noqa: S608
    for after in range(0, last, AT_A_TIME):
        connection.execute(step.rows, (after, after + AT_A_TIME))
        if last > AT_A_TIME:
            progress(f"{step.feature}: {min(after + AT_A_TIME, last):,} of {last:,}")
    connection.execute(f"DROP TABLE {step.copies}")


def _check_space(connection: sqlite3.Connection) -> None:
    """Refuse to begin what a full disk would end.

    Raises:
        StorageError: says how much room is wanted.
    """
    pages, page_size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
    needed, free = int(pages * page_size * SPACE), shutil.disk_usage(path.parent).free
    if free < needed:
        raise StorageError(
            f"the ledger {path} is of an older version: to bring it up to date takes up to {readable_bytes(needed)} of "
            f"room on its disk, and there are {readable_bytes(free)}; make room, the same command then continues"
        )


def _run(connection: sqlite3.Connection, script: str) -> None:
    """Run a script inside the transaction. (`executescript` would commit it first.)"""
    for statement in _statements(script):
        connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
