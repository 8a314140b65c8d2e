"""Views, which are the ledger's interface: put into it when a run begins, lent to who reads an older one.

Users open the file with sqlite3, pandas or Datasette, and find them there; whoever only reads a ledger of an older
program makes those that are missing, or other, for its own connection. Each feature has its own (`features`); must not
know what they ask. Runs in the coordinator and in whichever process reads.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from crawler.ledger.features.registry import VIEWS

#: tables that are as public as the views
TABLES: Final = ("runs", "seeds")
_FIRST: Final = ("urls", "pages", "items", "hosts")
#: what users may ask, those that they ask most first
PUBLIC: Final = (*_FIRST, *TABLES, *(name for name in VIEWS if name not in _FIRST))


def script() -> str:
    """Return the statements that make all views."""
    return "".join(f"{_statement(name)};\n" for name in VIEWS)


def install(connection: sqlite3.Connection) -> None:
    """Put the views into a ledger as this version has them; the caller's transaction commits it."""
    for name in _missing(connection):
        connection.execute(f"DROP VIEW IF EXISTS {name}")
        connection.execute(_statement(name))


def lend(connection: sqlite3.Connection) -> None:
    """Make the views that a ledger lacks for this connection alone; nothing is written to the ledger."""
    for name in _missing(connection):
        connection.execute(_statement(name).replace("CREATE VIEW", "CREATE TEMP VIEW", 1))


def _missing(connection: sqlite3.Connection) -> list[str]:
    """Name the views that a ledger has not, or has otherwise."""
    there = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'view'"))
    return [name for name in VIEWS if there.get(name) != _statement(name)]


def _statement(name: str) -> str:
    return f"CREATE VIEW {name} AS{VIEWS[name]}"
