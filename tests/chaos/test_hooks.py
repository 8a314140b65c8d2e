"""Pages that take their worker along, and hooks that do what no hook should: each costs its own page at most."""

from __future__ import annotations

import json
import sqlite3

import pytest

from crawler import Config, crawl
from tests.chaos.hooks import ODD
from tests.chaos.oracle import judge
from tests.chaos.running import Crawling, Options
from tests.chaos.sabotage import WORKER
from tests.site import Site
from tests.webgraph import WebServer

SHORT = Options(stall_seconds=1.0, page_deadline_seconds=1.0)
PAGES = 200


def _plain_pages(server: WebServer, count: int) -> list[str]:
    """The ends of the URLs of pages that a hook gets to see, but for the seeds."""
    ok = [url for url, (_, reason) in server.web.expected().items() if reason == "ok" and "/p" in url]
    return ["/p" + url.partition("/p")[2] for url in ok[len(server.web.hosts) :][:count]]


@pytest.mark.parametrize(
    ("deeds", "delay_seconds"),
    [
        (("kill", "exit", "segfault"), 0.0),
        (("sleep", "loop"), 0.0),
        (("kill", "exit", "segfault"), 0.2),
        pytest.param(("sleep", "loop"), 0.2, marks=pytest.mark.slow),
    ],
)
def test_a_page_that_always_kills_its_worker_ends_after_two_deaths_and_all_others_as_ever(
    deeds: tuple[str, ...], delay_seconds: float
) -> None:
    options = SHORT._replace(delay_seconds=delay_seconds)
    pages = 60 if delay_seconds else PAGES
    with WebServer(seed=51, pages=pages) as server:
        poison = dict(zip(_plain_pages(server, len(deeds)), deeds, strict=True))
        with Crawling(server, options, poison=poison) as crawling:
            crawling.start()
            assert crawling.finish() == 0, crawling.output()
            assert judge(crawling).violations == []
            connection = sqlite3.connect(crawling.ledger)
            killers = connection.execute("SELECT url FROM urls WHERE reason = 'killed-worker'").fetchall()
            tries = connection.execute("SELECT url, count(*) FROM attempts WHERE reason = 'killed-worker' GROUP BY url")
            assert sorted(tries) == sorted((url, 2) for (url,) in killers)
            connection.close()
            assert {"/p" + url.partition("/p")[2] for (url,) in killers} == set(poison)
            assert [struck.role for struck in crawling.struck()] == [WORKER] * 2 * len(deeds)


def test_a_worker_that_runs_out_of_memory_costs_the_page_that_took_it_and_no_other() -> None:
    options = SHORT._replace(parse="tests.chaos.hooks:parse_greedily")
    with WebServer(seed=52, pages=PAGES) as server:
        poison = dict.fromkeys(_plain_pages(server, 1), "memory")
        with Crawling(server, options, poison=poison) as crawling:
            crawling.start()
            assert crawling.finish() == 0, crawling.output()
            assert judge(crawling).violations == []
            assert {struck.deed for struck in crawling.struck()} == {"memory"}
            # A library that finds no memory may as well crash: then it is a death like any other.
            assert crawling.said(r"worker \d died") == 2
            assert crawling.said(r"worker \d died \(out of memory\)") >= 1


def test_hooks_that_do_what_no_hook_should_cost_their_own_items_at_most() -> None:
    with Site() as site:
        site.add_page("/", [f"/{name}" for name in ODD])
        for name in ODD:
            site.add_page(f"/{name}")
        config = Config(processes=2, delay_seconds=0, per_host=4, log_seconds=0, parse="tests.chaos.hooks:odd")
        with crawl([site.url("/")], config) as report:
            assert {(url.state, url.reason) for url in report.urls()} == {("done", "ok")}
            errors = {page.url.rpartition("/")[2]: page.item_error for page in report.pages()}
            stored = [json.dumps(item.item) for item in report.items()]
            items: dict[str, int] = {}
            for item in report.items():
                name = item.url.rpartition("/")[2]
                items[name] = items.get(name, 0) + 1
    assert len(stored) == sum(items.values())
    assert {name: items.get(name, 0) for name in ODD} == {name: count for name, (_, count, _) in ODD.items()}
    for name, (_, _, error) in ODD.items():
        assert error in (errors[name] or "") if error else errors[name] is None, (name, errors[name])
    assert site.asked() == {"/robots.txt": 1, "/": 1, **{f"/{name}": 1 for name in ODD}}
