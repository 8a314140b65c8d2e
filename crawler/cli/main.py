"""The program: a command, or a crawl where the first word is none; errors become one sentence and an exit code.

Each command is a module of `commands`, named in the table there, with `make_parser(name)` and `run(arguments)`, which
returns the exit code. It is imported when it is given and not before: the start of a crawl waits for none of them. What
a command has to know of the others (`help`, `completion`) it finds in its arguments: `parser_of`. Must not
know what a command does. Runs in the coordinator.

Exit codes: 0 finished, or a budget was reached · 1 unexpected error · 2 usage, config or seeds unusable · 4 no seed
gave a page · 5 storage · 128 + n stopped by signal n (130 Ctrl-C, 143 SIGTERM), resumable with the same command.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from crawler.cli import streams
from crawler.cli.arguments import Parser
from crawler.cli.commands import COMMANDS, CRAWL
from crawler.errors import CrawlerError, UsageError
from crawler.text import printable


def main(words: Sequence[str] | None = None) -> int:
    """Run the program with these words (the process's own by default) and return its exit code."""
    words = list(sys.argv[1:] if words is None else words)
    streams.open_standard_streams()
    try:
        return _run_beside(words[0], words[1:]) if words and words[0] in COMMANDS else run("", words)
    except CrawlerError as error:
        streams.say(printable(str(error)))
        return error.exit_code
    except KeyboardInterrupt:  # when there was nothing to stop gently: before the crawl, or after it
        streams.say("interrupted")
        return 128 + signal.SIGINT
    finally:
        with streams.output():
            sys.stdout.flush()


def run(name: str, words: Sequence[str]) -> int:
    """Run a command ("": the crawl) with its words and return the exit code.

    Raises:
        CrawlerError: it cannot be done; the text says why.
    """
    module = module_of(name)
    parser = module.make_parser(name)
    parser.set_defaults(parser_of=parser_of)
    code: int = module.run(parser.read(words))
    return code


def module_of(name: str) -> Any:
    """Import and return the module of a command; "" is the crawl."""
    command = COMMANDS[name] if name else CRAWL
    return import_module(f"crawler.cli.commands.{command.module}")


def parser_of(name: str) -> Parser:
    """Make the parser of a command; "" is the crawl."""
    parser: Parser = module_of(name).make_parser(name)
    return parser


def _run_beside(name: str, words: Sequence[str]) -> int:
    """Run a command other than the crawl: it prints, and is over."""
    try:
        with streams.output():
            return run(name, words)
    except UsageError as error:
        if Path(name).exists():
            raise UsageError(f"{error} ({name} is a command; to crawl from ./{name}, say ./{name})") from error
        raise
    return 0  # whoever reads the output has read enough
