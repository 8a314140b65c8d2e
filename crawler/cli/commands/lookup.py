"""`python -m crawler pages|urls|links|items|hosts`: look things up in a ledger, of a running crawl or not.

Each is a view of the ledger with the flags that people expect; `--where` is SQL for everything else. The words become
one SELECT, whose answer is written as it comes. Reads only. Must not know the ledger's own tables, only its views. Runs
in the process that prints.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from io import TextIOWrapper
from itertools import islice
from typing import Final, NamedTuple

from crawler.cli import export
from crawler.cli.arguments import OneOf, Parser, add_ledger, find_ledger
from crawler.cli.pager import paged
from crawler.errors import UsageError
from crawler.ledger import lookup
from crawler.model import DONE, FAILED, QUEUED, REASONS, SKIPPED

_ITEM_KEY: Final = "item."
_STATES: Final = (QUEUED, DONE, FAILED, SKIPPED)


class Condition(NamedTuple):
    """SQL for a WHERE, and the values of its question marks."""

    sql: str
    values: tuple[object, ...] = ()


class Flag(NamedTuple):
    """An option of a look-up, which adds a condition, or looks another view up in the place of the command's own."""

    name: str
    help: str
    metavar: str = ""  # "": it takes no value
    type: Callable[[str], object] = str
    sql: str = ""  # a condition on the value, unless its type makes one
    view: str = ""


class View(NamedTuple):
    """What a command looks up."""

    description: str
    shown: tuple[str, ...]  # columns of a table; JSONL and CSV have all
    flags: tuple[Flag, ...]


def _read_status(text: str) -> Condition:
    """Read "404", "4xx", "400-499", or several of these with commas between."""
    parts: list[str] = []
    values: list[int] = []
    for word in text.split(","):
        found = re.fullmatch(r"(?:(\d)xx|(\d{3})(?:-(\d{3}))?)", word.strip(), re.IGNORECASE)
        if found is None:
            raise argparse.ArgumentTypeError(f"expected such as 404, 4xx or 400-499, not {word.strip()!r}")
        hundred, low, high = found.groups()
        parts.append("status BETWEEN ? AND ?")
        values += [int(hundred) * 100, int(hundred) * 100 + 99] if hundred else [int(low), int(high or low)]
    return Condition(f"({' OR '.join(parts)})", tuple(values))


_URL = Flag("--url", "only URLs that match, such as '*/books/*'", "GLOB", sql="url GLOB ?")

VIEWS: Final = {
    "pages": View(
        "Look up pages: every answer that was received whole.",
        ("status", "url", "size", "title"),
        (
            Flag("--status", "only these: 404, 4xx, 400-499, or several with commas between", "CODES", _read_status),
            _URL,
            Flag("--errors", "only those on which the parse hook failed", sql="item_error IS NOT NULL"),
            Flag("--redirects", "those that redirect, with where the chain ends", view="redirects"),
            Flag("--duplicates", "those whose bodies are the same as another's", view="duplicates"),
            Flag("--orphans", "those that no other page links to", view="orphans"),
        ),
    ),
    "urls": View(
        "Look up URLs: every one that entered the crawl, with its state and the reason for it.",
        ("state", "reason", "url", "depth", "via"),
        (
            Flag("--state", f"only those that are {', '.join(_STATES)}", "STATE", OneOf(*_STATES), "state = ?"),
            Flag("--reason", "only those that ended for this reason", "REASON", OneOf(*REASONS), "reason = ?"),
            _URL,
        ),
    ),
    "links": View(
        "Look up links: all that stand on the pages, followed or not.",
        ("source", "url", "text"),
        (
            Flag("--broken", "those that lead to no page, or to an error", view="broken_links"),
            Flag("--broken-fragments", "those whose #fragment is not in the page", view="broken_fragments"),
            Flag("--from", "only links on pages whose URL matches", "GLOB", sql="source GLOB ?"),
            Flag("--to", "only links to URLs that match", "GLOB", sql="url GLOB ?"),
        ),
    ),
    "items": View(
        "Look up items: what a parse hook extracted. A column item.KEY is what an item has under that key.",
        ("url", "number", "item"),
        (_URL,),
    ),
    "hosts": View(
        "Look up hosts: what was asked of each, and what its robots.txt said.",
        ("host", "urls", "requests", "bytes", "failures_in_a_row", "robots_verdict", "crawl_delay"),
        (Flag("--failing", "only those whose last requests failed", sql="failures_in_a_row > 0"),),
    ),
}
_CHECKED_FRAGMENTS: Final = "SELECT 1 FROM runs WHERE config ->> 'check_fragments' LIMIT 1"
#: columns of a table where a flag looks up another view
_SHOWN: Final = {
    "broken_links": ("status", "reason", "url", "source", "text"),
    "broken_fragments": ("url", "fragment", "source", "text"),
    "redirects": ("status", "url", "hops", "end_url", "end_status"),
    "duplicates": ("copies", "url", "size", "title", "canonical"),
    "orphans": ("status", "url", "hop", "title"),
}


