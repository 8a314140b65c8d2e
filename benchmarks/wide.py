"""`wide`: many slow hosts at once: pages a second against what politeness and latency allow.

500 hosts on loopback (`slow_server`), a delay for each; the rate is that of a window in the middle, by the server's
log, so that neither the start nor the end counts. The ideal: each host asked again the moment it may be. We count a
delay from the end of one request to the start of the next, Scrapy from start to start: each has an ideal of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from benchmarks import machine, peers, slow_server
from benchmarks.environments import DEFAULT_FOLDER, REPOSITORY

CONCURRENCY = 384
WINDOW_SECONDS = (10.0, 30.0)  # after the first answer
RUN_SECONDS = 34.0


class Row(NamedTuple):
    """What one contender did."""

    title: str
    pages_per_second: float
    ideal: float
    shortest_gap_seconds: float  # between the end of a request to a host and the start of the next

    def cells(self) -> list[str]:
        """Return it as cells of the table."""
        share = 100 * self.pages_per_second / self.ideal
        return [
            self.title, f"{self.pages_per_second:,.0f}", f"{self.ideal:,.0f}", f"{share:.0f} %",
            f"{self.shortest_gap_seconds:.2f}",
        ]  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--hosts", type=int, default=500, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--delay", type=float, default=0.5, metavar="SECONDS", help="(default: %(default)s)")
    parser.add_argument("--only", default="requests,curl,scrapy", metavar="NAMES", help="(default: %(default)s)")
    parser.add_argument("--environments", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="where peers live")


def main(arguments: argparse.Namespace) -> int:
    """Measure each contender in turn and print a table."""
    rows = []
    for name in arguments.only.split(","):
        contender = next(each for each in peers.contenders() if each.name == name)
        print(f"{name}: {RUN_SECONDS:g} s on {arguments.hosts} hosts", file=sys.stderr, flush=True)
        ready = peers.set_up(contender, arguments.environments)
        with tempfile.TemporaryDirectory() as folder:
            rows.append(_measure(ready, arguments.hosts, arguments.delay, Path(folder)))
    never = sum(slow_server.latency_seconds(host) is None for host in range(arguments.hosts))
    slow = sum(slow_server.latency_seconds(host) == slow_server.SLOW_SECONDS for host in range(arguments.hosts))
    print("\n".join(machine.describe().lines()))
    print(
        f"- {arguments.hosts} hosts, a delay of {arguments.delay:g} s each; they answer after "
        f"{slow_server.FAST_SECONDS:g} s, {slow} after {slow_server.SLOW_SECONDS:g} s, {never} never\n"
    )
    print("| contender | pages/s | ideal | share | shortest gap, s |\n|---|---:|---:|---:|---:|")
    for row in rows:
        print("| " + " | ".join(row.cells()) + " |")
    return 0


def _measure(ready: peers.Ready, hosts: int, delay: float, folder: Path) -> Row:
    log = folder / "log"
    ours = ready.contender.is_ours
    with _serving(hosts, log) as port:
        seeds = [f"http://{slow_server.address(host)}:{port}/" for host in range(hosts)]
        command = _our_command(ready, delay, folder) if ours else _scrapy_command(ready, folder)
        settings = {
            "CONCURRENT_REQUESTS": CONCURRENCY, "CONCURRENT_REQUESTS_PER_DOMAIN": 1, "DOWNLOAD_DELAY": delay,
            "RANDOMIZE_DOWNLOAD_DELAY": False, "CLOSESPIDER_TIMEOUT": RUN_SECONDS, "DOWNLOAD_TIMEOUT": 30,
        }  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "SCRAPY_SETTINGS": json.dumps(settings)}
        seeds_file = folder / "seeds.txt"
        seeds_file.write_text("\n".join(seeds))
        last = [str(seeds_file)] if ours else seeds
        subprocess.run([*command, *last], cwd=folder, env=environment, timeout=4 * RUN_SECONDS, check=False)
    hits: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for line in log.read_text().splitlines():
        asked, answered, host = line.split()
        hits[int(host)].append((float(asked), float(answered)))
    begun = min(answered for each in hits.values() for _, answered in each)
    first, last_second = (begun + seconds for seconds in WINDOW_SECONDS)
    inside = sum(first <= answered < last_second for each in hits.values() for _, answered in each)
    gaps = [after[0] - before[1] for each in hits.values() for before, after in pairwise(sorted(each))]
    ideal = sum(
        1 / (latency + delay if ours else max(latency, delay))
        for host in range(hosts)
        if (latency := slow_server.latency_seconds(host)) is not None
    )
    return Row(
        f"{ready.contender.title} {ready.version}", inside / (last_second - first), ideal, min(gaps, default=0.0)
    )


def _our_command(ready: peers.Ready, delay: float, folder: Path) -> list[str]:
    return [
        ready.program, "-m", "crawler", "--delay", str(delay), "-c", str(CONCURRENCY), "--max-time", str(RUN_SECONDS),
        "--transport", ready.contender.name, "--ledger", str(folder / "crawl.db"), "-q",
    ]  # fmt: skip


def _scrapy_command(ready: peers.Ready, folder: Path) -> list[str]:
    spider = Path(__file__).with_name("peers_scrapy.py")
    return [ready.program, "-P", str(spider), str(folder / "pages.jsonl")]


@contextmanager
def _serving(hosts: int, log: Path) -> Iterator[int]:
    """Hold the slow server; its port."""
    command = [sys.executable, "-m", "benchmarks.slow_server", str(hosts), str(log)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None  # noqa: S101  (pipes)
        assert server.stdout is not None  # noqa: S101
        try:
            yield int(server.stdout.readline())
        finally:
            server.stdin.close()
            server.wait(30)
