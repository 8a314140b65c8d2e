"""The contenders: how each is set up, what its command is, and the settings that are fair to it.

The settings of Scrapy and Crawlee stand, with reasons, in `peers_scrapy` and `peers_crawlee`, which their own
interpreters run. Must not know how a run is measured or served.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import REPOSITORY, Environment, versions

CONCURRENCY = 64
PER_HOST = 16

OURS = Environment("poolcrawl", (f"{REPOSITORY}[curl]",), (REPOSITORY / "pyproject.toml", REPOSITORY / "crawler"))
SCRAPY = Environment("scrapy", ("scrapy==2.19.0",))
CRAWLEE = Environment("crawlee", ("crawlee[parsel,beautifulsoup]==1.11.0",))
WGET2 = "wget2"  # Debian's package
WGET2_EXIT_CODES = (0, 8)  # 8: some answer was an error, as it is for a robots.txt that is not there

NOTES = (
    f"All: {CONCURRENCY} requests in flight and {PER_HOST} to a host, no delay, robots.txt asked for and obeyed, links"
    " followed within the seeds' hosts, no depth limit. Where a peer has no bound for a host, it may have the smaller"
    f" of {CONCURRENCY} and {PER_HOST} a host in flight.",
    "poolcrawl stores pages, all links and the state of every URL in its ledger; everything not named here is default.",
    "Scrapy: one item a page (URL, status, title, number of links) to a JSON-lines file; frontier in memory; cookies,"
    " Referer, telnet and remote control off.",
    "Crawlee: push_data and enqueue_links for each page; requests and results in memory, exported as JSON in the end;"
    " concurrency pinned; no session pool, no search for signs of blocking.",
    "wget2: stores the bodies, which the others do not; follows `a` and `area` only; parses with C, not with Python.",
)


@dataclass(frozen=True, slots=True)
class Job:
    """What a contender is to do: crawl from these seeds, write below this folder."""

    seeds: list[str]
    folder: Path

    @property
    def at_once(self) -> int:
        """Requests in flight for a contender that has no bound for a host."""
        return min(CONCURRENCY, PER_HOST * len(self.seeds))


@dataclass(frozen=True, slots=True)
class Contender:
    """A program that crawls."""

    name: str  # for --only
    title: str
    environment: Environment | None  # None: wget2, which is no Python
    packages: tuple[str, ...]  # the first gives its version, the others are worth naming
    command: Callable[[str, Job], list[str]]  # from the interpreter (or program) and the job
    exit_codes: tuple[int, ...] = (0,)  # that are no failure
    ledger: str = ""  # the file whose last run says when the last commit was; "": the last request is the end

    @property
    def is_ours(self) -> bool:
        """Whether it is the crawler of this repository."""
        return bool(self.ledger)


@dataclass(frozen=True, slots=True)
class Ready:
    """A contender that is set up."""

    contender: Contender
    program: str
    versions: dict[str, str]

    @property
    def version(self) -> str:
        """Its own version."""
        return next(iter(self.versions.values()))


def contenders() -> list[Contender]:
    """Return all, ours first."""
    here = Path(__file__)
    scrapy, crawlee = str(here.with_name("peers_scrapy.py")), str(here.with_name("peers_crawlee.py"))

    def run_scrapy(python: str, job: Job) -> list[str]:
        return [python, "-P", scrapy, str(job.folder / "pages.jsonl"), *job.seeds]

    def run_crawlee(parser: str) -> Callable[[str, Job], list[str]]:
        return lambda python, job: [
            python, "-P", crawlee, parser, str(job.at_once), str(job.folder / "pages.json"), *job.seeds
        ]  # fmt: skip

    libraries = ("crawlee", "impit")
    return [
        _ours("requests", "requests", "urllib3"),
        _ours("curl", "pycurl"),
        Contender("scrapy", "Scrapy", SCRAPY, ("scrapy", "twisted", "parsel", "lxml"), run_scrapy),
        Contender("crawlee-parsel", "Crawlee, parsel", CRAWLEE, (*libraries, "parsel", "lxml"), run_crawlee("parsel")),
        Contender(
            "crawlee-soup", "Crawlee, BeautifulSoup", CRAWLEE, (*libraries, "beautifulsoup4", "lxml"),
            run_crawlee("beautifulsoup"),
        ),
        Contender("wget2", "wget2", None, (), _run_wget2, WGET2_EXIT_CODES),
    ]  # fmt: skip


def set_up(contender: Contender, folder: Path) -> Ready:
    """Set a contender up, its environment in a folder, unless it is.

    Raises:
        RuntimeError: it cannot be had here; the text says why.
    """
    if contender.environment:
        python = contender.environment.make(folder)
        return Ready(contender, str(python), versions(python, contender.packages))
    program = _find_wget2()
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return Ready(contender, program, {WGET2: said.split()[2]})


def _ours(transport: str, *packages: str) -> Contender:
    def command(python: str, job: Job) -> list[str]:
        options = ["--delay", "0", "--per-host", str(PER_HOST), "-c", str(CONCURRENCY), "--fresh", "--yes", "-q"]
        ledger = ["--ledger", str(job.folder / "crawl.db")]
        return [python, "-m", "crawler", *job.seeds, *options, "--transport", transport, *ledger]

    named = ("poolcrawl", *packages, "selectolax")
    return Contender(transport, f"poolcrawl, {transport}", OURS, named, command, ledger="crawl.db")


def _run_wget2(program: str, job: Job) -> list[str]:
    """Return wget2's command: pages only (no images, no style sheets), and no files outside the job's folder."""
    return [
        program, "--quiet", "--no-config", "--recursive", "--level=0", "--robots=on", "--tries=3",
        f"--max-threads={job.at_once}", "--ignore-tags=img,link,script,body,table,td,th", "--no-hsts", "--no-netrc",
        "--directory-prefix", str(job.folder / "pages"), *job.seeds,
    ]  # fmt: skip


def _find_wget2() -> str:
    if shutil.which(WGET2) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-q", WGET2], capture_output=True, check=False)
    found = shutil.which(WGET2)
    if found is None:
        raise RuntimeError(f"{WGET2} is not installed: apt-get install {WGET2}")
    return found
