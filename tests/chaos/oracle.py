"""What must be true of a crawl that is over, whatever was done to it: one oracle for every run.

`judge` compares the ledger with the set that the web computes, the server's log with the accidents that happened, and
what is left on the machine with nothing. It knows the accidents by time: a URL is asked once more only if a process
that may have held it was lost between the two requests, and never because a consumer died.
"""

from __future__ import annotations

import itertools
import sqlite3
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from crawler.processes.lock import semaphore_prefix
from tests.chaos.running import ORPHANS_SECONDS, RETRIES, Crash, Crawling
from tests.chaos.sabotage import CONSUMER
from tests.webgraph import Hit, Web

MOST_BYTES = 800 << 20  # of all processes together
SLACK_SECONDS = 2.0  # how late a busy server may read, and log, what a dead process asked
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (where Linux keeps semaphores and arenas)
#: what ends no process that holds a visit
_HARMLESS = {"kill the resource tracker", "SIGINT", "SIGTERM", "SIGHUP"}
#: what leaves a process that cannot answer, and is ended only later
_ANSWERLESS = {"freeze", "sleep", "loop", "memory"}


class Verdict(NamedTuple):
    """What was found: numbers for the tally, and in words whatever must not be."""

    urls: int
    pages: int
    requests: int
    lost: list[str]
    twice: list[str]
    violations: list[str]


class Rows(NamedTuple):
    """A ledger, read."""

    integrity: str
    urls: list[tuple[str, str, str]]
    pages: list[str]
    items: list[tuple[str, int]]
    fragments: list[tuple[str, str, str]]  # broken ones: source, URL, fragment
    totals: tuple[int, int, int, int]  # added, ended, pages, items: what the runs counted
    last_end: str


def judge(crawling: Crawling, most_seconds: float = 600.0) -> Verdict:
    """Look at a crawl whose last life has ended with 0."""
    left = _left_behind(crawling)
    rows = _read(crawling.ledger)
    killed = {url for url, state, reason in rows.urls if reason == "killed-worker"}
    killed |= _forbidden_by_kills(crawling)
    expected = crawling.server.web.expected(killed=killed)
    found = Counter(url for url, _, _ in rows.urls)
    ended = {url for url, state, _ in rows.urls if state != "queued"}
    lost = sorted(set(expected) - ended)
    twice = sorted(url for url, count in found.items() if count > 1)
    violations = [
        *left,
        *_ledger(rows, expected),
        *_fragments(rows, crawling.server.web, expected),
        *_requests(crawling, expected),
        *_gaps(crawling),
        *_killed(crawling, killed),
        *(f"lost: {url}" for url in lost),
        *(f"stored twice: {url}" for url in twice),
        *_lives(crawling),
        *_tracebacks(crawling),
    ]
    if crawling.peak_bytes > MOST_BYTES:
        violations.append(f"{crawling.peak_bytes >> 20} MiB of memory, more than {MOST_BYTES >> 20}")
    if (seconds := time.monotonic() - crawling.began) > most_seconds:
        violations.append(f"it took {seconds:.0f} s, more than {most_seconds:g}")
    return Verdict(len(rows.urls), len(rows.pages), len(crawling.server.hits), lost, twice, violations)


def crashes(crawling: Crawling) -> list[Crash]:
    """All accidents that may have cost visits, from outside and from inside."""
    found = list(crawling.crashes)
    for struck in crawling.struck():
        if struck.role == CONSUMER or struck.deed in _HARMLESS:
            continue
        late = crawling.lateness() if struck.deed in _ANSWERLESS else 0.0
        found.append(Crash(struck.time, struck.time + late, f"{struck.role}: {struck.deed}"))
    return found


# Not from the views, which show the latest page of a URL: a page that was stored twice is two rows. What was asked for
# less first, as an embed, and then as what it is, has a row of either kind.
_STORED_PAGES = """
SELECT h.host || u.target FROM _pages p
JOIN _urls u ON u.host_id = p.host_id AND u.seq = p.seq AND u.purpose = p.purpose
JOIN _hosts h ON h.id = p.host_id
"""
_STORED_ITEMS = """
SELECT h.host || u.target, i.number FROM _items i JOIN _pages p ON p.id = i.page
JOIN _urls u ON u.host_id = p.host_id AND u.seq = p.seq AND u.purpose = p.purpose JOIN _hosts h ON h.id = p.host_id
"""


