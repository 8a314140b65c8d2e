"""Random faults over a generated web, for as long as one likes: `python -m tests.chaos --minutes 10 --seed 7`.

Each round is one crawl of a web of its own, with faults from outside at random moments and from inside at random
stages, until it is over; then the oracle looks at it. Exit code 1 if it found anything, with the command that runs the
same round again. (The same dice: how the processes' lines interleave is the machine's.)
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections import Counter
from random import Random
from typing import NamedTuple

from tests.chaos import faults
from tests.chaos.oracle import Verdict, judge
from tests.chaos.running import Crawling, Hang, Options
from tests.chaos.sabotage import CONSUMER, COORDINATOR, WORKER, Strike
from tests.webgraph import WebServer

MOST_FAULTS = 16  # in a round, from outside
DEADLINE_SECONDS = 2.0  # for a page, where processes are frozen
POISONS = ("kill", "exit", "segfault", "loop", "sleep")
#: what may happen at a stage, and how often among random ones
DEEDS = {
    COORDINATOR: {"kill": 6, "SIGINT": 1, "SIGINT twice": 1, "SIGTERM": 1, "kill the fork server": 2},
    WORKER: {"kill": 6, "exit": 2, "segfault": 2, "freeze": 1, "sleep": 1},
    CONSUMER: {"kill": 6, "exit": 2, "segfault": 2, "freeze": 1, "sleep": 1},
}


class Plan(NamedTuple):
    """What the dice say of a round before it starts."""

    web_seed: int
    pages: int
    options: Options
    strikes: tuple[Strike, ...]
    poison: dict[str, str]
    faults: int  # from outside


def make_plan(chance: Random) -> Plan:
    """Throw the dice."""
    pages = chance.choice([100, 200, 400, 800])
    has_curl = importlib.util.find_spec("pycurl") is not None
    options = Options(
        processes=chance.choice([1, 2, 2, 3]),
        consumers=chance.choice([1, 1, 2, 3]),
        delay_seconds=chance.choice([0.0, 0.0, 0.0, 0.02]),
        start_method=chance.choice(["forkserver"] * 4 + ["spawn"]),
        transport=chance.choice(["requests", "curl"]) if has_curl else "requests",
        stall_seconds=DEADLINE_SECONDS,
        page_deadline_seconds=DEADLINE_SECONDS,
    )
    names = chance.sample(sorted(faults.STAGES), chance.choice([0, 2, 4, 8]))
    strikes = tuple(_throw_strike(chance, faults.STAGES[name]) for name in names)
    poison = {f"/p{chance.randrange(6, pages)}": chance.choice(POISONS) for _ in range(chance.choice([0, 0, 1, 2]))}
    return Plan(chance.randrange(1 << 30), pages, options, strikes, poison, chance.randrange(1, MOST_FAULTS))


def _throw_strike(chance: Random, stage: faults.Stage) -> Strike:
    deeds = DEEDS[stage.role]
    (deed,) = chance.choices(list(deeds), list(deeds.values()))
    return stage.strike(deed, stage.time + chance.randrange(8) if stage.role != COORDINATOR else 0)


class Tally:
    """What all rounds came to."""

    def __init__(self) -> None:
        self.faults: Counter[str] = Counter()
        self.numbers: Counter[str] = Counter()
        self.began = time.monotonic()

    def add(self, crawling: Crawling, done: Counter[str], verdict: Verdict) -> None:
        """Count a round."""
        self.faults += done + Counter(f"{each.role} at a stage: {each.deed}" for each in crawling.struck())
        self.numbers += Counter(
            rounds=1, lives=len(crawling.lives), urls=verdict.urls, pages=verdict.pages, requests=verdict.requests,
            lost=len(verdict.lost), twice=len(verdict.twice), violations=len(verdict.violations),
        )  # fmt: skip

    def report(self) -> str:
        """Return it as text."""
        numbers = self.numbers
        lines = [f"{count:>7,}  {what}" for what, count in self.faults.most_common()]
        seconds = time.monotonic() - self.began
        lines.append(
            f"{seconds / 60:.1f} minutes, {numbers['rounds']:,} crawls in {numbers['lives']:,} lives, "
            f"{numbers['requests']:,} requests, {numbers['urls']:,} URLs, {numbers['pages']:,} pages"
        )
        lines.append(
            f"{self.faults.total():,} faults, {self.kills():,} of them kills: {numbers['lost']:,} lost, "
            f"{numbers['twice']:,} stored twice, {numbers['violations']:,} violations in all"
        )
        return "\n".join(lines)

    def kills(self) -> int:
        """How often a process was ended that did not want to."""
        return sum(count for what, count in self.faults.items() if any(word in what for word in _KILLING))


_KILLING = ("kill", "exit", "segfault", "half")


def run_round(chance: Random, tally: Tally) -> None:
    """Run one crawl to its end.

    Raises:
        AssertionError: what the oracle found, and what the crawl said.
    """
    plan = make_plan(chance)
    done: Counter[str] = Counter()
    with (
        WebServer(plan.web_seed, plan.pages) as server,
        Crawling(server, plan.options, plan.strikes, poison=plan.poison) as crawling,
    ):
        crawling.start()
        while done.total() < plan.faults:
            _wait(crawling, chance, plan.pages)
            if crawling.process.poll() is None:
                (fault,) = chance.choices(list(faults.OUTSIDE), list(faults.OUTSIDE.values()))
                if what := fault(crawling, chance):
                    done[what] += 1
            elif crawling.finish() == 0:
                break
            else:
                if crawling.lives[-1].exit_code not in crawling.lives[-1].expected:
                    raise AssertionError(f"exit code {crawling.lives[-1].exit_code}: {crawling.output()}")
                crawling.start()
        if not crawling.lives or crawling.lives[-1].exit_code != 0:
            crawling.complete()
        verdict = judge(crawling)
        tally.add(crawling, done, verdict)
        if verdict.violations:
            raise AssertionError("\n".join([*verdict.violations[:30], f"it said: {crawling.output()}"]))


def _wait(crawling: Crawling, chance: Random, pages: int) -> None:
    """Wait for the next moment to strike: so many requests on, or a time from now (at start there are none)."""
    until = time.monotonic() + chance.choice([0.02, 0.1, 0.3, 1.0])
    hits = len(crawling.server.hits) + chance.randrange(1, max(2, pages // 8))
    crawling.run_until(lambda: time.monotonic() > until or len(crawling.server.hits) >= hits)


def main(words: list[str]) -> int:
    """Run rounds until the time is up, or the first violation."""
    parser = argparse.ArgumentParser("python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="of the dice (default: a new one)")
    parser.add_argument("--round", type=int, default=0, help="run this round only")
    parser.add_argument("--go-on", action="store_true", help="after a violation, too")
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each round")
    arguments = parser.parse_args(words)
    seed = Random().randrange(10_000) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    tally, number, failed = Tally(), arguments.round or 1, 0
    until = time.monotonic() + 60 * arguments.minutes
    while True:
        began = time.monotonic()
        try:
            run_round(Random(f"{seed} {number}"), tally)
        except AssertionError as error:
            failed += 1
            kind = "hang" if isinstance(error, Hang) else "violation"
            print(f"round {number}: {kind}: {error}\nagain: python -m tests.chaos --seed {seed} --round {number}")
        if arguments.verbose:
            print(f"round {number}: {time.monotonic() - began:.1f} s", flush=True)
        number += 1
        if arguments.round or time.monotonic() > until or (failed and not arguments.go_on):
            break
    print(tally.report())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
