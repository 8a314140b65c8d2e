"""The examples of the documentation, read from its Markdown and run as a reader would.

A page is a session: its examples run from top to bottom in one folder, so that a query finds the ledger of the crawl
above it. What a reader has and a test has not gets a stand-in: the site `https://example.org/` and the folder
`./public` are the bookshop of `examples/`, and `sqlite3` is Python's. A block with a title (title="shop.py" behind its
language) is the file of that name. Comments in front of a block say what else it may be:

    <!-- output -->             it is what the block above prints; "..." stands for any lines, or for the rest of one
    <!-- exit: 2 -->            it ends with this exit code
    <!-- not run: REASON -->    it is shown only; REASONS has the few good reasons

Every other block of shell or Python is run and must succeed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SITE: Final = "https://example.org/"
PROGRAMS: Final = ("sh", "python")  # the languages of blocks that are run
REASONS: Final = ("installs", "another program", "runs until it is stopped", "asks the network", "takes a minute")
TIMEOUT_SECONDS: Final = 60.0

_BLOCK = re.compile(r"((?:^<!--[^\n]+-->\n)*)^```(\w*)(?: title=\"([\w.]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!-- ([\w ]+?)(?:: (.+))? -->")
_SHIM = """#!{python}
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
for row in connection.execute(sys.argv[2]):
    print("|".join("" if cell is None else str(cell) for cell in row))
connection.close()
"""


class Block(NamedTuple):
    """A fenced block of a page."""

    line: int
    language: str
    title: str  # the name of the file that it is, or ""
    text: str
    marks: dict[str, str]


def read_blocks(page: Path) -> list[Block]:
    """Return a page's blocks, in order.

    Raises:
        AssertionError: there is a fence that belongs to none.
    """
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        marks = {name: value or "" for name, value in _COMMENT.findall(match[1])}
        found.append(Block(text.count("\n", 0, match.start(2)) + 1, match[2], match[3] or "", match[4], marks))
    assert len(re.findall("^ *```", text, re.MULTILINE)) == 2 * len(found), f"{page.name} has an odd fence"
    return found


class Session:
    """A reader at work in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        programs = folder / ".programs"
        programs.mkdir()
        for name in ("python", "python3"):
            _write_program(programs / name, f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        _write_program(programs / "poolcrawl", f'#!/bin/sh\nexec "{sys.executable}" -m crawler "$@"\n')
        _write_program(programs / "sqlite3", _SHIM.format(python=sys.executable))
        (folder / "examples").symlink_to(ROOT / "examples")
        (folder / "public").symlink_to(ROOT / "examples" / "bookshop")
        (folder / "seeds.txt").write_text("./public  # where the one of the repository has sites on the web\n")
        self._environment = {
            **{name: value for name, value in os.environ.items() if name in ("LANG", "TMPDIR", "HOME")},
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{folder}",
            "COLUMNS": "100",
            "POOLCRAWL_PROCESSES": "0",  # an example is about words and what they print; it starts three times as fast
        }

    def write(self, name: str, text: str) -> None:
        """Save a file."""
        (self._folder / name).write_text(_with_stand_ins(text), encoding="utf-8")

    def run(self, block: Block, code: int) -> str:
        """Run a block and return what it printed on standard output.

        Raises:
            AssertionError: it ended with another exit code.
        """
        words = ["bash", "-euo", "pipefail", "-c", _with_stand_ins(block.text)]
        if block.language == "python":
            self.write("example.py", block.text)
            words = [sys.executable, "example.py"]
        done = subprocess.run(
            words, cwd=self._folder, env=self._environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, f"line {block.line}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return re.sub(r"http://127\.0\.0\.1:\d+/", SITE, done.stdout)


def _with_stand_ins(text: str) -> str:
    text = text.replace(SITE, "./public/")
    asked = set(re.findall(r"https?://([\w.-]+)", text))
    assert all(host.endswith((".test", "example.com")) for host in asked), f"an example would ask {asked}"
    return text


def _write_program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def matches(printed: str, shown: str) -> bool:
    """Return whether a program printed what a page shows: "..." stands for any lines, or for the rest of a line.

    How wide a table's columns are is left open: a stand-in's URLs are longer.
    """
    pattern = ""
    for line in _narrow(shown).splitlines():
        whole, dots, _ = line.rstrip().partition("...")
        pattern += r"(?:.*\n)*" if dots and not whole else re.escape(whole) + (r".*\n" if dots else r" *\n")
    return re.fullmatch(pattern, _narrow(printed)) is not None


def _narrow(text: str) -> str:
    return re.sub(" {2,}", "  ", re.sub("-{3,}", "---", text))
