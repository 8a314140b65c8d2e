"""Facts as lines of styled text, for a window of any size. Pure; imports rich, and so is imported late.

A line is never wider than the window less one column, and is made of whole words of information: what does not fit is
left out, the least important first. Colours are the terminal's own (so they suit light and dark), and never the only
sign of anything. Text from the network is escaped before it gets here or by `_plain`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.text import Text

from crawler.cli.panel.facts import Error, Facts
from crawler.text import printable, readable_bytes, readable_duration

LABEL = 11  # columns
NUMBER = 10
WIDE = 130  # columns, from which hosts stand beside the numbers
LEFT = 70  # columns of the numbers then
NARROW = 60
LEAST_WORDS = 16  # columns in which the beginning of a meaning still helps
MAX_URL = 4_000


class Glyphs(NamedTuple):
    """What lines and bars are drawn with."""

    rule: str = "─"
    done: str = "━"
    left: str = "─"
    cut: str = "…"


ASCII = Glyphs("-", "#", ".", "...")


class _Line(NamedTuple):
    rank: int  # the larger, the sooner it is left out of a low window
    text: Text


def lay_out(facts: Facts, columns: int, rows: int, glyphs: Glyphs | None = None) -> list[Text]:
    """Return the panel's lines: at most `rows`, each at most `columns` wide."""
    glyphs = glyphs or Glyphs()
    numbers = _numbers(facts, min(columns, LEFT) if columns >= WIDE else columns, glyphs)
    if columns >= WIDE:
        beside = _hosts_beside(facts, columns - LEFT - 2, len(numbers), glyphs)
        lines = [_Line(3, _rule(facts, columns, glyphs)), *_side_by_side(numbers, beside)]
    else:
        lines = [_Line(3, _rule(facts, columns, glyphs)), *numbers, *_hosts_below(facts, columns, glyphs)]
    lines += _errors(facts.errors, columns, glyphs)
    kept = sorted(sorted(range(len(lines)), key=lambda index: lines[index].rank)[: max(rows, 1)])
    return [lines[index].text for index in kept]


def _rule(facts: Facts, columns: int, glyphs: Glyphs) -> Text:
    whole = int(facts.elapsed_seconds)
    clock = f"{whole // 3600}:{whole % 3600 // 60:02}:{whole % 60:02}"
    state = " stopping" if facts.is_stopping else ""
    title = _cut(_plain(facts.ledger), max(columns - len(state) - len(clock) - 12, 1), glyphs)
    bar = max(columns - len(title) - len(state) - len(clock) - 8, 0) * glyphs.rule
    line = Text.assemble((glyphs.rule * 2, "dim"), " ", (title, "bold"), (state, "bold red"), " ", (bar, "dim"), " ")
    line.append(clock + " ")
    line.append(glyphs.rule * 2, "dim")
    line.truncate(columns)
    return line


def _numbers(facts: Facts, columns: int, glyphs: Glyphs) -> list[_Line]:
    robots = f"{facts.skipped_by_robots:,} by robots.txt" if facts.skipped_by_robots else ""
    broken = f"{facts.client_errors:,} answered 4xx" if facts.client_errors else ""
    failed = [f"{reason} {count:,}" for reason, count in facts.failed_reasons]
    rates = [f"{facts.pages_per_second:,.1f}/s now", f"{facts.average_per_second:,.1f}/s on average"]
    hosts = [f"{facts.waiting_hosts:,} waiting"]
    items = [f"{facts.items:,} items"] if facts.items else []
    if facts.item_errors:
        items.append(f"{facts.item_errors:,} parse hook errors")
    warn = "bold red" if facts.failed else "bold"
    lines = [
        _Line(0, _row("pages", f"{facts.pages:,}", rates, columns)),
        _Line(1, _row("queued", f"{facts.queued:,}", [f"{facts.handed_out:,} handed out"], columns)),
        _Line(2, _row("failed", f"{facts.failed:,}", [*failed, broken], columns, warn)),
        _Line(6, _row("skipped", f"{facts.skipped:,}", [robots], columns)),
        _Line(5, _row("hosts busy", f"{facts.busy_hosts:,}", hosts, columns)),
        _Line(7, _row("received", readable_bytes(facts.bytes), items, columns)),
    ]
    return [*lines, *_budget(facts, columns, glyphs)]


