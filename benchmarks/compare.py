"""`python -m benchmarks compare`: ours, with each transport, and the peers crawl one site in turn; a table and a plot.

The contenders share nothing but the web server's program and the machine: each has an environment, each run a fresh
server, folder and ledger. Every turn lets each run once, so that what disturbs the machine disturbs all alike.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sqlite3
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks import environments, machine, measure, peers, report, sites
from benchmarks.results import Run

MANUAL = Path("/usr/share/doc/postgresql-doc-15/html")
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108  (a folder of our own is made in it)
OUT = Path(__file__).with_name("out")
_MISSING_MANUAL = (
    f"{MANUAL} is not here: install Debian's package postgresql-doc-15, or name another directory of HTML files"
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    site: sites.Site
    turns: int
    only: list[str]  # empty: all
    out: Path
    environments: Path
    limit_seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    names = ", ".join(contender.name for contender in peers.contenders())
    parser.add_argument(
        "directory", nargs="?", type=Path, default=MANUAL, help="HTML files to serve (default: the PostgreSQL manual)"
    )
    parser.add_argument(
        "--hosts", type=int, default=8, help="loopback addresses at which it is served, each a site (default: 8)"
    )
    parser.add_argument("--turns", type=int, default=3, help="how often each contender runs (default: 3)")
    parser.add_argument("--only", default="", metavar="NAME,...", help=f"of {names} (default: all)")
    parser.add_argument("--start-page", default="index.html", help="the seed, in the directory (default: index.html)")
    parser.add_argument("--out", type=Path, default=OUT, help="where the table, plot and numbers go")
    parser.add_argument(
        "--environments", type=Path, default=environments.DEFAULT_FOLDER, help="where the contenders are installed"
    )
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that one run may take (default: 600)")


def main(arguments: argparse.Namespace) -> int:
    """Run the comparison; 0 if all found the same pages, 1 if not or if some failed, 2 if it cannot be run."""
    try:
        options = _read(arguments)
    except ValueError as error:
        _say(f"error: {error}")
        return 2
    ready, missing = _set_up(options)
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="poolcrawl-benchmark-", dir=_scratch()) as scratch:
        for turn in range(1, options.turns + 1):
            for each in ready:
                if not any(run.failure for run in runs if run.name == each.contender.name):
                    runs.append(_run(each, turn, options, Path(scratch)))
    comparison = report.Comparison(
        machine.describe(), shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]), options.turns,
        _describe(options.site), _describe_storage(), ready, runs, missing,
    )  # fmt: skip
    print(report.write(comparison, options.out), end="")
    _say(f"written: {options.out}/compare.md, compare.svg, compare.json")
    return 1 if comparison.complaints else 0


def _read(arguments: argparse.Namespace) -> Options:
    """Check the command line.

    Raises:
        ValueError: it makes no sense; the text says why.
    """
    directory: Path = arguments.directory
    known = [contender.name for contender in peers.contenders()]
    only = [name for name in arguments.only.split(",") if name]
    if not sys.platform.startswith("linux"):
        raise ValueError("the benchmarks run on Linux only: they read /proc")
    if not directory.is_dir():
        raise ValueError(_MISSING_MANUAL if directory == MANUAL else f"{directory} is no directory")
    if not (directory / arguments.start_page).is_file():
        raise ValueError(f"{directory} has no {arguments.start_page}: name the first page with --start-page")
    if not 1 <= arguments.hosts <= 254 or arguments.turns < 1 or arguments.limit <= 0:
        raise ValueError("--hosts is 1 to 254, --turns at least 1, --limit more than 0")
    if unknown := set(only) - set(known):
        raise ValueError(f"--only: {', '.join(sorted(unknown))} is none of {', '.join(known)}")
    site = sites.Site(directory.resolve(), arguments.hosts, arguments.start_page)
    return Options(site, arguments.turns, only, arguments.out, arguments.environments, arguments.limit)


def _set_up(options: Options) -> tuple[list[peers.Ready], list[str]]:
    """Set the contenders up; those that are ready, and what is wrong with the others."""
    ready, missing = [], []
    for contender in peers.contenders():
        if options.only and contender.name not in options.only:
            continue
        _say(f"setting up {contender.name}")
        try:
            ready.append(peers.set_up(contender, options.environments.resolve()))
        except (RuntimeError, OSError) as error:
            missing.append(f"{contender.name} is left out: {error}")
            _say(missing[-1])
    return ready, missing


def _run(ready: peers.Ready, turn: int, options: Options, scratch: Path) -> Run:
    """Let one contender crawl the site once."""
    name = ready.contender.name
    server, work = scratch / "server", scratch / "work"
    for folder in (server, work):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    output = scratch / "output"
    with sites.serve(options.site, server) as port:
        command = ready.contender.command(ready.program, peers.Job(options.site.seeds(port), work))
        usage = measure.run(
            command, work, output, limit_seconds=options.limit_seconds, environment=_environment(work)
        )  # fmt: skip
    visit = sites.read_log(server)
    end = _last_commit(work / ready.contender.ledger) if ready.contender.is_ours else visit.last
    run = Run(turn, name, usage, visit, end, _failure(ready.contender, usage, visit, output))
    numbers = f"{run.pages_per_second:,.0f} a second, {usage.wall_seconds:.1f} s in all, {run.peak_mb:,.0f} MB"
    _say(f"turn {turn} of {options.turns}: {name}: {run.pages:,} pages, {run.failure or numbers}")
    return run


def _environment(home: Path) -> dict[str, str]:
    """Return the same environment variables for all: no proxies, and nothing written outside the run's folder."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return {**kept, "HOME": str(home), "TMPDIR": str(home)}


def _failure(contender: peers.Contender, usage: measure.Usage, visit: sites.Visit, output: Path) -> str:
    """Say what went wrong; "" if nothing did."""
    said = output.read_text(errors="replace").strip()[-300:]
    if usage.timed_out:
        return f"killed after {usage.wall_seconds:.0f} s"
    if usage.exit_code not in contender.exit_codes:
        return f"exit code {usage.exit_code}: {said}"
    return "" if visit.pages else f"no page: {said}"


def _last_commit(ledger: Path) -> float:
    """Return the Unix time at which a crawl's last batch was committed; 0 if it did not come to that."""
    try:
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT ended FROM runs ORDER BY id DESC LIMIT 1").fetchone()
    except sqlite3.Error:
        return 0.0
    return datetime.fromisoformat(found[0]).timestamp() if found and found[0] else 0.0


def _scratch() -> Path | None:
    """Return where the contenders write: memory, if there is such a folder; None: the usual temporary folder."""
    return MEMORY_FOLDER if os.access(MEMORY_FOLDER, os.W_OK) else None


def _describe_storage() -> str:
    where = f"in memory ({MEMORY_FOLDER})" if _scratch() else "in the temporary folder, on disk"
    return f"What the contenders write (ledger, feeds, bodies) and the server's log are {where}, for all alike."


def _describe(site: sites.Site) -> str:
    files = [path for path in site.directory.rglob("*.htm*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    hosts = f"{site.hosts} loopback addresses" if site.hosts > 1 else "one loopback address"
    return f"{len(files):,} HTML files ({size:.1f} MB) of `{site.directory}`, served whole at {hosts}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
