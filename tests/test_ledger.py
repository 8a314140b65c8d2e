"""The one write transaction and the sieve: exactly once, in order, fenced, and exact whatever the order of links."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from crawler.config import Config
from crawler.errors import StorageError, UsageError
from crawler.ledger import connection, opening, schema
from crawler.ledger.apply import Fenced, NumberedBatch, ProtocolError, Writer
from crawler.ledger.opening import SeedRow
from crawler.ledger.reader import Reader
from crawler.model import Batch, Candidate, End, HostFacts, PageRow, Purpose, Result, RobotsRow
from crawler.rules import urls
from crawler.rules.offers import Offers
from crawler.rules.scope import Scope

SEED = "http://a.test/"


class Bench:
    """A ledger with one run and one writer, and short words for batches."""

    def __init__(self, path: Path, config: Config) -> None:
        self.path = path
        self.config = config
        schema.create(path)
        self.opening = opening.open_run(path, config, [SeedRow(SEED, "argument")])
        self.offers = Offers.of(config, Scope.of(config, self.opening.seeds), self.opening.key)
        self.writer = Writer(path, self.opening.run_id, self.offers, durability="process", obey_nofollow=True)
        self.reader = Reader(path, self.opening.run_id)
        self.number = 0

    def numbered(
        self, *results: Result, flush_early: bool = False, hosts: list[HostFacts] | None = None
    ) -> NumberedBatch:
        self.number += 1
        raw = [msgspec.Raw(msgspec.msgpack.encode(result)) for result in results]
        return NumberedBatch(self.number, flush_early, msgspec.msgpack.encode(Batch(raw, hosts or [])))

    def commit(self, *results: Result, flush_early: bool = True) -> None:
        self.writer.commit([self.numbered(*results, flush_early=flush_early)], queue_is_empty=True)

    def page(
        self, seq: int, links: list[str], depth: int = 0, visits: int = 0, purpose: Purpose = Purpose.PAGE
    ) -> Result:
        """A page of host 1 that was done, with links to be followed."""
        as_json = msgspec.json.encode([{"url": url} for url in links]).decode()
        row = PageRow(1, seq, 200, 0, 0, links=as_json, links_found=len(links))
        end = End("done", "ok", None, 1, seq, visits, True, purpose, depth, 0)
        return Result(end, row, self.offers.links(links, purpose, depth, (1, seq)))

    def rows(self, query: str) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def close(self) -> None:
        self.reader.close()
        self.writer.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "crawl.db", Config())
    yield bench
    bench.close()


@pytest.fixture
def shallow(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "crawl.db", Config(max_depth=2))
    yield bench
    bench.close()


def test_links_become_urls_once_and_keep_their_order(bench: Bench) -> None:
    bench.commit(bench.page(0, ["http://a.test/2", "http://a.test/1", "http://a.test/2", SEED]))
    assert bench.rows("SELECT url, state, depth, via FROM urls") == [
        (SEED, "done", 0, None),
        ("http://a.test/2", "queued", 1, SEED),
        ("http://a.test/1", "queued", 1, SEED),
    ]
    assert bench.reader.counters()[:5] == (1, 0, 2, 3, 1)


def test_a_batch_that_comes_twice_is_passed_over(bench: Bench) -> None:
    batch = bench.numbered(bench.page(0, []))
    bench.writer.commit([batch], queue_is_empty=True)
    bench.writer.commit([batch], queue_is_empty=True)
    assert bench.rows("SELECT count(*) FROM pages") == [(1,)]


def test_a_missing_number_is_refused_and_nothing_is_written(bench: Bench) -> None:
    bench.number = 1
    with pytest.raises(ProtocolError, match="batch 2 came after batch 0"):
        bench.commit(bench.page(0, []))
    assert bench.rows("SELECT state FROM urls") == [("queued",)]


@pytest.mark.parametrize("visits", [0, 1])
def test_a_url_that_has_ended_cannot_end_again(bench: Bench, visits: int) -> None:
    bench.commit(bench.page(0, []))
    with pytest.raises(ProtocolError):
        bench.commit(bench.page(0, [], visits=visits))
    assert bench.rows("SELECT count(*) FROM pages") == [(1,)]
    assert bench.reader.counters().committed == 1


def test_a_writer_of_an_older_run_is_fenced_off(bench: Bench) -> None:
    opening.open_run(bench.path, bench.config, [SeedRow("http://b.test/", "argument")])
    with pytest.raises(Fenced):
        bench.commit(bench.page(0, []))
    assert bench.rows("SELECT count(*) FROM pages") == [(0,)]


def test_a_retried_url_stays_queued_behind_the_others(bench: Bench) -> None:
    bench.commit(bench.page(0, ["http://a.test/1", "http://a.test/2"]))
    bench.commit(Result(End("queued", "timeout", "too slow", 1, 1, 0, True, Purpose.PAGE, 1, 0)))
    assert [(row.target, row.attempts) for row in bench.reader.ready(1, 10)] == [("/2", 0), ("/1", 1)]


def test_candidates_wait_until_they_are_wanted_early_or_are_old(bench: Bench) -> None:
    bench.writer._merge_due = float("inf")
    bench.commit(bench.page(0, ["http://a.test/1"]), flush_early=False)
    assert (bench.reader.counters().candidates, bench.reader.counters().urls) == (1, 1)
    bench.commit()
    assert (bench.reader.counters().candidates, bench.reader.counters().urls) == (0, 2)
    bench.writer._merge_due = 0.0
    bench.commit(bench.page(1, ["http://a.test/2"], depth=1), flush_early=False)
    assert (bench.reader.counters().candidates, bench.reader.counters().urls) == (0, 3)


def test_a_smaller_depth_is_kept(bench: Bench) -> None:
    key = bench.opening.key
    deep = Candidate(urls.fingerprint("http://a.test/x", key), "http://a.test", "/x", "L", Purpose.PAGE, 5, 0, 1, 0)
    bench.commit(Result(candidates=[deep]))
    bench.commit(Result(candidates=[msgspec.structs.replace(deep, depth=3)]))
    bench.commit(Result(candidates=[msgspec.structs.replace(deep, depth=4)]))
    assert bench.rows("SELECT depth FROM urls WHERE url = 'http://a.test/x'") == [(3,)]


def test_a_page_whose_depth_is_lowered_offers_its_links_again(shallow: Bench) -> None:
    """/far is at the limit when it is fetched, so its link is not offered; a shorter way to it comes to light later."""
    key = shallow.opening.key
    far = Candidate(urls.fingerprint("http://a.test/far", key), "http://a.test", "/far", "L", Purpose.PAGE, 2, 0, 1, 0)
    shallow.commit(Result(candidates=[far]))
    shallow.commit(shallow.page(1, ["http://a.test/behind"], depth=2))
    assert shallow.rows("SELECT count(*) FROM urls") == [(2,)]
    shallow.commit(Result(candidates=[msgspec.structs.replace(far, depth=1)]))
    shallow.commit()
    assert shallow.rows("SELECT url, depth FROM urls WHERE url LIKE '%behind'") == [("http://a.test/behind", 2)]


def test_a_page_that_was_out_while_its_depth_was_lowered_offers_its_links_by_the_new_one(shallow: Bench) -> None:
    key = shallow.opening.key
    far = Candidate(urls.fingerprint("http://a.test/far", key), "http://a.test", "/far", "L", Purpose.PAGE, 2, 0, 1, 0)
    shallow.commit(Result(candidates=[far]))
    shallow.commit(Result(candidates=[msgspec.structs.replace(far, depth=1)]))
    shallow.commit(shallow.page(1, ["http://a.test/behind"], depth=2))  # handed out before, with the old depth
    assert shallow.rows("SELECT url, depth FROM urls WHERE url LIKE '%behind'") == [("http://a.test/behind", 2)]


def test_nofollow_links_of_a_stored_page_are_not_offered_again(shallow: Bench) -> None:
    page = shallow.page(0, [])
    assert page.page is not None
    page.page.links = '[{"url":"http://a.test/no","rel":"noopener nofollow"},{"url":"http://a.test/yes"}]'
    shallow.commit(page)
    with shallow.writer.transaction():
        shallow.writer.offer_again((1, 0))
        shallow.writer.merge_all()
    assert shallow.rows("SELECT url FROM urls WHERE depth > 0") == [("http://a.test/yes",)]


def test_links_of_an_error_page_are_not_offered_again(shallow: Bench) -> None:
    page = shallow.page(0, ["http://a.test/from-404"])
    assert page.page is not None
    page.page.status, page.candidates = 404, []
    shallow.commit(page)
    with shallow.writer.transaction():
        shallow.writer.offer_again((1, 0))
        shallow.writer.merge_all()
    assert shallow.rows("SELECT count(*) FROM urls") == [(1,)]


def test_a_link_that_a_hook_follows_is_offered_again_whatever_the_page_says(shallow: Bench) -> None:
    page = shallow.page(0, [])
    assert page.page is not None
    page.page.links = '[{"url":"http://a.test/no"},{"url":"http://a.test/yes","rel":"nofollow hook"}]'
    page.page.nofollow = True
    shallow.commit(page)
    with shallow.writer.transaction():
        shallow.writer.offer_again((1, 0))
        shallow.writer.merge_all()
    assert shallow.rows("SELECT url FROM urls WHERE depth > 0") == [("http://a.test/yes",)]


def test_a_nearer_page_becomes_the_via(bench: Bench) -> None:
    bench.commit(bench.page(0, ["http://a.test/1", "http://a.test/2"]))
    bench.commit(Result(candidates=bench.offers.links(["http://a.test/x"], Purpose.PAGE, 4, (1, 1))))
    bench.commit(Result(candidates=bench.offers.links(["http://a.test/x"], Purpose.PAGE, 1, (1, 2))))
    bench.commit(Result(candidates=bench.offers.links(["http://a.test/x"], Purpose.PAGE, 3, (1, 1))))
    query = "SELECT depth, via FROM urls WHERE url = 'http://a.test/x'"
    assert bench.rows(query) == [(2, "http://a.test/2")]


def test_a_shorter_chain_of_redirects_reopens_a_url(bench: Bench) -> None:
    key = bench.opening.key
    end = Candidate(urls.fingerprint("http://a.test/end", key), "http://a.test", "/end", "R", Purpose.PAGE, 0, 11, 1, 0)
    bench.commit(Result(candidates=[end]))
    assert bench.rows("SELECT state, reason FROM urls WHERE url LIKE '%end'") == [("skipped", "too-many-redirects")]
    assert bench.reader.counters().ended_urls == 1
    bench.commit(Result(candidates=[msgspec.structs.replace(end, redirects=2)]))
    assert bench.rows("SELECT state, redirects FROM urls WHERE url LIKE '%end'") == [("queued", 2)]
    assert bench.reader.counters().ended_urls == 0


def test_conditional_links_wait_until_their_host_is_in_scope(bench: Bench) -> None:
    links = ["https://a.test/x", "https://www.a.test/y"]
    bench.commit(bench.page(0, links))
    assert bench.rows("SELECT count(*) FROM urls") == [(1,)]
    bench.commit(Result(widened="https://a.test"))
    assert bench.rows("SELECT url FROM urls WHERE depth = 1") == [("https://a.test/x",)]
    assert bench.rows("SELECT named, widened FROM hosts WHERE host = 'https://a.test'") == [(1, 1)]
    bench.commit(Result(widened="https://www.a.test"))
    assert bench.rows("SELECT url FROM urls WHERE depth = 1 ORDER BY url") == [(url,) for url in sorted(links)]
    assert bench.rows("SELECT count(*) FROM _conditional") == [(0,)]


def test_host_facts_add_up(bench: Bench) -> None:
    batches = [
        HostFacts(1, 2, 50.0, False, 2, 99.0, 10),
        HostFacts(1, 1, 40.0, False, 1),
        HostFacts(1, 3, 60.0, True, 1),
    ]
    seen = []
    for facts in batches:
        bench.writer.commit([bench.numbered(hosts=[facts])], queue_is_empty=True)
        row = bench.reader.host(1)
        seen.append((row.failures, row.asked_at, row.retry_at))
    assert seen == [(2, 50.0, 99.0), (3, 50.0, 99.0), (1, 60.0, 99.0)]
    assert bench.reader.counters().requests == 6


def test_a_robots_txt_that_moved_makes_its_new_host_known(bench: Bench) -> None:
    row = RobotsRow(1, "", 0, 301, redirect_host="https://a.test", redirect_target="/robots.txt", redirects=1)
    bench.commit(Result(robots=row))
    assert bench.reader.host(1)[10:13] == ("https://a.test", "/robots.txt", 1)
    assert bench.reader.host_named("https://a.test").id == 2


def test_items_are_stored_with_their_page(bench: Bench) -> None:
    page = bench.page(0, [])
    page.items = ['{"price":3}', '{"price":4}']
    bench.commit(page)
    assert bench.rows("SELECT url, number, item ->> 'price' FROM items") == [(SEED, 0, 3), (SEED, 1, 4)]


def test_ready_urls_are_read_by_index_alone(bench: Bench) -> None:
    plans = [
        "SELECT host_id FROM _urls WHERE state = 'queued' AND host_id > 3 ORDER BY host_id LIMIT 1",
        "SELECT seq, target FROM _urls WHERE host_id = 1 AND state = 'queued' ORDER BY attempts, seq LIMIT 5",
        "SELECT id FROM _hosts WHERE merge > 3",
    ]
    for query in plans:
        steps = [str(row[3]) for row in bench.rows(f"EXPLAIN QUERY PLAN {query}")]
        assert len(steps) == 1
        assert "USING" in steps[0]
        assert "INDEX" in steps[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"hello, this is a text and no database, and it is long enough to be read as one" * 20, "no SQLite file")],
)
def test_what_is_no_ledger_is_refused_and_left_alone(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        schema.connect(path)
    with pytest.raises(UsageError, match=message):
        schema.remove(path)
    assert path.read_bytes() == content


def test_a_wal_that_has_grown_large_is_copied_back_after_a_commit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.commit(bench.page(0, ["http://a.test/a"]))
    before = bench.path.read_bytes()
    bench.commit(bench.page(1, []))
    assert bench.path.read_bytes() == before
    monkeypatch.setattr(connection, "CHECKPOINT_BYTES", 1)
    bench.commit()
    assert bench.path.read_bytes() != before


def test_a_wal_that_cannot_be_copied_back_is_told_and_left_beside_the_ledger(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CHECKPOINT_BYTES", 1)
    tried = []

    def fail(self: connection.Connection) -> None:
        tried.append(self)
        self.has_failed = True
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error

    monkeypatch.setattr(connection.Connection, "checkpoint", fail)
    with pytest.raises(StorageError, match=r"crawl\.db: disk I/O error; see to the disk that it is on"):
        bench.commit(bench.page(0, ["http://a.test/a"]))
    assert bench.reader.counters().committed == 1  # it is in the WAL, and stays there
    bench.reader.abandon()
    bench.writer.close()
    bench.reader.close()
    assert tried == [bench.writer.connection]
    assert bench.path.with_name("crawl.db-wal").stat().st_size > 0
    monkeypatch.undo()
    schema.connect_read_only(bench.path).close()
    assert not bench.path.with_name("crawl.db-wal").exists()
    assert bench.rows("SELECT url FROM pages") == [(SEED,)]


def test_a_wal_that_was_deleted_under_a_crawl_is_a_storage_error(bench: Bench) -> None:
    bench.path.with_name("crawl.db-wal").unlink()
    with pytest.raises(StorageError, match=r"No such file or directory: .*crawl\.db-wal"):
        bench.commit()


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (sqlite3.SQLITE_FULL, "make room on the disk"),
        (sqlite3.SQLITE_IOERR_WRITE, "see to the disk that it is on (full? over its quota? broken?)"),
        (sqlite3.SQLITE_BUSY, "another program keeps it locked: end that"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, "see to the permissions of the file and its folder"),
        (sqlite3.SQLITE_CORRUPT, "it is damaged: "),
        (sqlite3.SQLITE_ERROR, "it is as it was at its last commit"),
    ],
)
def test_what_sqlite_says_comes_with_what_to_do(code: int, advice: str) -> None:
    error = sqlite3.OperationalError("so says SQLite")
    error.sqlite_errorcode = code
    said = str(connection.as_storage_error(Path("crawl.db"), error))
    assert said.startswith(f"the ledger crawl.db: so says SQLite; {advice}")


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bookmarks.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match="some other SQLite file"):
        schema.connect(path)
    assert path.read_bytes() == before


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "crawl.db"
    schema.create(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(UsageError, match="schema version 99"):
        schema.connect(path)


def test_a_ledger_in_a_folder_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is its folder there"):
        schema.create(tmp_path / "nowhere" / "crawl.db")
