"""A comparison as Markdown, as a plot, and as JSON; pure, but for writing the three files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import plot
from benchmarks.machine import Machine
from benchmarks.peers import NOTES, Ready
from benchmarks.results import Row, Run, differences, summarize

WHOLE_PROCESS_PAGES = 9_000  # below, a whole process' rate is mostly its start-up
BASE = "scrapy"  # whom the ratios are of
_HEAD = (
    "contender", "version", "pages", "start-up s", "pages/s", "slowest, fastest", "of Scrapy's",
    "whole-process pages/s", "CPU s per 1,000 pages", "peak PSS MB",
)  # fmt: skip
_MEANING = (
    "pages/s: HTML pages with status 200, from the first request (robots.txt) to the last commit. For the peers the"
    " last request is the end, which favours them: what they parse and write after it is not counted. start-up: from"
    " the command to the first request. whole-process: over the command's whole life; not given below"
    f" {WHOLE_PROCESS_PAGES:,} pages.",
    "CPU: user and system time of all processes of the contender, the web server's not included. peak PSS: the highest"
    " sum over its processes, read four times a second; pages of memory that several share are divided among them.",
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that a report says."""

    machine: Machine
    command: str
    turns: int
    site: str  # in words
    storage: str  # where the contenders wrote, in words
    contenders: Sequence[Ready]
    runs: Sequence[Run]  # those that failed included
    missing: Sequence[str]  # contenders that could not be set up, and why

    @property
    def good(self) -> list[Run]:
        """The runs that count."""
        return [run for run in self.runs if not run.failure]

    @property
    def rows(self) -> list[Row]:
        """Medians of each contender that never failed, in the contenders' order."""
        failed = {run.name for run in self.runs if run.failure}
        names = [ready.contender.name for ready in self.contenders if ready.contender.name not in failed]
        by_name = {name: [run for run in self.good if run.name == name] for name in names}
        return [summarize(runs) for runs in by_name.values() if runs]

    @property
    def complaints(self) -> list[str]:
        """What did not go as it should."""
        failures = [f"{run.name}, turn {run.turn}: {run.failure}" for run in self.runs if run.failure]
        return [*self.missing, *failures, *differences(self.good)]


def write(comparison: Comparison, folder: Path) -> str:
    """Write compare.md, compare.svg and compare.json into a folder; the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    text = _markdown(comparison)
    (folder / "compare.md").write_text(text, encoding="utf-8")
    (folder / "compare.svg").write_text(_svg(comparison), encoding="utf-8")
    raw = {
        "machine": comparison.machine.as_json(),
        "command": comparison.command,
        "site": comparison.site,
        "versions": {ready.contender.name: ready.versions for ready in comparison.contenders},
        "complaints": comparison.complaints,
        "runs": [run.as_json() for run in comparison.runs],
    }
    (folder / "compare.json").write_text(json.dumps(raw, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return text


def _markdown(comparison: Comparison) -> str:
    rows = comparison.rows
    by_name = {ready.contender.name: ready for ready in comparison.contenders}
    base = next((row.pages_per_second for row in rows if row.name == BASE), 0.0)
    table = [
        _HEAD,
        ("---", "---", *["---:"] * (len(_HEAD) - 2)),
        *(_cells(row, by_name[row.name], base) for row in rows),
    ]
    lines = [
        "# Crawlers side by side",
        "",
        *comparison.machine.lines(),
        f"- site: {comparison.site}",
        f"- `{comparison.command}`: medians of {comparison.turns} turns in one run, each contender once a turn",
        f"- {_verdict(comparison)}",
        "",
        *("| " + " | ".join(cells) + " |" for cells in table),
        "",
        *(f"- {note}" for note in (*_MEANING, *NOTES, comparison.storage, *_library_notes(comparison.contenders))),
        *(f"- **{complaint}**" for complaint in comparison.complaints),
    ]
    return "\n".join(lines) + "\n"


def _cells(row: Row, ready: Ready, base: float) -> tuple[str, ...]:
    return (
        ready.contender.title,
        ready.version,
        f"{row.pages:,}",
        f"{row.start_up_seconds:.2f}",
        f"{row.pages_per_second:,.0f}",
        f"{row.slowest:,.0f}, {row.fastest:,.0f}",
        f"{row.pages_per_second / base:.2f} times" if base else "",
        f"{row.whole_pages_per_second:,.0f}" if row.pages >= WHOLE_PROCESS_PAGES else "",
        f"{row.cpu_seconds_per_1000:.2f}",
        f"{row.peak_mb:,.0f}",
    )


def _verdict(comparison: Comparison) -> str:
    good = comparison.good
    if not good:
        return "no run succeeded"
    if differences(good):
        return "**not all runs found the same pages**: see below"
    return f"all {len(good)} runs that ended well found the same {good[0].pages:,} pages"


def _library_notes(contenders: Sequence[Ready]) -> list[str]:
    """Return the versions of the libraries that matter, a line for each contender."""
    return [
        f"{ready.contender.title}: " + ", ".join(f"{name} {version}" for name, version in ready.versions.items())
        for ready in contenders
    ]


def _svg(comparison: Comparison) -> str:
    rows = comparison.rows
    by_name = {ready.contender.name: ready.contender for ready in comparison.contenders}
    columns = (
        plot.Column("pages/s", "more is better", [row.pages_per_second for row in rows], 0),
        plot.Column("CPU s per 1,000 pages", "less is better", [row.cpu_seconds_per_1000 for row in rows], 2),
        plot.Column("peak memory, MB", "PSS of all processes; less is better", [row.peak_mb for row in rows], 0),
    )
    machine = comparison.machine
    return plot.draw(
        f"{max((row.pages for row in rows), default=0):,} pages on loopback, medians of {comparison.turns} turns",
        f"{machine.cpu}, {machine.cores} cores, Python {machine.python}, {machine.date}",
        [by_name[row.name].title for row in rows],
        [by_name[row.name].is_ours for row in rows],
        columns,
    )