def make_parser(name: str) -> Parser:
    """Make the parser of one of these commands."""
    view = VIEWS[name]
    parser = Parser(name, description=view.description)
    parser.set_defaults(command=name)
    add_ledger(parser)
    for flag in view.flags:
        takes = {"metavar": flag.metavar, "type": flag.type} if flag.metavar else {"action": "store_true"}
        parser.add_argument(flag.name, dest=flag.name, help=flag.help, **takes)
    parser.add_argument("--where", metavar="SQL", help='a condition on the columns, such as "depth > 2"')
    parser.add_argument("--columns", metavar="A,B,...", help="which columns, in this order; '*' for all")
    parser.add_argument("--order", metavar="SQL", help='the order of rows, such as "size desc"')
    add_output_options(parser)
    return parser


def add_output_options(parser: Parser) -> None:
    """Add what the look-ups and `sql` have in common."""
    parser.add_argument("--limit", type=_read_limit, metavar="N", help="at most so many rows")
    formats = OneOf(*export.WRITERS)
    parser.add_argument("--format", type=formats, default="table", metavar="table|jsonl|csv", help="(default: table)")
    parser.add_argument("--timeout", type=float, default=0.0, metavar="SECONDS", help="give up after so long")
    parser.add_argument("--no-pager", action="store_true", help="print straight to the terminal")


def _read_limit(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, not {text!r}")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Look up and print."""
    given = {flag: value for flag in VIEWS[arguments.command].flags if (value := vars(arguments)[flag.name])}
    others = [flag for flag in given if flag.view]
    if len(others) > 1:
        raise UsageError(f"{others[0].name} and {others[1].name} are two questions: ask one at a time")
    view = others[0].view if others else arguments.command
    conditions = [_condition(flag, value) for flag, value in given.items() if not flag.view]
    if arguments.where is not None:
        conditions.append(Condition(f"({arguments.where}\n)"))  # on a line of its own: it may end in a comment
    with lookup.opened(find_ledger(arguments.ledger)) as ledger:
        if view == "broken_fragments" and not list(ledger.ask(_CHECKED_FRAGMENTS).rows):
            raise UsageError("no fragment was checked for this ledger: crawl with --check-fragments --fresh")
        columns = _columns(arguments, view, ledger.columns(view))
        question = f"SELECT {', '.join(columns)} FROM {view}"  # noqa: S608  (our own names)
        if conditions:
            question += f" WHERE {' AND '.join(condition.sql for condition in conditions)}"
        if arguments.order is not None:
            question += f" ORDER BY {arguments.order}"
        values = [value for condition in conditions for value in condition.values]
        try:
            write(ledger, question, values, arguments)
        except UsageError as error:
            typed = [f"--{word} {text!r}" for word in ("where", "order") if (text := vars(arguments)[word]) is not None]
            raise UsageError(": ".join([*typed, str(error)])) from error
    return 0


def _condition(flag: Flag, value: object) -> Condition:
    if isinstance(value, Condition):
        return value
    return Condition(flag.sql, (value,) if flag.metavar else ())


def write(ledger: lookup.Ledger, question: str, values: Sequence[object], arguments: argparse.Namespace) -> None:
    """Ask, and write the answer as the options want it."""
    answer = ledger.ask(question, values, arguments.timeout)
    rows = answer.rows if arguments.limit is None else islice(answer.rows, arguments.limit)
    if isinstance(sys.stdout, TextIOWrapper):  # programs are promised UTF-8, people what their terminal can show
        sys.stdout.reconfigure(encoding=None if arguments.format == "table" else "utf-8", errors="backslashreplace")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    with closing(answer.rows), paged(not arguments.no_pager) as out:
        count = export.WRITERS[arguments.format](answer.columns, rows, out, width)
        if not count and arguments.format == "table":
            print("nothing found", file=sys.stderr)


def _columns(arguments: argparse.Namespace, view: str, known: Sequence[str]) -> list[str]:
    """Return the columns to read, as SQL."""
    if arguments.columns is None:
        shown = _SHOWN.get(view, VIEWS[arguments.command].shown)
        return list(shown if arguments.format == "table" else known)
    columns: list[str] = []
    for name in (word.strip() for word in arguments.columns.split(",")):
        if name == "*":
            columns += known
        elif name in known:
            columns.append(name)
        elif "item" in known and name.startswith(_ITEM_KEY):
            columns.append(_item_key(name))
        else:
            raise UsageError(f"--columns: {lookup.unknown(view, 'column', name, known)}")
    return columns


def _item_key(name: str) -> str:
    """Return SQL for what items have under a key."""
    key = name.removeprefix(_ITEM_KEY)
    if '"' in key:
        raise UsageError(f"--columns: {name!r}: a key with a quote in it cannot be looked up here; use sql")
    path, alias = f'$."{key}"'.replace("'", "''"), key.replace('"', '""')
    return f"json_extract(item, '{path}') AS \"{alias}\""
