"""`python -m crawler help [COMMAND]`: the same as --help, for those who type it this way."""

from __future__ import annotations

import argparse

from crawler.cli import commands
from crawler.cli import main as cli
from crawler.cli.arguments import OneOf, Parser


def make_parser(name: str) -> Parser:
    """Make the parser of the command."""
    parser = Parser(name, description="Show the help of a command, or of a crawl and all commands.")
    parser.add_argument("command", nargs="?", metavar="COMMAND", type=OneOf(*commands.COMMANDS))
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Print the help."""
    name = arguments.command
    (commands.load(name).make_parser(name) if name else cli.make_parser()).print_help()
    return 0
