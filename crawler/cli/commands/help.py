"""`python -m crawler help [COMMAND]`: what --help says, for those who type it this way.

Must not know the other commands: it is given what makes their parsers. Runs in the process that prints.
"""

from __future__ import annotations

import argparse

from crawler.cli.arguments import OneOf, Parser
from crawler.cli.commands import COMMANDS


def make_parser(name: str) -> Parser:
    """Make the parser of the command."""
    parser = Parser(name, description="Show the help of a command, or of a crawl and all commands.")
    parser.add_argument("command", nargs="?", metavar="COMMAND", type=OneOf(*COMMANDS))
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print the help."""
    arguments.parser_of(arguments.command or "").print_help()
    return 0
