"""`python -m crawler sql [LEDGER] "select ..."`: ask a ledger in SQL. Reading only, whatever is asked.

Must not know a table or a column: `ledger.views` lists those to be asked. Runs in the process that prints.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from crawler.cli.arguments import Parser, find_ledger, ledger_file
from crawler.cli.commands.lookup import add_output_options, write
from crawler.errors import UsageError
from crawler.ledger import lookup, views


def make_parser(name: str) -> Parser:
    """Make the parser of the command."""
    parser = Parser(
        name,
        usage="%(prog)s [options] [LEDGER] SQL",
        description="Ask a ledger, of a running crawl or not, in SQL; - reads the question from standard input.\n"
        "Nothing but reading is possible.\n"
        f"Views and tables: {', '.join(views.PUBLIC)}.",
    )
    parser.add_argument("words", nargs="+", metavar="SQL", help="one SELECT, or -")
    add_output_options(parser)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Ask and print."""
    *named, question = arguments.words
    if len(named) > 1:
        raise UsageError(f"{len(arguments.words)} words: expected a ledger and one question, which stands in quotes")
    if not named and Path(question).is_file():
        raise UsageError(f"{question} is a file: expected a question in SQL after it")
    try:
        path = find_ledger(ledger_file(named[0]) if named else None)
    except argparse.ArgumentTypeError as error:
        raise UsageError(str(error)) from error
    with lookup.opened(path) as ledger:
        write(ledger, sys.stdin.read() if question == "-" else question, (), arguments)
    return 0
