"""One slow host does not hold up the others, and a page that kills its worker does not take the others with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler import Config, crawl
from tests.site import Site

SLOW_SECONDS = 5.0  # for all of its pages but the first
SLOW_PAGES = 12  # more than a worker holds of a host ahead: a host that waits in the frontier, too
FAST_HOSTS = 50
PAGES = 4


def _settings(**changes: object) -> Config:
    base: dict[str, object] = {"delay_seconds": 0.0, "log_seconds": 0.0, "processes": 2, "retry_wait_seconds": 0.02}
    return Config(**{**base, **changes})  # type: ignore[arg-type]


def test_fast_hosts_finish_as_if_the_slow_one_were_not_there() -> None:
    with Site("127.2.0.1") as slow:
        fast = [Site(f"127.2.1.{number + 1}", port=slow.port) for number in range(FAST_HOSTS)]
        try:
            slow.add_page("/", [f"/{number}" for number in range(SLOW_PAGES)])
            for number in range(SLOW_PAGES):
                slow.add_page(f"/{number}", delay_seconds=SLOW_SECONDS / SLOW_PAGES)
            for site in fast:
                site.start()
                for page in range(PAGES):
                    site.add_page(f"/{page or ''}", [f"/{page + 1}"] if page + 1 < PAGES else [])
            with crawl([slow.url("/"), *(site.url("/") for site in fast)], _settings()) as report:
                assert report.counts["urls"]["done"] == FAST_HOSTS * PAGES + SLOW_PAGES + 1
            first = min(hit.start for site in (slow, *fast) for hit in site.log)
            last_fast = max(hit.end for site in fast for hit in site.log)
            # All the fast hosts' chains of pages, however slow this machine is, while the slow host is at work.
            assert last_fast - first < SLOW_SECONDS
            assert len(slow.log) == SLOW_PAGES + 2
        finally:
            for site in fast:
                site.close()


def test_a_page_that_always_kills_its_worker_ends_after_two_strikes_and_harms_no_other() -> None:
    with Site() as site:
        site.add_page("/", [f"/{number}" for number in range(30)])
        for number in range(30):
            site.add_page(f"/{number}", delay_seconds=0.05 if number % 3 else 0.0)
        config = _settings(parse="tests.hooks_that_die:die_on_13", per_host=8)
        with crawl([site.url("/")], config) as report:
            ends = {url.url: (url.state, url.reason) for url in report.urls()}
        assert ends.pop(site.url("/13")) == ("failed", "killed-worker")
        assert set(ends.values()) == {("done", "ok")}
        assert len(ends) == 30
        assert site.asked()["/13"] == 2
        assert max(site.asked().values()) <= 4


@pytest.mark.parametrize("hook", ["sleep_on_13", "loop_in_c_on_13"])
def test_a_page_that_never_finishes_is_ended_at_its_deadline(hook: str, tmp_path: Path) -> None:
    with Site() as site:
        site.add_page("/", [f"/{number}" for number in range(20)])
        for number in range(20):
            site.add_page(f"/{number}")
        config = _settings(parse=f"tests.hooks_that_die:{hook}", per_host=4, page_deadline_seconds=1.0)
        with crawl([site.url("/")], config, ledger=tmp_path / "crawl.db") as report:
            ends = {url.url: (url.state, url.reason) for url in report.urls()}
        assert ends.pop(site.url("/13")) == ("failed", "killed-worker")
        assert set(ends.values()) == {("done", "ok")}
