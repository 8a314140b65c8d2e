"""The command line as people type it: seeds, the same command again, signals, exit codes, and what is printed."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.shell import Shell
from tests.site import Site

FLAGS = [
    "--ledger", "--config", "-s", "--depth", "--max-pages", "--max-time", "--scope", "--include", "--exclude",
    "--delay", "--per-host", "-c", "--concurrency", "-p", "--processes", "--transport", "--timeout",
    "--retries", "--no-robots", "--allow-private", "-U", "--user-agent", "-H", "--header", "--fresh", "--yes",
    "-q", "-v", "--log-file", "--no-progress", "--parse",
]  # fmt: skip


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def hanging_up_counts() -> Iterator[None]:
    """Let children hear SIGHUP where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        site.add_page("/", [f"/{number}" for number in range(12)])
        for number in range(12):
            site.add_page(f"/{number}")
        yield site


def test_a_crawl_ends_with_a_table_and_leaves_one_file(shell: Shell, site: Site) -> None:
    ran = shell.program(site.url("/"), "--delay", "0")
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
    assert shell.ask("SELECT count(*) FROM runs") == [(1,)]


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


@pytest.mark.parametrize(("answer", "code", "pages"), [(b"\n", 2, 1), (b"y\n", 0, 2)])
def test_fresh_asks_on_a_terminal(shell: Shell, site: Site, answer: bytes, code: int, pages: int) -> None:
    site.add_page("/pair", ["/0"])
    shell.crawl(site.url("/1"))
    terminal, stdin = pty.openpty()
    try:
        os.write(terminal, answer)
        ran = shell.typed(f"crawler {site.url('/pair')} --fresh --delay 0 -p 0", stdin)
    finally:
        os.close(terminal)
        os.close(stdin)
    assert ran.returncode == code
    assert "delete crawl.db and start over? [y/N]" in ran.stdout
    assert len(shell.urls()) == pages


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
        (["ftp://a.test/"], "expected a URL that starts with http:// or https://"),
        (["http://a.test/", "-s", "delay_second=1"], "did you mean delay_seconds?"),
        (["http://a.test/", "-s", "max_pages=-1"], "max_pages = -1"),
        (["http://a.test/", "-s", "max_pages"], "expected KEY=VALUE"),
        (["http://a.test/", "--config", "nosuch.toml"], "nosuch.toml"),
        (["http://a.test/", "--scope", "world"], "scope = 'world'"),
        (["http://a.test/", "--header", "nonsense"], "expected NAME:VALUE"),
        (["http://a.test/", "--include", "("], "include: '('"),
        (["http://a.test/", "--allow-private", "10.0.0/40"], "10.0.0/40"),
        (["http://a.test/", "--transport", "carrier-pigeon"], "carrier-pigeon"),
        (["http://a.test/", "--transport", "nosuch:factory"], "'nosuch:factory' cannot be imported"),
        (["http://a.test/", "-H", "X: \N{GREEK SMALL LETTER ALPHA}"], "cannot be sent as a header"),
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


@pytest.mark.parametrize("words", [["--transport", "nosuch:factory"], ["-H", "A B: c"], ["--include", "("]])
def test_bad_input_costs_no_ledger(shell: Shell, site: Site, words: list[str]) -> None:
    assert shell.crawl(site.url("/")).returncode == 0
    before = shell.urls()
    assert shell.crawl(site.url("/"), "--fresh", "--yes", *words).returncode == 2
    assert shell.urls() == before


def test_a_ledger_in_a_folder_that_is_not_there_is_exit_code_5(shell: Shell) -> None:
    ran = shell.run("http://127.0.0.1:9/", "--ledger", "nowhere/crawl.db")
    assert (ran.returncode, "nowhere" in ran.stderr, "Traceback" in ran.stderr) == (5, True, False)


