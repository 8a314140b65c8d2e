"""`python -m crawler [options] SEED...`: a crawl from these seeds, or what is left of it: the same command continues.

Turns words into a `Config` and seeds, shows how the crawl is getting on, and says how it ended; knows nothing of how a
crawl works. Runs in the coordinator.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crawler import transports
from crawler.cli import logs, streams
from crawler.cli.arguments import DEFAULT_LEDGER, Parser, program
from crawler.cli.commands import COMMANDS, listing
from crawler.cli.layers import read_config
from crawler.cli.options import add_options, read_flags
from crawler.cli.signals import Signals, write_at_once
from crawler.config import VERSION, Config
from crawler.engine.kind import choose_kind
from crawler.errors import UsageError
from crawler.model import INTERRUPTED
from crawler.processes.capacity import limits_explained
from crawler.text import VERY_ALIKE, close_match, printable

if TYPE_CHECKING:
    from crawler.api.seeds import Seed
    from crawler.api.session import Ended
    from crawler.cli.panel.terminal import Terminal

log = logging.getLogger("crawler")

NO_SEED_GAVE_A_PAGE = 4


def make_parser(name: str) -> Parser:
    """Make the parser of a crawl; its help lists the commands, too."""
    parser = Parser(
        name,
        usage=f"{program()} [options] SEED...\n       {program()} COMMAND ...",
        description="Crawl from the seeds, politely and on all cores, into one SQLite file. "
        "The same command again continues.\n\n"
        f"commands ({program()} COMMAND --help shows more; a file of that name is ./COMMAND):\n{listing()}",
        epilog="Exit codes: 0 finished or budget reached, 1 unexpected error, 2 usage, 4 no seed gave a page, "
        "5 storage,\n130/143 stopped by a signal (the same command continues).",
    )
    parser.add_argument(
        "seeds",
        nargs="+",
        metavar="SEED",
        help="a URL, a bare host, a folder of HTML, a file with one of them a line, or -",
    )
    add_options(parser)
    group = parser.add_argument_group("the run")
    group.add_argument("--fresh", action="store_true", help="delete the ledger and start over")
    group.add_argument("--yes", action="store_true", help="do not ask before deleting")
    group.add_argument("-v", "--verbose", action="store_true", help="name each URL as it comes back")
    group.add_argument("--log-file", type=Path, metavar="FILE", help="write the log there too")
    group.add_argument("--version", action="version", version=f"poolcrawl {VERSION}")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Crawl, say how it ended, and return the exit code."""
    logs.set_up(arguments.log_file, quiet=arguments.quiet, verbose=arguments.verbose)
    config = read_config(arguments.config, arguments.set or [], read_flags(arguments), os.environ)
    _warn(config)
    transports.check(config)
    # Starts the fork server, which imports what workers need while this process imports the rest and opens the ledger.
    with limits_explained():
        choose_kind(config)
    seeds = _read_seeds(arguments.seeds)
    ledger = Path(config.ledger or DEFAULT_LEDGER)
    if arguments.fresh and ledger.exists() and not arguments.yes:
        _ask_whether_to_delete(ledger)
    return _crawl(seeds, config, ledger, arguments)


def _crawl(seeds: Sequence[Seed], config: Config, ledger: Path, arguments: argparse.Namespace) -> int:
    from crawler.api import session  # here and below: while the fork server imports, too
    from crawler.cli.panel.facts import Panel
    from crawler.engine.job import Stop

    stop = Stop()
    terminal = _find_terminal(config, verbose=arguments.verbose)
    progress = Panel(config, str(ledger), terminal.draw) if terminal else None
    signals = Signals(stop, terminal.write if terminal else write_at_once)
    try:
        control = session.Control(stop, progress)
        ended = session.run(seeds, config, ledger, fresh=arguments.fresh, control=control)
    except KeyboardInterrupt:
        log.warning("stopped at once; nothing that was committed is lost: continue with the same command")
        return 128 + (signals.received or signal.SIGINT)
    finally:
        if terminal:
            terminal.close()
        signals.restore()
    return _conclude(ledger, ended, signals.received, quiet=arguments.quiet)


def _conclude(ledger: Path, ended: Ended, signal_number: int, *, quiet: bool) -> int:
    """Print how the crawl ended, and return the exit code."""
    from crawler.api import report

    results = report.seed_results(ledger)
    gave_page = any(seed.has_page for seed in results)
    if not quiet:
        from crawler.cli import summary

        with streams.output():
            summary.print_summary(ledger, ended.finish_reason, ended.had_ended, results)
    if ended.finish_reason == INTERRUPTED:
        return 128 + (signal_number or signal.SIGINT)
    return 0 if gave_page or ended.had_ended else NO_SEED_GAVE_A_PAGE


def _read_seeds(words: Sequence[str]) -> list[Seed]:
    """Read the seeds; those that are none are named.

    Raises:
        UsageError: there is none.
    """
    from crawler.api.seeds import read_seeds

    seeds, problems = read_seeds(words, sys.stdin)
    told = [f"{problem.place}{printable(problem.text)}: {problem.message}" for problem in problems]
    if not seeds and len(told) == 1:
        raise UsageError(told[0] + _hint(problems[0].text))
    for text in told:
        log.warning("%s", text)
    if not seeds:
        raise UsageError(
            "there is no usable seed; name a URL, a host, a folder of HTML, or a file with one of them a line"
        )
    return seeds


def _hint(seed: str) -> str:
    """Say which command may have been meant by a word that is no seed."""
    close = close_match(seed, COMMANDS, VERY_ALIKE)
    return f"; did you mean the command {close}?" if close else ""


def _find_terminal(config: Config, *, verbose: bool) -> Terminal | None:
    """Return the terminal for a live panel, with the log lines above it; None where lines alone are right."""
    from crawler.cli.panel import terminal

    if verbose or not config.log_seconds or not terminal.is_fit(sys.stderr):
        return None
    found = terminal.Terminal(sys.stderr)
    logs.put_above_panel(found)
    return found


def _warn(config: Config) -> None:
    if not config.obey_robots:
        log.warning("robots.txt is not obeyed: make sure that you may")
    if config.per_host > 1 and config.delay_seconds > 0:
        log.warning(
            "per_host = %s has no effect with delay_seconds = %g: the delay counts from the end of the last exchange",
            config.per_host, config.delay_seconds,
        )  # fmt: skip


def _ask_whether_to_delete(ledger: Path) -> None:
    if not sys.stdin.isatty():
        raise UsageError(f"--fresh would delete {ledger}: say --yes as well")
    answer = input(f"delete {ledger} and start over? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        raise UsageError(f"{ledger} was left as it is")
