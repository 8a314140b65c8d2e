"""The live panel: what it says at any size, what it keeps in memory, and that the picture in the docs is of it."""

from __future__ import annotations

import html
import io
import re

import pytest
from rich.console import Console

from crawler.cli.panel.facts import MAX_ERRORS, MAX_HOSTS, Facts, Panel
from crawler.cli.panel.layout import ASCII, lay_out
from crawler.config import Config
from crawler.engine.progress import Moment
from crawler.ledger.counts import Counters
from crawler.model import DONE, FAILED, LINK, RETRY, ROBOTS, SKIPPED, Outcome, Purpose, Visit
from tests.panel_facts import FACTS, PICTURE, picture

AT_80 = """\
── crawl.db ───────────────────────────────────────────────────────── 0:12:34 ──
pages          12,345  18.2/s now, 16.4/s on average
queued          3,210  412 handed out
failed             12  timeout 8, refused 4, 7 answered 4xx
skipped            43  40 by robots.txt
hosts busy          8  17 waiting
received     182.3 MB  1,204 items, 3 parse hook errors
budget            62%  of 20,000 pages, about 7 min left  ━━━━━━━━━━━━━━────────
slowest    https://slow.example 4.2 s, https://archive.example:8443 1.2 s
failing    https://gone.example refused, 12 in a row
errors     14:05:09 404 Not Found https://www.example.org…ath/to/a/page/old.html
           14:05:01 timeout https://slow.example/report  no whole answer within…
           14:04:48 410 Gone https://www.example.org/2009/"""

AT_40 = """\
── crawl.db ───────────────── 0:12:34 ──
pages          12,345  18.2/s now
queued          3,210  412 handed out
failed             12  timeout 8
skipped            43  40 by robots.txt
hosts busy          8  17 waiting
received     182.3 MB  1,204 items
budget            62%  of 20,000 pages
errors     404 Not Found https:/…ld.html"""

AT_200 = [
    "── crawl.db " + "─" * 177 + " 0:12:34 ──",
    f"{'pages          12,345  18.2/s now, 16.4/s on average':72}failing    https://gone.example refused, 12 in a row",
    f"{'queued          3,210  412 handed out':83}https://busy.example status 503, 2 in a row",
    f"{'failed             12  timeout 8, refused 4, 7 answered 4xx':72}slowest    https://slow.example 4.2 s",
    f"{'skipped            43  40 by robots.txt':83}https://archive.example:8443 1.2 s",
    "hosts busy          8  17 waiting",
    "received     182.3 MB  1,204 items, 3 parse hook errors",
    "budget            62%  of 20,000 pages, about 7 min left  ━━━━━━━─────",
    "errors     14:05:09 404 Not Found https://www.example.org/a/rather/long/path/to/a/page/old.html",
    "           14:05:01 timeout https://slow.example/report  no whole answer within timeout_seconds",
    "           14:04:48 410 Gone https://www.example.org/2009/",
]


def shown(columns: int, rows: int = 50, facts: Facts = FACTS) -> list[str]:
    """The panel's lines on a recorded console of that width."""
    console = Console(file=io.StringIO(), record=True, width=columns)
    for line in lay_out(facts, columns, rows):
        console.print(line)
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_the_panel_at_80_columns() -> None:
    assert shown(80) == AT_80.splitlines()


def test_the_panel_in_a_window_of_40_by_10() -> None:
    assert shown(40, 9) == AT_40.splitlines()


def test_the_panel_at_200_columns_has_the_hosts_beside_the_numbers() -> None:
    assert shown(200) == AT_200


@pytest.mark.parametrize("columns", [*range(1, 60, 7), 79, 129, 130, 131, 250])
@pytest.mark.parametrize("rows", [1, 2, 5, 30])
def test_no_window_is_too_small(columns: int, rows: int) -> None:
    lines = lay_out(FACTS, columns, rows)
    assert 1 <= len(lines) <= rows
    assert max(line.cell_len for line in lines) <= columns


def test_a_low_window_keeps_what_matters_most() -> None:
    kept = [[line.split()[0] for line in shown(80, rows)] for rows in (1, 2, 3, 5)]
    assert kept == [
        ["pages"], ["pages", "queued"], ["pages", "queued", "failed"], ["──", "pages", "queued", "failed", "budget"],
    ]  # fmt: skip


def test_without_unicode_it_is_drawn_in_ascii() -> None:
    assert all(line.plain.isascii() for line in lay_out(FACTS, 80, 50, ASCII))


def test_control_characters_are_escaped() -> None:
    text = "\n".join(shown(200, facts=FACTS._replace(ledger="\x1b[2Jcrawl\u202e.db")))
    assert "\\u001b[2Jcrawl\\u202e.db" in text
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", text)


def test_a_crawl_that_is_stopping_says_so() -> None:
    assert shown(80, facts=FACTS._replace(is_stopping=True))[0].startswith("── crawl.db stopping ──")


def test_the_picture_in_the_docs_is_what_is_drawn() -> None:
    """Made anew by `python -m tests.panel_facts`; the words are compared, for rich's SVG changes with its versions."""

    def words(svg: str) -> list[str]:
        return [html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]

    assert words(PICTURE.read_text()) == words(picture())