def _read(ledger: Path) -> Rows:
    connection = sqlite3.connect(ledger)
    try:
        (integrity,) = connection.execute("PRAGMA integrity_check").fetchone()
        urls = connection.execute("SELECT url, state, reason FROM urls").fetchall()
        pages = [url for (url,) in connection.execute(_STORED_PAGES)]
        items = connection.execute(_STORED_ITEMS).fetchall()
        shown = [url for (url,) in connection.execute("SELECT url FROM pages")]
        if sorted(shown) != sorted(set(pages)):
            integrity = "the view pages does not show each URL's page once"
        fragments = connection.execute("SELECT source, url, fragment FROM broken_fragments").fetchall()
        totals = connection.execute(
            "SELECT total(urls), total(ended_urls), total(pages), total(items) FROM runs"
        ).fetchone()
        (last_end,) = connection.execute("SELECT finish_reason FROM runs ORDER BY id DESC LIMIT 1").fetchone()
    finally:
        connection.close()
    return Rows(integrity, urls, pages, items, fragments, totals, last_end)


def _ledger(rows: Rows, expected: dict[str, tuple[str, str]]) -> list[str]:
    """Compare rows, one each, with state and reason; pages and items exactly once; and what the runs counted."""
    found = []
    if rows.integrity != "ok":
        found.append(f"integrity check: {rows.integrity}")
    if rows.last_end != "finished":
        found.append(f"the last run ended as {rows.last_end}")
    ends = {url: (state, reason) for url, state, reason in rows.urls}
    found += [f"not a URL of this crawl: {url}" for url in sorted(set(ends) - set(expected))]
    found += [
        f"{url} ended {ends[url]}, not {expected[url]}"
        for url in sorted(set(ends) & set(expected))
        if ends[url] != expected[url]
    ]
    with_page = [url for url, (state, reason) in expected.items() if state == "done" or reason == "server-error"]
    found += _compare("page", Counter(rows.pages), Counter(with_page))
    with_item = [(url, 0) for url, (_, reason) in expected.items() if reason == "ok"]
    found += _compare("item", Counter(rows.items), Counter(with_item))
    counted = (len(expected), len(expected), len(with_page), len(with_item))
    if tuple(rows.totals) != counted:
        found.append(f"the runs counted {rows.totals} URLs, ended ones, pages, items, not {counted}")
    return found


def _fragments(rows: Rows, web: Web, expected: dict[str, tuple[str, str]]) -> list[str]:
    """Compare what is said to be broken within pages: what was stored of each page, and of those that link there."""
    broken = web.broken_fragments({url: 0 for url, (state, _) in expected.items() if state == "done"})
    return _compare("broken fragment", Counter(rows.fragments), Counter(broken))


def _compare(what: str, found: Counter[object], expected: Counter[object]) -> list[str]:
    lost, extra = sorted((expected - found).items(), key=str), sorted((found - expected).items(), key=str)
    return [f"{what} lost: {which}" for which, _ in lost] + [f"{what} stored twice: {which}" for which, _ in extra]


def _requests(crawling: Crawling, expected: dict[str, tuple[str, str]]) -> list[str]:
    """Look for what was asked too often, or at all."""
    web, accidents = crawling.server.web, crashes(crawling)
    silent = ("robots", "robots-unreachable", "too-many-redirects")
    by_url: dict[str, list[Hit]] = defaultdict(list)
    for hit in sorted(crawling.server.hits, key=lambda hit: hit.start):
        by_url[hit.host + hit.target].append(hit)
    asked = {url for url in by_url if not url.endswith("/robots.txt")}
    found = [f"{url} was asked, and must not be" for url in asked - set(expected)]
    for url, (_, reason) in expected.items():
        if reason in silent and url in asked:
            found.append(f"{url} was asked, though {reason}")
        elif reason not in silent and url not in asked:
            found.append(f"{url} ended {reason} without being asked")
        hits = by_url[url]
        again = sum(
            any(crash.end >= before.start - SLACK_SECONDS and crash.start <= after.start for crash in accidents)
            for before, after in itertools.pairwise(hits)
        )
        if len(hits) > web.requests(url, RETRIES) + again:
            found.append(f"{url} was asked {len(hits)} times, {again} of them after an accident")
    if first := crawling.server.first_targets() - {"/robots.txt"}:
        found.append(f"asked before robots.txt: {first}")
    return found


