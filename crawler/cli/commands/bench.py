"""How fast is it on this machine? `python -m crawler bench`: a synthetic web on loopback, crawled by the real program.

The web is computed, not stored: the same numbers give the same bytes anywhere. It has the shape that counts for a
crawler (14 kB of HTML and forty links a page, most of them seen before) and costs its server next to nothing. The
server is a process of its own, this module run as a program; it ends when its standard input does: with whoever started
it. The rest runs in the coordinator. Must not know how a crawl works: it calls `crawl()` and reads the report.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

from crawler import clock
from crawler.cli.arguments import Parser
from crawler.config import VERSION, Config
from crawler.errors import CrawlerError, UsageError
from crawler.model import MAX_TIME

ADDRESS: Final = "127.0.0.1"  # macOS has no other loopback address: hosts differ by their port
NAVIGATION_LINKS: Final = 10
ONWARD_LINKS: Final = 30
PARAGRAPHS: Final = 21  # of a page; with the links, about 14 kB
POOL: Final = 97  # paragraphs that pages are put together from; a prime, so that the steps below reach all
WORDS: Final = (
    "a about after again along and another are as at away back because before between both but by came city could day "
    "each end even every few first for found from garden great hand harbour have high house if in into island its keep "
    "large last later light line little long market mountain much near never new night of old on only open other over "
    "people place quiet river road school sea second see side small still street such than that the to town tree until"
)


def share_out(pages: int, hosts: int) -> list[int]:
    """Return how many pages each host has."""
    share, rest = divmod(pages, hosts)
    return [share + (host < rest) for host in range(hosts)]


def path_of(number: int) -> str:
    """Return the path of a host's page; 0 is its start page."""
    return f"/page/{number}" if number else "/"


def linked(number: int, pages: int) -> list[int]:
    """Return the pages that a page links to: the navigation, then thirty of its own.

    Page n leads to 30n + 1 ... 30n + 30: every page has one that leads to it and comes earlier, so that all can be
    reached, within a few steps. Beyond the last page they begin again with the first, as related pages do.
    """
    onward = (number * ONWARD_LINKS + 1 + step for step in range(ONWARD_LINKS))
    return [*range(min(NAVIGATION_LINKS, pages)), *(page % pages for page in onward)]


def render(host: int, number: int, pages: int) -> bytes:
    """Return the HTML of a page of a host that has so many."""
    links = [f'<li><a class="item" href="{path_of(page)}">Page {page:,}</a></li>\n' for page in linked(number, pages)]
    navigation, onward = links[:-ONWARD_LINKS], links[-ONWARD_LINKS:]
    pool, first = _paragraphs(), number * 13 + host * 29
    name = f"Page {number:,} of host {host}"
    parts = [
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{name}</title>\n'
        f'<meta name="description" content="What {name} has to say.">\n<link rel="stylesheet" href="/style.css">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n</head>\n<body>\n'
        '<header><img src="/logo.png" alt="Logo" width="120" height="40">\n<nav><ul class="navigation">\n',
        *navigation,
        f"</ul></nav></header>\n<main>\n<h1>{name}</h1>\n",
    ]
    for place in range(PARAGRAPHS):
        if place % 7 == 0:
            parts.append(f'<h2 id="part-{place // 7}">Part {place // 7 + 1}</h2>\n')
        parts.append(pool[(first + place * 5) % POOL])
    parts += ['</main>\n<aside><h2>Read on</h2>\n<ul class="onward">\n', *onward, "</ul></aside>\n"]
    parts.append("<footer><p>A page that nobody wrote, for a measurement.</p></footer>\n</body>\n</html>\n")
    return "".join(parts).encode("ascii")


@cache
def _paragraphs() -> list[str]:
    known, made = WORDS.split(), []
    for number in range(POOL):
        words = [known[(number * 31 + place * (2 * number + 7) + place * place) % len(known)] for place in range(90)]
        words[11], words[47] = f"<strong>{words[11]}</strong>", f'<em class="stress">{words[47]}</em>'
        made.append(f'<p class="text">{" ".join(words).capitalize()}.</p>\n')
    return made


# ---- its server: a process of its own


