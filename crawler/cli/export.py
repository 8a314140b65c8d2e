"""Rows as text, as they come: a table for people, JSONL and CSV for programs.

None of the writers holds more than a screenful of rows. Text from the network is escaped in each: no character that
moves a cursor is left, and in CSV no cell that a spreadsheet would run (a `'` goes before it, as OWASP advises).
Must not know where rows come from. Runs in the process that asks.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from typing import IO, Any, Final

from crawler.text import printable

#: columns of the ledger that hold JSON, and so are JSON in JSONL, not text
JSON_COLUMNS: Final = {"links", "item", "config", "versions"}
MEASURED_ROWS: Final = 200  # by which a table's widths are chosen
LEAST_WIDTH: Final = 8  # of a column that is cut to fit
_GAP: Final = "  "
_FORMULA: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # with their full-width twins, which Excel reads as well

Rows = Iterable[Sequence[Any]]


def write_table(columns: Sequence[str], rows: Rows, out: IO[str], width: int = 0) -> int:
    """Write rows as columns of text under a heading, and return how many there were.

    Args:
        width: cells are cut so that lines fit into so many columns of a terminal; 0: nothing is cut.
    """
    coming = iter(rows)
    first = list(islice(coming, MEASURED_ROWS))
    numeric = [all(isinstance(row[place], int | float | None) for row in first) for place in range(len(columns))]
    columns = [printable(name) for name in columns]
    texts = [columns, *([_as_text(value) for value in row] for row in first)]
    widths = [max(_width(line[place]) for line in texts) for place in range(len(columns))]
    if width:
        widths = _fit(widths, width - len(_GAP) * (len(columns) - 1))

    def write(cells: Iterable[str]) -> None:
        aligned = (
            _align(_shorten(text, space) if width else text, space, right)
            for text, space, right in zip(cells, widths, numeric, strict=True)
        )
        out.write(_GAP.join(aligned).rstrip() + "\n")

    count = 0
    for row in chain(first, coming):
        if not count:  # not before there is a row: what is wrong with a question may show only when it is answered
            write(columns)
            write("-" * each for each in widths)
        write(map(_as_text, row))
        count += 1
    return count


def write_jsonl(columns: Sequence[str], rows: Rows, out: IO[str], width: int = 0) -> int:
    """Write a JSON object a line, with what is stored as JSON as JSON, and return how many there were."""
    is_json = [name in JSON_COLUMNS for name in columns]
    count = 0
    for row in rows:
        values = (_parsed(value) if parse else value for value, parse in zip(row, is_json, strict=True))
        text = json.dumps(dict(zip(columns, values, strict=True)), ensure_ascii=False, default=bytes.hex)
        out.write((text if text.isprintable() else _escape(text, _json_escape)) + "\n")
        count += 1
    return count


def write_csv(columns: Sequence[str], rows: Rows, out: IO[str], width: int = 0) -> int:
    """Write CSV (RFC 4180, but with plain line ends) under a heading, and return how many rows there were."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_as_csv(name) for name in columns])
    count = 0
    for row in rows:
        writer.writerow([_as_csv(value) for value in row])
        count += 1
    return count


WRITERS: Final[dict[str, Callable[[Sequence[str], Rows, IO[str], int], int]]] = {
    "table": write_table,
    "jsonl": write_jsonl,
    "csv": write_csv,
}


def _as_text(value: Any) -> str:
    """Return a value as a table shows it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return printable(value.hex() if isinstance(value, bytes) else str(value))


def _as_csv(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if not isinstance(value, str):
        return value
    text = value if value.isprintable() else _escape(value, lambda char: char if char in "\n\t" else printable(char))
    return f"'{text}" if value.startswith(_FORMULA) else text


def _parsed(value: Any) -> Any:
    """Return what a text of JSON says, or the value itself where it is none."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _escape(text: str, escaped: Callable[[str], str]) -> str:
    return "".join(char if char.isprintable() else escaped(char) for char in text)


def _json_escape(char: str) -> str:
    return json.dumps(char)[1:-1] if ord(char) > 0x7F else f"\\u{ord(char):04x}"


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _fit(widths: Sequence[int], space: int) -> list[int]:
    """Narrow the widest columns until all fit into a space, if they can."""
    fitted = list(widths)
    while sum(fitted) > space:
        widest = max(range(len(fitted)), key=fitted.__getitem__)
        if fitted[widest] <= LEAST_WIDTH:
            break
        fitted[widest] -= 1
    return fitted


def _shorten(text: str, width: int) -> str:
    """Cut a text to a width: a URL before its last two thirds, which tell it from others, any other text at its end."""
    if _width(text) <= width:
        return text
    head = (width - 1) // 3 if "://" in text[:10] else width - 1
    start, end = _prefix(text, head), _prefix(text[::-1], width - 1 - head)[::-1]
    return f"{start}…{end}"


def _prefix(text: str, width: int) -> str:
    """Return as much of a text's beginning as fits into a width."""
    if text.isascii():
        return text[:width]
    taken = text[:width]
    while _width(taken) > width:
        taken = taken[:-1]
    return taken


def _align(text: str, width: int, right: bool) -> str:
    space = " " * max(width - _width(text), 0)
    return space + text if right else text + space
