"""Opening the file that a ledger is, making a new one, and bringing an old one up to date.

What is in it is said by the features (`features.registry`). sqlite3 is imported in this package only; nothing here
knows what a URL or a worker is. Runs in the coordinator, in consumers, and in whichever process reads.

The file is a rollback-free WAL database with `synchronous=NORMAL` (what is committed survives the death of every
process) or, with durability = "power", `FULL` (and the loss of power).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
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
from crawler.ledger.features.registry import TABLES

APPLICATION_ID = 0x706C636C  # "plcl", in the file's header: how a file says that it is a ledger


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


def connect_read_only(path: Path, *, may_be_old: bool = False) -> Connection:
    """Open a ledger, of a running crawl or not, for reading only.

    Opened for writing as far as the file system is concerned: a connection that may only read cannot tidy up the
    `-wal` file when it is the last one out, and a ledger is to be copied as one file.
    """
    check(path, may_be_old=may_be_old)
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
                f"BEGIN; {TABLES} {views.script()}"
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


def migrate(path: Path, progress: Callable[[str], None] = lambda text: None) -> int:
    """Bring a ledger of an older version up to this one; return the version that it had. The caller holds its lock.

    Args:
        progress: is told, now and then, how far it is.

    Raises:
        StorageError, UsageError: as `check`.
    """
    check(path, may_be_old=True)
    with storage_errors(path):
        connection = connect_to_write(path)
        try:
            return migrations.migrate(connection, views.script(), progress)
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


def is_current(path: Path) -> bool:
    """Return whether there is a ledger of this version; False: not yet, for it has to be made, or migrated.

    Raises:
        UsageError, StorageError: it is no ledger, or cannot be read.
    """
    if not path.is_file():
        return False
    with storage_errors(path):
        connection = connect_read_only(path, may_be_old=True)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            return bool(version == migrations.VERSION)
        finally:
            connection.close()


def read_key(connection: sqlite3.Connection) -> bytes:
    """Return the key of this ledger's fingerprints, secret from the web."""
    return bytes(connection.execute("SELECT value FROM _meta WHERE key = 'fingerprint_key'").fetchone()[0])


def remove(path: Path) -> None:
    """Delete a ledger and what SQLite keeps beside it; refuses to delete anything else. The caller holds its lock."""
    if path.exists():
        check(path, may_be_old=True)
        for name in (path.name + "-wal", path.name + "-shm", path.name):
            path.with_name(name).unlink(missing_ok=True)