class _Connection(asyncio.Protocol):
    """A kept connection to one host; requests are answered in their order, as many at once as have come."""

    def __init__(self, host: int, pages: int) -> None:
        self._host = host
        self._pages = pages
        self._rest = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; asyncio has set TCP_NODELAY on its socket."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request whose head is complete."""
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        requests = [head.split(b" ", 2) for head in heads]
        if any(words[0] != b"GET" or len(words) < 3 for words in requests):
            self._transport.close()
        else:
            self._transport.write(b"".join(self._answer(words[1].decode("latin-1")) for words in requests))

    def _answer(self, path: str) -> bytes:
        digits = path.removeprefix("/page/") if path != "/" else "0"
        number = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 12 else -1
        if not 0 <= number < self._pages or path_of(number) != path:  # robots.txt among them
            return b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\nnot found\n"
        html = render(self._host, number, self._pages)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {len(html)}\r\n\r\n"
        return head.encode("ascii") + html


async def _serve(pages: int, hosts: int) -> None:
    """Serve the web, and print its ports as JSON, until standard input ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)  # nothing is ever written there
    servers = [
        await loop.create_server(partial(_Connection, host, share), ADDRESS, 0, backlog=1_024)
        for host, share in enumerate(share_out(pages, hosts))
    ]
    sys.stdout.write(json.dumps([server.sockets[0].getsockname()[1] for server in servers]) + "\n")
    sys.stdout.flush()
    await ended.wait()


@contextlib.contextmanager
def serving(pages: int, hosts: int) -> Iterator[tuple[int, list[str]]]:
    """Hold a process that serves the web: its pid, and the start pages. Without it there is a CrawlerError."""
    # The package as it is here, whatever the working directory has (-P), installed or not.
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-P", "-m", "crawler.cli.commands.bench", str(pages), str(hosts)]
    with subprocess.Popen(  # noqa: S603  (our own words)
        command, env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the crawler alone
    ) as server:  # fmt: skip
        try:
            assert server.stdout is not None  # noqa: S101  (a pipe)
            ports = json.loads(server.stdout.readline() or "[]")
            if not ports:
                raise CrawlerError("the web server of the bench did not start")
            yield server.pid, [f"http://{ADDRESS}:{port}/" for port in ports]
        finally:
            server.kill()  # it holds nothing that a kill could harm


# ---- the measurement


class Measurement(NamedTuple):
    """What a crawl with one transport took."""

    transport: str
    seconds: float  # from the call to its return: the start and the end of all processes are in it
    cpu_seconds: float | None  # user and system, of all the crawler's processes; None where they cannot be had
    ledger_bytes: int
    finish_reason: str
    counts: dict[str, Any]  # as `report.status`


def run(arguments: argparse.Namespace) -> int:
    """Measure each transport in turn, print a table, and return the exit code; a crawl's CrawlerError is passed on."""
    if arguments.pages < arguments.hosts:
        raise UsageError(f"--pages {arguments.pages}: each of the {arguments.hosts} hosts needs at least one")
    available, missing = _find_transports(arguments.transport)
    config = Config(
        delay_seconds=0, per_host=16, concurrency=64, processes=arguments.processes, log_seconds=0,
        max_seconds=arguments.seconds / len(available),
    )  # fmt: skip
    found = []
    with _tidy_when_killed(), serving(arguments.pages, arguments.hosts) as (server_pid, seeds):
        for name in available:
            sys.stderr.write(f"{name}: crawling {arguments.pages:,} pages on {arguments.hosts} hosts ...\n")
            found.append(_measure(name, seeds, config, server_pid))
    faults = [fault for each in found if (fault := fault_of(each, arguments.pages))]
    _print_results(found, arguments.pages, arguments.hosts, [*missing, *faults])
    return 1 if faults else 0


@contextlib.contextmanager
def _tidy_when_killed() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end a block as Ctrl-C does, tidily: there are a server and a temporary ledger in it."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _find_transports(names: list[str] | None) -> tuple[list[str], list[str]]:
    """Return the transports that can be used, and what is to be said of the others; one that is named must be there."""
    from crawler import transports

    available, missing = [], []
    for name in names or ["requests", "curl"]:
        try:
            transports.check(Config(transport=name))
            available.append(name)
        except UsageError as error:
            if names:
                raise
            missing.append(str(error))
    return available, missing


