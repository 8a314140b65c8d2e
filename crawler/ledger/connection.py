"""A connection to a ledger: how it waits, how it closes, and what an error of SQLite's means to a user.

SQLite itself would copy the WAL back (checkpoint) after a commit and when the last connection closes, and keeps silent
if that fails: the next time it calls fsync again, which after a failure may succeed without having written anything. So
it is done here, where errors are heard (`Connection.checkpoint`), and who heard one leaves without another try
(`Connection.close`). Must not know what is in a ledger. Runs in the coordinator and in consumers.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from crawler.errors import StorageError

BUSY_SECONDS = 45.0  # how long a write waits for another program's lock
CHECKPOINT_BYTES = 4 << 20  # of WAL, after which it is copied back

_CONTINUES = "the same command then continues"
#: SQLite's primary code of an error → what to do about it
ADVICE: Final = {
    sqlite3.SQLITE_FULL: f"make room on the disk; {_CONTINUES}",
    sqlite3.SQLITE_IOERR: f"see to the disk that it is on (full? over its quota? broken?); {_CONTINUES}",
    sqlite3.SQLITE_BUSY: f"another program keeps it locked: end that; {_CONTINUES}",
    sqlite3.SQLITE_READONLY: f"see to the permissions of the file and its folder; {_CONTINUES}",
    sqlite3.SQLITE_CANTOPEN: f"see to the permissions of the file and its folder; {_CONTINUES}",
    sqlite3.SQLITE_CORRUPT: "it is damaged: put a copy of it in its place, save what is left with sqlite3's .recover, "
    "or start over with --fresh",
}
_OTHERWISE: Final = f"it is as it was at its last commit: see to the cause; {_CONTINUES}"


class Connection(sqlite3.Connection):
    """A connection to a ledger that says when its WAL cannot be copied back, and then does not try again."""

    path: Path
    has_failed = False

    def checkpoint_if_due(self) -> None:
        """Copy back a WAL that has grown large.

        Raises:
            OSError: it is gone: what is written from now on would be lost.
            sqlite3.Error: as `checkpoint`.
        """
        if os.stat(f"{self.path}-wal").st_size >= CHECKPOINT_BYTES:  # noqa: PTH116  (after each commit: be quick)
            self.checkpoint()

    def checkpoint(self) -> None:
        """Copy what is committed from the WAL into the file, as far as readers let it.

        Raises:
            sqlite3.Error: a write or an fsync failed; what is committed is still in the WAL.
        """
        try:
            self.execute("PRAGMA wal_checkpoint").fetchone()
        except sqlite3.Error as error:
            if primary_code(error) not in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL):
                return  # a file that may not be written, or a cursor in the middle of it: nothing was tried
            self.has_failed = True
            raise

    def close(self) -> None:
        """Close; the last one out leaves a ledger without a -wal file beside it, unless writing had failed.

        Raises:
            sqlite3.Error: as `checkpoint`.
        """
        try:
            if not self.has_failed:
                self.checkpoint()
        finally:
            if self.has_failed:
                self._leave_the_wal()
            else:
                self.leave()

    def leave(self) -> None:
        """Close, and leave the WAL to others: this is not the last one out."""
        super().close()

    def _leave_the_wal(self) -> None:
        """Close without a checkpoint: the last one out is a connection that may not write."""
        try:
            witness = connect_to_ask(self.path)
            witness.execute("PRAGMA user_version").fetchone()
        except sqlite3.Error:
            self.leave()
            return
        self.leave()
        witness.close()


def connect_to_write(path: Path) -> Connection:
    """Open an existing file; transactions are begun and committed by hand."""
    connection = sqlite3.connect(uri(path), uri=True, isolation_level=None, timeout=BUSY_SECONDS, factory=Connection)
    connection.path = path
    return connection


def connect_to_ask(path: Path) -> sqlite3.Connection:
    """Open a ledger with mode=ro, for questions of its user's own. Leaves a -wal file behind if it is the last one."""
    return sqlite3.connect(uri(path, "ro"), uri=True, isolation_level=None, timeout=BUSY_SECONDS)


def uri(path: Path, mode: str = "rw") -> str:
    """Name a ledger for SQLite, which with either mode makes no new one."""
    return f"file:{quote(str(path.absolute()))}?mode={mode}"


def as_storage_error(path: Path, error: sqlite3.Error | OSError) -> StorageError:
    """Say what SQLite, or the system, said, of which file, and what to do."""
    return StorageError(f"the ledger {path}: {error}; {ADVICE.get(primary_code(error), _OTHERWISE)}")


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite raises in a block into a StorageError that names the ledger."""
    try:
        yield
    except sqlite3.Error as error:
        raise as_storage_error(path, error) from error


def primary_code(error: Exception) -> int:
    """Return SQLite's code of an error, the extended ones reduced to it; 0 of any other error."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
