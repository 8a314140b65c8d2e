"""`growth`: what a crawl costs as it grows: speed, memory, ledger and restart, over a web without a network.

For each size the real program crawls it all once (`weightless` answers in the workers, so that nothing but the
crawler's own machinery is measured), and once a tenth of it, which finds nearly all URLs: then the queue is full, and
the time of a restart to the first page handed out is taken. Must not know how a crawl works: it reads the ledger.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks import machine, weightless
from benchmarks.environments import REPOSITORY

SIZES = (10_000, 100_000, 1_000_000)
HOSTS = 100
SAMPLE_SECONDS = 0.25


@dataclass(slots=True)
class Row:
    """What one size gave."""

    pages: int
    hosts: int
    pages_per_second: float = 0.0
    coordinator_bytes: int = 0  # resident, at most
    consumer_bytes: int = 0
    ledger_bytes_per_url: float = 0.0
    restart_seconds: float = 0.0  # from the command to the first page handed out
    queued_at_restart: int = 0

    def cells(self) -> list[str]:
        """Return it as cells of the table."""
        return [
            f"{self.pages:,}", f"{self.hosts:,}", f"{self.pages_per_second:,.0f}",
            f"{self.coordinator_bytes / 1e6:.0f}", f"{self.consumer_bytes / 1e6:.0f}",
            f"{self.ledger_bytes_per_url:.0f}", f"{self.queued_at_restart:,}", f"{self.restart_seconds:.2f}",
        ]  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--sizes", type=_numbers, default=SIZES, metavar="N,N", help="pages (default: up to a million)")
    parser.add_argument("--hosts", type=int, default=HOSTS, metavar="N", help="they are on (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where the ledgers are written (default: a temporary folder)")


def main(arguments: argparse.Namespace) -> int:
    """Measure each size in turn and print a table."""
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        for pages in arguments.sizes:
            row = Row(pages, min(arguments.hosts, pages))
            _measure_whole(row, Path(name))
            _measure_restart(row, Path(name))
            print(f"{pages:,} pages: {row}", file=sys.stderr, flush=True)
            rows.append(row)
    print("\n".join(machine.describe().lines()))
    headings = (
        "pages", "hosts", "pages/s", "coordinator MB", "consumer MB", "ledger B/URL", "queued at restart", "restart s",
    )  # fmt: skip
    print("\n| " + " | ".join(headings) + " |\n|" + "---:|" * len(headings))
    for row in rows:
        print("| " + " | ".join(row.cells()) + " |")
    return 0


def _measure_whole(row: Row, folder: Path) -> None:
    ledger = folder / f"whole-{row.pages}.db"
    with _crawl(row, ledger) as process:
        while process.poll() is None:
            row.coordinator_bytes = max(row.coordinator_bytes, _resident_bytes(process.pid))
            row.consumer_bytes = max(row.consumer_bytes, *map(_resident_bytes, _consumers(ledger)), 0)
            time.sleep(SAMPLE_SECONDS)
    with closing(sqlite3.connect(ledger)) as connection:
        started, ended, pages, urls = connection.execute("SELECT started, ended, pages, urls FROM runs").fetchone()
    if process.returncode or pages != row.pages:
        raise RuntimeError(f"exit code {process.returncode}, {pages:,} pages of {row.pages:,}")
    seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()
    row.pages_per_second = pages / seconds
    row.ledger_bytes_per_url = ledger.stat().st_size / urls
    ledger.unlink()


def _measure_restart(row: Row, folder: Path) -> None:
    ledger, first = folder / f"part-{row.pages}.db", folder / f"first-{row.pages}"
    part = row.pages // weightless.FAN
    with _crawl(row, ledger, "--max-pages", str(part)):
        pass
    with closing(sqlite3.connect(ledger)) as connection:
        row.queued_at_restart = connection.execute("SELECT urls - ended_urls FROM runs").fetchone()[0]
    began = time.time()
    with _crawl(row, ledger, "--max-pages", str(part + 100), first=first):
        pass
    row.restart_seconds = float(first.read_text()) - began
    ledger.unlink()


def _crawl(row: Row, ledger: Path, *options: str, first: Path | None = None) -> subprocess.Popen[bytes]:
    """Start the real program on the web without a network."""
    environment = {
        **os.environ, "PYTHONPATH": str(REPOSITORY), "WEIGHTLESS": json.dumps({"pages": row.pages, "hosts": row.hosts}),
    }  # fmt: skip
    if first is not None:
        environment["WEIGHTLESS_FIRST"] = str(first)
    seed, transport = weightless.url(0, row.hosts), "benchmarks.weightless:Weightless"
    command = [
        sys.executable, "-m", "crawler", seed, "--transport", transport, "--scope", "any", "--delay", "0",
        "--per-host", "16", "--ledger", str(ledger), "-q", *options,
    ]  # fmt: skip
    return subprocess.Popen(command, env=environment, cwd=ledger.parent)


def _consumers(ledger: Path) -> list[int]:
    """Return the pids of a crawl's consumers: they sign in beside the lock."""
    with suppress(OSError):
        lines = ledger.with_name(ledger.name + "-lock").read_text().splitlines()
        return [int(line.split()[0]) for line in lines if " consumer " in line]
    return []


def _resident_bytes(pid: int) -> int:
    """Return a process's resident memory; 0 when it is gone."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word.replace("_", "")) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers of pages, such as 10000,100000") from None
