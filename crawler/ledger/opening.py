"""How a run begins on a ledger: its row, which fences off older runs, and the seeds, in one transaction.

Also decides what "the same command again" means: an unfinished ledger goes on, a finished one says so, other seeds are
added, a larger limit goes on where the smaller one ended. Must not know how seeds are read, nor what is done with a
run. Runs in the coordinator, which holds the ledger's lock.
"""

from __future__ import annotations

import json
import platform
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from crawler import clock
from crawler.config import VERSION, Config, read_stored
from crawler.ledger import schema, views
from crawler.ledger.apply import Writer
from crawler.ledger.phrases import QUEUE_AGAIN, QUEUE_ANEW
from crawler.model import FINISHED, LINK, MAX_PAGES, Candidate, Purpose
from crawler.rules import urls
from crawler.rules.offers import Offers
from crawler.rules.scope import Scope
from crawler.text import printable

PAGES_AT_A_TIME = 1_000
SHOWN = 60  # characters of a value that is none
_PAGES_FROM = """
SELECT host_id, seq FROM _urls WHERE (host_id, seq) > (?, ?) AND state = 'done' AND purpose = ? AND depth >= ?
ORDER BY host_id, seq LIMIT ?
"""
_FAILED_SEEDS = "SELECT url FROM urls WHERE purpose = 'page' AND depth = 0 AND state = 'failed'"
_WAITING = "SELECT EXISTS (SELECT 1 FROM _urls WHERE state = 'queued') OR EXISTS (SELECT 1 FROM _candidates)"
_RETRY_SEED = f"{QUEUE_ANEW} WHERE target = ? AND host_id = (SELECT id FROM _hosts WHERE host = ?)"  # noqa: S608  (our own names)
_FORGET_FAILURES = """
UPDATE _hosts SET robots_verdict = '', robots_tries = 0, robots_reason = '', failures = 0, retry_at = 0 WHERE host = ?
"""
_REOPEN_TOO_DEEP = f"{QUEUE_AGAIN} WHERE reason = 'too-deep' AND (? < 0 OR depth <= ?)"


class SeedRow(NamedTuple):
    """A seed as the ledger keeps it."""

    url: str  # normal form
    origin: str  # "seeds.txt:3"
    folder: str | None = None  # the folder that is served at this URL


class Opening(NamedTuple):
    """What a run starts from."""

    run_id: int  # 0: there is nothing to do, `ended` says why, and no run was begun
    key: bytes  # of the fingerprints
    seeds: tuple[str, ...]  # all that this ledger ever had
    new_seeds: int
    known_hosts: int  # hosts up to this id were known before
    ended: str
    warnings: tuple[str, ...]


class _Past(NamedTuple):
    """The last run on a ledger."""

    finish_reason: str | None
    config: Config
    normal_form: str
    unusable: dict[str, Any]  # what the ledger says of these options is no value of theirs


def open_run(path: Path, config: Config, seeds: Sequence[SeedRow]) -> Opening:
    """Begin a run on an existing ledger, if there is anything left to do on it.

    Raises:
        UsageError, StorageError: the file is no ledger, or cannot be written.
    """
    connection = schema.connect(path, config.durability)
    try:
        key = schema.read_key(connection)
        (known_hosts,) = connection.execute("SELECT coalesce(max(id), 0) FROM _hosts").fetchone()
        past = _read_past(connection, config)
        known = {url for (url,) in connection.execute("SELECT url FROM seeds")}
        new = [seed for seed in seeds if seed.url not in known]
        everything = (*sorted(known), *(seed.url for seed in new))
        retried = _seeds_to_retry(connection, past, seeds)
        deepened = past is not None and (
            _is_deeper(past.config.max_depth, config.max_depth)
            or (config.check_external and not past.config.check_external)
        )
        ended = "" if new or retried or deepened else _why_ended(connection, past, config)
        if past is not None and ended:
            return Opening(0, key, everything, 0, 0, ended, _warnings(past, config))
    finally:
        connection.close()
    offers = Offers.of(config, Scope.of(config, everything), key)
    writer = Writer(path, 0, offers, durability=config.durability, obey_nofollow=config.obey_nofollow)
    try:
        with writer.transaction(lambda: _insert_run(writer.connection, config)):
            views.install(writer.connection)
            _add_seeds(writer, new, key)
            _retry_seeds(writer.connection, retried)
            writer.count_reopened(len(retried))
            # Links are offered again by a larger limit, and by the first one: without any, depths are not the least.
            if past is not None and (deepened or past.config.max_depth < 0 <= config.max_depth):
                writer.count_reopened(_reopen_too_deep(writer.connection, config.max_depth))
                is_wider = config.check_external and not past.config.check_external
                _offer_again(writer, 0 if is_wider else max(past.config.max_depth, 0))
            writer.merge_all()
    finally:
        writer.close()
    return Opening(writer.run_id, key, everything, len(new), known_hosts, "", _warnings(past, config))


def served_folders(path: Path) -> dict[str, str]:
    """Return the URL that each folder was served at, so that it is served there again."""
    connection = schema.connect_read_only(path)
    try:
        return dict(connection.execute("SELECT folder, url FROM seeds WHERE folder IS NOT NULL"))
    finally:
        connection.close()


def _read_past(connection: sqlite3.Connection, now: Config) -> _Past | None:
    """Read the last run. What is unknown of its options counts as it is now; a limit, as the least: the links that it
    may have kept out are offered again.
    """
    row = connection.execute("SELECT finish_reason, config, versions FROM runs ORDER BY id DESC LIMIT 1").fetchone()
    if row is None:
        return None
    finish_reason, options, versions = row
    config, unusable = read_stored(options)
    least = {"max_depth": 0, "check_external": False}
    config = msgspec.structs.replace(config, **{key: least.get(key, getattr(now, key)) for key in unusable})
    return _Past(finish_reason, config, _normal_form(versions), unusable)


