"""The one write transaction: a group of batches, applied exactly once, in the order of their numbers.

Runs in a consumer (one at a time drains and commits), and in the coordinator once, at the start of a run. It checks
two things before it writes: that no newer run exists (the fence), and that each URL it ends is still queued with the
attempts its visit had. So a batch that comes twice, or from a crawl that is thought dead, changes nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from crawler import clock
from crawler.ledger import schema
from crawler.ledger.connection import as_storage_error
from crawler.ledger.merge import merge
from crawler.model import DONE, EMBED_REL, EMBEDDED, HOOK_REL, MAX_REDIRECTS, QUEUED, Candidate, End, PageRow, VisitId
from crawler.rules import urls
from crawler.rules.offers import Offers

MERGE_AT = 100_000  # candidates; a merge sooner when the frontier is hungry,
MERGE_AFTER_SECONDS = 0.1  # or so long after the last one, lest a busy host keep others' new URLs waiting,
MERGE_SHARE = 20.0  # or so many times as long as that one took: all of them together take a twentieth of the time


class Fenced(Exception):
    """A newer run has begun on this ledger: nothing of an older one may be written any more."""


class ProtocolError(Exception):
    """A batch does not fit the ledger: a bug, never bad luck. Committing it would store something twice, or lose it."""


class Parcel(NamedTuple):
    """A batch as it travels on the queue."""

    number: int
    hungry: bool
    body: bytes


class _Result(msgspec.Struct, array_like=True):
    """A `Result`, decoded no further than executemany needs."""

    end: End | None
    page: list[Any] | None
    candidates: list[list[Any]]
    items: list[list[Any]]
    robots: list[Any] | None
    widened: str
    fragments: list[Any] | None


class _Batch(msgspec.Struct, array_like=True):
    """A `Batch`, decoded no further than executemany needs."""

    results: list[_Result]
    hosts: list[list[Any]]
    finish_reason: str


_COUNTERS = (
    "committed",
    "candidates",
    "merges",
    "urls",
    "ended_urls",
    "pages",
    "items",
    "item_errors",
    "requests",
    "bytes",
)
_READ_RUN = f"SELECT (SELECT max(id) FROM runs), {', '.join(_COUNTERS)} FROM runs WHERE id = ?"  # noqa: S608
_WRITE_RUN = f"UPDATE runs SET {' = ?, '.join(_COUNTERS)} = ? WHERE id = ?"  # noqa: S608
_IS_PAGE = "SELECT count(*) FROM _pages WHERE host_id = ? AND seq = ?"
_PAGE = PageRow.__struct_fields__
_ADD_PAGE = f"INSERT INTO _pages ({', '.join(_PAGE)}) VALUES ({', '.join('?' * len(_PAGE))})"  # noqa: S608
_ITEM_ERROR = _PAGE.index("item_error")
# A page that was only asked before gives way to itself, crawled; the new row comes last, as the feed needs it.
_REPLACE_PAGE = _ADD_PAGE.replace("INSERT", "INSERT OR REPLACE")
_ADD_FRAGMENTS = "INSERT OR REPLACE INTO _fragments VALUES (?, ?, ?, ?)"
_FORGET_FRAGMENTS = "DELETE FROM _fragments WHERE host_id = ? AND seq = ?"
# What was only asked, in this run or an earlier one, may turn out to be a page of the crawl.
_MAY_REPLACE = "SELECT EXISTS (SELECT 1 FROM runs WHERE config ->> 'check_external' OR config ->> 'embeds')"
_END_URL = """
UPDATE _urls SET state = ?, reason = ?, error = ?, attempts = attempts + ?
WHERE host_id = ? AND seq = ? AND attempts = ? AND state = 'queued'
"""
_CANDIDATE = "(fingerprint, host, target, hop, depth, redirects, via_host_id, via_seq)"
_ADD_CANDIDATE = f"INSERT INTO _candidates {_CANDIDATE} VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
_PARK = f"""
INSERT INTO _parked {_CANDIDATE} VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET depth = min(depth, excluded.depth), redirects = min(redirects, excluded.redirects)
"""  # noqa: S608
_UNPARK = f"""
INSERT INTO _candidates {_CANDIDATE}
SELECT fingerprint, host, target, hop, depth, redirects, via_host_id, via_seq FROM _parked
WHERE host IN (SELECT host FROM _hosts WHERE widened)
"""  # noqa: S608
_ADD_FACTS = """
UPDATE _hosts SET asked = _hosts.asked + f.asked, asked_at = max(_hosts.asked_at, f.asked_at),
    failures = CASE WHEN f.succeeded THEN f.failures ELSE _hosts.failures + f.failures END,
    retry_at = max(_hosts.retry_at, f.retry_at), bytes = _hosts.bytes + f.bytes,
    elapsed_ms = _hosts.elapsed_ms + f.elapsed_ms
