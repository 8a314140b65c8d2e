"""The one write transaction: a group of batches, applied exactly once, in the order of their numbers.

Runs in a consumer (one at a time drains and commits), and in the coordinator once, at the start of a run. It checks two
things before it writes: that no newer run exists (the fence), and that each URL it ends is still queued, with as many
visits ended as when its visit was handed out. So a batch that comes twice, or from a crawl that is thought dead,
changes nothing. Must not know what a batch brings for each capability, which is that one's business (`features`), nor
where batches come from.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from crawler import clock
from crawler.ledger import counts, schema
from crawler.ledger.admit import ADMISSIONS
from crawler.ledger.candidates import Candidates
from crawler.ledger.connection import as_storage_error
from crawler.ledger.features.feature import Applying, StoredBatch, StoredResult
from crawler.ledger.features.registry import APPLY
from crawler.ledger.merge import KEPT_OUT, merge
from crawler.ledger.offer_again import OfferAgain
from crawler.ledger.phrases import QUEUE_ANEW
from crawler.model import DONE, FAILED, MAX_REDIRECTS, QUEUED, End, Purpose, UrlId
from crawler.rules.offers import Offers

# A merge is due with so many candidates, and sooner when the coordinator wants links early.
MERGE_AT = 100_000
# It is due so long after the last one, too, lest a busy host keep others' new URLs waiting.
MERGE_AFTER_SECONDS = 0.1
# If the last one took long, so many times as long as it took: all merges together take a twentieth of the time.
MERGE_SHARE = 20.0


class Fenced(Exception):
    """A newer run has begun on this ledger: nothing of an older one may be written any more."""


class ProtocolError(Exception):
    """A batch does not fit the ledger: a bug, never bad luck. Committing it would store something twice, or lose it."""


class NumberedBatch(NamedTuple):
    """A batch as it travels on the queue."""

    number: int
    flush_early: bool
    body: bytes


# A visit that failed leaves the page of an earlier one in its place.
_END_URL = f"""
UPDATE _urls SET state = ?1, reason = ?2, error = ?3, attempts = attempts + ?4, visits = visits + 1,
    page = iif(?5 IS NULL OR (page IS NOT NULL AND ?1 = '{FAILED}'), page, ?5)
WHERE host_id = ?6 AND seq = ?7 AND visits = ?8 AND state = '{QUEUED}'
"""  # noqa: S608  (a word of ours)
_NEXT_PAGE = "SELECT coalesce(max(id), 0) + 1 FROM _pages"
_PAGE_NOW = "SELECT page FROM _urls WHERE host_id = ? AND seq = ?"
_TRY_ANEW = "UPDATE _urls SET attempts = 0 WHERE host_id = ? AND seq = ?"
_QUEUE_ANEW = f"{QUEUE_ANEW} WHERE host_id = ? AND seq = ?"
_WAKE_HOST = "UPDATE _hosts SET merge = ? WHERE id = ?"
_REACH = "SELECT purpose, depth, redirects FROM _urls WHERE host_id = ? AND seq = ?"


class Writer:
    """A connection that writes batches for one run."""

    def __init__(self, path: Path, run_id: int, offers: Offers, *, durability: str, obey_nofollow: bool) -> None:
        self.run_id = run_id
        self._path = path
        self.connection = schema.connect(path, durability)
        self._offers = offers
        self._counts: counts.Counts = {}
        self._candidates = Candidates(self.connection)
        self._offer_again = OfferAgain(self.connection, offers, obey_nofollow=obey_nofollow)
        self._decode = msgspec.msgpack.Decoder(StoredBatch).decode
        self._merge_due = clock.monotonic() + MERGE_AFTER_SECONDS

    def commit(self, group: Sequence[NumberedBatch], *, queue_is_empty: bool) -> None:
        """Apply a group of batches in one transaction; those that are committed already are passed over.

        Raises:
            Fenced: a newer run exists; nothing was written.
            ProtocolError: a number is missing, or a URL is not in the state its batch expects; nothing was written.
            StorageError: nothing was written.
        """
        with self.transaction():
            counters = self._counts
            for number, _, body in group:
                if number <= counters["committed"]:
                    continue
                if number != counters["committed"] + 1:
                    raise ProtocolError(f"batch {number} came after batch {counters['committed']}")
                self._apply(self._decode(body))
                counters["committed"] = number
            waiting = counters["candidates"]
            is_due = clock.monotonic() >= self._merge_due
            if waiting and (waiting >= MERGE_AT or is_due or (group[-1].flush_early and queue_is_empty)):
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
            counters = counts.read_newest(connection, self.run_id)
            if counters is None:
                raise Fenced
            self._counts = counters
            yield
            counts.write(connection, self.run_id, counters)
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

    def add_candidates(self, rows: Sequence[Sequence[object]]) -> None:
        """Append rows in the order of `Candidate`'s fields, inside a transaction."""
        self._counts["candidates"] += self._candidates.add(rows)

    def merge(self) -> None:
        """Merge the candidates, inside a transaction, and offer again what pages of lowered depth link to."""
        counters = self._counts
        counters["merges"] += 1
        began = clock.monotonic()
        merged = merge(self.connection, counters["merges"], self._offers.max_depth, ADMISSIONS)
        counters["candidates"] = 0
        counters["urls"] += merged.added
        counters["ended_urls"] += merged.refused - merged.reopened
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

    def offer_again(self, page: UrlId) -> None:
        """Make candidates of a stored page's links, by the purpose and depth it has now, inside a transaction."""
        self.add_candidates([msgspec.structs.astuple(candidate) for candidate in self._offer_again.candidates(page)])

    def _apply(self, batch: StoredBatch) -> None:
        counters, connection, results = self._counts, self.connection, batch.results
        (first,) = connection.execute(_NEXT_PAGE).fetchone()
        paged = list(enumerate([result for result in results if result.page is not None], first))
        replaced = self._end_urls(results, {id(result): page_id for page_id, result in paged})
        applying = Applying(connection.execute, connection.executemany, batch, paged, replaced, counters)
        for apply in APPLY:
            apply(applying)
        if candidates := [candidate for result in results for candidate in result.candidates]:
            self.add_candidates(candidates)
        if any(result.widened for result in results):
            counters["candidates"] += self._candidates.release()
        for page in self._find_stale([result.end for result in results if result.end is not None]):
            self.offer_again(page)

    def _end_urls(self, results: Sequence[StoredResult], page_ids: dict[int, int]) -> list[int]:
        """End each visit's URL, or queue it for another try; the one place where a result becomes true.

        Returns the pages in whose place there is another one now.
        """
        rows, replaced = [], []
        pages = len(page_ids)
        for result in results:
            end = result.end
            if end is None:
                continue
            page_id = page_ids.get(id(result))
            key = (end.host_id, end.seq)
            if page_id is not None and end.visits:
                (before,) = self.connection.execute(_PAGE_NOW, key).fetchone() or (None,)
                pages -= before is not None  # it was a page before
                replaced += [before] if before is not None and end.state != FAILED else []
            rows.append((end.state, end.reason, end.error, end.asked, page_id, *key, end.visits))
            self._counts["ended_urls"] += end.state != QUEUED
        cursor = self.connection.executemany(_END_URL, rows)
        if rows and cursor.rowcount != len(rows):
            raise ProtocolError(f"of {len(rows)} visits, {cursor.rowcount} were still to be ended: {rows[:3]}")
        self._counts["pages"] += pages
        return replaced

    def _find_stale(self, ends: Sequence[End]) -> list[UrlId]:
        """Return the pages that turned out to be nearer than they were asked; what is asked again is queued.

        While a visit was out, its URL may have been found to be more, or nearer, than the visit knew.
        """
        stale = []
        for end in ends:
            if not self._may_be_stale(end):
                continue
            key = (end.host_id, end.seq)
            purpose, depth, redirects = self.connection.execute(_REACH, key).fetchone()
            if purpose < end.purpose and end.state == QUEUED:
                self.connection.execute(_TRY_ANEW, key)
            elif purpose < end.purpose or self._lets_in(end.reason, depth, redirects):
                self._queue_anew(key)
            elif end.state == DONE and ((purpose, depth) < (end.purpose, end.depth) or redirects < end.redirects):
                stale.append(key)
        return stale

    def _may_be_stale(self, end: End) -> bool:
        """Return whether it matters what else was found out while this visit was out: of most pages it does not."""
        if end.purpose != Purpose.PAGE or end.reason in KEPT_OUT:
            return True
        return end.state == DONE and (self._offers.max_depth >= 0 or end.reason == "redirect")

    def _lets_in(self, reason: str, depth: int, redirects: int) -> bool:
        """Return whether what a URL was kept out for holds no longer."""
        if reason == "too-many-redirects":
            return redirects <= MAX_REDIRECTS
        return reason == "too-deep" and not 0 <= self._offers.max_depth < depth

    def _queue_anew(self, key: UrlId) -> None:
        """Queue a URL that was asked for less than it turned out to be; the frontier looks at its host again."""
        counters = self._counts
        self.connection.execute(_QUEUE_ANEW, key)
        counters["merges"] += 1
        counters["ended_urls"] -= 1
        host_id, _ = key
        self.connection.execute(_WAKE_HOST, (counters["merges"], host_id))
