"""How a run begins: what the same command does on a new, an unfinished and a finished ledger, and other ones do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crawler.config import Config
from crawler.ledger import opening
from crawler.ledger.apply import Fenced, NumberedBatch, Writer
from crawler.ledger.opening import Opening, SeedRow
from crawler.ledger.reader import Reader
from crawler.model import Batch, Candidate, End, Purpose, Result, RobotsRow
from crawler.rules import urls
from crawler.rules.offers import Offers
from crawler.rules.scope import Scope
from tests.test_ledger import SEED, Bench

OTHER = "http://b.test/"
ONE, TWO, THREE = (f"http://a.test/{number}" for number in (1, 2, 3))
AWAY = "http://away.test/"


class Ledger(Bench):
    """A ledger whose run can end, and on which others can begin."""

    def end(self, seq: int, state: str, reason: str, purpose: Purpose = Purpose.PAGE, depth: int = 0) -> Result:
        """A URL of host 1 that ended without a page."""
        return Result(End(state, reason, None, 1, seq, 0, state != "skipped", purpose, depth, 0))

    def finish(self, reason: str = "finished") -> None:
        """The run ends and says so, if there is a reason."""
        if reason:
            self.number += 1
            body = msgspec.msgpack.encode(Batch(finish_reason=reason))
            self.writer.commit([NumberedBatch(self.number, True, body)], queue_is_empty=True)
        self.close()

    def again(self, *seeds: str, **options: Any) -> Opening:
        """The command once more: with these seeds, and options that differ from the first run's."""
        config = msgspec.structs.replace(self.config, **options)
        return opening.open_run(self.path, config, [SeedRow(seed, "argument") for seed in seeds or (SEED,)])

    def restart(self, begun: Opening, **options: Any) -> None:
        """Write and read for a later run."""
        config = msgspec.structs.replace(self.config, **options)
        offers = Offers.of(config, Scope.of(config, begun.seeds), begun.key)
        self.number = 0
        self.writer = Writer(self.path, begun.run_id, offers, durability="process", obey_nofollow=True)
        self.reader = Reader(self.path, begun.run_id)

    def states(self) -> list[tuple[object, ...]]:
        return self.rows("SELECT url, state, reason, depth FROM urls ORDER BY url")

    def count_runs(self) -> object:
        return self.rows("SELECT count(*) FROM runs")[0][0]

    def counted(self) -> tuple[object, object]:
        """URLs, and those that have ended, by the counters; the rows must say the same."""
        counters = self.rows("SELECT sum(urls), sum(ended_urls) FROM runs")
        assert counters == self.rows("SELECT count(*), sum(state <> 'queued') FROM _urls")
        [(found, ended)] = counters
        return found, ended


def made(folder: Path, **options: Any) -> Ledger:
    return Ledger(folder / "crawl.db", Config(**options))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = made(tmp_path)
    yield ledger
    ledger.close()


def test_a_new_ledger_gets_its_seeds_as_urls_of_the_first_run(ledger: Ledger) -> None:
    begun = ledger.opening
    assert (begun.run_id, begun.seeds, begun.new_seeds, begun.known_hosts) == (1, (SEED,), 1, 0)
    assert (begun.ended, begun.warnings) == ("", ())
    assert ledger.rows("SELECT url, origin, folder, run FROM seeds") == [(SEED, "argument", None, 1)]
    assert ledger.rows("SELECT url, state, hop, depth, via, purpose FROM urls") == [
        (SEED, "queued", "L", 0, None, "page")
    ]
    assert ledger.rows("SELECT host, named, local, urls FROM hosts") == [("http://a.test", 1, 0, 1)]
    assert ledger.counted() == (1, 0)


def test_a_seed_that_a_folder_is_served_at_makes_its_host_local(tmp_path: Path) -> None:
    ledger = made(tmp_path)
    ledger.close()
    site = "http://127.0.0.1:8000/"
    opening.open_run(ledger.path, ledger.config, [SeedRow(site, "argument", "/srv/site")])
    assert opening.served_folders(ledger.path) == {"/srv/site": site}
    assert ledger.rows("SELECT host, named, local FROM hosts WHERE local") == [("http://127.0.0.1:8000", 1, 1)]


def test_the_same_command_on_a_finished_ledger_begins_no_run(ledger: Ledger) -> None:
    ledger.commit(ledger.page(0, []))
    ledger.finish()
    again = ledger.again()
    assert (again.run_id, again.ended, again.seeds, again.new_seeds) == (0, "finished", (SEED,), 0)
    assert ledger.count_runs() == 1


def test_an_unfinished_run_goes_on_where_it_was(ledger: Ledger) -> None:
    ledger.commit(ledger.page(0, [ONE, TWO]))
    ledger.finish("interrupted")
    before = ledger.states()
    again = ledger.again()
    assert (again.run_id, again.ended, again.new_seeds, again.known_hosts) == (2, "", 0, 1)
    assert ledger.states() == before
    assert ledger.counted() == (3, 1)


