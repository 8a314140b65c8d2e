"""What ends a crawl: a report for the person in front of the terminal.

Everything comes from the ledger, by look-ups that use its indices, so that it is there at once for a million URLs. Runs
in the process that prints, when the run is over; must not know the engine. Text from the network passes `printable`.
"""

from __future__ import annotations

import os
import shlex
from contextlib import closing
from pathlib import Path
from typing import Any

from crawler.api.report import reading
from crawler.cli.arguments import program
from crawler.cli.console import make_console, print_status
from crawler.config import read_stored
from crawler.ledger import findings
from crawler.ledger.findings import SeedResult
from crawler.ledger.saved import Saved
from crawler.text import printable, readable_bytes, readable_duration

SHOWN_SEEDS = 20
SHOWN_BROKEN = 10
MOST_FRAGMENT_PAGES = 20_000  # some seconds; in more, fragments are looked for when that is asked
SHOWN_HOSTS = 3
SHOWN_ROBOTS = 3
SHOWN_ERRORS = 5
SLOW_SECONDS = 0.5  # hosts that are faster on average are not worth a line
EXAMPLE_QUERY = "select url, status, title from pages limit 10"

_LAST_CONFIG = "SELECT config FROM runs ORDER BY id DESC LIMIT 1"


def print_summary(ledger: Path, finish_reason: str, had_ended: bool, seeds: list[SeedResult]) -> None:
    """Print what ends a crawl on standard output: counts, what went wrong and where, what to do next."""
    console = make_console()
    facts = print_status(ledger, console)
    without = [seed for seed in seeds if not seed.has_page and seed.state != "queued"]
    failed = facts["urls"]["failed"] - sum(seed.state == "failed" for seed in without)
    blocked = facts["reasons"].get("blocked-address", 0)
    blocked -= sum(seed.reason == "blocked-address" for seed in without)
    broken = facts["reasons"].get("client-error", 0) + failed - blocked
    with reading(ledger) as connection:
        sections = [
            _broken_links(connection, broken, ledger),
            _broken_fragments(connection, ledger),
            _kept_out(connection, facts["reasons"].get("robots", 0)),
            _denied(connection),
            _slowest(connection),
            _item_errors(connection, facts["item_errors"]),
            _saved(connection, ledger, [seed.url for seed in seeds[:SHOWN_SEEDS]]),
        ]
    for heading, *lines in filter(None, sections):
        console.print(printable(heading), style="bold", markup=False)
        for line in lines:
            console.print(f"  {printable(line)}", markup=False)
    for line in (*_seeds_without_a_page(without), *_next_steps(ledger, finish_reason, had_ended)):
        console.print(printable(line), markup=False)


def _seeds_without_a_page(without: list[SeedResult]) -> list[str]:
    lines = [f"seed without a page: {seed.url} {seed.reason} {seed.error}".rstrip() for seed in without[:SHOWN_SEEDS]]
    if len(without) > SHOWN_SEEDS:
        lines.append(f"and {len(without) - SHOWN_SEEDS:,} more seeds without a page")
    return lines


def _broken_links(connection: Any, count: int, ledger: Path) -> list[str]:
    if not count:
        return []
    lines = [f"broken links: {count:,} URL{'' if count == 1 else 's'}"]
    for status, reason, error, url, via in findings.broken(connection, SHOWN_BROKEN):
        lines.append(f"{status or reason}  {url}" + (f"  ({error})" if error and not status else ""))
        lines.append(f"     on {via}" if via else "     a seed")
    return [*lines, *_more(count, SHOWN_BROKEN), f"each page that links to them: {_command('links', ledger)} --broken"]


