"""The ledger's tables and views, and opening the file they live in.

The views `urls`, `pages`, `items`, `hosts`, the table `runs` and the table `seeds` are an interface: users open the
file with sqlite3, pandas or Datasette. Tables whose name starts with an underscore are not. sqlite3 is imported in
this package only; nothing here knows what a URL or a worker is. Runs in the coordinator and in consumers.

The file is a rollback-free WAL database with `synchronous=NORMAL` (what is committed survives the death of every
process) or, with durability = "power", `FULL` (and the loss of power).
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from crawler.errors import StorageError, UsageError
from crawler.ledger import migrations, views
from crawler.ledger.connection import (
    ADVICE,
    Connection,
    as_storage_error,
    connect_to_write,
    primary_code,
    storage_errors,
)

APPLICATION_ID = 0x706C636C  # "plcl", in the file's header: how a file says that it is a ledger

_TABLES = """
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
    committed INTEGER NOT NULL DEFAULT 0,  -- number of the last batch
    candidates INTEGER NOT NULL DEFAULT 0, -- rows of _candidates now
    merges INTEGER NOT NULL DEFAULT 0,     -- of all runs so far
    urls INTEGER NOT NULL DEFAULT 0,       -- what this run added: URLs, ...
    ended_urls INTEGER NOT NULL DEFAULT 0,
    pages INTEGER NOT NULL DEFAULT 0,
    items INTEGER NOT NULL DEFAULT 0,
    item_errors INTEGER NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE _hosts (
    id INTEGER PRIMARY KEY,
    host TEXT NOT NULL UNIQUE,
    named INTEGER NOT NULL DEFAULT 0,      -- a seed names it: its addresses may be private
    local INTEGER NOT NULL DEFAULT 0,      -- a folder that we serve ourselves: no delay
    widened INTEGER NOT NULL DEFAULT 0,    -- in scope because a seed redirected to it
    next_seq INTEGER NOT NULL DEFAULT 0,
    merge INTEGER NOT NULL DEFAULT 0,      -- the last merge that gave it URLs
    asked INTEGER NOT NULL DEFAULT 0,
    asked_at REAL NOT NULL DEFAULT 0,      -- Unix time of the end of the last exchange
    failures INTEGER NOT NULL DEFAULT 0,   -- in a row
    retry_at REAL NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    elapsed_ms INTEGER NOT NULL DEFAULT 0, -- of all requests together
    robots_verdict TEXT NOT NULL DEFAULT '',
    robots_tries INTEGER NOT NULL DEFAULT 0,
    robots_status INTEGER NOT NULL DEFAULT 0,
    robots_reason TEXT NOT NULL DEFAULT '',
    robots_body TEXT NOT NULL DEFAULT '',
    crawl_delay REAL,
    robots_host TEXT NOT NULL DEFAULT '',  -- where a redirect says the robots.txt is
    robots_target TEXT NOT NULL DEFAULT '',
    robots_redirects INTEGER NOT NULL DEFAULT 0,
    robots_fetched_at REAL NOT NULL DEFAULT 0
);
CREATE INDEX _hosts_by_merge ON _hosts (merge);
CREATE INDEX _hosts_widened ON _hosts (host) WHERE widened;

-- Clustered by host, so that reading what is ready and updating states touch neighbouring rows.
CREATE TABLE _urls (
    host_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    target TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    reason TEXT,
    error TEXT,
    hop TEXT NOT NULL,
    depth INTEGER NOT NULL,
    redirects INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    via_host_id INTEGER,
    via_seq INTEGER,
    PRIMARY KEY (host_id, seq)
) WITHOUT ROWID;
CREATE INDEX _urls_ready ON _urls (host_id, attempts, seq) WHERE state = 'queued';
-- What is worth counting and listing at a crawl's end; the many that are simply ok are not in it.
CREATE INDEX _urls_not_ok ON _urls (state, reason) WHERE reason <> 'ok';

-- The sieve: the answer to "seen before?", asked for thousands of links at once, in the order of the fingerprints.
CREATE TABLE _seen (
    fingerprint INTEGER PRIMARY KEY,
    host_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    redirects INTEGER NOT NULL
);
CREATE TABLE _candidates (
    id INTEGER PRIMARY KEY,
    fingerprint INTEGER NOT NULL,
    host TEXT NOT NULL,
    target TEXT NOT NULL,
    hop TEXT NOT NULL,
    depth INTEGER NOT NULL,
    redirects INTEGER NOT NULL,
    via_host_id INTEGER,
    via_seq INTEGER
);
-- Links that are in scope only if a seed's redirect widens the scope to their host.
CREATE TABLE _parked (
    fingerprint INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    target TEXT NOT NULL,
    hop TEXT NOT NULL,
    depth INTEGER NOT NULL,
    redirects INTEGER NOT NULL,
    via_host_id INTEGER,
    via_seq INTEGER
);
CREATE INDEX _parked_by_host ON _parked (host);

