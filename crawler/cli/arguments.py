"""Reading command lines: argparse, whose complaints become one sentence that names the word and what was meant.

Shared by the command line of a crawl and by the commands beside it. Knows no option of theirs. Runs in the coordinator.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from crawler.cli.layers import read_config
from crawler.errors import UsageError
from crawler.text import VERY_ALIKE, close_match, did_you_mean

DEFAULT_LEDGER: Final = "crawl.db"
_KINDS: Final = {"int": "a whole number", "float": "a number"}


def program() -> str:
    """Return what the user typed to start the program, for texts that say what to type next."""
    return "poolcrawl" if Path(sys.argv[0]).name == "poolcrawl" else "python -m crawler"


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises UsageError with one sentence, and finds the option that was meant."""

    def __init__(self, command: str = "", **options: Any) -> None:
        super().__init__(
            f"{program()} {command}".rstrip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **options,
        )

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Read words, options and others in any order.

        Raises:
            UsageError: names the word that cannot be used.
            SystemExit: --help or --version was asked for.
        """
        found, unknown = self.parse_known_intermixed_args(list(words))
        for word in unknown:
            if word.startswith("-") and word != "-":
                name = word.partition("=")[0]
                close = close_match(name, self._option_string_actions, VERY_ALIKE)
                self._refuse(f"there is no option {name}", f"did you mean {close}?" if close else "")
        if unknown:
            self._refuse(f"{unknown[0]!r} is one word too many")
        return found

    def error(self, message: str) -> NoReturn:
        """Raise what argparse has to say, in our words."""
        text = message.removeprefix("argument ")
        if wrong := re.fullmatch(r"(.*): invalid (int|float) value: (.*)", text):
            text = f"{wrong[1]}: expected {_KINDS[wrong[2]]}, not {wrong[3]}"
        if missing := re.fullmatch(r"the following arguments are required: (.*)", text):
            name = missing[1].split(", ")[0]
            help_of = {str(action.metavar): action.help for action in self._actions if not action.option_strings}
            self._refuse(f"expected {name}: {help_of.get(name)}", f"{self.prog} --help shows what there is")
        self._refuse(text)

    def _refuse(self, text: str, hint: str = "") -> NoReturn:
        if not hint and "expected" not in text:
            hint = f"{self.prog} --help shows what there is"
        raise UsageError("; ".join(filter(None, (text, hint))))


class OneOf:
    """The type of an argument that is one of some words; unlike argparse's `choices` it names the close one."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def __call__(self, text: str) -> str:
        """Return the word if it is one of them."""
        if text in self.choices:
            return text
        meant = did_you_mean(text, self.choices, VERY_ALIKE)
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(self.choices)}, not {text!r}{meant}")


def ledger_file(text: str) -> Path:
    """Read a ledger's name from the command line; a URL is told from a file."""
    if "://" in text:
        raise argparse.ArgumentTypeError(f"{text} is a URL; expected the file of a ledger, such as {DEFAULT_LEDGER}")
    return Path(text)


def add_ledger(parser: Parser) -> None:
    """Add the argument LEDGER; `find_ledger` reads it."""
    parser.add_argument(
        "ledger", nargs="?", type=ledger_file, metavar="LEDGER",
        help=f"the file that a crawl left, or is writing (default: the config's, else {DEFAULT_LEDGER})",
    )  # fmt: skip


def find_ledger(named: Path | None) -> Path:
    """Return the ledger that was named, or else the one that a crawl started here would have.

    Raises:
        UsageError: the config cannot be used.
    """
    return named or Path(read_config(None, [], {}, os.environ).ledger or DEFAULT_LEDGER)