def _measure(transport: str, seeds: list[str], config: Config, server_pid: int) -> Measurement:
    import msgspec

    from crawler.api.session import crawl

    config = msgspec.structs.replace(config, transport=transport)
    cpu_before, started = _cpu_seconds(server_pid), clock.monotonic()
    with crawl(seeds, config) as report:  # a temporary ledger, which goes with the report
        seconds, cpu_after = clock.monotonic() - started, _cpu_seconds(server_pid)
        cpu = None if cpu_before is None or cpu_after is None else cpu_after - cpu_before
        size = report.ledger.stat().st_size
        return Measurement(transport, seconds, cpu, size, report.finish_reason, report.counts)


def _cpu_seconds(server_pid: int) -> float | None:
    """Return the processor time of this process, its children but the web server, and all that they have reaped.

    Workers are children of Python's fork server, which outlives the crawl: `getrusage` misses them, but their time is
    in the fork server's entry of /proc, for it has reaped them. None where there is no /proc.
    """
    total = sum(os.times()[:4])
    if not Path("/proc/self/stat").exists():
        return None
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            fields = entry.read_text().rpartition(")")[2].split()  # from the third on: the name may have spaces
            if int(fields[1]) == os.getpid() and int(entry.parent.name) != server_pid:
                total += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return total


def fault_of(measurement: Measurement, pages: int) -> str:
    """Say in a sentence what is wrong with a crawl that had the time it needed; "" if nothing is."""
    came, seen = measurement.counts["statuses"].get("200", 0), sum(measurement.counts["urls"].values())
    if measurement.finish_reason == MAX_TIME or came == seen == pages:
        return ""
    return f"{measurement.transport}: {came:,} pages of {pages:,} came back, {seen:,} URLs were seen: please report it"


def _print_results(found: list[Measurement], pages: int, hosts: int, remarks: list[str]) -> None:
    from rich.table import Table

    from crawler.cli.console import make_console

    console = make_console()
    machine = f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} processors"
    web = f"{pages:,} pages of {len(render(0, 0, pages)) / 1_000:.0f} kB on {hosts} hosts"
    console.print(f"poolcrawl {VERSION}, {machine}; {web}")
    table = Table("transport", box=None, pad_edge=False)
    for heading in ("pages", "seconds", "pages/s", "MB/s", "CPU ms/page", "requests", "ledger B/URL"):
        table.add_column(heading, justify="right")
    for each in found:
        came, seconds, urls = each.counts["pages"], each.seconds, sum(each.counts["urls"].values())
        cpu = "-" if each.cpu_seconds is None else f"{each.cpu_seconds * 1_000 / max(came, 1):.2f}"
        table.add_row(
            each.transport, f"{came:,}", f"{seconds:.1f}", f"{came / seconds:,.0f}",
            f"{each.counts['bytes'] / seconds / 1e6:.1f}", cpu, f"{each.counts['requests']:,}",
            f"{each.ledger_bytes / max(urls, 1):,.0f}",
        )  # fmt: skip
    console.print(table)
    late = [f"{each.transport}: the time was up" for each in found if each.finish_reason == MAX_TIME]
    for line in ("the server ran on the same machine and took its share of the processors", *late, *remarks):
        console.print(line, markup=False)


def make_parser(name: str = "bench") -> Parser:
    """Make the parser of the command."""
    parser = Parser(name, description="Crawl a synthetic web on loopback, with each transport in turn: how fast is it?")
    add = partial(parser.add_argument, metavar="N", type=partial(_whole, 1))
    add("--pages", default=10_000, help="pages of the web (default: %(default)s)")
    add("--hosts", default=8, help="hosts they are on (default: %(default)s)")
    processes = partial(_whole, -1)
    add("-p", "--processes", default=-1, type=processes, help="worker processes; -1: one a core, 0: none at all")
    add("--seconds", default=60, help="for all transports together; then it stops (default: %(default)s)")
    parser.add_argument("--transport", nargs="+", metavar="NAME", help="(default: requests, and curl if it is there)")
    return parser


def _whole(least: int, text: str) -> int:
    if not text.removeprefix("-").isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least {least}")
    return int(text)


if __name__ == "__main__":
    asyncio.run(_serve(*map(int, sys.argv[1:])))
