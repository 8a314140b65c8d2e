"""Puts the panel on a terminal, and the log lines above it, in a thread of its own: the crawl waits for no terminal.

Between two frames the cursor rests on the panel's first column, and is visible: whatever else writes to the terminal (a
parse hook's `print`, an echoed ^C) goes there, the next frame follows below it, and a program that is killed, or put to
sleep with Ctrl-Z, leaves the shell a sane terminal. When the window changes its width the cursor goes with its line. A
frame is one write, drawn over the last one line by line, so nothing flickers; lines are cut by the terminal, too
(no wrapping), should the window have shrunk a moment ago.

`write` is a stream for a logging handler: it appends to a deque and returns, so it may be called from anywhere, signal
handlers included. The queue of lines is filled by `write`, emptied by the thread, and bounded: a terminal that is
stopped (Ctrl-S) costs the oldest lines, never memory.
"""

from __future__ import annotations

import io
import os
import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from crawler.cli.panel.facts import Facts

if TYPE_CHECKING:
    from rich.console import Console

    from crawler.cli.panel.layout import Glyphs

FRAME_SECONDS = 0.1  # how soon a log line appears
MAX_LINES = 10_000
CLOSE_SECONDS = 2.0
_HIDE, _SHOW, _NO_WRAP, _WRAP = "\x1b[?25l", "\x1b[?25h", "\x1b[?7l", "\x1b[?7h"
_CLEAR_LINE, CLEAR_BELOW = "\x1b[K", "\x1b[J"


def is_fit(stream: TextIO) -> bool:
    """Return whether a stream is a terminal on which a cursor can be moved."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


class Terminal:
    """The lower end of a terminal, while a crawl runs."""

    def __init__(self, stream: TextIO) -> None:
        self._fd = stream.fileno()
        self._encoding = stream.encoding
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._facts: Facts | None = None
        self._drawn: tuple[Facts | None, tuple[int, int]] | None = None
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._console: Console | None = None
        self._buffer = io.StringIO()
        self._glyphs: Glyphs | None = None

    def draw(self, facts: Facts) -> None:
        """Let these facts be in the next frame; the first ones start the thread."""
        self._facts = facts
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="panel", daemon=True)
            self._thread.start()

    def write(self, text: str) -> int:
        """Let a text appear above the panel."""
        if self._thread is None or self._is_over.is_set():
            self._put(text)
        else:
            self._lines.append(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: for logging."""

    def close(self) -> None:
        """Take the panel off the terminal; what is said from now on is written at once."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        try:
            self._import()
            while not self._is_over.wait(FRAME_SECONDS):
                self._frame()
        finally:
            self._is_over.set()
            self._put(("\r" + CLEAR_BELOW if self._drawn else "") + self._said())

    def _import(self) -> None:
        """Import rich: 0.1 s of work, which the crawl's first requests need not wait for."""
        from rich.console import Console

        from crawler.cli.panel.layout import ASCII, Glyphs

        self._console = Console(file=self._buffer, force_terminal=True, highlight=False)
        self._glyphs = Glyphs() if self._encoding.lower().startswith("utf") else ASCII

    def _frame(self) -> None:
        columns, rows = size(self._fd)
        facts, said = self._facts, self._said()
        now = (facts, (columns, rows))
        if not said and now == self._drawn:
            return
        if facts is None or not _is_in_foreground(self._fd):  # as a background job, the terminal is another's
            self._put(said)
            return
        lines = self._render(facts, columns - 1, rows - 1)
        self._put(frame(lines, said))
        self._drawn = now

    def _render(self, facts: Facts, columns: int, rows: int) -> list[str]:
        from crawler.cli.panel.layout import lay_out

        assert self._console is not None  # noqa: S101  (for the type checker)
        self._buffer.seek(0)
        self._buffer.truncate()
        self._console.print(
            *lay_out(facts, max(columns, 1), max(rows, 1), self._glyphs),
            sep="\n", end="", soft_wrap=True, width=columns + 1,
        )  # fmt: skip
        return self._buffer.getvalue().split("\n")

    def _said(self) -> str:
        said = []
        while self._lines:
            said.append(self._lines.popleft())
        return "".join(said)

    def _put(self, text: str) -> None:
        """Write all of a text. A terminal that has gone is nobody's business."""
        left = memoryview(text.encode(self._encoding, "backslashreplace"))
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError:
            self._is_over.set()


def frame(lines: Sequence[str], above: str = "") -> str:
    """Return what draws these lines where the cursor is, over what was drawn there, and takes the cursor back.

    Args:
        above: lines that are to stand above them, for good.
    """
    top = f"\r{CLEAR_BELOW}{above}" if above else "\r"
    body = (_CLEAR_LINE + "\r\n").join(lines) + _CLEAR_LINE + CLEAR_BELOW
    back = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
    return f"{_HIDE}{top}{_NO_WRAP}{body}{_WRAP}{back}\r{_SHOW}"


def size(fd: int) -> tuple[int, int]:
    """Return a terminal's columns and rows."""
    try:
        size = os.get_terminal_size(fd)
    except OSError:
        return 80, 24
    return size.columns or 80, size.lines or 24


def _is_in_foreground(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return True  # no controlling terminal: there is nobody to share it with