def test_candidates_that_a_killed_run_left_are_merged_as_the_next_one_begins(ledger: Ledger) -> None:
    ledger.writer._merge_due = float("inf")
    ledger.commit(ledger.page(0, [ONE, TWO]), flush_early=False)
    assert ledger.counted() == (1, 1)
    ledger.finish("")
    assert ledger.again().run_id == 2
    assert ledger.rows("SELECT count(*) FROM _candidates") == [(0,)]
    assert [url for url, state, *_ in ledger.states() if state == "queued"] == [ONE, TWO]
    assert ledger.counted() == (3, 1)


@pytest.mark.parametrize(("finish_reason", "ended"), [("finished", "finished"), ("interrupted", ""), ("", "")])
def test_a_run_that_left_nothing_to_do_and_never_said_so_is_followed_by_one_that_does(
    ledger: Ledger, finish_reason: str, ended: str
) -> None:
    ledger.commit(ledger.page(0, []))
    ledger.finish(finish_reason)
    again = ledger.again()
    assert (again.ended, again.run_id) == (ended, 0 if ended else 2)


@pytest.mark.parametrize(("max_pages", "ended"), [(1, "max-pages"), (2, ""), (0, "")])
def test_a_run_that_ended_at_its_budget_goes_on_by_a_larger_one_alone(
    ledger: Ledger, max_pages: int, ended: str
) -> None:
    ledger.commit(ledger.page(0, [ONE]))
    ledger.finish("max-pages")
    again = ledger.again(max_pages=max_pages)
    assert (again.ended, again.run_id) == (ended, 0 if ended else 2)


def test_new_seeds_are_added_to_a_finished_ledger_and_the_old_ones_kept(ledger: Ledger) -> None:
    ledger.commit(ledger.page(0, []))
    ledger.finish()
    again = ledger.again(SEED, OTHER)
    assert (again.run_id, again.seeds, again.new_seeds, again.known_hosts) == (2, (SEED, OTHER), 1, 1)
    assert ledger.rows("SELECT url, run FROM seeds ORDER BY url") == [(SEED, 1), (OTHER, 2)]
    assert ledger.states() == [(SEED, "done", "ok", 0), (OTHER, "queued", None, 0)]
    assert ledger.counted() == (2, 1)


def test_a_new_seed_that_was_found_as_a_link_becomes_a_seed_at_depth_0(ledger: Ledger) -> None:
    ledger.commit(ledger.page(0, [ONE]))
    ledger.commit(ledger.page(1, [], depth=1))
    ledger.finish()
    assert ledger.again(ONE).seeds == (SEED, ONE)
    assert ledger.states() == [(SEED, "done", "ok", 0), (ONE, "done", "ok", 0)]


def test_a_larger_depth_offers_the_links_that_the_smaller_one_kept_out(tmp_path: Path) -> None:
    ledger = made(tmp_path, max_depth=1)
    ledger.commit(ledger.page(0, [ONE]))
    ledger.commit(ledger.page(1, [TWO], depth=1))
    ledger.finish()
    assert ledger.states() == [(SEED, "done", "ok", 0), (ONE, "done", "ok", 1)]
    assert ledger.again().ended == "finished"
    assert ledger.again(max_depth=2).run_id == 2
    assert ledger.states() == [(SEED, "done", "ok", 0), (ONE, "done", "ok", 1), (TWO, "queued", None, 2)]
    assert ledger.counted() == (3, 2)


def test_a_smaller_depth_begins_no_run_on_a_finished_ledger(tmp_path: Path) -> None:
    ledger = made(tmp_path, max_depth=1)
    ledger.commit(ledger.page(0, [ONE]))
    ledger.commit(ledger.page(1, [TWO], depth=1))
    ledger.finish()
    before = ledger.states()
    assert ledger.again(max_depth=0).ended == "finished"
    assert ledger.states() == before


@pytest.mark.parametrize("larger", [2, -1])
def test_what_a_smaller_depth_kept_out_is_queued_again_by_a_larger_one(tmp_path: Path, larger: int) -> None:
    """Pages and external links alike; what was kept out for another reason stays out."""
    ledger = made(tmp_path, max_depth=3)
    ledger.commit(ledger.page(0, [ONE, TWO, THREE]))
    fingerprint = urls.fingerprint(AWAY, ledger.opening.key)
    external = Candidate(fingerprint, "http://away.test", "/", "L", Purpose.EXTERNAL, 2, 0, 1, 0)
    ledger.commit(Result(candidates=[external]))
    ledger.finish("interrupted")
    ledger.restart(ledger.again(max_depth=0), max_depth=0)
    away = End("skipped", "too-deep", None, 2, 0, 0, False, Purpose.EXTERNAL, 2, 0)
    out = ledger.end(2, "skipped", "out-of-scope", depth=1)
    ledger.commit(ledger.end(1, "skipped", "too-deep", depth=1), out, Result(away))
    ledger.commit(ledger.end(3, "skipped", "too-deep", depth=1))
    ledger.finish()
    assert ledger.counted() == (5, 5)
    assert ledger.again(max_depth=0).ended == "finished"
    assert ledger.again(max_depth=larger).run_id == 3
    assert ledger.states() == [
        (SEED, "done", "ok", 0),
        (ONE, "queued", None, 1),
        (TWO, "skipped", "out-of-scope", 1),
        (THREE, "queued", None, 1),
        (AWAY, "queued", None, 2),
    ]
    assert ledger.counted() == (5, 2)


