"""`python -m crawler status`: where a crawl stands, running or not. What there is to say, `api.report` knows.

Must not know the processes that crawl: it reads the ledger. Runs in the process that prints.
"""

from __future__ import annotations

import argparse
import json

from crawler.api import report
from crawler.cli import console
from crawler.cli.arguments import Parser, add_ledger, find_ledger


def make_parser(name: str) -> Parser:
    """Make the parser of the command."""
    parser = Parser(name, description="Show where a crawl stands, running or not.")
    add_ledger(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, with keys that stay")
    parser.add_argument("--watch", action="store_true", help="again and again, until the crawl ends")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print the state of a crawl."""
    ledger = find_ledger(arguments.ledger)
    if arguments.watch:
        from crawler.cli.commands.watch import watch

        return watch(ledger, as_json=arguments.json)
    if arguments.json:
        print(json.dumps(report.status(ledger), indent=2))
    else:
        console.print_status(ledger)
    return 0