-- Appended to and never deleted from: the rowids are the order of commits, which `feed` follows.
CREATE TABLE _pages (
    host_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    status INTEGER NOT NULL,
    fetch_time_ms INTEGER NOT NULL,
    elapsed_ms INTEGER NOT NULL,
    content_type TEXT,
    charset TEXT,
    size INTEGER,
    wire_size INTEGER,
    digest TEXT,
    ip TEXT,
    http_version TEXT,
    redirect_url TEXT,
    etag TEXT,
    last_modified TEXT,
    title TEXT,
    meta_description TEXT,
    h1 TEXT,
    canonical TEXT,
    lang TEXT,
    meta_robots TEXT,
    links TEXT,
    links_found INTEGER NOT NULL,
    links_bad INTEGER NOT NULL,
    nofollow INTEGER NOT NULL,
    item_error TEXT,
    file TEXT,
    converted INTEGER NOT NULL DEFAULT 0, -- a conversion of the links in its file has begun
    UNIQUE (host_id, seq)
);
CREATE INDEX _pages_not_200 ON _pages (status) WHERE status <> 200;
CREATE INDEX _pages_item_errors ON _pages (item_error) WHERE item_error IS NOT NULL;
CREATE INDEX _pages_saved ON _pages (size) WHERE file IS NOT NULL;
-- With check_fragments, what each page of status 2xx and each redirect says of them. Who has no row here was read
-- without: nothing is known of it.
CREATE TABLE _fragments (
    host_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    anchors TEXT,                          -- JSON array; null: not known
    links TEXT NOT NULL,                   -- JSON array of [url, fragment, text, decoded], of those with a fragment
    UNIQUE (host_id, seq)
);
CREATE TABLE _items (
    host_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    number INTEGER NOT NULL,
    item TEXT NOT NULL,
    PRIMARY KEY (host_id, seq, number)
);
"""

_VIEWS = """
CREATE VIEW urls AS
SELECT h.host || u.target AS url, h.host, u.state, u.reason, u.error, u.depth % 1000000 AS depth,
       vh.host || v.target AS via, u.hop, u.attempts, u.redirects
FROM _urls u JOIN _hosts h ON h.id = u.host_id
LEFT JOIN _urls v ON v.host_id = u.via_host_id AND v.seq = u.via_seq
LEFT JOIN _hosts vh ON vh.id = u.via_host_id;

CREATE VIEW pages AS
SELECT h.host || u.target AS url, p.status,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.fetch_time_ms / 1000.0, 'unixepoch') AS fetch_time, p.elapsed_ms,
       p.content_type, p.charset, p.size, p.wire_size, p.digest, p.ip, p.http_version, p.title, p.meta_description,
       p.h1, p.canonical, p.lang, p.meta_robots, p.redirect_url, p.etag, p.last_modified,
       u.depth % 1000000 AS depth,
       vh.host || v.target AS via, u.hop, p.links, p.links_found, p.links_bad, p.nofollow, p.item_error, p.file
FROM _pages p JOIN _urls u ON u.host_id = p.host_id AND u.seq = p.seq JOIN _hosts h ON h.id = p.host_id
LEFT JOIN _urls v ON v.host_id = u.via_host_id AND v.seq = u.via_seq
LEFT JOIN _hosts vh ON vh.id = u.via_host_id;

CREATE VIEW items AS
SELECT h.host || u.target AS url, i.number, i.item
FROM _items i JOIN _urls u ON u.host_id = i.host_id AND u.seq = i.seq JOIN _hosts h ON h.id = i.host_id;

CREATE VIEW hosts AS
SELECT host, named, local, widened, next_seq AS urls, asked AS requests, bytes, elapsed_ms,
       failures AS failures_in_a_row,
       strftime('%Y-%m-%dT%H:%M:%fZ', nullif(asked_at, 0), 'unixepoch') AS asked_at,
       robots_verdict, robots_status, robots_reason, robots_tries, robots_body, crawl_delay,
       strftime('%Y-%m-%dT%H:%M:%fZ', nullif(robots_fetched_at, 0), 'unixepoch') AS robots_fetched_at
