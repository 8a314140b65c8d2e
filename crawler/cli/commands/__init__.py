"""The commands by name: in which module of this folder each is, and what it does in a line.

Names only: who runs them is `main`. A command that is given as the first word is run; any other word is a seed.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Command(NamedTuple):
    """A command, as the first word of a command line."""

    module: str
    help: str


#: what runs where the first word is no command
CRAWL: Final = Command("crawl", "crawl from the seeds")
COMMANDS: Final = {
    "init": Command("init", "start a project: config, seeds, parse hook and its test"),
    "config": Command("config", "show each option's value and where it comes from"),
    "status": Command("status", "show where a crawl stands, running or not"),
    "tail": Command("tail", "print pages or items as JSON lines, as they are stored"),
    "pages": Command("lookup", "look up pages: what came back"),
    "urls": Command("lookup", "look up URLs: every one that was seen, with its state and reason"),
    "links": Command("lookup", "look up links: broken ones, and where they stand"),
    "items": Command("lookup", "look up items: what a parse hook extracted"),
    "hosts": Command("lookup", "look up hosts: requests, failures, robots.txt"),
    "sql": Command("sql", "ask the ledger in SQL, reading only"),
    "bench": Command("bench", "measure how fast the crawler is on this machine"),
    "completion": Command("completion", "print completion for bash, zsh or fish"),
    "help": Command("help", "show the help of a command"),
}


def listing() -> str:
    """Return the commands with a line each, for --help."""
    width = max(map(len, COMMANDS))
    return "\n".join(f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items())
