"""`python -m crawler tail LEDGER`: pages or items as JSON lines, as they are committed, until the crawl ends.

Reads the ledger as `stream` does, from another process; may be stopped, and the crawl does not care. Each line has the
number of its row: `--since` goes on after it, so that a program at the other end of the pipe misses none.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from crawler import clock
from crawler.cli.arguments import Parser, add_ledger, find_ledger
from crawler.ledger.feed import Feed, Which
from crawler.processes import lock

POLL_SECONDS = 0.1
SHOWN = 10


def make_parser(name: str) -> Parser:
    """Make the parser of the command."""
    parser = Parser(name, description="Print pages or items as JSON lines, as they are stored, until the crawl ends.")
    add_ledger(parser)
    parser.add_argument("--items", action="store_true", help="items, one a line, in the place of pages")
    parser.add_argument(
        "--all", action="store_true", help="each visit, also of embeds and of links that leave the scope"
    )
    parser.add_argument(
        "-n", "--lines", type=_lines, default=SHOWN, metavar="N",
        help="begin with the last N that are there, or with all of them: -n all (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--since", type=_number, metavar="ROW", help="begin after the line with this row")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print the last lines and then all that come; return the exit code."""
    ledger = find_ledger(arguments.ledger)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # as JSON is, whatever the locale
    which = Which.ALL if arguments.all else Which.CRAWLED
    try:
        with contextlib.closing(Feed(ledger, arguments.since or 0, which)) as feed:
            if arguments.since is None and arguments.lines is not None:
                (feed.skip_to_last_items if arguments.items else feed.skip_to_last_pages)(arguments.lines)
            for rows in _follow(feed, ledger, items=arguments.items):
                sys.stdout.writelines(_as_line(row) for row in rows)
                sys.stdout.flush()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return 0


def _lines(text: str) -> int | None:
    return None if text == "all" else _number(text)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, not {text!r}")
    return int(text)


def _follow(feed: Feed, ledger: Path, *, items: bool) -> Iterator[list[dict[str, Any]]]:
    """Yield rows as they come; end when no crawl runs and all was read, or when nobody reads what we print."""
    while True:
        is_running = bool(lock.holder(ledger))  # looked at first: what is committed by then is found below
        found = _items(feed) if items else _pages(feed)
        if found:
            yield found
        elif not is_running or _reader_is_gone():
            return
        else:
            clock.sleep(POLL_SECONDS)


def _pages(feed: Feed) -> list[dict[str, Any]]:
    return [{"row": found.row, **found.record._asdict()} for found in feed.pages()]


def _items(feed: Feed) -> list[dict[str, Any]]:
    return [{"row": found.row, "url": found.url, "item": json.loads(found.item)} for found in feed.items()]


def _as_line(row: dict[str, Any]) -> str:
    """Return a line of JSON in which nothing can move a cursor: JSON itself leaves C1 and bidi controls as they are."""
    text = msgspec.json.encode(row).decode()
    if not text.isprintable():
        text = "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)
    return text + "\n"


def _reader_is_gone() -> bool:
    """Return whether standard output is a pipe that nobody reads any more: `| head -1` waits for no second line."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return False
    return any(event & select.POLLERR for _, event in poll.poll(0))
