"""Pages are appended and never replaced: a URL's latest is shown, those before it are its history."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from crawler import Config, stream
from crawler.ledger.feed import Feed, Which
from crawler.model import AttemptRow, Candidate, End, FragmentsRow, PageRow, Purpose, Result
from crawler.rules import urls
from tests.site import Site
from tests.test_ledger import Bench

QUICK = Config(processes=0, delay_seconds=0)
OTHER = "http://a.test/other"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "crawl.db", Config(embeds=True))
    yield bench
    bench.close()


def found_as(bench: Bench, purpose: Purpose) -> None:
    """OTHER is found, as this, and has the seq 1."""
    fingerprint = urls.fingerprint(OTHER, bench.opening.key)
    bench.commit(Result(candidates=[Candidate(fingerprint, "http://a.test", "/other", "L", purpose, 1, 0, 1, 0)]))


def visited(
    purpose: Purpose, visits: int, status: int = 200, state: str = "done", reason: str = "ok", file: str | None = None
) -> Result:
    """OTHER was asked; its pages can be told apart by their title."""
    row = PageRow(1, 1, status, 0, 0, title=f"{purpose.word} {visits}", file=file)
    end = End(state, reason, None if state == "done" else f"status {status}", 1, 1, visits, True, purpose, 1, 0)
    item = f'{{"visit":{visits}}}'
    return Result(end, row, items=[item], fragments=FragmentsRow(f'["v{visits}"]', "[]"))


def titles(bench: Bench, which: Which) -> list[str | None]:
    with closing(Feed(bench.path, which=which)) as feed:
        return [found.record.title for found in feed.pages()]


def test_a_page_that_was_an_embed_first_is_shown_as_its_latest_and_keeps_its_history(bench: Bench) -> None:
    found_as(bench, Purpose.EMBED)
    bench.commit(visited(Purpose.EMBED, 0, file="other"))
    found_as(bench, Purpose.PAGE)
    assert bench.rows("SELECT state, attempts, purpose FROM urls WHERE depth = 1") == [("queued", 0, "page")]
    assert [(row.visits, row.purpose) for row in bench.reader.ready(1, 9) if row.seq] == [(1, Purpose.PAGE)]
    bench.commit(visited(Purpose.PAGE, 1, file="other"))
    assert bench.rows("SELECT title, purpose, file FROM pages") == [("page 1", "page", "other")]
    assert bench.rows("SELECT title, file FROM _pages") == [("embed 0", None), ("page 1", "other")]
    assert bench.rows("SELECT item ->> 'visit' FROM items") == [(1,)]
    assert bench.rows("SELECT f.anchors FROM _fragments f JOIN _urls u ON u.page = f.page") == [('["v1"]',)]
    assert titles(bench, Which.ALL) == ["embed 0", "page 1"]
    assert titles(bench, Which.LATEST) == titles(bench, Which.CRAWLED) == ["page 1"]
    counters = bench.reader.counters()
    assert (counters.pages, counters.ended_urls, counters.items) == (1, 1, 2)


def test_a_visit_of_another_number_is_not_applied(bench: Bench) -> None:
    """The attempts begin again when a URL turns out to be more, its visits do not: they are the fence."""
    found_as(bench, Purpose.EMBED)
    bench.commit(visited(Purpose.EMBED, 0))
    found_as(bench, Purpose.PAGE)
    before = bench.rows("SELECT * FROM _urls")
    with pytest.raises(Exception, match="of 1 visits, 0 were still to be ended"):
        bench.commit(visited(Purpose.PAGE, 0))
    bench.number -= 1
    assert bench.rows("SELECT * FROM _urls") == before
    assert bench.rows("SELECT count(*) FROM _pages") == [(1,)]


def test_a_visit_that_fails_leaves_the_latest_page_and_is_said_by_the_state(bench: Bench) -> None:
    found_as(bench, Purpose.EMBED)
    bench.commit(visited(Purpose.EMBED, 0))
    found_as(bench, Purpose.PAGE)
    bench.commit(visited(Purpose.PAGE, 1, 503, "failed", "server-error"))
    assert bench.rows("SELECT state, reason, error FROM urls WHERE depth = 1") == [
        ("failed", "server-error", "status 503")
    ]
    assert bench.rows("SELECT title, status FROM pages") == [("embed 0", 200)]
    bench.commit(bench.page(0, [OTHER]))
    assert bench.rows("SELECT url, status, reason FROM broken_links") == [(OTHER, None, "server-error")]
    assert titles(bench, Which.ALL) == ["embed 0", "page 1", None]
    assert bench.reader.counters().pages == 2


def test_the_status_of_what_failed_again_is_that_of_its_last_try(bench: Bench) -> None:
    found_as(bench, Purpose.EMBED)
    bench.commit(visited(Purpose.EMBED, 0), bench.page(0, [OTHER]))
    found_as(bench, Purpose.PAGE)
    failed = visited(Purpose.PAGE, 1, 503, "failed", "server-error")
    failed.attempt = AttemptRow(1, 1, 2, 0, "server-error", 503, 5)
    bench.commit(failed)
    assert bench.rows("SELECT url, status, reason FROM broken_links") == [(OTHER, 503, "server-error")]


def test_the_tries_of_something_less_do_not_count(bench: Bench) -> None:
    """An embed that failed twice is found to be a page: it has all its tries, whether it waits or is on its way."""
    for visits in (0, 1):
        found_as(bench, Purpose.EMBED)
        retry = End("queued", "timeout", "too slow", 1, 1, visits, True, Purpose.EMBED, 1, 0)
        bench.commit(Result(retry))
    assert [row.attempts for row in bench.reader.ready(1, 9) if row.seq] == [2]
    found_as(bench, Purpose.PAGE)
    assert [(row.attempts, row.visits) for row in bench.reader.ready(1, 9) if row.seq] == [(0, 2)]
    late = End("queued", "timeout", "too slow", 1, 1, 2, True, Purpose.EMBED, 1, 0)
    bench.commit(Result(late))  # it was handed out before
    assert [(row.attempts, row.visits) for row in bench.reader.ready(1, 9) if row.seq] == [(0, 3)]


def test_a_feed_looks_at_what_it_does_not_want_once(bench: Bench) -> None:
    bench.commit(bench.page(0, []))
    with closing(Feed(bench.path)) as feed:
        assert [found.row for found in feed.pages()] == [1]
        found_as(bench, Purpose.EMBED)
        bench.commit(visited(Purpose.EMBED, 0))
        assert (feed.pages(), feed.after) == ([], 1)
        assert feed._seen == 2
        found_as(bench, Purpose.PAGE)
        bench.commit(visited(Purpose.PAGE, 1))
        assert [found.row for found in feed.pages()] == [3]


def test_a_first_visit_that_fails_with_an_answer_has_a_page(bench: Bench) -> None:
    found_as(bench, Purpose.PAGE)
    bench.commit(visited(Purpose.PAGE, 0, 503, "failed", "server-error"))
    assert bench.rows("SELECT title, status FROM pages") == [("page 0", 503)]


def test_an_embed_that_was_out_while_it_was_found_to_be_a_page_is_asked_again(bench: Bench) -> None:
    found_as(bench, Purpose.EMBED)
    found_as(bench, Purpose.PAGE)  # its visit as an embed is on its way
    bench.commit(visited(Purpose.EMBED, 0))
    assert bench.rows("SELECT state, attempts FROM urls WHERE depth = 1") == [("queued", 0)]
    bench.commit(visited(Purpose.PAGE, 1))
    assert bench.rows("SELECT title FROM pages") == [("page 1",)]
    assert bench.reader.counters().ended_urls == 1


def test_each_try_that_was_no_success_at_once_is_a_row(bench: Bench) -> None:
    found_as(bench, Purpose.PAGE)
    again = End("queued", "timeout", "too slow", 1, 1, 0, True, Purpose.PAGE, 1, 0)
    bench.commit(Result(again, attempt=AttemptRow(1, 1, 1, 1_000, "timeout", None, 30_000)))
    last = visited(Purpose.PAGE, 1)
    last.attempt = AttemptRow(1, 1, 2, 61_500, "ok", 200, 12)
    bench.commit(last)
    assert bench.rows("SELECT * FROM attempts") == [
        (OTHER, 1, "1970-01-01T00:00:01.000Z", "timeout", None, 30_000),
        (OTHER, 2, "1970-01-01T00:01:01.500Z", "ok", 200, 12),
    ]


def test_a_stored_batch_has_the_fields_of_a_batch() -> None:
    from crawler import model
    from crawler.ledger.features.feature import StoredBatch, StoredResult

    assert StoredResult.__struct_fields__ == Result.__struct_fields__
    assert StoredBatch.__struct_fields__ == model.Batch.__struct_fields__
    assert msgspec.structs.fields(StoredResult)[0].name == "end"


def test_a_stream_gives_each_page_of_the_crawl_once_though_one_was_embedded_before() -> None:
    with Site() as site:
        site.add_page("/", html='<object data="/obj.html"></object><a href="/far">far</a>')
        site.add_page("/obj.html", ["/behind"])
        site.add_page("/far", ["/farther"])
        site.add_page("/farther", ["/obj.html"])
        site.add_page("/behind")
        config = msgspec.structs.replace(QUICK, embeds=True)
        with stream([site.url("/")], config) as pages:
            crawled = [page.url for page in pages]
        with stream([site.url("/")], config, all_visits=True) as pages:
            everything = [page.url for page in pages]
    expected = sorted(site.url(path) for path in ("/", "/obj.html", "/far", "/farther", "/behind"))
    assert sorted(crawled) == expected
    assert sorted(everything) == sorted([*expected, site.url("/obj.html")])