def _normal_form(versions: str) -> str:
    """Return the version of the normal form of a ledger's URLs, "" if it does not say."""
    try:
        return str(json.loads(versions)["normal_form"])
    except (ValueError, LookupError, TypeError):
        return ""


def _seeds_to_retry(connection: sqlite3.Connection, past: _Past | None, seeds: Sequence[SeedRow]) -> list[str]:
    """Name the failed seeds of a ledger without a single page: there was no network, and now there may be."""
    if past is None or connection.execute("SELECT 1 FROM _pages LIMIT 1").fetchone():
        return []
    failed = {url for (url,) in connection.execute(_FAILED_SEEDS)}
    return [seed.url for seed in seeds if seed.url in failed]


def _is_deeper(before: int, now: int) -> bool:
    return before >= 0 and (now < 0 or now > before)


def _why_ended(connection: sqlite3.Connection, past: _Past | None, config: Config) -> str:
    if past is None:
        return ""
    (waiting,) = connection.execute(_WAITING).fetchone()
    if not waiting:  # a run that was killed before it could say so is followed by one that does
        return FINISHED if past.finish_reason == FINISHED else ""
    (pages,) = connection.execute("SELECT total(pages) FROM runs").fetchone()
    return MAX_PAGES if past.finish_reason == MAX_PAGES and 0 < config.max_pages <= pages else ""


def _insert_run(connection: sqlite3.Connection, config: Config) -> int:
    versions = {
        "poolcrawl": VERSION,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "normal_form": urls.NORMAL_FORM,
    }
    cursor = connection.execute(
        "INSERT INTO runs (started, config, versions, candidates, merges) "
        "SELECT ?, ?, ?, (SELECT count(*) FROM _candidates), coalesce(max(merges), 0) FROM runs",
        (clock.utc_now(), msgspec.json.encode(config).decode(), json.dumps(versions)),
    )
    return int(cursor.lastrowid or 0)


def _add_seeds(writer: Writer, new: Sequence[SeedRow], key: bytes) -> None:
    execute = writer.connection.execute
    candidates = []
    for seed in new:
        host, target = urls.split(seed.url)
        execute("INSERT INTO seeds SELECT ?, ?, ?, max(id) FROM runs", seed)
        execute("INSERT OR IGNORE INTO _hosts (host) VALUES (?)", (host,))
        execute("UPDATE _hosts SET named = 1, local = max(local, ?) WHERE host = ?", (seed.folder is not None, host))
        fingerprint = urls.fingerprint(seed.url, key)
        candidates.append(Candidate(fingerprint, host, target, LINK, Purpose.PAGE, 0, 0, None, None))
    writer.add_candidates([msgspec.structs.astuple(candidate) for candidate in candidates])


def _retry_seeds(connection: sqlite3.Connection, retried: Sequence[str]) -> None:
    for url in retried:
        host, target = urls.split(url)
        connection.execute(_RETRY_SEED, (target, host))
        connection.execute(_FORGET_FAILURES, (host,))


def _reopen_too_deep(connection: sqlite3.Connection, max_depth: int) -> int:
    """Queue again what a smaller limit kept out; return how many URLs.

    Pages of the crawl, and what is asked beyond the scope, with a fragment or without: an embed, whose depth is counted
    from its page, is never too deep (`Offers.objection`).
    """
    return connection.execute(_REOPEN_TOO_DEEP, (max_depth, max_depth)).rowcount


def _offer_again(writer: Writer, least_depth: int) -> None:
    """Offer the stored links of all pages of the crawl from this depth on, some thousand pages at a time."""
    after, limits = (0, -1), (Purpose.PAGE, least_depth, PAGES_AT_A_TIME)
    while pages := writer.connection.execute(_PAGES_FROM, (*after, *limits)).fetchall():
        for page in pages:
            writer.offer_again(page)
        writer.merge_all()
        after = pages[-1]


def _warnings(past: _Past | None, config: Config) -> tuple[str, ...]:
    if past is None:
        return ()
    found = []
    if len(past.unusable) == len(Config.__struct_fields__):
        found.append("the options of this ledger's last run cannot be read: taken as unknown")
    elif past.unusable:
        options = ", ".join(f"{key} = {printable(str(value)[:SHOWN])}" for key, value in past.unusable.items())
        found.append(f"this ledger's last run had {options}, which is no value today: taken as unknown")
    if past.config.user_agent != config.user_agent:
        found.append(f"this ledger was begun with another user agent: {past.config.user_agent}")
    if past.normal_form != urls.NORMAL_FORM:
        found.append(f"this ledger's URLs have the normal form {past.normal_form}, new ones {urls.NORMAL_FORM}")
    if config.embeds and not past.config.embeds:
        found.append("pages that this ledger has already were read without embeds: --fresh reads them again")
    if config.check_fragments and not past.config.check_fragments:
        found.append("pages that this ledger has already were read without fragments: --fresh reads them again")
    return (*found, *_warnings_of_saving(past, config))


def _warnings_of_saving(past: _Past, config: Config) -> list[str]:
    before, now = past.config.save, config.save
    if before == now:
        return []
    if not before:
        return ["pages that this ledger has already were not saved: --fresh asks for them again"]
    if not now:
        return [f"nothing is saved any more; what was saved before is in {before} (--save continues there)"]
    return [f"what was saved so far is in {before}, what is saved from now on goes to {now}"]
