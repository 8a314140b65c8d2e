"""`crawl()` as programs use it: mocked, twice, in threads, in children, with hooks; never a surprise."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import responses

from crawler import Config, Page, Report, UsageError, crawl
from tests import hooks
from tests.site import Site

ROOT = Path(__file__).parent.parent
HERE = Config(processes=0, delay_seconds=0, log_seconds=0)
QUICK = Config(processes=2, delay_seconds=0, per_host=4, log_seconds=0)


@pytest.fixture
def shop() -> Iterator[str]:
    """A mocked shop of three pages."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get("http://shop.test/robots.txt", body="User-agent: *\nDisallow: /basket")
        mock.get(
            "http://shop.test/",
            body='<title>Shop</title><a href="/a?x={1}|2">A</a><a href="/basket">B</a>',
            content_type="text/html; charset=utf-8",
        )
        mock.get("http://shop.test/a", body="<title>Ä</title>".encode("latin-1"), content_type="text/html")
        mock.get("http://shop.test/hidden", status=404)
        yield "http://shop.test/"


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        site.add_page("/", [f"/{number}" for number in range(20)])
        for number in range(20):
            site.add_page(f"/{number}")
        yield site


def done(report: Report) -> int:
    with report:
        return int(report.counts["urls"]["done"])


def test_a_mocked_crawl_reports_pages_urls_and_links(shop: str) -> None:
    with crawl([shop], HERE) as report:
        assert report.finish_reason == "finished"
        assert {(page.url, page.status, page.title, page.charset) for page in report.pages()} == {
            (shop, 200, "Shop", "utf-8"),
            (shop + "a?x={1}|2", 200, "Ä", "windows-1252"),
        }
        assert {(url.url, url.state, url.reason, url.depth, url.via) for url in report.urls()} == {
            (shop, "done", "ok", 0, None),
            (shop + "a?x={1}|2", "done", "ok", 1, shop),
            (shop + "basket", "skipped", "robots", 1, shop),
        }
        assert [(link.source, link.url, link.text) for link in report.links()] == [
            (shop, shop + "a?x={1}|2", "A"),
            (shop, shop + "basket", "B"),
        ]
        assert report.counts["statuses"] == {"200": 2}


