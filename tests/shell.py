"""A folder to type command lines in: most are run in this process, and a few as the program that they start.

`run` is for what is said and left behind, `program` and `start` for what only a process has: signals, standard
streams of its own, an exit. In this process nothing is left over: not a handler of log lines or signals, no module of
the folder, no entry of `sys.path`.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from crawler.cli.main import main

ROOT = Path(__file__).parent.parent
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ran(NamedTuple):
    """How a command line ended."""

    returncode: int
    stdout: str
    stderr: str


class Shell:
    """A folder to type command lines in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.encoding = "utf-8"  # of what is printed in this process
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.environment.pop("PYTHONUNBUFFERED", None)  # what is still in a buffer at the end is tested, too

    def run(self, *words: str, stdin: str = "") -> Ran:
        """Run a command line in this process; without others, unless it says so."""
        streams = [_stream("utf-8", stdin), _stream(self.encoding), _stream(self.encoding, errors="backslashreplace")]
        with pytest.MonkeyPatch.context() as patch, as_before(self.folder):
            patch.chdir(self.folder)
            patch.setenv("POOLCRAWL_PROCESSES", "0")
            patch.setattr(sys, "argv", ["__main__.py"])
            for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
                patch.setattr(sys, name, stream)
            try:
                code = main(words)
            except SystemExit as ended:  # --help, --version
                code = int(ended.code or 0)
        return Ran(code, *map(_written, streams[1:]))

    def crawl(self, *words: str, stdin: str = "") -> Ran:
        """Crawl at once, in this process."""
        return self.run(*words, "--delay", "0", "-p", "0", stdin=stdin)

    def words(self, *words: str) -> list[str]:
        """Return what starts the program with these words."""
        return [sys.executable, "-m", "crawler", *words]

    def program(self, *words: str, stdin: str = "") -> Ran:
        """Run the program with these words."""
        ran = subprocess.run(
            self.words(*words), cwd=self.folder, env=self.environment, input=stdin, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the program with these words, as the leader of a group."""
        return subprocess.Popen(
            self.words(*words), cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip

    def typed(self, words: str, stdin: int | None = None) -> Ran:
        """Run a line of sh in which `crawler` is the program."""
        line = words.replace("crawler", " ".join(self.words()))
        ran = subprocess.run(  # noqa: S602  (what a shell does to the program is tested)
            line, shell=True, cwd=self.folder, env=self.environment, stdin=stdin, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def ask(self, question: str, *values: object, ledger: str = "crawl.db") -> list[tuple[object, ...]]:
        """Ask a ledger in SQL, or change it."""
        with contextlib.closing(sqlite3.connect(self.folder / ledger)) as connection, connection:
            return connection.execute(question, values).fetchall()

    def urls(self) -> dict[str, str]:
        """Return the state of each URL in the ledger."""
        return {str(url): str(state) for url, state in self.ask("SELECT url, state FROM urls")}


@contextlib.contextmanager
def as_before(folder: Path) -> Iterator[None]:
    """Leave this process as it was before a block that ran command lines in a folder."""
    logger = logging.getLogger("crawler")
    logged = logger.handlers[:], logger.level, logger.propagate
    importlib.invalidate_caches()  # the folder may have got modules since
    path, handled = sys.path[:], [signal.getsignal(number) for number in SIGNALS]
    try:
        yield
    finally:
        for handler in logger.handlers:
            if handler not in logged[0]:
                handler.close()
        logger.handlers[:], logger.level, logger.propagate = logged
        sys.path[:] = path
        for name, module in list(sys.modules.items()):
            if Path(getattr(module, "__file__", None) or "/").is_relative_to(folder):
                del sys.modules[name]
        assert [signal.getsignal(number) for number in SIGNALS] == handled


def _stream(encoding: str, text: str = "", errors: str = "strict") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(text.encode()), encoding, errors)


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()
