"""Converting links: each saved page and stylesheet is rewritten, so that the copy can be browsed without the web.

    coordinator   the ledger ─► chunks of pages ─► convert_pages(chunk) in pools of one ─► counts
    process       read a file ─► replace its references (`rewriting`) ─► write it, in one step

A reference whose target was saved, redirects followed, becomes a relative path; any other an absolute URL. A file is
converted or it is not, since it is replaced in one step, and which of both can be told: an original has the digest of
its page. In a converted one only absolute URLs are looked at, whose targets may have been saved since. So whoever does
it again, after a kill or a later run, gets what doing it once gives.

Of the ledger it knows `Saved`: what was saved, and is converted. Must not know how pages came, nor the engine.
"""

from __future__ import annotations

import hashlib
import logging
import posixpath
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import ExitStack, closing
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from crawler.copy.saving import Copy, CopySetup
from crawler.errors import CrawlerError
from crawler.ledger import saved
from crawler.ledger.saved import Saved, SavedPage
from crawler.pages import encodings, rewriting
from crawler.pages.rewriting import SPACE
from crawler.processes.child import enter_child
from crawler.processes.kinds import Kind
from crawler.rules import urls
from crawler.rules.filenames import HTML_SUFFIXES, suffix_of
from crawler.rules.mime import is_css

log = logging.getLogger("crawler")

CHUNK: Final = 50  # pages that a process is given at a time
START_SECONDS: Final = 60.0  # that a process may take to start
_IN_PATHS: Final = "/@!$&()+=~"  # what a relative reference may have unescaped, beside letters, digits and "-._"
_IN_FRAGMENTS: Final = "!$&()*+,;=:@/?%~"


class ConvertSetup(NamedTuple):
    """What a conversion needs to know; plain data."""

    ledger: Path
    copy: CopySetup
    durability: str
    lock_file: Path | None  # None: not in processes of their own
    processes: int
    page_seconds: float  # after which a process ends itself


class Counts(NamedTuple):
    """What became of some files."""

    pages: int = 0
    changed: int = 0
    foreign: int = 0  # somebody else had changed them: left alone

    def plus(self, other: Counts) -> Counts:
        """Return the sum."""
        return Counts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


# ---- the coordinator's part


def convert_links(kind: Kind, setup: ConvertSetup, stop: Any) -> Counts:
    """Convert the links of all that a ledger has saved.

    Args:
        kind: where it is done.
        stop: an `engine.job.Stop`: once it has a reason, the rest is left for the next run.

    Raises:
        SavingError, StorageError: a file or the ledger cannot be read or written.
        CrawlerError: a process died.
    """
    executors: list[Executor] = [kind.executor(_enter, (setup.lock_file,)) for _ in range(max(1, setup.processes))]
    try:
        with closing(Saved(setup.ledger)) as found:
            counts = _run(executors, setup, _chunks(found, setup, stop))
    except BrokenExecutor as error:
        raise CrawlerError("a process that converted links died; the same command converts them again") from error
    finally:
        for executor in executors:
            executor.shutdown(cancel_futures=True)
    if counts.foreign:
        log.warning(
            "%s saved file%s changed by somebody else before the links were converted: left as found",
            f"{counts.foreign:,}", " was" if counts.foreign == 1 else "s were",
        )  # fmt: skip
    return counts


def _run(executors: Sequence[Executor], setup: ConvertSetup, chunks: Iterator[list[SavedPage]]) -> Counts:
    counts = Counts()
    idle = list(enumerate(executors))
    working: dict[Future[Counts], tuple[int, Executor]] = {}
    while True:
        while idle and (chunk := next(chunks, None)) is not None:
            number, executor = idle.pop()
            working[executor.submit(convert_pages, setup, number, chunk)] = (number, executor)
        if not working:
            return counts
        done, _ = wait(working, START_SECONDS + CHUNK * setup.page_seconds, FIRST_COMPLETED)
        if not done:
            raise CrawlerError("converting links takes too long; the same command goes on with it")
        for future in done:
            idle.append(working.pop(future))
            counts = counts.plus(future.result())


def _chunks(found: Saved, setup: ConvertSetup, stop: Any) -> Iterator[list[SavedPage]]:
    """Iterate over what there is to convert; what is handed out is noted in the ledger before."""
    for pages in found.pages(CHUNK):
        chunk = [page for page in pages if is_convertible(page)]
        if stop.reason:
            return
        if chunk:
            if new := [page for page in chunk if not page.is_converted]:
                saved.begin(setup.ledger, new, setup.durability)
            yield chunk


