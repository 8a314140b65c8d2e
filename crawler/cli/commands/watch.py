"""`python -m crawler status --watch`: where a crawl stands, again and again, until it ends. Leaves the crawl alone.

On a terminal the table stays in its place, and the last one stays there in the end; else there is a line for each look.
Must not know the processes that crawl: it reads the ledger. Runs in the process that prints.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from crawler import clock
from crawler.api.report import status
from crawler.cli.console import make_console, print_status
from crawler.cli.panel import terminal
from crawler.text import readable_bytes

LOOK_SECONDS = 0.5
SHARE = 20.0  # looking takes a twentieth of the time, at most


def watch(ledger: Path, *, as_json: bool) -> int:
    """Look until the crawl has ended; return the exit code."""
    show = _show_json if as_json else _show_table if terminal.is_fit(sys.stdout) else _show_line
    pages, looked = None, 0.0
    facts: dict[str, Any] = {}
    try:
        while True:
            began = clock.monotonic()
            facts = status(ledger)
            rate = (facts["pages"] - pages) / (began - looked) if pages is not None else 0.0
            pages, looked = facts["pages"], began
            if facts["state"] != "running":
                break
            show(ledger, facts, rate)
            clock.sleep(max(LOOK_SECONDS, SHARE * (clock.monotonic() - began)))
    except KeyboardInterrupt:
        return 130
    finally:
        if show is _show_table:
            _leave_table(ledger, facts)
    if show is not _show_table:
        show(ledger, facts, 0.0)
    return 0


def _show_json(ledger: Path, facts: dict[str, Any], rate: float) -> None:
    print(json.dumps(facts), flush=True)


def _show_line(ledger: Path, facts: dict[str, Any], rate: float) -> None:
    urls = facts["urls"]
    print(
        f"{facts['pages']:,} pages ({rate:.1f}/s), {urls['queued']:,} queued, {urls['failed']:,} failed, "
        f"{urls['skipped']:,} skipped, {readable_bytes(facts['bytes'])}, {facts['state']}",
        flush=True,
    )


def _show_table(ledger: Path, facts: dict[str, Any], rate: float) -> None:
    _, rows = terminal.size(sys.stdout.fileno())
    console = make_console(io.StringIO())
    console.print(f"{rate:,.1f} pages/s now; Ctrl-C ends this, not the crawl")
    print_status(ledger, console, facts)
    lines = console.file.getvalue().splitlines()
    _put(terminal.frame(lines[: max(rows - 1, 1)]))


def _leave_table(ledger: Path, facts: dict[str, Any]) -> None:
    _put("\r" + terminal.CLEAR_BELOW)
    if facts:
        print_status(ledger, None, facts)


def _put(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), text.encode(sys.stdout.encoding, "backslashreplace"))