FROM _hosts;
"""


def connect(path: Path, durability: str = "process") -> Connection:
    """Open an existing ledger for reading and writing; transactions are begun and committed by hand.

    Raises:
        StorageError, UsageError: as `check`.
    """
    check(path)
    connection = connect_to_write(path)
    _write_ahead(connection)
    connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -32768")  # KiB; a merge walks the sieve in order, more buys little
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # see `Connection`
    connection.execute("PRAGMA journal_size_limit = 0")  # so that its size says how much there is to copy back
    return connection


def connect_read_only(path: Path) -> Connection:
    """Open a ledger, of a running crawl or not, for reading only.

    Opened for writing as far as the file system is concerned: a connection that may only read cannot tidy up the
    `-wal` file when it is the last one out, and a ledger is to be copied as one file.
    """
    check(path)
    connection = connect_to_write(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def create(path: Path) -> None:
    """Make a new, empty ledger where there is no file. The caller holds the ledger's lock.

    It is made under another name and moved into place whole, so that a kill leaves a ledger or none.
    """
    if path.exists():
        return
    begun = path.with_name(path.name + "-new")
    try:
        for end in ("-journal", "-wal", "-shm", ""):
            begun.with_name(begun.name + end).unlink(missing_ok=True)
        connection = sqlite3.connect(begun, isolation_level=None)
        try:
            connection.executescript(
                f"BEGIN; {_TABLES} {_VIEWS} {views.script()}"
                f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {migrations.VERSION}; COMMIT;"
            )
            _write_ahead(connection)  # noted in the file, for good
        finally:
            connection.close()
        begun.rename(path)
    except (OSError, sqlite3.Error) as error:
        is_no_folder = primary_code(error) in (0, sqlite3.SQLITE_CANTOPEN)
        advice = "is its folder there and writable?" if is_no_folder else ADVICE.get(primary_code(error), "")
        raise StorageError(f"cannot create the ledger {path}: {error}; {advice}") from error


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to WAL. (SQLite keeps silent if it cannot.)"""
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise sqlite3.OperationalError(f"it cannot be written ahead of (WAL), its journal mode stays {mode}")


def migrate(path: Path) -> int:
    """Bring a ledger of an older version up to this one; return the version that it had. The caller holds its lock.

    Raises:
        StorageError, UsageError: as `check`.
    """
    check(path, may_be_old=True)
    with storage_errors(path):
        connection = connect_to_write(path)
        try:
            return migrations.migrate(connection, f"{_VIEWS} {views.script()}")
        finally:
            connection.close()


def check(path: Path, *, may_be_old: bool = False) -> None:
    """Refuse what is not a ledger that this version can use, without touching it.

    Args:
        may_be_old: an older version's ledger will do.

    Raises:
        UsageError: no file, another kind of file, or another version's ledger.
        StorageError: the file cannot be read, or SQLite reports damage.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: expected the file of a ledger, such as {path / 'crawl.db'}")
    if not path.is_file():
        raise UsageError(f"there is no ledger {path}: name the file that a crawl left, or crawl first")
    if not os.access(path, os.R_OK):
        raise StorageError(f"the ledger {path} cannot be read: no permission")
    try:
        connection = connect_to_write(path)
        try:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if primary_code(error) == sqlite3.SQLITE_NOTADB:
            raise UsageError(f"{path} is not a ledger: it is no SQLite file; name another with --ledger") from error
        raise as_storage_error(path, error) from error
    if application != APPLICATION_ID:
        raise UsageError(f"{path} is not a ledger: it is some other SQLite file; name another with --ledger")
    if version > migrations.VERSION:
        raise UsageError(
            f"the ledger {path} has schema version {version}, this program knows {migrations.VERSION}: "
            "use the newer poolcrawl that wrote it"
        )
    if version < migrations.VERSION and not may_be_old:
        raise UsageError(
            f"the ledger {path} has schema version {version}, this program {migrations.VERSION}: "
            "the command that made it, run once more, brings it up to date"
        )


def read_key(connection: sqlite3.Connection) -> bytes:
    """Return the key of this ledger's fingerprints, secret from the web."""
    return bytes(connection.execute("SELECT value FROM _meta WHERE key = 'fingerprint_key'").fetchone()[0])


def remove(path: Path) -> None:
    """Delete a ledger and what SQLite keeps beside it; refuses to delete anything else. The caller holds its lock."""
    if path.exists():
        check(path, may_be_old=True)
        for name in (path.name + "-wal", path.name + "-shm", path.name):
            path.with_name(name).unlink(missing_ok=True)