def _gaps(crawling: Crawling) -> list[str]:
    """Look for two requests to a host that were closer than its delay: from the end of one, or from the accident."""
    delay = crawling.options.delay_seconds
    if not delay:
        return []
    found, accidents = [], crashes(crawling)
    by_host: dict[str, list[Hit]] = defaultdict(list)
    for hit in sorted(crawling.server.hits, key=lambda hit: hit.start):
        by_host[hit.host].append(hit)
    for hits in by_host.values():
        for before, after in itertools.pairwise(hits):
            # A dead process's request is over with it, whatever the server still does, or only then reads, of it.
            ends = [before.end, *(crash.start for crash in accidents if crash.end >= before.start - SLACK_SECONDS)]
            gap = max(after.start - end for end in ends if end <= after.start or end == before.end)
            if gap < delay:
                found.append(f"{after.host}{after.target} was asked {gap:.4f} s after {before.target}, not {delay:g} s")
    return found


def _killed(crawling: Crawling, killed: set[str]) -> list[str]:
    """Look for pages that were ended as killers without two counted deaths in the log."""
    deaths = Counter(_log_urls(crawling, "it was parsing ", ": its death is counted"))
    return [f"{url} ended killed-worker after {deaths[url]} deaths" for url in sorted(killed) if deaths[url] < 2]


def _forbidden_by_kills(crawling: Crawling) -> set[str]:
    """Return each robots.txt that was ended as a killer: it forbids its host."""
    return {url for url in _log_urls(crawling, " ", " failed: killed-worker") if url.endswith("/robots.txt")}


def _log_urls(crawling: Crawling, before: str, after: str) -> list[str]:
    lines = (crawling.folder / "out").read_text(errors="replace").splitlines()
    return [line.partition(after)[0].rpartition(before)[2] for line in lines if before in line and after in line]


def _lives(crawling: Crawling) -> list[str]:
    return [
        f"life {number} ended with {life.exit_code}, not one of {sorted(life.expected)}"
        for number, life in enumerate(crawling.lives, 1)
        if life.exit_code not in life.expected
    ]


def _tracebacks(crawling: Crawling) -> list[str]:
    """Look for what no user should read; half-made children of the dead say how they died, nobody can help that."""
    deaths = [crash.what for crash in crashes(crawling)] + [struck.deed for struck in crawling.struck()]
    if crawling.was_killed or crawling.tracker_was_killed or any("kill the" in w or "server" in w for w in deaths):
        return []
    text = (crawling.folder / "out").read_text(errors="replace")
    return [f"a traceback: {part[:1500]}" for part in text.split("Traceback (most recent call last)")[1:]]


def _left_behind(crawling: Crawling) -> list[str]:
    """Look for processes, files, semaphores and shared memory after the last life's clean end."""
    found = [f"still running: {member}" for member in crawling.orphans(ORPHANS_SECONDS)]
    files = sorted(path.name for path in crawling.home.iterdir())
    if files != ["crawl.db"]:
        found.append(f"beside the ledger: {files}")
    return found + [f"left behind: {path}" for path in leaks(crawling)]


def leaks(crawling: Crawling) -> list[Path]:
    """All temporary files, semaphores and shared-memory files of a crawl that are still there."""
    folders = (crawling.folder / "folders").read_text().split()  # of all its lives
    patterns = [f"sem.{semaphore_prefix(Path(folder))}-*" for folder in folders]
    patterns += [f"pym-{life.session}-*" for life in crawling.lives]
    shared = [path for pattern in patterns for path in SHARED_MEMORY.glob(pattern)]
    return [*crawling.temporary.iterdir(), *shared]