def _broken_fragments(connection: Any, ledger: Path) -> list[str]:
    # The view looks at all pages: only for who asked for it, and does not wait for it too long.
    pages = findings.pages_with_fragments(connection, MOST_FRAGMENT_PAGES + 1)
    if not pages:
        return []
    command = f"{_command('links', ledger)} --broken-fragments"
    if pages > MOST_FRAGMENT_PAGES:
        return ["broken fragments: not looked for yet, in so many pages", f"to look for them: {command}"]
    count, some = findings.broken_fragments(connection, SHOWN_BROKEN)
    if not count:
        return []
    lines = [f"broken fragments: {count:,} URL{'' if count == 1 else 's'}"]
    for url, source in some:
        lines += [url, f"  on {source}"]
    return [*lines, *_more(count, SHOWN_BROKEN), f"each page that links to them: {command}"]


def _kept_out(connection: Any, count: int) -> list[str]:
    if not count:
        return []
    found = findings.kept_out(connection, SHOWN_ROBOTS)
    return [f"kept out by robots.txt: {count:,} URL{'' if count == 1 else 's'}", *found, *_more(count, SHOWN_ROBOTS)]


def _denied(connection: Any) -> list[str]:
    count, rows = findings.denied(connection, SHOWN_HOSTS)
    if not count:
        return []
    hosts = [f"{host}  {reason or f'status {status}'}" for host, reason, status in rows]
    return [f"robots.txt unreachable, which forbids the host: {count:,}", *hosts, *_more(count, SHOWN_HOSTS)]


def _more(count: int, shown: int) -> list[str]:
    return [f"and {count - shown:,} more"] if count > shown else []


def _slowest(connection: Any) -> list[str]:
    lines = []
    for seconds, host, asked in findings.slowest(connection, SLOW_SECONDS, SHOWN_HOSTS):
        requests = f"{asked:,} request{'' if asked == 1 else 's'}"
        lines.append(f"{host}  {readable_duration(seconds)} a request, {requests}")
    return ["slowest hosts:", *lines] if lines else []


def _item_errors(connection: Any, count: int) -> list[str]:
    if not count:
        return []
    lines = [f"parse hook errors: on {count:,} page{'' if count == 1 else 's'}"]
    for each, example, url in findings.item_errors(connection, SHOWN_ERRORS):
        first = next(iter(example.splitlines()), "")
        lines += [f"{each:,} like: {first}", f"     on {url}"]
    return lines


def _saved(connection: Any, ledger: Path, seeds: list[str]) -> list[str]:
    """Say what the last run's copy holds, and where to begin to read it."""
    config = read_stored(connection.execute(_LAST_CONFIG).fetchone()[0]).config
    if not config.save:
        return []
    count, size = findings.saved(connection)
    files = f"{count:,} file{'' if count == 1 else 's'}"
    lines = [f"saved: {files}, {readable_bytes(size)}, in {_nearby(config.save)}"]
    with closing(Saved(ledger)) as found:
        first = next((file for seed in seeds if (file := found.file_of(seed))), "")
    if first:
        lines.append(f"begin with {_nearby(os.path.join(config.save, first))}")  # noqa: PTH118  (plain text)
    if first and not config.convert_links:
        lines.append("to browse it without the web: the same command with --convert-links")
    return lines


def _nearby(path: str) -> str:
    """Return a path as somebody here would type it."""
    relative = os.path.relpath(path)
    return shlex.quote(path if relative.startswith("..") else relative)


def _next_steps(ledger: Path, finish_reason: str, had_ended: bool) -> list[str]:
    if finish_reason == "interrupted":
        return ["interrupted: continue with the same command"]
    lines = []
    if finish_reason == "max-time":
        lines.append("the time is up: the same command continues")
    elif finish_reason == "max-pages":
        lines.append("ended on --max-pages: the same command with a larger number continues")
    elif had_ended:
        lines.append("this crawl had finished before: nothing was asked; --fresh starts over, other seeds are added")
    lines.append(f"look into it: {_command('pages', ledger)}")
    lines.append(f"              sqlite3 {shlex.quote(str(ledger))} '{EXAMPLE_QUERY}'")
    return lines


def _command(name: str, ledger: Path) -> str:
    return f"{program()} {name} {shlex.quote(str(ledger))}"
