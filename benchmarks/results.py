"""What runs amount to: the numbers of one run, medians of several, and whether all found the same pages. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.measure import Usage
from benchmarks.sites import Visit

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one contender."""

    turn: int
    name: str
    usage: Usage
    visit: Visit
    end: float  # Unix time of the last commit, or of the last request where there is no such thing
    failure: str  # "": it did what it should

    @property
    def pages(self) -> int:
        return len(self.visit.pages)

    @property
    def start_up_seconds(self) -> float:
        return self.visit.first - self.usage.started

    @property
    def pages_per_second(self) -> float:
        return self.pages / max(self.end - self.visit.first, 0.001)

    @property
    def whole_pages_per_second(self) -> float:
        return self.pages / self.usage.wall_seconds

    @property
    def cpu_seconds_per_1000(self) -> float:
        return self.usage.cpu_seconds * 1000 / max(self.pages, 1)

    @property
    def peak_mb(self) -> float:
        return self.usage.peak_pss_bytes / 1e6

    def as_json(self) -> dict[str, object]:
        """Return it as plain data, without the pages themselves."""
        return {
            "turn": self.turn,
            "contender": self.name,
            "failure": self.failure,
            "pages": self.pages,
            "requests": self.visit.requests,
            "start_up_seconds": round(self.start_up_seconds, 3),
            "crawl_seconds": round(self.end - self.visit.first, 3),
            "wall_seconds": round(self.usage.wall_seconds, 3),
            "cpu_seconds": round(self.usage.cpu_seconds, 3),
            "peak_pss_bytes": self.usage.peak_pss_bytes,
            "pages_per_second": round(self.pages_per_second, 2),
            "whole_process_pages_per_second": round(self.whole_pages_per_second, 2),
            "cpu_seconds_per_1000_pages": round(self.cpu_seconds_per_1000, 3),
            "exit_code": self.usage.exit_code,
        }


@dataclass(frozen=True, slots=True)
class Row:
    """A contender's medians."""

    name: str
    pages: int
    start_up_seconds: float
    pages_per_second: float
    slowest: float
    fastest: float
    whole_pages_per_second: float
    cpu_seconds_per_1000: float
    peak_mb: float


def summarize(runs: Sequence[Run]) -> Row:
    """Return the medians of one contender's runs."""

    def middle(number: Callable[[Run], float]) -> float:
        return median(map(number, runs))

    rates = [run.pages_per_second for run in runs]
    return Row(
        name=runs[0].name,
        pages=round(middle(lambda run: run.pages)),
        start_up_seconds=middle(lambda run: run.start_up_seconds),
        pages_per_second=median(rates),
        slowest=min(rates),
        fastest=max(rates),
        whole_pages_per_second=middle(lambda run: run.whole_pages_per_second),
        cpu_seconds_per_1000=middle(lambda run: run.cpu_seconds_per_1000),
        peak_mb=middle(lambda run: run.peak_mb),
    )


def differences(runs: Sequence[Run]) -> list[str]:
    """Say of each run what it missed or had extra, against the pages that more than half of the runs found."""
    count = Counter(page for run in runs for page in run.visit.pages)
    expected = {page for page, times in count.items() if times * 2 > len(runs)}
    said = []
    for run in runs:
        for word, pages in (("missed", expected - run.visit.pages), ("had extra", run.visit.pages - expected)):
            if pages:
                named = ", ".join(address + target for address, target in sorted(pages)[:EXAMPLES])
                more = ", …" if len(pages) > EXAMPLES else ""
                said.append(f"{run.name}, turn {run.turn}: {word} {len(pages):,} pages: {named}{more}")
    return said