def test_a_seed_that_gives_no_page_is_named_with_its_reason_and_is_exit_code_4(shell: Shell) -> None:
    with Site() as gone:
        url = gone.url("/")
    options = ("-s", "retry_wait_seconds=0.01")
    began = time.monotonic()
    ran = shell.crawl(url, *options)
    assert ran.returncode == 4
    assert time.monotonic() - began < 10
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
        shell.crawl(site.url("/out"), "--fresh", "--yes", "--scope", "any", "--allow-private", "127.9.9.0/24")
        assert private.asked() == {"/robots.txt": 1, "/": 1}


def test_control_characters_from_outside_reach_no_terminal(shell: Shell, site: Site) -> None:
    ran = shell.crawl("\x1b[31mhttp://a\u202e.test/", site.url("/0"))
    assert "\x1b" not in ran.stderr + ran.stdout
    assert "\u202e" not in ran.stderr + ran.stdout


def test_control_characters_from_a_server_reach_no_terminal_and_no_log(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer_oddly, args=(server,), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        ran = shell.crawl(url, "-s", "retries=0", "-v", "--log-file", "log")
    assert ran.returncode == 4
    assert f"seed without a page: {url} bad-response" in ran.stdout
    assert "\\u001b[31m" in ran.stdout
    shown = ran.stdout + ran.stderr + (shell.folder / "log").read_text()
    assert {char for char in shown if not char.isprintable()} == {"\n"}


def _answer_oddly(server: socket.socket) -> None:
    for _ in range(2):
        connection, _address = server.accept()
        with connection:
            is_robots = b"robots.txt" in connection.recv(65_536)
            missing = b"HTTP/1.1 404 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            connection.sendall(missing if is_robots else b"\x1b[31mH\x9bT\x07P \xe2\x80\xae\x7f\r\n\r\n")


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


@pytest.mark.usefixtures("hanging_up_counts")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_stops_gently_and_the_same_command_continues(
    shell: Shell, site: Site, number: signal.Signals, code: int
) -> None:
    site.add_page("/", [f"/{each}" for each in range(12)], delay_seconds=0.3)
    process = shell.start(site.url("/"), "--delay", "0.05")
    _wait_until(lambda: site.asked()["/robots.txt"] == 1)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: the children get it, too
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert "continue with the same command" in out
    assert "stopping:" in err
    assert "Traceback" not in err
    assert [path.name for path in shell.folder.iterdir()] == ["crawl.db"]
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


def test_ctrl_c_while_seeds_are_read_is_no_traceback(shell: Shell) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "wb"):  # the pipe stays open: the program waits for seeds
        process = subprocess.Popen(
            shell.words("-", "--log-file", "log"), cwd=shell.folder, env=shell.environment, stdin=reading,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        _wait_until((shell.folder / "log").exists)
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=30)[1]
    assert (process.returncode, err) == (130, "poolcrawl: interrupted\n")
    assert not (shell.folder / "crawl.db").exists()


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
    ran = shell.run(site.url("/"), "--delay", "0.05", "-s", "log_seconds=0.2")
    assert ran.stderr.count(" pages (") >= 2
    again = shell.run(site.url("/"), "--delay", "0.05", "-s", "log_seconds=0.2", "--no-progress", "--fresh", "--yes")
    assert " pages (" not in again.stderr


def test_status_as_json_counts_what_is_there(shell: Shell, site: Site) -> None:
    site.add_page("/", ["/0", "/gone", "/private"])
    site.robots("User-agent: *\nDisallow: /private")
    shell.crawl(site.url("/"))
    state = json.loads(shell.run("status", "--json").stdout)
    times = [state.pop(key) for key in ("first_started", "started", "ended")]
    assert times == sorted(times)
    assert state.pop("bytes") > 0
    assert state == {
        "ledger": "crawl.db", "state": "finished", "finish_reason": "finished",
        "urls": {"queued": 0, "done": 3, "failed": 0, "skipped": 1},
        "reasons": {"ok": 2, "client-error": 1, "robots": 1},
        "statuses": {"200": 2, "404": 1},
        "hosts": 1, "pages": 3, "items": 0, "item_errors": 0, "requests": 4,
    }  # fmt: skip
    assert "ledger: crawl.db, finished" in shell.run("status").stdout


def test_a_damaged_ledger_is_exit_code_5_and_a_sentence(shell: Shell, site: Site) -> None:
    shell.crawl(site.url("/"))
    ledger = shell.folder / "crawl.db"
    header = 8192  # what tells a ledger from other files stays
    ledger.write_bytes(ledger.read_bytes()[:header] + b"Z" * (ledger.stat().st_size - header))
    for ran in (shell.run("status"), shell.run("status", "--json"), shell.crawl(site.url("/"))):
        assert ran.returncode == 5
        assert ran.stderr.startswith("poolcrawl: the ledger crawl.db: ")
        assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('{"max_depth": "\\u001bdeep", "scope": "world", "delay_seconds": -1}',
         "had max_depth = \\u001bdeep, scope = world, delay_seconds = -1, which is no value today: taken as unknown"),
        ('{"max_depth": null, "colour": "red"}', "had max_depth = None, which is no value today: taken as unknown"),
        ("[]", "the options of this ledger's last run cannot be read: taken as unknown"),
    ],
)  # fmt: skip
def test_stored_options_that_are_none_today_are_unknown_and_links_they_may_have_kept_out_are_offered_again(
    shell: Shell, site: Site, config: str, said: str
) -> None:
    assert shell.crawl(site.url("/"), "--depth", "0").returncode == 0
    shell.ask("UPDATE runs SET config = ?, versions = '7', ended = 'yesterday'", config)
    for words in (["status"], ["pages"], ["urls", "--format", "jsonl"], ["sql", "select config from runs"], ["tail"]):
        ran = shell.run(*words)
        assert (ran.returncode, ran.stderr) == (0, ""), words
    ran = shell.crawl(site.url("/"))
    assert (ran.returncode, len(shell.urls())) == (0, 13)
    assert [line.endswith(said) for line in ran.stderr.splitlines() if "unknown" in line] == [True]
    assert "user agent" not in ran.stderr


