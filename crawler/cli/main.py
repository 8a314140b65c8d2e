"""The command line: `python -m crawler [options] SEED...`; other commands (`status`, ...) are those of `commands`.

Names of options and exit codes are an interface. This module turns words into a `Config` and seeds, signals into a
`Stop`, and errors into one sentence and an exit code; it knows nothing of how a crawl works. Runs in the coordinator.

Exit codes: 0 finished, or a budget was reached · 1 unexpected error · 2 usage, config or seeds unusable · 4 no seed
gave a page · 5 storage · 128 + n stopped by signal n (130 Ctrl-C, 143 SIGTERM), resumable with the same command.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from crawler import transports
from crawler.cli import commands
from crawler.cli.arguments import DEFAULT_LEDGER, Parser, ledger_file, program
from crawler.cli.layers import read_config
from crawler.config import VERSION, Config
from crawler.engine.kind import choose_kind
from crawler.errors import CrawlerError, UsageError
from crawler.model import INTERRUPTED
from crawler.processes.capacity import limits_explained
from crawler.text import VERY_ALIKE, close_match, printable

log = logging.getLogger("crawler")

NO_SEED_GAVE_A_PAGE = 4

#: group → (flags, config key or None, metavar, help, how often); defaults are those of `Config`
_OPTIONS: dict[str, list[tuple[tuple[str, ...], str, str, str]]] = {
    "what is crawled": [
        (("--depth",), "max_depth", "N", "follow links so many steps from a seed; 0: the seeds only, -1: no limit"),
        (("--max-pages",), "max_pages", "N", "stop when the ledger has so many pages; 0: no limit"),
        (("--max-time",), "max_seconds", "SECONDS", "stop this run after so long; 0: no limit"),
        (("--scope",), "scope", "page|prefix|host|any", "how far from a seed links are followed"),
        (("--include",), "include", "REGEX", "only URLs that match one of these (repeatable)"),
        (("--exclude",), "exclude", "REGEX", "no URL that matches any of these (repeatable)"),
        (
            ("--check-external",),
            "check_external",
            "",
            "ask also for links that leave the scope, without following them",
        ),
        (("--embeds",), "embeds", "", "ask also for what pages embed: images, scripts, stylesheets, fonts, media"),
        (("--check-fragments",), "check_fragments", "", "check that pages have the #fragments that links to them name"),
    ],
    "what is kept": [
        (("--save",), "save", "DIR", "save bodies as files, host/path, in this folder"),
        (("--convert-links",), "convert_links", "", "make the links of saved pages lead to saved files, in the end"),
        (("--types",), "types", "TYPES", "save only these: html,css,images,pdf or content types (repeatable)"),
        (("--accept",), "accept", "PATTERNS", "save only such suffixes, names or types: pdf,'report-*' (repeatable)"),
        (("--reject",), "reject", "PATTERNS", "save no such suffixes, names or types (repeatable)"),
    ],
    "politeness": [
        (("--delay",), "delay_seconds", "SECONDS", "between two requests to a host"),
        (("--per-host",), "per_host", "N", "requests in flight to a host; above 1 only without delay"),
        (("-U", "--user-agent"), "user_agent", "TEXT", "how the crawler names itself"),
        (("-H", "--header"), "headers", "NAME:VALUE", "a header of every request (repeatable)"),
    ],
    "requests": [
        (
            ("--transport",),
            "transport",
            "NAME",
            "how requests are sent: requests, or curl, several times as fast",
        ),
        (("-c", "--concurrency"), "concurrency", "N", "requests in flight, all hosts together"),
        (("--timeout",), "timeout_seconds", "SECONDS", "for a whole request, from the name look-up to the last byte"),
        (("--retries",), "retries", "N", "after a failure that may pass"),
        (("--allow-private",), "allow_private", "CIDR", "addresses that are not public, yet may be asked (repeatable)"),
    ],
    "the machine": [
        (("-p", "--processes"), "processes", "N", "worker processes; -1: one a core, 0: none at all"),
        (("--parse",), "parse", "MODULE:FUNCTION", "called with each page; what it returns is stored as items"),
    ],
}
_REPEATABLE = {"include", "exclude", "allow_private", "headers", "types", "accept", "reject"}
_BY_COMMAS = ("types", "accept", "reject")


def main(words: Sequence[str] | None = None) -> int:
    """Run the program with these words (the process's own by default) and return its exit code."""
    words = list(sys.argv[1:] if words is None else words)
    _open_standard_streams()
    try:
        return _command(words[0], words[1:]) if words and words[0] in commands.COMMANDS else _crawl(words)
    except CrawlerError as error:
        from crawler.text import printable

        print(f"poolcrawl: {printable(str(error))}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except KeyboardInterrupt:  # when there was nothing to stop gently: before the crawl, or after it
        print("poolcrawl: interrupted", file=sys.stderr)  # noqa: T201
        return 128 + signal.SIGINT
    finally:
        with _output():
            sys.stdout.flush()


def _crawl(words: list[str]) -> int:
    arguments = make_parser().read(words)
    _set_up_logging(arguments)
    config = read_config(arguments.config, arguments.set or [], read_flags(arguments), os.environ)
    _warn(config)
    transports.check(config)
    # Starts the fork server, which imports what workers need while this process imports the rest and opens the ledger.
    with limits_explained():
        choose_kind(config)
    from crawler.api import session
    from crawler.api.seeds import read_seeds
    from crawler.cli.panel.facts import Panel
    from crawler.engine.job import Stop

    seeds, problems = read_seeds(arguments.seeds, sys.stdin)
    told = [f"{problem.place}{printable(problem.text)}: {problem.message}" for problem in problems]
    if not seeds and len(told) == 1:
        raise UsageError(told[0] + _hint(problems[0].text))
    for text in told:
        log.warning("%s", text)
    if not seeds:
        raise UsageError(
            "there is no usable seed; name a URL, a host, a folder of HTML, or a file with one of them a line"
        )
    ledger = Path(config.ledger or DEFAULT_LEDGER)
    if arguments.fresh and ledger.exists() and not arguments.yes:
        _ask_whether_to_delete(ledger)
    stop = Stop()
    terminal = _find_terminal(config, verbose=arguments.verbose)
    progress = Panel(config, str(ledger), terminal.draw) if terminal else None
    signals = _Signals(stop, terminal.write if terminal else _say)
    try:
        control = session.Control(stop, progress)
        ending = session.run(seeds, config, ledger, fresh=arguments.fresh, control=control)
    except KeyboardInterrupt:
        log.warning("stopped at once; nothing that was committed is lost: continue with the same command")
        return 128 + (signals.received or signal.SIGINT)
    finally:
        if terminal:
            terminal.close()
        signals.restore()
    return _conclude(ledger, ending.finish_reason, ending.had_ended, signals.received, quiet=arguments.quiet)


def _hint(seed: str) -> str:
    """Say which command may have been meant by a word that is no seed."""
    close = close_match(seed, commands.COMMANDS, VERY_ALIKE)
    return f"; did you mean the command {close}?" if close else ""


def _conclude(ledger: Path, finish_reason: str, had_ended: bool, signal_number: int, *, quiet: bool) -> int:
    """Print how the crawl ended, and return the exit code."""
    from crawler.api import report

    results = report.seed_results(ledger)
    gave_page = any(seed.has_page for seed in results)
    if not quiet:
        from crawler.cli import summary

        with _output():
            summary.print_summary(ledger, finish_reason, had_ended, results)
    if finish_reason == INTERRUPTED:
        return 128 + (signal_number or signal.SIGINT)
    return 0 if gave_page or had_ended else NO_SEED_GAVE_A_PAGE


def _command(name: str, words: list[str]) -> int:
    """Run one of the commands beside the crawl."""
    try:
        with _output():
            return commands.run(name, words)
    except UsageError as error:
        if Path(name).exists():
            raise UsageError(f"{error} ({name} is a command; to crawl from ./{name}, say ./{name})") from error
        raise
    return 0  # whoever reads the output has read enough


@contextlib.contextmanager
def _output() -> Iterator[None]:
    """Let printing fail without a say in the exit code: `| head` has read enough, or the disk is full."""
    try:
        yield
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            with contextlib.suppress(OSError):
                print(f"poolcrawl: cannot write the output: {error.strerror}", file=sys.stderr)  # noqa: T201
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in buffers goes there


def _open_standard_streams() -> None:
    """Open /dev/null for each standard stream that was closed (`2>&-`): the next file opened would get its number."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, number)
            if null != number:
                os.close(null)
            os.set_inheritable(number, True)  # children need it, too
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def _find_terminal(config: Config, *, verbose: bool) -> Any:
    """Return the terminal for a live panel, with the log lines above it; None where lines alone are right."""
    from crawler.cli.panel import terminal

    if verbose or not config.log_seconds or not terminal.is_fit(sys.stderr):
        return None
    found = terminal.Terminal(sys.stderr)
    for handler in log.handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
            handler.setStream(found)
            handler.addFilter(lambda record: record.name != "crawler.progress")  # the panel says it better
    return found


def _say(text: str) -> None:
    """Write to standard error, from a signal handler."""
    with contextlib.suppress(OSError):  # the terminal may be what has gone
        os.write(2, f"\n{text}".encode())


class _Signals:
    """Ctrl-C and its like: the first stops the crawl gently, the second at once."""

    def __init__(self, stop: Any, say: Callable[[str], object]) -> None:
        self.received = 0
        self._stop = stop
        self._say = say
        self._before = {number: signal.signal(number, self._handle) for number in _stopping_signals()}

    def restore(self) -> None:
        """Put the handlers back that were there."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            for each in self._before:
                signal.signal(each, signal.SIG_IGN)
            raise KeyboardInterrupt
        self.received = number
        self._stop(INTERRUPTED)
        self._say("stopping: what is in flight has 10 s to end; once more to stop at once\n")


def _stopping_signals() -> list[signal.Signals]:
    # nohup and the like ignore SIGHUP on purpose: that stays so.
    wanted = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    return [number for number in wanted if signal.getsignal(number) is not signal.SIG_IGN]


def make_parser() -> Parser:
    """Make the parser of a crawl; its help lists the commands, too."""
    parser = Parser(
        usage=f"{program()} [options] SEED...\n       {program()} COMMAND ...",
        description="Crawl from the seeds, politely and on all cores, into one SQLite file. "
        "The same command again continues.\n\n"
        f"commands ({program()} COMMAND --help shows more; a file of that name is ./COMMAND):\n{commands.listing()}",
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


def add_options(parser: Parser) -> None:
    """Add the options that stand for keys of the config."""
    defaults = Config()
    for title, options in _OPTIONS.items():
        group = parser.add_argument_group(title)
        for flags, key, metavar, text in options:
            default = getattr(defaults, key)
            if default is False:
                group.add_argument(*flags, dest=key, action="store_const", const=True, help=text)
                continue
            shown = f" (default: {default})" if default not in ((), {}, "") else ""
            group.add_argument(
                *flags, dest=key, metavar=metavar, help=text + shown.replace("%", "%%"), type=_type_of(key),
                action="append" if key in _REPEATABLE else "store",
            )  # fmt: skip
    group = parser.add_argument_group("other")
    group.add_argument(
        "--ledger", type=ledger_file, metavar="FILE", help=f"the SQLite file (default: {DEFAULT_LEDGER})"
    )
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="a TOML file (default: ./config.toml if it is there)"
    )
    group.add_argument("-s", "--set", action="append", metavar="KEY=VALUE", help="any key of the config (repeatable)")
    group.add_argument("--no-robots", action="store_true", help="do not ask for or obey robots.txt")
    group.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    group.add_argument("--no-progress", action="store_true", help="no live panel, and no line every few seconds")


def flag_of(key: str) -> str:
    """Return the flag that sets a key of the config."""
    flags = {each: flags[-1] for options in _OPTIONS.values() for flags, each, _, _ in options}
    return flags.get(key) or {"obey_robots": "--no-robots", "log_seconds": "--no-progress"}.get(key, f"--{key}")


def _type_of(key: str) -> Any:
    kind = type(getattr(Config(), key))
    return kind if kind in (int, float) else str


def read_flags(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the flags that were given, by config key and typed."""
    keys = [key for options in _OPTIONS.values() for _, key, _, _ in options]
    flags = {key: value for key in keys if (value := getattr(arguments, key)) is not None}
    for key in _BY_COMMAS:
        if key in flags:
            flags[key] = [word.strip() for text in flags[key] for word in text.split(",") if word.strip()]
    if "headers" in flags:
        flags["headers"] = dict(_read_header(text) for text in flags["headers"])
    if arguments.ledger is not None:
        flags["ledger"] = str(arguments.ledger)
    if arguments.no_robots:
        flags["obey_robots"] = False
    if arguments.no_progress or arguments.quiet:
        flags["log_seconds"] = 0.0
    return flags


def _read_header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageError(f"--header {text!r}: expected NAME:VALUE, such as 'Accept-Language: de'")
    return name.strip(), value.strip()


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


def _set_up_logging(arguments: argparse.Namespace) -> None:
    logger = logging.getLogger("crawler")
    level = logging.ERROR if arguments.quiet else logging.DEBUG if arguments.verbose else logging.INFO
    logger.setLevel(logging.DEBUG if arguments.verbose else logging.INFO)
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(level)
    handlers: list[logging.Handler] = [console]
    if arguments.log_file is not None:
        try:
            handlers.append(logging.FileHandler(arguments.log_file, encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"cannot write the log file {arguments.log_file}: {error.strerror}") from error
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
    logger.propagate = False
