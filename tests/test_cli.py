"""The command line as people type it: seeds, the same command again, signals, exit codes, and what is printed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site import Site

ROOT = Path(__file__).parent.parent
FLAGS = [
    "--ledger", "--config", "-s", "--depth", "--max-pages", "--max-time", "--scope", "--include", "--exclude",
    "--delay", "--per-host", "-c", "--concurrency", "-p", "--processes", "--transport", "--timeout",
    "--retries", "--no-robots", "--allow-private", "-U", "--user-agent", "-H", "--header", "--fresh", "--yes",
    "-q", "-v", "--log-file", "--no-progress", "--parse",
]  # fmt: skip


class Shell:
    """A folder to type commands in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def words(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "crawler", *words]

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*words), cwd=self.folder, env=self.environment, input=stdin, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip

    def crawl(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return self.run(*words, "--delay", "0", "-p", "1", stdin=stdin)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.words(*words), cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def urls(self) -> dict[str, str]:
        connection = sqlite3.connect(self.folder / "crawl.db")
        try:
            return dict(connection.execute("SELECT url, state FROM urls"))
        finally:
            connection.close()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        site.add_page("/", [f"/{number}" for number in range(12)])
        for number in range(12):
            site.add_page(f"/{number}")
        yield site


def test_a_crawl_ends_with_a_table_and_leaves_one_file(shell: Shell, site: Site) -> None:
    ran = shell.crawl(site.url("/"))
    assert ran.returncode == 0
    assert "1 new seed" in ran.stderr
    for line in ("done     13", "pages by status  200      13", "ledger: crawl.db, finished", "sqlite3 crawl.db"):
        assert line in ran.stdout
    assert [path.name for path in shell.folder.iterdir()] == ["crawl.db"]


def test_the_same_command_again_says_that_it_had_finished_and_asks_nothing(shell: Shell, site: Site) -> None:
    shell.crawl(site.url("/"))
    asked = site.asked()
    again = shell.crawl(site.url("/"))
    assert again.returncode == 0
    assert "had finished before" in again.stdout
    assert site.asked() == asked
    connection = sqlite3.connect(shell.folder / "crawl.db")
    assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    connection.close()


def test_other_seeds_on_the_same_ledger_are_added(shell: Shell, site: Site) -> None:
    shell.crawl(site.url("/0"), "--scope", "page")
    ran = shell.crawl(site.url("/1"), site.url("/2"), "--scope", "page")
    assert "2 new seeds" in ran.stderr
    assert shell.urls() == {site.url(f"/{number}"): "done" for number in range(3)}


def test_a_larger_max_pages_continues_and_the_same_one_does_not(shell: Shell, site: Site) -> None:
    for limit, pages in (("5", 5), ("5", 5), ("9", 9), ("0", 13)):
        ran = shell.crawl(site.url("/"), "--max-pages", limit)
        assert ran.returncode == 0
        assert sum(state == "done" for state in shell.urls().values()) == pages
    assert sum(site.asked().values()) == 14


def test_fresh_asks_before_it_deletes(shell: Shell, site: Site) -> None:
    shell.crawl(site.url("/"))
    refused = shell.crawl(site.url("/0"), "--fresh")
    assert (refused.returncode, len(shell.urls())) == (2, 13)
    assert "say --yes as well" in refused.stderr
    assert shell.crawl(site.url("/0"), "--fresh", "--yes").returncode == 0
    assert list(shell.urls()) == [site.url("/0")]


def test_seeds_come_from_files_words_and_standard_input(shell: Shell, site: Site) -> None:
    lines = f"\ufeff# mine\r\n\r\n{site.url('/1')}  # one\r\nhttp://[broken\r\n{site.url('/2')}\r\n"
    (shell.folder / "seeds.txt").write_bytes(lines.encode())
    ran = shell.crawl("seeds.txt", site.url("/3"), "-", "--scope", "page", stdin=f"{site.url('/4')}\nmailto:x@y.test\n")
    assert ran.returncode == 0
    assert set(shell.urls()) == {site.url(f"/{number}") for number in (1, 2, 3, 4)}
    assert "seeds.txt:4: http://[broken" in ran.stderr
    assert "standard input:2: mailto:x@y.test" in ran.stderr


def test_a_folder_is_served_and_the_resume_finds_the_same_urls(shell: Shell) -> None:
    public = shell.folder / "public"
    public.mkdir()
    (public / "index.html").write_text('<a href="a.html">a</a><a href="gone.html">gone</a>')
    (public / "a.html").write_text("<title>a</title>")
    assert shell.crawl("public", "--max-pages", "1").returncode == 0
    before = shell.urls()
    assert shell.crawl("public").returncode == 0
    after = shell.urls()
    assert set(before) <= set(after)
    assert sorted(url.rpartition("/")[2] for url in after) == ["", "a.html", "gone.html"]
    assert set(after.values()) == {"done"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch.txt"], "there is no such file or folder"),
        (["ftp://a.test/"], "no usable seed"),
        (["http://a.test/", "-s", "delay_second=1"], "did you mean delay_seconds?"),
        (["http://a.test/", "-s", "max_pages=-1"], "max_pages = -1"),
        (["http://a.test/", "-s", "max_pages"], "expected KEY=VALUE"),
        (["http://a.test/", "--config", "nosuch.toml"], "nosuch.toml"),
        (["http://a.test/", "--scope", "world"], "scope = 'world'"),
        (["http://a.test/", "--header", "nonsense"], "expected NAME:VALUE"),
        (["http://a.test/", "--include", "("], "include: '('"),
        (["http://a.test/", "--allow-private", "10.0.0/40"], "10.0.0/40"),
        (["http://a.test/", "--transport", "carrier-pigeon"], "carrier-pigeon"),
        (["http://a.test/", "--parse", "shop"], "package.module:function"),
        (["http://a.test/", "--ledger", "notes.txt"], "is not a ledger"),
        (["http://a.test/", "--log-file", "nowhere/log"], "nowhere/log"),
        (["status", "nosuch.db"], "there is no ledger nosuch.db"),
        ([], "SEED"),
        (["http://a.test/", "--max-pages", "many"], "--max-pages"),
    ],
)
def test_bad_input_is_exit_code_2_and_a_sentence_that_names_it(shell: Shell, words: list[str], message: str) -> None:
    (shell.folder / "notes.txt").write_text("my notes, and no ledger at all\n" * 60)
    ran = shell.run(*words)
    assert ran.returncode == 2
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr
    assert (shell.folder / "notes.txt").read_text() == "my notes, and no ledger at all\n" * 60