def is_convertible(page: SavedPage) -> bool:
    """Return whether a page's file has references that are converted."""
    return suffix_of(page.file) in HTML_SUFFIXES or is_css(page.content_type)


# ---- a process's part


def _enter(lock_file: Path | None) -> None:
    if lock_file is not None:
        enter_child(lock_file, "converter")
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def convert_pages(setup: ConvertSetup, number: int, pages: Sequence[SavedPage]) -> Counts:
    """Convert the links of some pages.

    Args:
        number: of this process, among those of the conversion.
    """
    counts = Counts()
    with ExitStack() as stack:
        found = Saved(setup.ledger)
        stack.callback(found.leave)
        copy = stack.enter_context(closing(Copy(setup.copy, f"convert-{number}")))
        converter = Converter(found, copy)
        for page in pages:
            if setup.lock_file is not None:
                signal.setitimer(signal.ITIMER_REAL, setup.page_seconds)
            counts = counts.plus(converter.convert(page))
        if setup.lock_file is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return counts


class Converter:
    """Converts files of a copy, and remembers for a while where its links lead."""

    def __init__(self, found: Saved, copy: Copy) -> None:
        self._saved = found
        self._copy = copy
        self._files: dict[str, str] = {}

    def convert(self, page: SavedPage) -> Counts:
        """Convert a page's file, if it has one."""
        body = self._copy.read(page.file)
        if body is None:
            return Counts()
        is_original = "sha256:" + hashlib.sha256(body).hexdigest() == page.digest
        if not is_original and not page.is_converted:
            return Counts(1, foreign=1)
        rewritten = self._rewrite(page, body, is_original=is_original)
        if rewritten != body:
            self._copy.write(page.file, rewritten)
        return Counts(1, int(rewritten != body))

    def _rewrite(self, page: SavedPage, body: bytes, *, is_original: bool) -> bytes:
        # A converted page says itself what its encoding is.
        text, name = encodings.decode(body, page.content_type if is_original else "")
        if is_css(page.content_type):
            replace = _Replacement(self, page.file, page.url, is_page_itself=True, is_original=is_original)
            return rewriting.rewrite_css(body, encodings.codec_of(name), replace)
        if name in encodings.NO_SUPERSET_OF_ASCII:
            body, name = text.encode(), "utf-8"
        codec = encodings.codec_of(name)
        base = page.url
        if is_original and (reference := rewriting.find_base(body, codec)):
            base = urls.normalise(reference, page.url) or page.url
        replace = _Replacement(self, page.file, base, is_page_itself=base == page.url, is_original=is_original)
        body = rewriting.rewrite_html(body, codec, replace)
        if _says_its_encoding(page, body, name):
            return body
        return rewriting.declare_charset(body, encodings.label_of(name))

    def file_of(self, url: str) -> str:
        """Return the file that a URL (normal form) was saved as, redirects followed; "" if there is none."""
        file = self._files.get(url)
        if file is None:
            file = self._files[url] = self._saved.file_of(url, self._copy.has)
        return file


def _says_its_encoding(page: SavedPage, body: bytes, name: str) -> bool:
    """Return whether a browser finds out without a server what a page is encoded in. (XML's own default is UTF-8.)"""
    if body.isascii() or suffix_of(page.file) not in ("html", "htm"):
        return True
    has_mark = any(body.startswith(mark) for mark, _ in encodings.BOMS)
    return has_mark or encodings.declared_within(body[: encodings.SNIFFED_BYTES]) == name


class _Replacement:
    """What becomes of the references in one file."""

    def __init__(self, converter: Converter, file: str, base: str, *, is_page_itself: bool, is_original: bool) -> None:
        self._converter = converter
        self._folder = posixpath.dirname(file)
        self._join = urls.Joiner(base).join
        self._is_page_itself = is_page_itself
        self._is_original = is_original

    def __call__(self, reference: str) -> str | None:
        """Return a reference as it is to be written; None: as it is."""
        stripped = reference.strip(SPACE)
        is_absolute = stripped[:8].lower().startswith(("http://", "https://"))
        if not self._is_original and not is_absolute:
            return None
        address, hash_sign, fragment = stripped.partition("#")
        if not address and self._is_page_itself:
            return None
        url = self._join(address)
        if url is None:
            return None
        file = self._converter.file_of(url)
        if is_absolute and not file:
            return None
        written = _relative(file, self._folder) if file else url
        return written + hash_sign + quote(fragment, safe=_IN_FRAGMENTS)


@lru_cache(16_384)
def _relative(file: str, folder: str) -> str:
    """Return the reference to a file from a file in a folder."""
    return quote(posixpath.relpath(file, folder), safe=_IN_PATHS)
