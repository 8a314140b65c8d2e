"""A crawl from the outside: `crawl()` for programs, `run()` for the command line.

Takes a ledger's lock, serves the folders among the seeds, begins a run, lets the engine tell its story, and gives
everything back in the opposite order. Keeps no state of its own between calls: it may be called twice, from a thread,
in two threads at once, in a notebook, and inside somebody's own (non-daemon) child process.

Runs in the coordinator, in the caller's thread. Must not know what happens inside a run, nor what the command line is.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from crawler import clock, transports
from crawler.api.report import Report
from crawler.api.seeds import Seed, read_seeds
from crawler.config import Config
from crawler.engine.crawl import Crawl
from crawler.engine.drain import SLOW_SECONDS
from crawler.engine.job import Job, Stop
from crawler.engine.kind import choose_kind
from crawler.engine.progress import Progress
from crawler.errors import UsageError
from crawler.ledger import migrations, opening, schema
from crawler.ledger.connection import storage_errors
from crawler.ledger.opening import SeedRow
from crawler.load import load_hook
from crawler.processes.capacity import limits_explained
from crawler.processes.lock import LedgerLock
from crawler.rules.scope import Scope
from crawler.rules.urls import split
from crawler.transports.guard import Guard

if TYPE_CHECKING:
    from crawler.copy.saving import CopySetup

log = logging.getLogger("crawler")

Hook = Callable[..., object]

PROGRESS_SECONDS = 2.0  # between two words on what is waited for


class Control(NamedTuple):
    """What the caller holds while a crawl runs."""

    stop: Stop | None = None
    progress: Progress | None = None  # who shows how it is getting on; None: log lines


class Ended(NamedTuple):
    """How a run ended."""

    finish_reason: str
    had_ended: bool  # there was nothing to do


def crawl(
    seeds: str | Iterable[str],
    config: Config | None = None,
    *,
    parse: str | Hook | None = None,
    ledger: str | Path | None = None,
    stop: Stop | None = None,
) -> Report:
    """Crawl from these seeds and report.

    Args:
        seeds: URLs, bare hosts (`example.org` means `http://example.org/`), or folders of HTML, which are served on
            loopback while the crawl lasts.
        config: the options; None means the defaults.
        parse: called in a worker with each HTML page (`Page`) of status 2xx; returns None, a dict, or an iterable of
            dicts and `Follow(url)`. "module:function" or, importable by that name, the function itself; anything
            callable with `Config(processes=0)`.
        ledger: the SQLite file to write, or to continue; None means `config.ledger`, and if that is "" a temporary file
            that lives as long as the report.
        stop: call it, from anywhere, to end the crawl early.

    Raises:
        UsageError: a seed, an option or a hook cannot be used.
        StorageError: the ledger cannot be written.
        CrawlerError: the crawl cannot go on.
    """
    config = config or Config()
    found = read_words(seeds)
    path, temporary = choose_ledger(ledger or config.ledger)
    try:
        ending = run(found, config, path, hook=parse, control=Control(stop))
    except BaseException:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        raise
    return Report(path, ending.finish_reason, temporary)


def run(
    seeds: Sequence[Seed],
    config: Config,
    ledger: Path,
    *,
    hook: str | Hook | None = None,
    fresh: bool = False,
    control: Control = Control(),  # noqa: B008  (it is immutable)
) -> Ended:
    """Run a crawl on a ledger, from its lock to its last connection.

    Args:
        fresh: delete the ledger first.

    Raises:
        UsageError, StorageError, CrawlerError: as `crawl`.
    """
    config, function = check(config, hook)
    with limits_explained(), ExitStack() as stack:
        lock = LedgerLock(ledger)
        lock.acquire()
        stack.callback(lock.release)
        stack.enter_context(storage_errors(ledger))
        if fresh:
            schema.remove(ledger)
        schema.create(ledger)
        if (version := schema.migrate(ledger, _Patient(log.info))) != migrations.VERSION:
            log.info("the ledger was of version %s and is of version %s now", version, migrations.VERSION)
        rows = _serve_folders(stack, seeds, ledger)
        with _said_if_slow(ledger):
            begun = opening.open_run(ledger, config, rows)
        for warning in begun.warnings:
            log.warning("%s", warning)
        copy = _prepare_copy(stack, config, begun.key)
        stop = control.stop or Stop()
        if begun.ended:
            return Ended(_convert_links(config, ledger, lock.path, copy, stop) or begun.ended, True)
        if begun.new_seeds:
            log.info("%s new seed%s", f"{begun.new_seeds:,}", "" if begun.new_seeds == 1 else "s")
        crawl = Crawl(Job(ledger, lock.path, config, begun, stop, function, control.progress, copy))
        if crawl.counters.ended_urls:
            pages = f"{crawl.counters.pages:,} page{'' if crawl.counters.pages == 1 else 's'}"
            log.info("continuing: %s, %s queued", pages, f"{crawl.counters.queued:,}")
        reason = crawl.run()
        return Ended(_convert_links(config, ledger, lock.path, copy, stop) or reason, False)


class _Patient:
    """Says how far something is, if it takes long enough to be waited for."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        self._say = say
        self._due = clock.monotonic() + PROGRESS_SECONDS

    def __call__(self, text: str) -> None:
        """Say it, if some seconds have passed since the last time."""
        if clock.monotonic() >= self._due:
            self._due = clock.monotonic() + PROGRESS_SECONDS
            self._say("bringing the ledger up to date: %s", text)