def test_a_ledger_in_a_folder_that_is_not_there_is_exit_code_5(shell: Shell) -> None:
    ran = shell.run("http://127.0.0.1:9/", "--ledger", "nowhere/crawl.db")
    assert (ran.returncode, "nowhere" in ran.stderr, "Traceback" in ran.stderr) == (5, True, False)


def test_a_seed_that_gives_no_page_is_named_with_its_reason_and_is_exit_code_4(shell: Shell) -> None:
    with Site() as gone:
        url = gone.url("/")
    options = ("-s", "retry_wait_seconds=0.01")
    ran = shell.crawl(url, *options)
    assert ran.returncode == 4
    assert f"seed without a page: {url} robots-unreachable refused" in ran.stdout
    with Site(port=gone.port) as back:  # and when the network is there again, the same command does it
        back.add_page("/")
        assert shell.crawl(url, *options).returncode == 0
        assert shell.urls() == {url: "done"}


def test_an_address_that_is_not_public_is_not_asked_for_a_redirect_or_link(shell: Shell, site: Site) -> None:
    with Site("127.9.9.9") as private:
        private.add_page("/")
        site.add_redirect("/out", private.url("/"))
        ran = shell.crawl(site.url("/out"), "--scope", "any")
        assert ran.returncode == 0
        assert private.asked() == {}
        assert shell.urls()[private.url("/")] == "failed"
        assert shell.crawl(site.url("/out"), "--fresh", "--yes", "--scope", "any", "--allow-private", "127.9.9.0/24")
        assert private.asked() == {"/robots.txt": 1, "/": 1}


def test_control_characters_from_outside_reach_no_terminal(shell: Shell, site: Site) -> None:
    ran = shell.crawl("\x1b[31mhttp://a\u202e.test/", site.url("/0"))
    assert "\x1b" not in ran.stderr + ran.stdout
    assert "\u202e" not in ran.stderr + ran.stdout