def test_a_temporary_ledger_goes_with_its_report_and_a_named_one_stays(shop: str, tmp_path: Path) -> None:
    with crawl([shop], HERE) as report:
        assert report.ledger.exists()
    assert not report.ledger.parent.exists()
    with crawl([shop], HERE, ledger=tmp_path / "crawl.db"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["crawl.db"]


def test_a_bare_host_is_a_seed_and_a_seed_is_remembered(shop: str, tmp_path: Path) -> None:
    assert done(crawl(["shop.test"], HERE, ledger=tmp_path / "crawl.db")) == 2
    again = crawl(["shop.test"], HERE, ledger=tmp_path / "crawl.db")
    assert (again.finish_reason, done(again)) == ("finished", 2)


@pytest.mark.parametrize(
    ("seeds", "message"),
    [("http://a.test/", "a list of URLs"), ([], "no seed"), (["ftp://a.test/"], "http://"), ([7], "must be text")],
)
def test_seeds_that_cannot_be_used_are_refused_in_a_sentence(seeds: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        crawl(seeds, HERE)


def test_without_processes_a_hook_may_be_any_callable(shop: str) -> None:
    with crawl([shop], HERE, parse=lambda page: {"title": page.soup.title.string}) as report:
        assert [item.item for item in report.items()] == [{"title": "Shop"}, {"title": "Ä"}]


def test_a_seeds_redirect_to_https_and_www_widens_the_scope(caplog: pytest.LogCaptureFixture) -> None:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for host in ("http://shop.test", "https://www.shop.test", "http://other.test"):
            mock.get(host + "/robots.txt", status=404)
        mock.get("http://other.test/", body='<a href="https://www.shop.test/b">x</a>', content_type="text/html")
        mock.get("http://shop.test/", status=301, headers={"Location": "https://www.shop.test/en/"})
        body = '<a href="/a">x</a><a href="http://third.test/">y</a>'
        mock.get("https://www.shop.test/en/", body=body, content_type="text/html")
        mock.get("https://www.shop.test/a", body="a", content_type="text/html")
        mock.get("https://www.shop.test/b", body="b", content_type="text/html")
        with caplog.at_level("INFO", "crawler"), crawl(["http://other.test/", "http://shop.test/"], HERE) as report:
            found = {(url.url, url.hop) for url in report.urls()}
    assert found == {
        ("http://other.test/", "L"), ("http://shop.test/", "L"), ("https://www.shop.test/en/", "R"),
        ("https://www.shop.test/a", "L"), ("https://www.shop.test/b", "L"),
    }  # fmt: skip
    assert "http://shop.test/ redirects to https://www.shop.test: the scope is widened to it" in caplog.messages


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_worker_set_up_hook_installs_mocks_in_real_processes(method: Any) -> None:
    config = Config(
        processes=2, delay_seconds=0, log_seconds=0, start_method=method, worker_setup="tests.hooks:mock_the_network"
    )
    with crawl([hooks.MOCKED], config) as report:
        assert {page.title for page in report.pages()} == {"home", "a"}


@pytest.mark.parametrize("hook", [hooks.title, "tests.hooks:title"], ids=["function", "name"])
def test_a_hook_runs_in_the_workers(site: Site, hook: Any) -> None:
    with crawl([site.url("/")], QUICK, parse=hook) as report:
        items = {item.url: item.item for item in report.items()}
    expected = {site.url(target): {"title": target} for target in ("/", *(f"/{number}" for number in range(20)))}
    assert items == expected


def test_a_hook_that_workers_cannot_import_is_refused_in_a_sentence(site: Site) -> None:
    with pytest.raises(UsageError, match=r"cannot be imported by worker processes.*processes=0"):
        crawl([site.url("/")], QUICK, parse=lambda page: None)
    with pytest.raises(UsageError, match=r"no_such_module"):
        crawl([site.url("/")], QUICK, parse="no_such_module:parse")
    assert site.asked() == {}


def test_what_a_hook_raises_is_recorded_with_the_page_and_stops_nothing(site: Site) -> None:
    with crawl([site.url("/")], QUICK, parse="tests.hooks:wayward") as report:
        errors = {page.url: page.item_error for page in report.pages() if page.item_error}
        assert report.counts["urls"]["done"] == 22
        assert report.counts["items"] == report.counts["item_errors"] == 21
        assert site.url("/hidden") in {link.url for link in report.links()}
    assert len(errors) == 21
    assert set(errors) == {site.url("/"), *(site.url(f"/{number}") for number in range(20))}
    assert all(error.startswith("RuntimeError: odd") for error in errors.values())


def test_crawl_may_be_called_twice_and_from_threads_at_once(site: Site) -> None:
    assert [done(crawl([site.url("/")], QUICK)) for _ in range(2)] == [21, 21]
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(done(crawl([site.url("/")], QUICK)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert counts == [21, 21]


def _crawl_in_child(url: str, answers: Any) -> None:
    try:
        answers.put(done(crawl([url], QUICK)))
    except UsageError as error:
        answers.put(str(error))


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_crawl_may_be_called_inside_somebodys_own_child_process(site: Site, method: str) -> None:
    done(crawl([site.url("/")], QUICK))  # so that there is a fork server to be inherited
    context: Any = multiprocessing.get_context(method)
    answers = context.Queue()
    child = context.Process(target=_crawl_in_child, args=(site.url("/"), answers))
    child.start()
    assert answers.get(timeout=30) == 21
    child.join(30)
    assert child.exitcode == 0


def test_a_daemon_process_is_told_that_it_may_have_no_children(site: Site) -> None:
    context = multiprocessing.get_context("spawn")
    answers: Any = context.Queue()
    child = context.Process(target=_crawl_in_child, args=(site.url("/"), answers), daemon=True)
    child.start()
    assert "daemon" in answers.get(timeout=30)
    child.join(30)


SCRIPT = """
from crawler import Config, crawl
with crawl(["{url}"], Config(processes={processes}, delay_seconds=0, start_method="{method}", log_seconds=0)) as report:
    print(report.counts["urls"]["done"])
"""


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
@pytest.mark.parametrize("processes", [0, 2])
def test_an_unguarded_script_works_without_processes_and_else_is_told_what_to_do(
    site: Site, tmp_path: Path, method: str, processes: int
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(url=site.url("/"), processes=processes, method=method))
    ran = subprocess.run(
        [sys.executable, str(script)], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    if processes:
        assert ran.returncode == 1
        assert ran.stderr.count('put the call under if __name__ == "__main__":') == 1
    else:
        assert (ran.returncode, ran.stdout) == (0, "21\n")


def test_a_script_from_standard_input_is_told_that_children_cannot_import_it(site: Site) -> None:
    script = SCRIPT.format(url=site.url("/"), processes=2, method="forkserver")
    for words, code in (([], 1), (["-c", script], 0)):
        ran = subprocess.run(
            [sys.executable, *words], input=script, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert ran.returncode == code
        assert ("save it as a file, or use Config(processes=0)" in ran.stderr) is (code == 1)


def test_standard_error_may_be_closed(site: Site) -> None:
    """As under a service manager, or pythonw: faulthandler wants one in each worker."""
    script = SCRIPT.format(url=site.url("/"), processes=2, method="forkserver")
    ran = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" "$@" 2>&-', sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (0, "21\n")


def test_a_page_gives_a_hook_all_that_it_promises(site: Site) -> None:
    seen: list[tuple[object, ...]] = []

    def look(page: Page) -> None:
        seen.append((page.url, page.status, page.headers["Content-Type"], page.text, page.content, page.links[:2]))

    with crawl([site.url("/0")], HERE, parse=look):
        pass
    text = "<title>/0</title>"
    assert seen == [(site.url("/0"), 200, "text/html; charset=utf-8", text, text.encode(), [])]


def test_a_robots_txt_that_moved_is_followed_and_obeyed() -> None:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get("http://shop.test/robots.txt", status=301, headers={"Location": "https://shop.test/robots.txt"})
        mock.get("https://shop.test/robots.txt", body="User-agent: poolcrawl\nDisallow: /no")
        mock.get("http://shop.test/", body='<a href="/no">n</a><a href="/yes">y</a>', content_type="text/html")
        mock.get("http://shop.test/yes", body="y", content_type="text/html")
        with crawl(["http://shop.test/"], HERE) as report:
            ends = {url.url: url.reason for url in report.urls()}
    assert ends == {"http://shop.test/": "ok", "http://shop.test/no": "robots", "http://shop.test/yes": "ok"}


def test_a_robots_txt_that_moves_for_ever_is_as_good_as_none() -> None:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        for number in range(7):
            place = "robots.txt" if number == 0 else f"r{number}"
            mock.get(f"http://shop.test/{place}", status=302, headers={"Location": f"/r{number + 1}"})
        mock.get("http://shop.test/", body="x", content_type="text/html")
        with crawl(["http://shop.test/"], HERE) as report:
            assert [url.reason for url in report.urls()] == ["ok"]
        assert [call.request.url for call in mock.calls] == [
            "http://shop.test/robots.txt", *(f"http://shop.test/r{number}" for number in range(1, 6)), "http://shop.test/",
        ]  # fmt: skip


def test_signals_that_keep_arriving_stop_no_crawl(site: Site) -> None:
    over = threading.Event()
    main_thread = threading.main_thread().ident
    assert main_thread is not None

    def send_signals() -> None:
        while not over.wait(0.004):
            signal.pthread_kill(main_thread, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: time.sleep(0.002))  # a handler that outlasts many a timeout
    sender = threading.Thread(target=send_signals)
    sender.start()
    try:
        assert done(crawl([site.url("/")], Config(processes=0, delay_seconds=0.05, log_seconds=0))) == 21
    finally:
        over.set()
        sender.join()
        signal.signal(signal.SIGUSR1, before)