# ---- the facts


def visit(host: str = "http://a.test", target: str = "/", host_id: int = 1) -> Visit:
    return Visit(host_id, 1, 1, host, target, LINK, Purpose.PAGE, 0, 0, 0, 0, False, 1, host_id)


def moment(pages: int = 0, urls: int = 0, ended: int = 0) -> Moment:
    return Moment(Counters(0, 0, 0, urls, ended, pages, 0, 0, 0, 0), 3, 2, 1, False)


def panel(**options: object) -> Panel:
    return Panel(Config(log_seconds=0, **options), "crawl.db", lambda facts: None)  # type: ignore[arg-type]


def test_memory_is_bounded_whatever_the_number_of_hosts_and_errors() -> None:
    it = panel()
    most = 0
    for number in range(10_000):
        outcome = Outcome(number, FAILED, "timeout", asked=True, host_failed=True, elapsed_ms=number)
        it.count(visit(f"http://h{number}.test", host_id=number), outcome)
        most = max(most, len(it._hosts))
    assert (most, len(it._errors)) == (2 * MAX_HOSTS, MAX_ERRORS)
    facts = it.facts(moment(), it.started + 1)
    assert facts.slow[0] == ("http://h9999.test", 9.999)
    assert facts.failed_reasons == (("timeout", 10_000),)


def test_a_failing_host_is_remembered_longer_than_one_that_is_well() -> None:
    it = panel()
    failure = Outcome(1, RETRY, "refused", asked=True, host_failed=True)
    it.count(visit("http://dead.test", host_id=-1), failure)
    for number in range(5 * MAX_HOSTS):
        it.count(visit(f"http://h{number}.test", host_id=number), Outcome(number, DONE, "ok", asked=True))
    it.count(visit("http://dead.test", host_id=-1), failure)
    assert it.facts(moment(), it.started + 1).failing == (("http://dead.test", 2, "refused"),)


def test_a_host_is_failing_from_its_second_failure_in_a_row_to_its_next_success() -> None:
    it = panel()
    failure = Outcome(1, RETRY, "refused", asked=True, host_failed=True)
    it.count(visit(), failure)
    assert it.facts(moment(), it.started + 1).failing == ()
    it.count(visit(), failure)
    it.count(visit("http://b.test", host_id=2), Outcome(1, ROBOTS, "deny", asked=True, host_failed=True))
    it.count(visit("http://b.test", host_id=2), Outcome(1, ROBOTS, "deny", asked=True, host_failed=True))
    assert it.facts(moment(), it.started + 1).failing == (
        ("http://a.test", 2, "refused"), ("http://b.test", 2, "robots.txt unreachable"),
    )  # fmt: skip
    it.count(visit(), Outcome(1, DONE, "ok", asked=True, status=200))
    assert [host.host for host in it.facts(moment(), it.started + 1).failing] == ["http://b.test"]


def test_errors_are_told_in_words_the_last_one_first() -> None:
    it = panel()
    it.count(visit(target="/gone"), Outcome(1, DONE, "client-error", asked=True, status=404))
    it.count(visit(target="/odd"), Outcome(1, FAILED, "server-error", asked=True, status=599))
    it.count(visit(target="/dns"), Outcome(1, FAILED, "dns", asked=True))
    it.count(visit(target="/no"), Outcome(1, SKIPPED, "robots"))
    facts = it.facts(moment(), it.started + 1)
    assert [error[1:] for error in facts.errors] == [
        ("dns", "http://a.test/dns", "the host's name has no address"),
        ("status 599", "http://a.test/odd", ""),
        ("404 Not Found", "http://a.test/gone", ""),
    ]
    assert (facts.failed, facts.client_errors, facts.skipped, facts.skipped_by_robots) == (2, 1, 1, 1)


def test_rates_are_of_this_run_now_and_on_average() -> None:
    it = panel()
    for second in range(1, 11):
        for _ in range(10 if second < 5 else 2):
            it.count(visit(), Outcome(1, DONE, "ok", asked=True, has_page=True))
        facts = it.facts(moment(pages=1_000), it.started + second)
    assert facts.pages_per_second == pytest.approx(2.0)
    assert facts.average_per_second == pytest.approx(5.2)


@pytest.mark.parametrize(
    ("options", "grows", "left"),
    [
        ({}, True, None),  # more may be found
        ({}, False, 40.0),  # nothing new for a while: the queue says it
        ({"max_depth": 0}, True, 40.0),
        ({"scope": "page"}, True, 40.0),
        ({"max_pages": 60}, True, 20.0),
        ({"max_pages": 600}, False, 40.0),
        ({"max_seconds": 30}, True, 10.0),
    ],
)
def test_how_long_it_will_take_is_told_where_it_can_be_known(
    options: dict[str, object], grows: bool, left: float | None
) -> None:
    it = panel(**options)
    for second in range(1, 21):
        it.count(visit(), Outcome(1, DONE, "ok", asked=True, has_page=True))
        urls = 60 + (second if grows else 0)
        facts = it.facts(moment(pages=second + 20, urls=urls, ended=urls - 40), it.started + second)
    assert facts.left_seconds == (pytest.approx(left) if left is not None else None)
