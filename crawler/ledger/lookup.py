"""Questions to a ledger, of a running crawl or not, in SQL from its user: reading only, and as they come.

What may not be trusted is bounded by SQLite itself: the file is opened with mode=ro, `query_only` is on, and an
authorizer lets nothing pass but reading (no ATTACH, no PRAGMA that sets something, no extension). A question ends
with its time-out, or with Ctrl-C. Rows are handed on one by one: memory does not grow with them. Errors name what was
wrong in the question and what there is. Must not know how rows are shown. Runs in the process that asks.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from crawler import clock
from crawler.errors import CrawlerError, UsageError
from crawler.ledger import schema, views
from crawler.ledger.connection import connect_to_ask, storage_errors
from crawler.text import did_you_mean

_STEPS: Final = 20_000  # of SQLite's machine between two looks at the clock: about a millisecond
_READING: Final = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
_DESCRIBING: Final = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "database_list"}


class Rows(NamedTuple):
    """What a ledger says: the columns' names, and the rows as they are read."""

    columns: tuple[str, ...]
    rows: Generator[tuple[Any, ...], None, None]


class TimedOut(CrawlerError):
    """A question took longer than it might."""


@contextmanager
def opened(ledger: Path) -> Iterator[Ledger]:
    """Hold a ledger open for questions.

    Raises:
        UsageError, StorageError: it is no ledger, or cannot be read.
    """
    with ExitStack() as stack:
        stack.enter_context(storage_errors(ledger))
        # A connection with mode=ro leaves -wal and -shm behind when it is the last one out; this one, which has read
        # something, too, tidies them up.
        tidy = stack.enter_context(closing(schema.connect_read_only(ledger)))
        tidy.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        connection = stack.enter_context(closing(connect_to_ask(ledger)))
        views.lend(connection)
        for table in ("json_each", "json_tree", *(f"pragma_{name}" for name in _DESCRIBING)):
            # SQLite declares these tables at their first use, which looks like writing to the authorizer.
            connection.execute(f"SELECT 1 FROM {table} LIMIT 0")  # noqa: S608  (our own names)
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(_authorize)
        yield stack.enter_context(closing(Ledger(connection)))


class Ledger:
    """A ledger that can be asked."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._cursors: list[sqlite3.Cursor] = []

    def close(self) -> None:
        """End all questions: since Python 3.13 a connection stays open while a traceback, say, holds a cursor."""
        for cursor in self._cursors:
            cursor.close()

    def columns(self, view: str) -> tuple[str, ...]:
        """Name the columns of a view."""
        return tuple(name for _, name, *_ in self._connection.execute(f"PRAGMA table_info({view})"))

    def ask(self, question: str, values: Sequence[object] = (), seconds: float = 0) -> Rows:
        """Ask in SQL.

        Args:
            question: one SELECT (or VALUES, or EXPLAIN).
            values: for its question marks.
            seconds: for the question and all its rows; 0 means without end.

        Raises:
            UsageError: the question cannot be asked; says what is wrong with it. Also while the rows are read.
            TimedOut, KeyboardInterrupt: it was ended.
        """
        deadline = clock.monotonic() + seconds if seconds else float("inf")
        # Python handles a signal when it runs Python: here. A KeyboardInterrupt ends the question, but SQLite swallows
        # it, and says no more than that it was interrupted.
        self._connection.set_progress_handler(lambda: clock.monotonic() > deadline, _STEPS)
        with self._explained(question, deadline, seconds):
            cursor = self._connection.execute(question, tuple(values))
            self._cursors.append(cursor)
            if cursor.description is None:
                raise UsageError("there is nothing to ask: expected a SELECT")
            return Rows(tuple(name for name, *_ in cursor.description), self._read(cursor, deadline, seconds))

    def _read(self, cursor: sqlite3.Cursor, deadline: float, seconds: float) -> Generator[tuple[Any, ...], None, None]:
        with self._explained("", deadline, seconds):
            yield from cursor

    @contextmanager
    def _explained(self, question: str, deadline: float, seconds: float) -> Iterator[None]:
        """Turn what SQLite raises into what a user can act on; what is the disk's fault is left as it is."""
        try:
            yield
        except (sqlite3.Warning, sqlite3.ProgrammingError) as error:  # two statements, a NUL, too few values
            raise UsageError(f"{_lower(str(error))} expected one SELECT") from error
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code == sqlite3.SQLITE_INTERRUPT:
                if clock.monotonic() > deadline:
                    raise TimedOut(f"the question was not answered within {seconds:g} s, as --timeout has it") from None
                raise KeyboardInterrupt from None
            if code in (sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY):
                raise UsageError("a ledger can only be read here: expected one SELECT") from error
            if code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH):
                raise UsageError(self._explain(str(error), question)) from error
            raise

    def _explain(self, message: str, question: str) -> str:
        """Say what was wrong in a question, and what was perhaps meant."""
        if missing := re.fullmatch(r"no such (column|table): (?:\w+\.)?(.*)", message):
            kind, name = missing.groups()
            if kind == "table":
                return unknown("the ledger", "view", name, views.PUBLIC)
            asked = [view for view in views.PUBLIC if re.search(rf"\b{view}\b", question)]
            known = dict.fromkeys(column for view in asked for column in self.columns(view))
            return unknown(" and ".join(asked) or "the ledger", "column", name, tuple(known))
        return message


def unknown(owner: str, kind: str, name: str, known: Sequence[str]) -> str:
    """Say that there is no such column or view, which is close to it, and which there are."""
    return f"{owner} has no {kind} {name!r}{did_you_mean(name, known) or ';'} there are {', '.join(known)}"


def _lower(text: str) -> str:
    return f"{text[0].lower()}{text[1:]}".rstrip(".") + ":"


def _authorize(action: int, first: str | None, second: str | None, database: str | None, inside: str | None) -> int:
    """Let reading pass."""
    if action in _READING:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and second != "load_extension":
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first in _DESCRIBING:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY
