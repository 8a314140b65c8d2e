"""`for page in stream(seeds)`: pages as they are committed, from a crawl that runs in the background.

    caller's thread     for page in Stream ◄── Feed ◄── the ledger
    background thread   session.run: the coordinator, which knows nothing of it

The ledger is what stands between the two: the loop reads what is committed, in the order of the commits, so that it
sees each page once whatever its own pace, and nothing piles up in memory. The background thread holds no reference to
the `Stream`: when the loop is left, by break or exception, the last reference goes, and with it the crawl.
"""

from __future__ import annotations

import atexit
import contextlib
import shutil
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from crawler.api.report import Report
from crawler.api.seeds import Seed
from crawler.api.session import Control, Hook, check, choose_ledger, read_words, run
from crawler.config import Config
from crawler.engine.job import Stop
from crawler.errors import CrawlerError
from crawler.ledger import feed, schema
from crawler.ledger.feed import Feed, PageFound, Which
from crawler.ledger.records import PageRecord
from crawler.model import INTERRUPTED

POLL_SECONDS = 0.03
HURRY_SECONDS = 10.0  # for a crawl that was told to end at once


def stream(
    seeds: str | Iterable[str],
    config: Config | None = None,
    *,
    parse: str | Hook | None = None,
    ledger: str | Path | None = None,
    after: int | None = None,
    all_visits: bool = False,
) -> Stream:
    """Begin a crawl in the background; iterate over what this returns to get its pages as they are committed.

    Args:
        seeds, config, parse, ledger: as for `crawl`.
        after: on a ledger that is continued, a `Stream.position`: its pages after that one come first. 0: all that it
            has; None: only what this run adds.
        all_visits: not only the pages of the crawl, but also what was asked as an embed or an external link, and each
            visit of what was asked more than once.

    Raises:
        UsageError: a seed, an option or a hook cannot be used.
    """
    config = config or Config()
    found = read_words(seeds)
    check(config, parse)
    path, temporary = choose_ledger(ledger or config.ledger)
    which = Which.ALL if all_visits else Which.CRAWLED
    return Stream(_Background(found, config, path, parse), temporary, after, which)


class Stream:
    """The pages of a crawl that runs in the background: an iterator, and a context manager that stops the crawl.

    The crawl stops when the stream is closed or forgotten, which leaving a `for` loop over it does; on a named ledger
    what is in flight has ten seconds to end, as after a Ctrl-C, and the same call continues. What ended the crawl, if
    it was an error, is raised by the loop after the last page. For one thread.
    """

    def __init__(self, background: _Background, temporary: Path | None, after: int | None, which: Which) -> None:
        self._background = background
        self._temporary = temporary
        self._which = which
        self._remove = weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True) if temporary else None
        self._feed: Feed | None = None
        self._found: deque[PageFound] = deque()
        self._is_over = False
        self._report: Report | None = None
        #: of the last page that was given out: what a later `stream(..., after=position)` begins after
        self.position = background.last_row() if after is None else after
        background.start()

    def __repr__(self) -> str:
        state = "over" if self._is_over else "running"
        return f"<Stream {self._background.ledger}: {state}, position {self.position}>"

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> PageRecord:
        if self._is_over:
            raise StopIteration
        if not self._found:
            self._found.extend(self._wait())
        if not self._found:
            self.close()
            if self._background.error is not None:
                raise self._background.error
            raise StopIteration
        found = self._found.popleft()
        self.position = found.row
        return found.record

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_is_over", True):
            with contextlib.suppress(Exception):  # a thread that is not ours may be the one that forgets us
                self.close()

    @property
    def report(self) -> Report:
        """Return the crawl's report, once it has ended; a temporary ledger lives as long as it or the stream.

        Raises:
            CrawlerError: the crawl is still going on, or failed before there was a ledger.
        """
        if not self._is_over:
            raise CrawlerError("the crawl is still going on: its report is there after the loop, or after close()")
        if self._report is None:
            self._report = Report(self._background.ledger, self._background.finish_reason, self._temporary)
            if self._remove is not None:
                self._remove.detach()
        return self._report

    def close(self) -> None:
        """Stop the crawl, if it still runs, and wait for its end. Ctrl-C meanwhile ends it at once."""
        if self._is_over:
            return
        self._is_over = True
        try:
            self._background.end(gently=self._temporary is None)
        finally:
            self._found.clear()
            if self._feed is not None:
                self._feed.close()

    def _wait(self) -> Sequence[PageFound]:
        """Return the next pages, as soon as there are any; none: the crawl has ended, and this was all."""
        while True:
            is_over = self._background.is_over.is_set()  # looked at first: what is committed by then is found below
            if self._feed is None and schema.is_current(self._background.ledger):
                self._feed = Feed(self._background.ledger, self.position, self._which)
            found = self._feed.pages() if self._feed is not None else []
            if found or is_over:
                return found
            self._background.is_over.wait(POLL_SECONDS)


class _Background:
    """A crawl in a thread of its own."""

    def __init__(self, seeds: Sequence[Seed], config: Config, ledger: Path, hook: str | Hook | None) -> None:
        self.ledger = ledger
        self.error: BaseException | None = None
        self.finish_reason = ""
        self.is_over = threading.Event()
        self._stop = Stop()
        self._thread = threading.Thread(target=self._run, args=(seeds, config, hook), name="crawl")

    def last_row(self) -> int:
        """Return the row of the last page that the ledger has."""
        return feed.last_row(self.ledger) if self.ledger.is_file() else 0

    def start(self) -> None:
        """Begin."""
        _RUNNING.add(self)
        self._thread.start()

    def end(self, *, gently: bool) -> None:
        """Stop it, unless it has ended, and wait for it."""
        (self._stop if gently else self._stop.at_once)(INTERRUPTED)
        try:
            self._thread.join()
        except BaseException:
            self._stop.at_once(INTERRUPTED)
            self._thread.join(HURRY_SECONDS)
            raise

    def _run(self, seeds: Sequence[Seed], config: Config, hook: Any) -> None:
        try:
            self.finish_reason = run(seeds, config, self.ledger, hook=hook, control=Control(self._stop)).finish_reason
        except BaseException as error:
            self.error = error
        finally:
            self.is_over.set()


_RUNNING: weakref.WeakSet[_Background] = weakref.WeakSet()


def _end_all() -> None:
    """End what a program left running that ends itself, by an exception that nobody caught, say."""
    for background in list(_RUNNING):
        background.end(gently=False)


# Before the executors close and the interpreter waits for our thread, which `atexit` would be too late for. Without it
# (it is no public name) the crawl ends all the same, by the executors' refusal to work, only not without a word.
getattr(threading, "_register_atexit", atexit.register)(_end_all)