def test_a_finished_crawl_of_a_copy_that_is_none_today_ends_with_a_table(shell: Shell, site: Site) -> None:
    assert shell.crawl(site.url("/0")).returncode == 0
    shell.ask("""UPDATE runs SET config = '{"save": 5, "convert_links": []}'""")
    ran = shell.crawl(site.url("/0"))
    assert (ran.returncode, "had finished before" in ran.stdout, "saved:" in ran.stdout) == (0, True, False)
    assert "had save = 5, convert_links = [], which is no value today" in ran.stderr


MINE = """
from msgspec.structs import replace
from crawler.transports import open_transport

def make(config, capacity):
    print("made", flush=True)
    return open_transport(replace(config, transport="requests"), capacity)

def parse(page):
    return {"found": "mine"}

def set_up():
    print("set up", flush=True)
"""


@pytest.mark.parametrize("processes", ["0", "1"])
def test_the_program_finds_what_is_named_in_the_working_directory_however_it_is_started(
    shell: Shell, processes: str
) -> None:
    """As a script of pip's starts it, Python looks beside the script for modules, and not in the working directory."""
    (shell.folder / "mine.py").write_text(MINE)
    (shell.folder / "public").mkdir()
    (shell.folder / "public" / "index.html").write_text("<title>home</title>")
    script = shell.folder / "bin" / "poolcrawl"
    script.parent.mkdir()
    script.write_text("import sys\nfrom crawler.__main__ import main\nif __name__ == '__main__':\n    sys.exit(main())")
    options = ("--transport", "mine:make", "--parse", "mine:parse", "-s", "worker_setup=mine:set_up", "-p", processes)
    for number, start in enumerate(([str(script)], ["-m", "crawler"])):
        words = [sys.executable, *start, "public", "--ledger", f"{number}.db", *options]
        ran = subprocess.run(
            words, cwd=shell.folder, env=shell.environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert (ran.returncode, ran.stdout.count("made"), ran.stdout.count("set up")) == (0, 1, 1), ran.stderr
        assert shell.ask("SELECT item FROM items", ledger=f"{number}.db") == [('{"found":"mine"}',)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_exit_code_5(shell: Shell) -> None:
    shell.folder.chmod(0o500)
    ran = shell.run("http://127.0.0.1:9/")
    shell.folder.chmod(0o700)
    assert (ran.returncode, "Permission denied" in ran.stderr, "Traceback" in ran.stderr) == (5, True, False)


def test_a_reader_that_has_read_enough_changes_no_exit_code(shell: Shell, site: Site) -> None:
    with Site() as gone:
        unanswered = gone.url("/")
    at_once = ("--delay", "0", "-p", "0", "-s", "retry_wait_seconds=0.01")
    for words, code in (
        ((site.url("/"), *at_once), 0),
        ((unanswered, "--ledger", "other.db", *at_once), 4),
        (("status",), 0), (("status", "--json"), 0),
        (("--help",), 0),
    ):  # fmt: skip
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "wb") as output:
            process = subprocess.Popen(
                shell.words(*words), cwd=shell.folder, env=shell.environment, stdout=output, stderr=subprocess.PIPE,
                text=True,
            )  # fmt: skip
            err = process.communicate(timeout=60)[1]
        assert (words, process.returncode) == (words, code)
        assert "Traceback" not in err
        assert "BrokenPipe" not in err


def test_output_may_be_cut_off(shell: Shell, site: Site) -> None:
    ran = shell.typed(f"crawler {site.url('/')} --delay 0 -p 0 | head -1")
    assert ran.stdout.count("\n") == 1
    assert "Traceback" not in ran.stderr
    assert "BrokenPipe" not in ran.stderr


@pytest.mark.parametrize("closing", ["<&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_may_be_closed(shell: Shell, site: Site, closing: str) -> None:
    ran = shell.typed(f"crawler {site.url('/')} --delay 0 -p 1 {closing}")
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False)
    assert len(shell.urls()) == 13
    refused = shell.typed(f"crawler - --fresh {closing}")
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)


ODD = "Sm\N{LATIN SMALL LETTER O WITH DIAERESIS}r \N{SNOWMAN}"


def test_output_that_cannot_show_a_letter_shows_something_else_and_changes_no_exit_code(
    shell: Shell, site: Site
) -> None:
    shell.encoding = "ascii"
    site.add_page("/", html=f"<title>{ODD}</title><a href='/caf\N{LATIN SMALL LETTER E WITH ACUTE}'>{ODD}</a>")
    ran = shell.crawl(site.url("/"), "-v")
    assert (ran.returncode, "broken links: 1 URL" in ran.stdout) == (0, True)
    for words in (["status"], ["pages", "crawl.db"], ["urls", "crawl.db", "--format", "csv"], ["tail", "crawl.db"]):
        ran = shell.run(*words)
        assert (ran.returncode, ran.stderr) == (0, ""), words
    assert "Sm\\xf6r \\u2603" in shell.run("pages", "crawl.db").stdout
    assert json.loads(shell.run("tail", "crawl.db").stdout.splitlines()[0])["title"] == ODD
    assert shell.run("--nonsense-\N{SNOWMAN}").returncode == 2


def test_a_locale_that_has_no_letters_changes_no_exit_code(shell: Shell, site: Site) -> None:
    shell.environment |= {"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    site.add_page("/", html=f"<title>{ODD}</title>")
    ran = shell.program(site.url("/"), "-v", "--delay", "0", "-p", "0")
    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False)
    assert "Sm\\xf6r \\u2603" in shell.program("pages").stdout
    assert json.loads(shell.program("tail").stdout.splitlines()[0])["title"] == ODD
    ran = shell.program("--nonsense-\N{SNOWMAN}")
    assert (ran.returncode, "Traceback" in ran.stderr) == (2, False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_cannot_be_written_is_said_and_changes_no_exit_code(shell: Shell, site: Site) -> None:
    ran = shell.typed(f"crawler {site.url('/0')} --delay 0 -p 0 >/dev/full")
    assert (ran.returncode, set(shell.urls().values())) == (0, {"done"})
    assert ran.stderr.endswith("poolcrawl: cannot write the output: No space left on device\n")


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
