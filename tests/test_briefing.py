"""What is known of a host travels with the first visits that ask it, and again when it has changed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from crawler.model import ROBOTS, UNASKED, Briefing, Result, RobotsRow
from tests.test_frontier import Stand, config

RULES = "User-agent: *\nDisallow: /no"
HEADERS = {"X-A": "1"}


def stand_with_robots_out(folder: Path) -> Stand:
    stand = Stand(folder, config(delay_seconds=0.5, headers=HEADERS), robots=False)
    stand.add_links()
    return stand


def test_a_robots_txt_is_asked_with_a_briefing_that_has_no_verdict_yet(tmp_path: Path) -> None:
    stand = stand_with_robots_out(tmp_path)
    visits = stand.take()
    (briefing,) = stand.frontier.briefings(visits, "g")
    assert briefing == Briefing(1, visits[0].briefing, delay_seconds=0.5, headers=(("X-A", "1"),))
    assert stand.frontier.briefings(visits, "g") == []
    assert stand.frontier.briefings(visits, "another worker's") == [briefing]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (RobotsRow(1, "rules", 1, 200, body=RULES, crawl_delay=3.0), ("rules", "", RULES, 3.0)),
        (RobotsRow(1, "allow", 1, 404, body="<html>"), ("allow", "", "", 0.5)),
        (RobotsRow(1, "deny", 1, 0, "blocked-address"), ("deny", "blocked-address", "", 0.5)),
    ],
)
def test_what_its_robots_txt_says_makes_a_newer_one(
    tmp_path: Path, row: RobotsRow, expected: tuple[str, str, str, float]
) -> None:
    stand = stand_with_robots_out(tmp_path)
    (robots,) = stand.take()
    (before,) = stand.frontier.briefings([robots], "g")
    stand.settle(robots, ROBOTS)
    row.fetched_at = time.time()
    stand.bench.commit(Result(robots=row))
    stand.frontier.acknowledge([(robots, ROBOTS)])
    stand.now += 10.0
    visits = stand.take()
    (after,) = stand.frontier.briefings(visits, "g")
    assert after.version > before.version
    assert {visit.briefing for visit in visits} == {after.version}
    assert (after.verdict, after.reason, after.body, after.delay_seconds) == expected


def test_who_gave_a_visit_back_is_told_again(tmp_path: Path) -> None:
    stand = Stand(tmp_path, config())
    (visit,) = stand.take()
    (briefing,) = stand.frontier.briefings([visit], "generation")
    stand.settle(visit, UNASKED)
    stand.now += 1.0
    assert stand.frontier.briefings(stand.take(), "generation") == [briefing]
