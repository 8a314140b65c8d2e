"""What a command prints for people with rich: the console for it, and where a crawl stands as a table.

Knows nothing of a ledger but what `report` reads of it. Runs in the process that prints. Text from the network passes
`printable` before it reaches a console.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from crawler.api.report import status
from crawler.text import readable_bytes, readable_duration


def print_status(ledger: Path, console: Any = None, facts: dict[str, Any] | None = None) -> dict[str, Any]:
    """Print where a crawl stands as a table, and return its `status`.

    Args:
        console: None means standard output.
        facts: its `status`, if that is known.
    """
    from rich.table import Table

    console = console or make_console()
    facts = facts or status(ledger)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    table.add_column(justify="right")
    for what, key in (("URLs", "urls"), ("reasons", "reasons"), ("pages by status", "statuses")):
        for index, (which, count) in enumerate(facts[key].items()):
            table.add_row("" if index else what, which, f"{count:,}")
    if facts["items"] or facts["item_errors"]:
        table.add_row("items", "stored", f"{facts['items']:,}")
        table.add_row("", "parse hook errors", f"{facts['item_errors']:,}")
    table.add_row("hosts", "", f"{facts['hosts']:,}")
    table.add_row("requests", readable_bytes(facts["bytes"]), f"{facts['requests']:,}")
    console.print(table)
    console.print(f"ledger: {ledger}, {_ending(facts)}", markup=False)
    return facts


def _ending(facts: dict[str, Any]) -> str:
    """Return how the last run ended, and how long it took, in words."""
    state, reason = facts["state"], facts["finish_reason"]
    try:
        seconds = (datetime.fromisoformat(facts["ended"]) - datetime.fromisoformat(facts["started"])).total_seconds()
    except (TypeError, ValueError):  # it has not ended, or the ledger has a time that is none
        return str(state)
    why = "" if reason == state else f"{reason}, "
    return f"{state} after {readable_duration(max(seconds, 0.0))} ({why}{facts['ended'].partition('.')[0]}Z)"


def make_console(file: Any = None) -> Any:
    """Make a console that prints as wide as it must, and lets a broken pipe be the caller's business.

    Args:
        file: takes what is meant for a terminal; None means standard output, whatever that is.
    """
    from rich.console import Console

    class PlainConsole(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the program, with exit code 1

    return PlainConsole(file=file, force_terminal=file is not None or None, highlight=False, soft_wrap=True)
