"""The sieve gives one ledger: whatever order candidates and pages arrive in, and however they are grouped."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec
import pytest

from crawler.config import Config
from crawler.ledger.reader import ReadyRow
from crawler.model import Candidate, End, Purpose, Result
from crawler.rules import urls
from crawler.rules.offers import EMBED_STEPS
from tests.test_ledger import SEED, Bench

CONFIG = Config(check_external=True, check_fragments=True, embeds=True)
ORDERS = 8


def reached(bench: Bench) -> dict[object, tuple[object, ...]]:
    """Return for each URL what it is asked for, its depth, its chain of redirects, and its state."""
    query = (
        "SELECT h.host || u.target, u.purpose, u.depth, u.redirects, u.state "
        "FROM _urls u JOIN _hosts h ON h.id = u.host_id"
    )
    return {row[0]: row[1:] for row in bench.rows(query)}


def candidates(bench: Bench) -> list[Candidate]:
    """Return many ways to few URLs, by all that can lead to one."""
    offers, found, url = bench.offers, [], "http://a.test/{}".format
    outside = [f"http://b.test/{name}" for name in "xyz"]
    for depth in range(4):
        page, via = (Purpose.PAGE, depth), (1, 0)
        found += offers.links([url("x"), url("y"), *outside[depth % 2 :]], *page, via)
        found += offers.embedded([url("y"), url("z"), outside[depth % 3]], *page, via)
        found += offers.embedded([url("z"), outside[2]], Purpose.EMBED, depth, via)
        found += offers.pointed(outside[: depth % 3], *page, via)
        found += offers.redirect(url("r"), *page, 10 - depth, via)
        found += offers.redirect(url("x"), *page, 2, via)
        found += offers.redirect(outside[1], Purpose.EMBED, 1, depth, via)
    return found


@pytest.mark.parametrize("seed", range(ORDERS))
def test_candidates_in_any_order_and_any_groups_give_one_frontier(seed: int, tmp_path: Path) -> None:
    at_once, bench = Bench(tmp_path / "once.db", CONFIG), Bench(tmp_path / "crawl.db", CONFIG)
    dice = Random(seed)
    for each in (at_once, bench):  # each has a key of its own, by which it makes fingerprints
        each.commit(each.page(0, []))
    everything = candidates(at_once)
    at_once.commit(Result(candidates=everything))
    waiting = candidates(bench)
    dice.shuffle(waiting)
    while waiting:
        count = dice.randint(1, 9)
        bench.commit(Result(candidates=waiting[:count]), flush_early=dice.random() < 0.7)
        del waiting[:count]
    bench.commit()
    found = reached(bench)
    assert found == reached(at_once)
    assert len(found) == 1 + 4 + 3
    at_once.close()
    bench.close()


#: page → links and embeds. "/deep" is nearer by "/near" than by the others; "/both" and "/late" are pages and embeds
WEB = {
    "/": (["/a", "/near"], ["/style"]),
    "/a": (["/b"], ["/both"]),
    "/b": (["/deep"], ["/late"]),
    "/near": (["/deep", "/both"], []),
    "/deep": (["/behind"], ["/style"]),
    "/behind": (["/beyond"], []),
    "/both": (["/late"], ["/image"]),
    "/late": (["/a", "/never"], []),
}
#: URL → its depth, by the shortest way; of what is an embed and no page, its steps from one
DEPTHS = {
    "/": 0, "/a": 1, "/near": 1, "/style": 1, "/image": 1, "/b": 2, "/deep": 2, "/both": 2, "/behind": 3, "/late": 3,
    "/beyond": 4, "/never": 4,
}  # fmt: skip


def visit(bench: Bench, row: ReadyRow) -> Result:
    """Return what asking for a URL gives: of a page of the crawl its links and embeds, of an embed neither."""
    links, embeds = WEB.get(row.target, ([], [])) if row.purpose == Purpose.PAGE else ([], [])
    purpose = Purpose(row.purpose)
    result = bench.page(row.seq, [f"http://a.test{link}" for link in links], row.depth, row.visits, purpose)
    found = [f"http://a.test{each}" for each in embeds]
    result.candidates += bench.offers.embedded(found, purpose, row.depth, (1, row.seq))
    return result


@pytest.mark.parametrize("max_depth", [3, -1])
@pytest.mark.parametrize("seed", range(3 * ORDERS))
def test_pages_that_come_back_in_any_order_give_one_crawl(seed: int, max_depth: int, tmp_path: Path) -> None:
    """A visit knows of its URL what was known when it was handed out; meanwhile the ledger may have learnt better."""
    bench, dice = Bench(tmp_path / "crawl.db", Config(embeds=True, max_depth=max_depth)), Random(seed)
    speeds = {url: dice.choice([0.03, 0.3, 0.9]) for url in DEPTHS}
    out: dict[int, ReadyRow] = {}
    while True:
        ready = [row for row in bench.reader.ready(1, 100) if row.seq not in out]
        if not ready and not out and not bench.reader.counters().candidates:
            break
        for row in ready[: dice.randint(0, 3)]:
            out[row.seq] = row
        ended = [row for row in out.values() if dice.random() < speeds[row.target]]
        for row in ended:
            del out[row.seq]
        bench.commit(*(visit(bench, row) for row in ended), flush_early=dice.random() < 0.7)
    found = {str(url).removeprefix("http://a.test"): depth for url, depth in bench.rows("SELECT url, depth FROM urls")}
    if max_depth >= 0:
        assert found == {url: depth for url, depth in DEPTHS.items() if depth <= max_depth}
    else:  # a depth is then that of the way by which a page was found first
        assert found.keys() == DEPTHS.keys()
    pages = bench.rows("SELECT url FROM pages")
    assert len(pages) == len(set(pages)) == len(found)
    assert bench.reader.counters().pages == len(pages)
    assert bench.reader.counters().queued == 0
    bench.close()


def test_a_merge_counts_what_is_new_and_forgets_what_it_has_merged(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "crawl.db", CONFIG)
    links = bench.offers.links([f"http://a.test/{number}" for number in range(5)], Purpose.PAGE, 0, (1, 0))
    bench.commit(Result(candidates=links), Result(candidates=links[:3]), flush_early=True)
    before = bench.reader.counters()
    assert (before.urls, before.queued, before.candidates) == (6, 6, 0)
    bench.commit(Result(candidates=links), flush_early=True)
    assert bench.reader.counters()._replace(committed=0, merges=0) == before._replace(committed=0, merges=0)
    assert [row.target for row in bench.reader.ready(1, 9)] == ["/", *(f"/{number}" for number in range(5))]
    assert bench.rows("SELECT via, count(*) FROM urls WHERE depth > 0 GROUP BY via") == [(SEED, 5)]
    bench.close()


def test_hosts_get_the_urls_that_are_new_and_remember_which_merge_it_was(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "crawl.db", Config(scope="any"))
    merges = bench.reader.counters().merges
    bench.commit(Result(candidates=bench.offers.links(["http://b.test/1", "http://c.test/1"], Purpose.PAGE, 0, (1, 0))))
    assert bench.rows("SELECT host, urls FROM hosts") == [
        ("http://a.test", 1),
        ("http://b.test", 1),
        ("http://c.test", 1),
    ]
    assert list(bench.reader.hosts_of_merges(merges)) == [2, 3]
    bench.commit(Result(candidates=bench.offers.links(["http://c.test/1", "http://c.test/2"], Purpose.PAGE, 0, (1, 0))))
    assert list(bench.reader.hosts_of_merges(merges + 1)) == [3]
    assert [row.target for row in bench.reader.ready(3, 9)] == ["/1", "/2"]
    bench.close()


def reach(bench: Bench, target: str, depth: int, purpose: Purpose = Purpose.PAGE, redirects: int = 0) -> None:
    """Let a URL be found, in this way."""
    fingerprint = urls.fingerprint(f"http://a.test{target}", bench.opening.key)
    found = Candidate(fingerprint, "http://a.test", target, "L", purpose, depth, redirects, 1, 0)
    bench.commit(Result(candidates=[found]))


def state_of(bench: Bench, target: str) -> tuple[object, ...]:
    ((state, reason, depth),) = [row[1:] for row in bench.rows(
        "SELECT h.host || u.target, u.state, u.reason, u.depth FROM _urls u JOIN _hosts h ON h.id = u.host_id"
    ) if row[0] == f"http://a.test{target}"]  # fmt: skip
    return (state, reason, depth)


@pytest.mark.parametrize("is_out", [False, True])
def test_what_was_too_deep_is_let_in_by_a_shorter_way(is_out: bool, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "crawl.db", Config(max_depth=3))
    reach(bench, "/x", 5)
    too_deep = Result(End("skipped", "too-deep", None, 1, 1, 0, False, Purpose.PAGE, 5, 0))
    if is_out:  # the shorter way comes to light while the visit is on its way
        reach(bench, "/x", 2)
        bench.commit(too_deep)
    else:
        bench.commit(too_deep)
        assert state_of(bench, "/x") == ("skipped", "too-deep", 5)
        reach(bench, "/x", 4)
        assert state_of(bench, "/x") == ("skipped", "too-deep", 4)
        reach(bench, "/x", 2)
    assert state_of(bench, "/x") == ("queued", None, 2)
    assert bench.reader.counters().queued == 2
    bench.close()


def test_a_stylesheet_that_turns_out_to_be_nearer_offers_what_it_embeds(tmp_path: Path) -> None:
    """Embeds have a limit of steps, whatever limit pages have."""
    bench = Bench(tmp_path / "crawl.db", Config(embeds=True))
    reach(bench, "/s.css", EMBED_STEPS, Purpose.EMBED)
    stored = msgspec.json.encode([{"url": "http://a.test/i.png", "rel": "embed", "kind": "embed"}]).decode()
    sheet = bench.page(1, [], EMBED_STEPS, 0, Purpose.EMBED)
    assert sheet.page is not None
    sheet.page.links = stored
    bench.commit(sheet)
    assert len(bench.rows("SELECT 1 FROM _urls")) == 2
    reach(bench, "/s.css", 1, Purpose.EMBED)
    bench.commit()
    assert bench.rows("SELECT url, depth FROM urls WHERE url LIKE '%png'") == [("http://a.test/i.png", 2)]
    bench.close()
