"""Admission: what a merge refuses is a row with a reason, or counted beyond a cap; and no order of arrivals matters."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from crawler.config import Config
from crawler.ledger.admit import Admission
from crawler.ledger.merge import Merged, merge
from crawler.model import Candidate, Purpose, Result
from crawler.rules import urls
from tests.test_ledger import Bench

CALENDAR = Admission("out-of-scope", "f.target GLOB '/calendar/*'", most_rows=3)


def candidates(bench: Bench, targets: list[str], host: str = "http://a.test", redirects: int = 0) -> list[Candidate]:
    key = bench.opening.key
    return [
        Candidate(urls.fingerprint(host + target, key), host, target, "L", Purpose.PAGE, 1, redirects, 1, 0)
        for target in targets
    ]


def merged(bench: Bench, found: list[Candidate], *admissions: Admission) -> Merged:
    with bench.writer.transaction():
        bench.writer.add_candidates([msgspec.structs.astuple(candidate) for candidate in found])
        outcome = merge(bench.writer.connection, 9, False, admissions)
        bench.writer._counts["candidates"] = 0
    return outcome


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "crawl.db", Config())


def test_a_url_at_the_end_of_too_long_a_chain_is_refused_as_it_enters(bench: Bench) -> None:
    found = [*candidates(bench, ["/ten"], redirects=10), *candidates(bench, ["/eleven"], redirects=11)]
    bench.commit(Result(candidates=found))
    assert bench.rows("SELECT url, state, reason, attempts FROM urls WHERE depth = 1 ORDER BY url") == [
        ("http://a.test/eleven", "skipped", "too-many-redirects", 0),
        ("http://a.test/ten", "queued", None, 0),
    ]
    counters = bench.reader.counters()
    assert (counters.urls, counters.ended_urls, counters.queued) == (3, 1, 2)
    assert [row.target for row in bench.reader.ready(1, 9)] == ["/", "/ten"]


def test_beyond_its_cap_a_rule_only_counts(bench: Bench) -> None:
    days = [f"/calendar/{day}" for day in range(5)]
    outcome = merged(bench, candidates(bench, [*days[:2], "/a", *days[2:], "/b"]), CALENDAR)
    assert (outcome.added, outcome.refused) == (5, 3)
    assert bench.rows("SELECT url, state, reason FROM urls WHERE depth = 1") == [
        ("http://a.test/calendar/0", "skipped", "out-of-scope"),
        ("http://a.test/calendar/1", "skipped", "out-of-scope"),
        ("http://a.test/a", "queued", None),
        ("http://a.test/calendar/2", "skipped", "out-of-scope"),
        ("http://a.test/b", "queued", None),
    ]
    assert bench.rows("SELECT urls FROM hosts") == [(6,)]  # no place is left free
    assert bench.rows("SELECT count(*), min(reason) FROM _refused") == [(2, "out-of-scope")]


def test_what_was_only_counted_is_known_when_it_is_met_again(bench: Bench) -> None:
    days = candidates(bench, [f"/calendar/{day}" for day in range(5)])
    merged(bench, days, CALENDAR)
    outcome = merged(bench, days, CALENDAR)
    assert (outcome.added, outcome.refused) == (0, 0)
    assert bench.rows("SELECT count(*) FROM _refused") == [(2,)]


def test_the_cap_counts_the_rows_of_earlier_merges_and_of_its_host_alone(bench: Bench) -> None:
    merged(bench, candidates(bench, ["/calendar/0", "/calendar/1"]), CALENDAR)
    here, there = (
        candidates(bench, ["/calendar/2", "/calendar/3"], host) for host in ("http://a.test", "http://b.test")
    )
    outcome = merged(bench, here + there, CALENDAR)
    assert (outcome.added, outcome.refused) == (3, 3)
    rows = bench.rows("SELECT host, count(*) FROM urls WHERE reason = 'out-of-scope' GROUP BY host")
    assert rows == [("http://a.test", 3), ("http://b.test", 2)]


def test_the_first_rule_that_refuses_gives_the_reason(bench: Bench) -> None:
    all_of_it = Admission("robots", "h.host = 'http://a.test'")
    merged(bench, candidates(bench, ["/calendar/0", "/a"]), CALENDAR, all_of_it)
    assert bench.rows("SELECT url, reason FROM urls WHERE depth = 1") == [
        ("http://a.test/calendar/0", "out-of-scope"),
        ("http://a.test/a", "robots"),
    ]


PURPOSES = [Purpose.PAGE, Purpose.EMBED, Purpose.EXTERNAL_FRAGMENT, Purpose.EXTERNAL]


@pytest.mark.parametrize("seed", range(12))
def test_arrival_orders_permuted_at_random_give_one_ledger(tmp_path: Path, seed: int) -> None:
    """The same ways to twenty URLs, split into merges at random: purpose, depth and chain are always the same."""
    dice = random.Random(1)  # the ways are the same for each seed
    ways = [
        (f"/{dice.randrange(20)}", dice.choice(PURPOSES), dice.randrange(6), dice.choice([0, 0, 1, 2, 3]))
        for _ in range(150)
    ]
    best: dict[str, tuple[Purpose, int]] = {}
    chains: dict[str, int] = {}
    for target, purpose, depth, redirects in ways:
        best[target] = min(best.get(target, (Purpose.EXTERNAL, 99)), (purpose, depth))
        chains[target] = min(chains.get(target, 99), redirects)
    expected = sorted((target, *best[target], chains[target]) for target in best)

    dice = random.Random(seed)
    dice.shuffle(ways)
    bench = Bench(tmp_path / "crawl.db", Config())
    while ways:
        size = dice.randrange(1, 40)
        part, ways = ways[:size], ways[size:]
        (fingerprints,) = ([urls.fingerprint("http://a.test" + way[0], bench.opening.key) for way in part],)
        bench.commit(
            Result(
                candidates=[
                    Candidate(fingerprint, "http://a.test", target, "L", purpose, depth, redirects, 1, 0)
                    for fingerprint, (target, purpose, depth, redirects) in zip(fingerprints, part, strict=True)
                ]
            )
        )
    found = bench.rows("SELECT target, purpose, depth, redirects FROM _urls WHERE seq > 0 ORDER BY target")
    assert sorted(found) == expected
    seen = bench.rows("SELECT s.purpose, s.depth, s.redirects FROM _seen s ORDER BY s.seq")
    assert seen == bench.rows("SELECT purpose, depth, redirects FROM _urls ORDER BY seq")
    bench.close()