def test_a_ledger_in_use_is_refused_with_its_holders_pid(shell: Shell, site: Site) -> None:
    process = shell.start(site.url("/"), "--delay", "5")
    try:
        _wait_until(lambda: bool(site.log))
        second = shell.crawl(site.url("/"))
        assert second.returncode == 2
        assert f"process {process.pid}" in second.stderr
        running = json.loads(shell.run("status", "--json").stdout)
        assert running["state"] == "running"
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_stops_gently_and_the_same_command_continues(
    shell: Shell, site: Site, number: signal.Signals, code: int
) -> None:
    site.add_page("/", [f"/{each}" for each in range(12)], delay_seconds=0.3)
    process = shell.start(site.url("/"), "--delay", "0.05")
    _wait_until(lambda: site.asked()["/robots.txt"] == 1)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "continue with the same command" in out
    assert "stopping:" in err
    state = json.loads(shell.run("status", "--json").stdout)
    assert (state["state"], state["finish_reason"]) == ("interrupted", "interrupted")
    assert shell.crawl(site.url("/")).returncode == 0
    assert set(shell.urls().values()) == {"done"}
    assert max(site.asked().values()) <= 2  # robots.txt again, if it was not committed


def test_a_second_ctrl_c_stops_at_once(shell: Shell, site: Site) -> None:
    site.add_page("/", delay_seconds=20.0)
    process = shell.start(site.url("/"), "--delay", "0")
    _wait_until(lambda: "/" in site.begun)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    err = process.stderr
    assert err is not None
    while "stopping:" not in err.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - began < 8
    assert not (shell.folder / "crawl.db-lock").exists()
    site.add_page("/")
    assert shell.crawl(site.url("/")).returncode == 0


def test_max_time_ends_a_run_and_the_same_command_continues(shell: Shell, site: Site) -> None:
    ran = shell.run(site.url("/"), "--delay", "0.5", "--max-time", "4")
    assert ran.returncode == 0
    assert "the time is up" in ran.stdout
    assert 0 < sum(state == "done" for state in shell.urls().values()) < 13
    assert shell.crawl(site.url("/")).returncode == 0
    assert set(shell.urls().values()) == {"done"}


def test_quiet_prints_nothing_and_verbose_names_each_url(shell: Shell, site: Site) -> None:
    quiet = shell.crawl(site.url("/0"), "-q")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    verbose = shell.crawl(site.url("/1"), "-v", "--log-file", "log")
    assert site.url("/1") in verbose.stderr
    assert site.url("/1") in (shell.folder / "log").read_text()


def test_progress_is_one_line_every_few_seconds(shell: Shell, site: Site) -> None:
    ran = shell.run(site.url("/"), "--delay", "0.1", "-s", "log_seconds=0.3")
    assert ran.stderr.count(" pages (") >= 2
    again = shell.run(site.url("/"), "--delay", "0.1", "-s", "log_seconds=0.3", "--no-progress", "--fresh", "--yes")
    assert " pages (" not in again.stderr


def test_status_as_json_counts_what_is_there(shell: Shell, site: Site) -> None:
    site.add_page("/", ["/0", "/gone", "/private"])
    site.robots("User-agent: *\nDisallow: /private")
    shell.crawl(site.url("/"))
    state = json.loads(shell.run("status", "--json").stdout)
    assert (state["state"], state["finish_reason"], state["hosts"], state["requests"]) == ("finished", "finished", 1, 4)
    assert state["urls"] == {"queued": 0, "done": 3, "failed": 0, "skipped": 1}
    assert state["reasons"] == {"ok": 2, "client-error": 1, "robots": 1}
    assert state["statuses"] == {"200": 2, "404": 1}
    assert "ledger: crawl.db, finished" in shell.run("status").stdout


def test_output_may_be_cut_off(shell: Shell, site: Site) -> None:
    command = " ".join([*shell.words(site.url("/"), "--delay", "0"), "| head -1"])
    ran = subprocess.run(  # noqa: S602  (a pipe is what is tested)
        command, shell=True, cwd=shell.folder, env=shell.environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert ran.stdout.count("\n") == 1
    assert "Traceback" not in ran.stderr
    assert "BrokenPipe" not in ran.stderr


def test_help_shows_every_flag(shell: Shell) -> None:
    text = shell.run("--help").stdout
    shown = set(text.replace(",", " ").split())
    assert [flag for flag in FLAGS if flag not in shown] == []
    assert "(default: 1.0)" in text


def _wait_until(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
