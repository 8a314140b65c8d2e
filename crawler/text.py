"""Text for people: what came from outside made safe to print, numbers as they are read, and what was perhaps meant.

Knows no URL, ledger or terminal, and imports nothing of this package.
"""

from __future__ import annotations

from collections.abc import Iterable


def printable(text: str) -> str:
    """Return a text with everything escaped that could move a cursor or reorder a line: C0, DEL, C1, bidi controls."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


#: how alike two words must be, of 1, for one to be meant by the other; "delay" and "delay_seconds" are
ALIKE = 0.5
#: where a word may as well be none of those that are known: "tcsh" and "zsh" are not alike, "statsu" and "status" are
VERY_ALIKE = 0.6


def close_match(word: str, known: Iterable[str], likeness: float = ALIKE) -> str:
    """Return the one of the known words that was probably meant, or ""."""
    import difflib  # here: nothing is wrong with most words

    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=likeness)), "")


def did_you_mean(word: str, known: Iterable[str], likeness: float = ALIKE) -> str:
    """Return "; did you mean ...?" with the known word that is close to this one, or ""."""
    close = close_match(word, known, likeness)
    return f"; did you mean {close}?" if close else ""


def readable_bytes(count: float) -> str:
    """Return a number of bytes as people write it: "12.3 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def readable_duration(seconds: float) -> str:
    """Return a time as people write it: "0.4 s", "12 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for unit, size, lesser, lesser_size in (("min", 60, "s", 1), ("h", 3600, "min", 60), ("d", 86_400, "h", 3600)):
        if whole < size * (60 if unit == "min" else 24) or unit == "d":
            rest = whole % size // lesser_size
            return f"{whole // size:,} {unit}" + (f" {rest} {lesser}" if rest else "")
    raise AssertionError  # the last unit takes all
