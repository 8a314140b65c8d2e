"""A terminal for tests: a program runs in a pseudo-terminal, and what it prints is put on a screen of rows and columns.

Knows the few control sequences that our programs send, and refuses others.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_SEQUENCE = re.compile(r"\x1b\[(\?)?([0-9;]*)([A-Za-z])")


class Screen:
    """What is on a terminal's screen, with all that scrolled off its top."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.lines: list[str] = [""]
        self.row = self.column = 0
        self.top = 0  # the first row that is still on the screen
        self.is_cursor_shown = self.wraps = True

    def feed(self, text: str) -> None:
        """Take what a program prints."""
        position = 0
        while position < len(text):
            char = text[position]
            if char == "\x1b":
                match = _SEQUENCE.match(text, position)
                assert match, repr(text[position : position + 20])
                self._control(*match.groups())
                position = match.end()
                continue
            position += 1
            if char == "\r":
                self.column = 0
            elif char == "\n":
                self._down()
            else:
                assert char.isprintable(), repr(char)
                self._write(char)

    def text(self) -> list[str]:
        """Return all lines, also those that scrolled off, without empty ones at the end."""
        lines = [line.rstrip() for line in self.lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def _write(self, char: str) -> None:
        if self.column >= self.columns:
            if not self.wraps:
                self.column = self.columns - 1
            else:
                self.column = 0
                self._down()
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + char + line[self.column + 1 :]
        self.column += 1

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")
        self.top = max(self.top, self.row - self.rows + 1)

    def _control(self, private: str | None, number: str, letter: str) -> None:
        if private:
            assert letter in "hl"
            if number == "25":
                self.is_cursor_shown = letter == "h"
            else:
                assert number == "7"
                self.wraps = letter == "h"
        elif letter == "A":
            self.row = max(self.row - int(number or 1), self.top)
        elif letter in "JK":
            assert number in ("", "0")
            self.lines[self.row] = self.lines[self.row][: self.column]
            if letter == "J":
                del self.lines[self.row + 1 :]
        else:
            assert letter == "m"


class Terminal:
    """A program that runs on a terminal of its own; a context manager."""

    def __init__(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str], size: tuple[int, int] = (80, 24)
    ) -> None:
        self.screen = Screen(*size)
        self.raw = ""
        self._master, slave = pty.openpty()
        self.resize(*size)
        self.process = subprocess.Popen(
            words, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=_take_terminal,  # only so is it the foreground job
        )  # fmt: skip
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        os.close(self._master)

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size. (The screen here does not reflow what is on it.)"""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.columns, self.screen.rows = columns, rows

    def press_ctrl_c(self) -> None:
        """Type it: the terminal makes a signal of it, for the whole foreground job."""
        os.write(self._master, b"\x03")

    def wait_for(self, condition: Callable[[Screen], object], seconds: float = 30.0) -> None:
        """Read until the screen is so."""
        deadline = time.monotonic() + seconds
        while not condition(self.screen):
            assert time.monotonic() < deadline, "\n".join(self.screen.text())
            assert self._read(0.05), "the program has ended:\n" + "\n".join(self.screen.text())

    def wait(self, seconds: float = 30.0) -> int:
        """Read until the program has ended; return its exit code."""
        deadline = time.monotonic() + seconds
        while self._read(0.05):
            assert time.monotonic() < deadline, "\n".join(self.screen.text())
        return self.process.wait(max(deadline - time.monotonic(), 1.0))

    def _read(self, seconds: float) -> bool:
        """Read what is there; tell whether the program may print more."""
        if not select.select([self._master], [], [], seconds)[0]:
            return self.process.poll() is None
        data = b""
        with contextlib.suppress(OSError):  # Linux says EIO when the last program has closed it
            data = os.read(self._master, 65_536)
        text = data.decode()
        self.raw += text
        self.screen.feed(text)
        return bool(data)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