def test_a_larger_depth_leaves_out_what_is_deeper_still(tmp_path: Path) -> None:
    ledger = made(tmp_path, max_depth=0)
    found = [(ONE, 1), (TWO, 2), (THREE, 3)]
    key = ledger.opening.key
    candidates = [
        Candidate(urls.fingerprint(url, key), *urls.split(url), "L", Purpose.PAGE, depth, 0, 1, 0)
        for url, depth in found
    ]
    ledger.commit(ledger.page(0, []), Result(candidates=candidates))
    ledger.commit(*(ledger.end(seq, "skipped", "too-deep", depth=seq) for seq in (1, 2, 3)))
    ledger.finish()
    assert ledger.again(max_depth=2).run_id == 2
    assert [state for _, state, *_ in ledger.states()] == ["done", "queued", "queued", "skipped"]


def test_external_links_that_are_wanted_by_now_are_offered_by_the_pages_that_are_there(ledger: Ledger) -> None:
    ledger.commit(ledger.page(0, [ONE, AWAY]))
    ledger.commit(ledger.page(1, [], depth=1))
    ledger.finish()
    assert ledger.again(check_external=True).run_id == 2
    assert ledger.rows("SELECT url, purpose, depth FROM urls WHERE state = 'queued'") == [(AWAY, "external", 1)]


def test_seeds_that_failed_are_retried_if_the_ledger_has_no_page(ledger: Ledger) -> None:
    robots = RobotsRow(1, "deny", 3, reason="dns")
    ledger.commit(Result(End("queued", "dns", "no address", 1, 0, 0, True, Purpose.PAGE, 0, 0)))
    ledger.commit(Result(End("failed", "dns", "no address", 1, 0, 1, True, Purpose.PAGE, 0, 0)), Result(robots=robots))
    ledger.finish()
    assert ledger.counted() == (1, 1)
    assert ledger.again().run_id == 2
    assert ledger.rows("SELECT state, reason, error, attempts FROM urls") == [("queued", None, None, 0)]
    assert ledger.rows("SELECT robots_verdict, robots_tries, failures_in_a_row FROM hosts") == [("", 0, 0)]
    assert ledger.counted() == (1, 0)


def test_a_seed_that_failed_is_left_alone_if_it_is_not_named_again_or_there_is_a_page(tmp_path: Path) -> None:
    ledger = made(tmp_path)
    ledger.commit(ledger.end(0, "failed", "dns"))
    ledger.finish()
    ledger.restart(ledger.again(OTHER))
    assert ledger.states() == [(SEED, "failed", "dns", 0), (OTHER, "queued", None, 0)]
    page = ledger.page(0, [])
    assert page.page is not None
    assert page.end is not None
    page.page.host_id = page.end.host_id = 2
    ledger.commit(page)
    ledger.finish()
    assert ledger.again(SEED, OTHER).ended == "finished"
    assert ledger.states() == [(SEED, "failed", "dns", 0), (OTHER, "done", "ok", 0)]


def test_each_run_has_a_larger_id_and_fences_off_the_earlier_ones(ledger: Ledger) -> None:
    page = ledger.page(0, [])
    second, third = ledger.again(), ledger.again()
    assert (ledger.opening.run_id, second.run_id, third.run_id) == (1, 2, 3)
    assert {ledger.opening.key} == {second.key, third.key}
    ledger.close()
    for begun in (ledger.opening, second):
        writer = Writer(ledger.path, begun.run_id, ledger.offers, durability="process", obey_nofollow=True)
        ledger.number = 0
        with pytest.raises(Fenced):
            writer.commit([ledger.numbered(page)], queue_is_empty=True)
        writer.close()
    assert ledger.states() == [(SEED, "queued", None, 0)]
    ledger.restart(third)
    ledger.commit(page)
    assert ledger.states() == [(SEED, "done", "ok", 0)]


def test_a_command_with_other_options_is_told_what_they_do_not_change(ledger: Ledger) -> None:
    ledger.commit(ledger.page(0, [ONE]))
    ledger.finish("interrupted")
    again = ledger.again(user_agent="other/1.0", embeds=True, check_fragments=True)
    assert [warning.partition(":")[0] for warning in again.warnings] == [
        "this ledger was begun with another user agent",
        "pages that this ledger has already were read without embeds",
        "pages that this ledger has already were read without fragments",
    ]
