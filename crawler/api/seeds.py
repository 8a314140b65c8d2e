"""What a user names as seeds: URLs, bare hosts, folders of HTML, and files with one of these a line.

A bad line is a `Problem` with its place and reason, and the others go on. Reads the disk and standard input, nothing
else; must not know what becomes of a seed. Runs in the coordinator.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from crawler.rules import urls

# What a bare word may end in and yet be no host: none of these is a top-level domain (as .md is).
_FILE_SUFFIX = re.compile(r"\.(txt|csv|tsv|lst|list|seeds|html?|json|toml)$", re.IGNORECASE)
_LINE_END = re.compile(r"\r\n|\r|\n")  # splitlines() would also break a line at a form feed and the like


class Seed(NamedTuple):
    """Where a crawl begins."""

    url: str  # normal form; "" for a folder, until it is served
    folder: Path | None
    origin: str  # "seeds.txt:3", "argument", "standard input:3"


class Problem(NamedTuple):
    """Why something is no seed."""

    origin: str
    text: str
    message: str

    @property
    def place(self) -> str:
        """Return where it stands, for a message; "" for the command line, where it is plain to see."""
        return "" if self.origin == "argument" else f"{self.origin}: "


def read_seeds(words: Sequence[str], stdin: TextIO) -> tuple[list[Seed], list[Problem]]:
    """Read seeds from words as they stand on a command line.

    Args:
        words: each a URL, a folder, a file of seeds, `-` for standard input, or a bare host.

    Returns:
        The seeds, each once, and what could not be read.
    """
    seeds: dict[object, Seed] = {}
    problems: list[Problem] = []
    for word in words:
        for found in _read_word(word, stdin):
            if isinstance(found, Problem):
                problems.append(found)
            else:
                seeds.setdefault(found.folder or found.url, found)
    return list(seeds.values()), problems


def _read_word(word: str, stdin: TextIO) -> Iterator[Seed | Problem]:
    path = Path(word)
    without_scheme = word.partition("://")[2].rstrip("/")
    if word == "-":
        buffer = getattr(stdin, "buffer", None)  # bytes, lest one that is no UTF-8 end the reading
        text = buffer.read() if buffer is not None else stdin.read().encode("utf-8", "surrogatepass")
        yield from _read_lines(text, "standard input", Path())
    elif without_scheme and _is_file(Path(without_scheme)):
        yield Problem("argument", word, f"that is a URL; the file is {without_scheme}")
    elif "://" in word or not word.strip():  # an empty word is no path: Path("") would be the working directory
        yield _read_one(word, "argument", ())
    elif _is_file(path):
        yield from _read_file(path)
    elif _looks_like_a_path(word) and not _is_dir(path):
        yield Problem("argument", word, "there is no such file or folder")
    else:
        yield _read_one(word, "argument", (Path(),))


def _read_file(path: Path) -> Iterator[Seed | Problem]:
    try:
        text = path.read_bytes()
    except OSError as error:
        yield Problem("argument", str(path), f"cannot be read: {error.strerror}")
        return
    if text.startswith(b"SQLite format 3\0"):
        yield Problem("argument", str(path), "is a database and no list of seeds; a ledger is named with --ledger")
        return
    if text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        yield Problem("argument", str(path), f"is a page and no list of seeds; name its folder, {path.parent}/")
        return
    yield from _read_lines(text, path.name, path.parent)


def _read_lines(lines: bytes, name: str, folder: Path) -> Iterator[Seed | Problem]:
    """Read what a file holds; a line that is no UTF-8 is a problem of its own, unless that is in a comment."""
    is_empty = True
    if b"\0" in lines or lines.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield Problem("argument", name, "is no text in UTF-8: expected one seed a line")
        return
    for number, line in enumerate(_LINE_END.split(lines.decode("utf-8-sig", "replace")), 1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        is_empty = is_empty and not text
        if "\ufffd" in text:
            yield Problem(f"{name}:{number}", text, "is no text in UTF-8")
        elif text:
            yield _read_one(text, f"{name}:{number}", (folder, Path()))
    if is_empty:
        yield Problem("argument", name, "there is no seed in it; expected a URL, a host or a folder of HTML a line")


def _read_one(text: str, origin: str, places: Sequence[Path]) -> Seed | Problem:
    """Read one seed; a folder is looked for in these places."""
    for place in places:
        folder = place / text
        if _is_dir(folder):
            if any(_is_file(path) and not path.is_fifo() for path in folder.rglob("*")):
                return Seed("", folder.resolve(), origin)
            return Problem(origin, text, "the folder has no file in it")
    if text.strip() and "://" not in text and _looks_like_a_path(text):
        return Problem(origin, text, "there is no such folder, and it is no URL")
    try:
        return Seed(urls.read_seed(text), None, origin)
    except ValueError as error:
        return Problem(origin, text, str(error))


def _looks_like_a_path(text: str) -> bool:
    """Return whether a word can only be meant as a path, and be no host: "./site", "seeds.txt", "site/html"."""
    if text.startswith(("/", "./", "../", "~")):
        return True
    first, slash, _ = text.partition("/")
    if "." in first or ":" in first or first == "localhost":
        return not slash and _FILE_SUFFIX.search(text) is not None
    return bool(slash) or not first.isascii() or "." not in first


def _is_file(path: Path) -> bool:
    """Return whether there is a file or a pipe; what may not be looked at is none, where pathlib would raise."""
    try:
        return path.is_file() or path.is_fifo()
    except (OSError, ValueError):
        return False


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