def _prepare_copy(stack: ExitStack, config: Config, ledger_key: bytes) -> CopySetup | None:
    """Make the folder that bodies are saved in; what is not whole there is removed when the stack unwinds."""
    if not config.save:
        return None
    from crawler.copy import saving

    copy = saving.prepare(Path(config.save), ledger_key, syncs=config.durability == "power")
    stack.callback(saving.tidy, copy)
    return copy


def _convert_links(config: Config, ledger: Path, lock_file: Path, copy: CopySetup | None, stop: Stop) -> str:
    """Convert the links of what was saved; if the crawl was told to stop before all is done, return why."""
    if copy is None or not config.convert_links or stop.reason:
        return stop.reason if config.convert_links else ""
    from crawler.copy import converting

    workers = config.workers()
    kind = choose_kind(config)
    lock = lock_file if kind.are_processes else None
    setup = converting.ConvertSetup(ledger, copy, config.durability, lock, workers, config.page_deadline_seconds)
    log.info("converting the links of what was saved")
    counts = converting.convert_links(kind, setup, stop)
    log.info("links converted in %s of %s pages and stylesheets", f"{counts.changed:,}", f"{counts.pages:,}")
    return stop.reason


@contextmanager
def _said_if_slow(ledger: Path) -> Iterator[None]:
    """Say that the ledger is waited for, if it takes long: another program may have it locked."""
    text = "waiting for the ledger %s: the disk is slow, or another program has it locked"
    timer = threading.Timer(SLOW_SECONDS, log.warning, (text, ledger))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def read_words(seeds: str | Iterable[str]) -> list[Seed]:
    """Read the seeds that a program names.

    Raises:
        UsageError: names those that cannot be used.
    """
    if isinstance(seeds, str):
        raise UsageError(f"seeds must be a list of URLs, not one text: [{seeds!r}]")
    words = list(seeds)
    for word in words:
        if not isinstance(word, str):
            raise UsageError(f"a seed must be text, not {type(word).__name__}: {word!r}")
    found, problems = read_seeds(words, sys.stdin)
    if problems:
        raise UsageError("; ".join(f"{problem.text}: {problem.message}" for problem in problems))
    if not found:
        raise UsageError("there is no seed: name at least one URL")
    return found


def choose_ledger(ledger: str | Path) -> tuple[Path, Path | None]:
    """Return a ledger's path, and, if no name is given (""), the new temporary folder that it is in."""
    if ledger:
        return Path(ledger), None
    temporary = Path(tempfile.mkdtemp(prefix="poolcrawl-"))
    return temporary / "crawl.db", temporary


def check(config: Config, hook: str | Hook | None = None) -> tuple[Config, Hook | None]:
    """Refuse options that cannot be used before anything is touched.

    Returns the config with the hook's name in it, or the hook itself, if it may be any callable.

    Raises:
        UsageError: names the option.
    """
    config, function = _choose_hook(config, hook)
    Scope.of(config)
    Guard(config.allow_private)
    transports.check(config)
    if config.save or config.convert_links or config.types or config.accept or config.reject:
        from crawler.copy import saving  # late: most crawls save nothing

        saving.check(config)
        if config.save:  # children may have another working directory
            config = msgspec.structs.replace(config, save=os.path.abspath(config.save))  # noqa: PTH100  (no links)
    for key in ("parse", "worker_setup"):
        if spec := getattr(config, key):
            load_hook(spec)
    return config, function


def _choose_hook(config: Config, hook: str | Hook | None) -> tuple[Config, Hook | None]:
    """Return the hook by name in the config, or, without processes, the callable itself."""
    if hook is None:
        return config, None
    if isinstance(hook, str):
        return msgspec.structs.replace(config, parse=hook), None
    if config.workers() == 0:
        return config, hook
    module, name = getattr(hook, "__module__", ""), getattr(hook, "__qualname__", "")
    script = sys.modules.get("__main__")
    importable = module != "__main__" or getattr(script, "__file__", None)
    if not (module and importable and getattr(sys.modules.get(module), name, None) is hook):
        raise UsageError(
            f"the parse hook {name or hook!r} cannot be imported by worker processes: define it at the top level of a "
            "module, or use Config(processes=0)"
        )
    return msgspec.structs.replace(config, parse=f"{module}:{name}"), None


def _serve_folders(stack: ExitStack, seeds: Sequence[Seed], ledger: Path) -> list[SeedRow]:
    """Serve the folders among the seeds, and those of earlier runs, at the addresses they had; return all seeds."""
    served = opening.served_folders(ledger)
    urls: dict[str, str] = {}
    for folder in dict.fromkeys([*(str(seed.folder) for seed in seeds if seed.folder), *served]):
        if not Path(folder).is_dir():
            log.warning("the folder %s, a seed of an earlier run, is no longer there", folder)
            continue
        from crawler.api.folder import FolderServer  # late: it brings http.server

        port = int(split(served[folder])[0].rpartition(":")[2]) if folder in served else 0
        server = stack.enter_context(FolderServer(Path(folder), port))
        urls[folder] = server.url
        log.info("serving %s at %s", os.path.relpath(folder), server.url)
    return [
        SeedRow(urls[str(seed.folder)], seed.origin, str(seed.folder))
        if seed.folder
        else SeedRow(seed.url, seed.origin)
        for seed in seeds
    ]