FROM (SELECT ? AS id, ? AS asked, ? AS asked_at, ? AS succeeded, ? AS failures, ? AS retry_at, ? AS bytes,
             ? AS elapsed_ms) AS f
WHERE _hosts.id = f.id
"""
_SET_ROBOTS = """
UPDATE _hosts SET robots_verdict = r.verdict, robots_tries = r.tries, robots_status = r.status,
    robots_reason = r.reason, robots_body = r.body, crawl_delay = r.delay, robots_host = r.host,
    robots_target = r.target, robots_redirects = r.redirects, robots_fetched_at = r.fetched_at
FROM (SELECT ? AS id, ? AS verdict, ? AS tries, ? AS status, ? AS reason, ? AS body, ? AS delay, ? AS host,
             ? AS target, ? AS redirects, ? AS fetched_at) AS r
WHERE _hosts.id = r.id
"""
_ADD_HOST = "INSERT OR IGNORE INTO _hosts (host) VALUES (?)"
_FINISH = "UPDATE runs SET finish_reason = ?, ended = ? WHERE id = ?"
_QUEUE_AGAIN = """
UPDATE _urls SET state = 'queued', reason = NULL, error = NULL, attempts = 0 WHERE host_id = ? AND seq = ?
"""
_POINTED = """
SELECT DISTINCT l.value ->> 0 FROM _fragments f, json_each(f.links) l WHERE f.host_id = ? AND f.seq = ?
"""
_REACH = "SELECT depth, redirects FROM _urls WHERE host_id = ? AND seq = ?"
_PAGE_TO_OFFER = """
SELECT p.status, u.depth, u.redirects, p.redirect_url, p.nofollow, p.links
FROM _pages p JOIN _urls u ON u.host_id = p.host_id AND u.seq = p.seq JOIN _hosts h ON h.id = p.host_id
WHERE p.host_id = ? AND p.seq = ?
"""


class Writer:
    """A connection that writes batches for one run."""

    def __init__(self, path: Path, run_id: int, offers: Offers, *, durability: str, obey_nofollow: bool) -> None:
        self.run_id = run_id
        self._path = path
        self.connection = schema.connect(path, durability)
        self._offers = offers
        self._obey_nofollow = obey_nofollow
        self._replaces = bool(self.connection.execute(_MAY_REPLACE).fetchone()[0])
        self._decode = msgspec.msgpack.Decoder(_Batch).decode
        self._counts: dict[str, int] = {}
        self._merge_due = clock.monotonic() + MERGE_AFTER_SECONDS

    def commit(self, group: Sequence[Parcel], *, queue_is_empty: bool) -> None:
        """Apply a group of batches in one transaction; those that are committed already are passed over.

        Raises:
            Fenced: a newer run exists; nothing was written.
            ProtocolError: a number is missing, or a URL is not in the state its batch expects; nothing was written.
            StorageError: nothing was written.
        """
        with self.transaction():
            counts = self._counts
            for number, _, body in group:
                if number <= counts["committed"]:
                    continue
                if number != counts["committed"] + 1:
                    raise ProtocolError(f"batch {number} came after batch {counts['committed']}")
                self._apply(self._decode(body))
                counts["committed"] = number
            waiting = counts["candidates"]
            is_due = clock.monotonic() >= self._merge_due
            if waiting and (waiting >= MERGE_AT or is_due or (group[-1].hungry and queue_is_empty)):
                self.merge()

    @contextmanager
    def transaction(self, begin_run: Callable[[], int] | None = None) -> Iterator[None]:
        """Run a block in one write transaction, with the run's counters read before it and written after it.

        Args:
            begin_run: inserts the row of a new run and returns its id; from its commit on, older runs are fenced off.
        """
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            if begin_run is not None:
                self.run_id = begin_run()
            row = connection.execute(_READ_RUN, (self.run_id,)).fetchone()
            if row is None or row[0] != self.run_id:
                raise Fenced
            self._counts = dict(zip(_COUNTERS, row[1:], strict=True))
            yield
            connection.execute(_WRITE_RUN, (*self._counts.values(), self.run_id))
            connection.execute("COMMIT")
            connection.checkpoint_if_due()
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.IntegrityError):
                raise ProtocolError(f"stored twice? {error}") from error
            if isinstance(error, (sqlite3.Error, OSError)):
                connection.has_failed = True
                raise as_storage_error(self._path, error) from error
            raise

    def add_candidates(self, candidates: Sequence[Sequence[Any]]) -> None:
        """Append rows in the order of `Candidate`'s fields, inside a transaction."""
        certain = [row for row in candidates if not row[-1]]
        self.connection.executemany(_ADD_CANDIDATE, [row[:-1] for row in certain])
        self._counts["candidates"] += len(certain)
        if len(certain) < len(candidates):
            self.connection.executemany(_PARK, [row[:-1] for row in candidates if row[-1]])
            self._unpark()

    def merge(self) -> None:
        """Merge the candidates, inside a transaction, and offer again what pages of lowered depth link to."""
        counts = self._counts
        counts["merges"] += 1
        began = clock.monotonic()
        merged = merge(self.connection, counts["merges"], self._offers.max_depth >= 0)
        counts["candidates"] = 0
        counts["urls"] += merged.added
        counts["ended_urls"] -= merged.reopened
        for page in merged.lowered:
            self.offer_again(page)
        now = clock.monotonic()
        self._merge_due = now + max(MERGE_AFTER_SECONDS, MERGE_SHARE * (now - began))

    def merge_all(self) -> None:
        """Merge until no candidate is left: a merge may lower depths, and so offer links again."""
        while self._counts["candidates"]:
            self.merge()

    def count_reopened(self, ended_urls: int) -> None:
        """Count URLs that had ended and were queued again, inside a transaction."""
        self._counts["ended_urls"] -= ended_urls

    def close(self) -> None:
        """Close the connection.

        Raises:
            sqlite3.Error: what is committed could not be copied out of the WAL.
        """
        self.connection.close()

    def leave(self) -> None:
        """Close the connection, and leave the WAL to others that have one."""
        self.connection.leave()

    def offer_again(self, page: VisitId) -> None:
        """Make candidates of a stored page's links, by the depth it has now, inside a transaction."""
        row = self.connection.execute(_PAGE_TO_OFFER, page).fetchone()
        if row is None:
            return
        status, depth, redirects, redirect_url, nofollow, links = row
        candidates: list[Candidate] = []
        target = urls.normalise(redirect_url) if redirect_url else None
        if target is not None and redirects <= MAX_REDIRECTS:
            candidates += self._offers.redirect(target, depth, redirects, page)
        if links and 200 <= status < 300:
            stored = json.loads(links)
            found = [link["url"] for link in stored if self._is_followed(link.get("rel", ""), nofollow)]
            candidates += self._offers.links(found, depth, page)
            candidates += self._offers.pointed(self._read_pointed(page, found), depth, page)
            embedded = [link["url"] for link in stored if link.get("rel") == EMBED_REL]
            candidates += self._offers.embedded(embedded, depth, page)
        self.add_candidates([msgspec.structs.astuple(candidate) for candidate in candidates])

    def _read_pointed(self, page: VisitId, followed: Sequence[str]) -> list[str]:
        """Return the links of a stored page that have a fragment, of those that are followed."""
        if not self._offers.reads_external:
            return []
        pointed = {url for (url,) in self.connection.execute(_POINTED, page)}
        return [url for url in followed if url in pointed]

    def _is_followed(self, rel: str, page_says_nofollow: bool) -> bool:
        rels = rel.lower().split()
        if HOOK_REL in rels:
            return True
        if rel == EMBED_REL:
            return False
        return not page_says_nofollow and not (self._obey_nofollow and "nofollow" in rels)

    def _apply(self, batch: _Batch) -> None:
        counts, executemany, results = self._counts, self.connection.executemany, batch.results
        stale = self._end_urls([result.end for result in results if result.end is not None])
        if pages := [result.page for result in results if result.page is not None]:
            counts["pages"] += len(pages) - self._count_replaced(pages)
            executemany(_REPLACE_PAGE if self._replaces else _ADD_PAGE, pages)
            counts["item_errors"] += sum(page[_ITEM_ERROR] is not None for page in pages)
        if self._replaces:
            executemany(_FORGET_FRAGMENTS, [page[:2] for page in pages])
        if fragments := [result.fragments for result in results if result.fragments is not None]:
            executemany(_ADD_FRAGMENTS, fragments)
        if items := [item for result in results for item in result.items]:
            executemany("INSERT INTO _items VALUES (?, ?, ?, ?)", items)
            counts["items"] += len(items)
        if candidates := [candidate for result in results for candidate in result.candidates]:
            self.add_candidates(candidates)
        if batch.hosts:
            executemany(_ADD_FACTS, batch.hosts)
            counts["requests"] += sum(facts[1] for facts in batch.hosts)
            counts["bytes"] += sum(facts[6] for facts in batch.hosts)
        if robots := [result.robots for result in results if result.robots is not None]:
            executemany(_ADD_HOST, [(row[7],) for row in robots if row[7]])
            executemany(_SET_ROBOTS, robots)
        if widened := [result.widened for result in results if result.widened]:
            self._widen(widened)
        for page in stale:
            self.offer_again(page)
        if batch.finish_reason:
            self.connection.execute(_FINISH, (batch.finish_reason, clock.utc_now(), self.run_id))

    def _count_replaced(self, pages: list[list[Any]]) -> int:
        """Count the pages that were asked before, as embeds or external links, and are in the ledger already."""
        if not self._replaces:
            return 0
        execute = self.connection.execute
        return sum(execute(_IS_PAGE, page[:2]).fetchone()[0] for page in pages)

    def _queue_again(self, visit: VisitId) -> None:
        """Queue a URL that was asked for less than it turned out to be; the frontier looks at its host again."""
        counts = self._counts
        self.connection.execute(_QUEUE_AGAIN, visit)
        counts["merges"] += 1
        counts["ended_urls"] -= 1
        self.connection.execute("UPDATE _hosts SET merge = ? WHERE id = ?", (counts["merges"], visit[0]))

    def _end_urls(self, ends: list[End]) -> list[VisitId]:
        """Return the pages that were fetched under a larger depth than they turned out to have."""
        cursor = self.connection.executemany(
            _END_URL, [(e.state, e.reason, e.error, e.asked, e.host_id, e.seq, e.attempts) for e in ends]
        )
        if ends and cursor.rowcount != len(ends):
            raise ProtocolError(f"of {len(ends)} visits, {cursor.rowcount} were still to be ended: {ends[:3]}")
        self._counts["ended_urls"] += sum(end.state != QUEUED for end in ends)
        stale = []
        for end in ends:
            if end.depth >= EMBEDDED and end.state != QUEUED:
                now = self.connection.execute(_REACH, (end.host_id, end.seq)).fetchone()
                if now[0] // EMBEDDED < end.depth // EMBEDDED:
                    self._queue_again((end.host_id, end.seq))
                    continue
            if end.state == DONE and (self._offers.max_depth >= 0 or end.reason == "redirect"):
                page = (end.host_id, end.seq)
                now = self.connection.execute(_REACH, page).fetchone()
                if now[0] < end.depth or now[1] < end.redirects:
                    stale.append(page)
        return stale

    def _widen(self, hosts: list[str]) -> None:
        # A name that the user named may have any address, under https as under http.
        named = {urls.host_name(host) for (host,) in self.connection.execute("SELECT host FROM _hosts WHERE named")}
        self.connection.executemany(
            "INSERT INTO _hosts (host, widened, named) VALUES (?, 1, ?) "
            "ON CONFLICT (host) DO UPDATE SET widened = 1, named = max(named, excluded.named)",
            [(host, urls.host_name(host) in named) for host in hosts],
        )
        self._unpark()

    def _unpark(self) -> None:
        self._counts["candidates"] += self.connection.execute(_UNPARK).rowcount
        self.connection.execute("DELETE FROM _parked WHERE host IN (SELECT host FROM _hosts WHERE widened)")
