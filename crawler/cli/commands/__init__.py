"""The commands beside the crawl itself: what each is called, what it does, and the module that does it.

A command's module has `make_parser(name)` and `run(arguments)`, which returns the exit code. It is imported when its
command is given and not before: the start of a crawl waits for none of them. Runs in the coordinator.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple


class Command(NamedTuple):
    """A command, as the first word of a command line."""

    module: str
    help: str


COMMANDS: Final = {
    "init": Command("crawler.cli.commands.init", "start a project: config, seeds, parse hook and its test"),
    "config": Command("crawler.cli.commands.config", "show each option's value and where it comes from"),
    "status": Command("crawler.cli.commands.status", "show where a crawl stands, running or not"),
    "tail": Command("crawler.cli.commands.tail", "print pages or items as JSON lines, as they are stored"),
    "pages": Command("crawler.cli.commands.lookup", "look up pages: what came back"),
    "urls": Command("crawler.cli.commands.lookup", "look up URLs: every one that was seen, with its state and reason"),
    "links": Command("crawler.cli.commands.lookup", "look up links: broken ones, and where they stand"),
    "items": Command("crawler.cli.commands.lookup", "look up items: what a parse hook extracted"),
    "hosts": Command("crawler.cli.commands.lookup", "look up hosts: requests, failures, robots.txt"),
    "sql": Command("crawler.cli.commands.sql", "ask the ledger in SQL, reading only"),
    "bench": Command("crawler.cli.commands.bench", "measure how fast the crawler is on this machine"),
    "completion": Command("crawler.cli.commands.completion", "print completion for bash, zsh or fish"),
    "help": Command("crawler.cli.commands.help", "show the help of a command"),
}


def run(name: str, words: Sequence[str]) -> int:
    """Run a command with its words and return the exit code.

    Raises:
        CrawlerError: it cannot be done; the text says why.
    """
    module = load(name)
    code: int = module.run(module.make_parser(name).read(words))
    return code


def load(name: str) -> Any:
    """Import a command's module."""
    return import_module(COMMANDS[name].module)


def listing() -> str:
    """Return the commands with a line each, for --help."""
    width = max(map(len, COMMANDS))
    return "\n".join(f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items())