def _budget(facts: Facts, columns: int, glyphs: Glyphs) -> list[_Line]:
    """How much of each limit is used; of a crawl without any, when its queue will be empty, if that is known."""
    shares = []
    if facts.max_pages:
        shares.append((facts.pages / facts.max_pages, f"of {facts.max_pages:,} pages"))
    if facts.max_seconds:
        shares.append((facts.elapsed_seconds / facts.max_seconds, f"of {readable_duration(facts.max_seconds)}"))
    left = "" if facts.left_seconds is None else f"about {readable_duration(max(round(facts.left_seconds), 1))} left"
    left = left.replace(".0 s", " s")
    if not shares:
        return [_Line(4, _row("queue", "", [left], columns))] if left else []
    share, of_what = max(shares)
    share = min(share, 1.0)
    width = max(min(columns - LABEL - NUMBER - len(of_what) - len(left) - 6, 24), 0)
    done = round(share * width)
    line = _row("budget", f"{share:.0%}", [of_what, left], columns)
    if width >= 4:
        line.append("  ").append(glyphs.done * done, "green").append(glyphs.left * (width - done), "dim")
    line.truncate(columns)
    return [_Line(4, line)]


def _hosts_below(facts: Facts, columns: int, glyphs: Glyphs) -> list[_Line]:
    lines = []
    if facts.slow:
        lines.append(_Line(11, _list("slowest", _slow(facts), columns, glyphs)))
    if facts.failing:
        lines.append(_Line(9, _list("failing", _failing(facts), columns, glyphs)))
    return lines


def _hosts_beside(facts: Facts, columns: int, rows: int, glyphs: Glyphs) -> list[Text]:
    lines: list[Text] = []
    room = rows
    for label, entries in (("failing", _failing(facts)), ("slowest", _slow(facts))):
        shown = entries[: max(room - 1, 1) if label == "failing" and facts.slow else room]
        room -= len(shown)
        lines += [_list(label if entry is shown[0] else "", [entry], columns, glyphs) for entry in shown]
    return lines


def _side_by_side(left: Sequence[_Line], right: Sequence[Text]) -> list[_Line]:
    lines = []
    for index, line in enumerate(left):
        text = line.text
        if index < len(right):
            text.append(" " * (LEFT + 2 - len(text)))
            text.append_text(right[index])
        lines.append(_Line(line.rank, text))
    return lines


def _errors(errors: Sequence[Error], columns: int, glyphs: Glyphs) -> list[_Line]:
    lines = []
    for index, error in enumerate(errors):
        label = "" if index else "errors"
        line = Text().append(f"{label:{LABEL}}", "dim")
        room = columns - LABEL
        if columns >= NARROW:
            line.append(f"{error.clock} ", "dim")
            room -= len(error.clock) + 1
        what = _cut(error.what, max(room // 2, 12), glyphs)
        line.append(what, "red").append(" ")
        line.append(_cut(_plain(error.url), max(room - len(what) - 1, 8), glyphs))
        room = columns - len(line) - 2
        if error.meaning and len(error.meaning) <= room:
            line.append(f"  {error.meaning}", "dim")
        elif error.meaning and room >= LEAST_WORDS:
            line.append(f"  {error.meaning[: room - len(glyphs.cut)]}{glyphs.cut}", "dim")
        line.truncate(columns)
        lines.append(_Line(8 if index == 0 else 10 if index == 1 else 11 + index, line))
    return lines


def _slow(facts: Facts) -> list[tuple[str, str]]:
    return [(slow.host, readable_duration(slow.seconds)) for slow in facts.slow]


def _failing(facts: Facts) -> list[tuple[str, str]]:
    return [(failing.host, f"{failing.reason}, {failing.failures:,} in a row") for failing in facts.failing]


def _row(label: str, number: str, notes: Iterable[str], columns: int, style: str = "bold") -> Text:
    """Return a line: a label, a number under the other numbers, and as many notes as fit."""
    line = Text().append(f"{label:{LABEL}}", "dim")
    line.append(f"{number:>{NUMBER}}", style)
    glue = "  "
    for note in notes:
        if note and len(line) + len(glue) + len(note) <= columns:
            line.append(glue + note)
            glue = ", "
    line.truncate(columns)
    return line


def _list(label: str, entries: Sequence[tuple[str, str]], columns: int, glyphs: Glyphs) -> Text:
    """Return a line with as many hosts, and what is to be said of each, as fit."""
    line = Text().append(f"{label:{LABEL}}", "dim")
    for index, (host, words) in enumerate(entries):
        room = columns - len(line) - len(words) - 1
        name = _plain(host)
        if index and len(name) + 2 > room:
            break
        line.append(", " if index else "")
        line.append(_cut(name, max(room, 8), glyphs)).append(f" {words}", "bold")
    line.truncate(columns)
    return line


def _cut(text: str, width: int, glyphs: Glyphs) -> str:
    """Shorten a text in the middle: of a URL, the host and the end tell most."""
    if len(text) <= width:
        return text
    keep = max(width - len(glyphs.cut), 0)
    head = (keep + 1) // 2
    return text[:head] + glyphs.cut[:width] + (text[len(text) - (keep - head) :] if keep > head else "")


def _plain(text: str) -> str:
    return printable(text[:MAX_URL])
