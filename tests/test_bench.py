"""The bench: its web is whole and always the same, its server ends with whoever started it, its table is right."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import html

from crawler import UsageError
from crawler.cli import main as cli
from crawler.cli.commands import bench
from crawler.config import Config
from crawler.engine.kind import choose_kind

ROOT = Path(__file__).parent.parent


def main(words: list[str]) -> int:
    return cli.run("bench", words)


def links_of(body: bytes) -> list[str]:
    """Read a page's links with another parser than the crawler's."""
    return [str(link) for link in html.fromstring(body).xpath("//a/@href")]


@pytest.mark.parametrize("pages", [1, 2, 29, 30, 31, 625])
def test_all_pages_are_reached_from_the_start_page_and_no_link_leads_nowhere(pages: int) -> None:
    numbers = {bench.path_of(number): number for number in range(pages)}
    reached, todo = {"/"}, ["/"]
    while todo:
        found = set(links_of(bench.render(3, numbers[todo.pop()], pages)))
        assert found <= set(numbers)
        todo += found - reached
        reached |= found
    assert reached == set(numbers)


def test_a_page_has_the_size_and_the_shape_of_a_real_one() -> None:
    body = bench.render(1, 7, 625)
    page = html.fromstring(body)
    assert 13_000 < len(body) < 15_000
    assert len(links_of(body)) == 40
    assert page.findtext(".//title") == page.findtext(".//h1") == "Page 7 of host 1"
    assert len(page.findall(".//p")) > 20


def test_the_web_is_the_same_each_time_and_no_two_pages_are() -> None:
    program = "import sys; from crawler.cli.commands import bench; sys.stdout.buffer.write(bench.render(2, 77, 100))"
    elsewhere = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True).stdout
    assert elsewhere == bench.render(2, 77, 100)
    assert len({bench.render(host, number, 100) for host in range(3) for number in range(100)}) == 300


def test_every_host_has_its_share_of_the_pages() -> None:
    assert bench.share_out(60, 2) == [30, 30]
    assert bench.share_out(8, 3) == [3, 3, 2]


def test_the_server_answers_pages_and_nothing_else() -> None:
    with bench.serving(5, 2) as (_, (first, second)):
        assert ask(first, b"GET / HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n" + bench.render(0, 0, 3))
        assert ask(second, b"GET /page/1 HTTP/1.1\r\n\r\n").endswith(b"\r\n\r\n" + bench.render(1, 1, 2))
        missing = ["/robots.txt", "/page/2", "/page/0", "/page/01", "/page/-1", "/page/\u0661", "/page/", "/page"]
        answers = ask(second, *(f"GET {path} HTTP/1.1\r\n\r\n".encode() for path in missing))
        assert answers.count(b"HTTP/1.1 404 Not Found") == len(missing)
        assert ask(second, b"POST / HTTP/1.1\r\n\r\n") == ask(second, b"?\r\n\r\n") == b""


def test_requests_in_one_packet_and_in_pieces_are_answered_in_their_order() -> None:
    with bench.serving(3, 1) as (_, (start,)):
        pieces = (
            b"GET /page/2 HTTP/1.1\r\n\r\nGET /page/1 HTTP/1.1\r\nHost: a\r",
            b"\n\r",
            b"\nGET / HTTP/1.1\r\n\r\n",
        )
        answers = ask(start, *pieces)
    bodies = [bench.render(0, number, 3) for number in (2, 1, 0)]
    assert [part.partition(b"\r\n\r\n")[2] for part in answers.split(b"HTTP/1.1 200 OK")[1:]] == bodies


def ask(start: str, *pieces: bytes) -> bytes:
    """Send these pieces to a host, say that this was all, and return what comes back."""
    address, _, port = start.removeprefix("http://").rstrip("/").rpartition(":")
    with socket.create_connection((address, int(port)), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_the_server_ends_with_whoever_started_it() -> None:
    command = [sys.executable, "-m", "crawler.cli.commands.bench", "4", "2"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert len(json.loads(server.stdout.readline())) == 2
        server.stdin.close()
        assert server.wait(10) == 0


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_small_run_prints_a_table(
    processes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    choose_kind(Config(processes=int(processes)))  # the name of its fork server's socket would be too long there
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["--pages", "60", "--hosts", "2", "--transport", "requests", "-p", processes]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "60 pages of 14 kB on 2 hosts" in printed[0]
    assert printed[1].split()[:3] == ["transport", "pages", "seconds"]
    cells = printed[2].split()
    assert cells[:2] == ["requests", "60"]
    assert cells[6] == "62"  # requests: the pages, and a robots.txt for each host
    assert printed[3] == "the server ran on the same machine and took its share of the processors"
    # (multiprocessing's own folder stays as long as this process)
    assert {path.name.rpartition("-")[0] for path in tmp_path.glob("poolcrawl-*")} <= {f"poolcrawl-{os.getpid()}"}


def test_both_transports_are_measured_and_one_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pycurl")
    small = ["--pages", "8", "--hosts", "2", "-p", "0"]
    assert main(small) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:4]] == ["requests", "curl"]
    monkeypatch.setattr("crawler.transports.registry.find_spec", lambda name: None)
    assert main(small) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[2].split()[:2] == ["requests", "8"]
    assert "pip install 'poolcrawl[curl]'" in printed[-1]
    with pytest.raises(UsageError, match=r"poolcrawl\[curl\]"):
        main([*small, "--transport", "curl"])


def test_a_crawl_that_lacks_pages_is_a_fault_unless_its_time_was_up() -> None:
    counts = {"statuses": {"200": 59, "404": 1}, "urls": {"done": 60}}
    short = bench.Measurement("requests", 1.0, 1.0, 1, "finished", counts)
    assert "59 pages of 60" in bench.fault_of(short, 60)
    assert bench.fault_of(short._replace(finish_reason="max-time"), 60) == ""
    assert bench.fault_of(short._replace(counts={"statuses": {"200": 60}, "urls": {"done": 60}}), 60) == ""


def test_a_fault_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench, "fault_of", lambda measurement, pages: "not all [pages] came back")
    assert main(["--pages", "2", "--hosts", "1", "--transport", "requests", "-p", "0"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "not all [pages] came back"


@pytest.mark.parametrize(
    "words", [["--pages", "0"], ["--hosts", "x"], ["-p", "-2"], ["--seconds", "0"], ["--transport"], ["more"]]
)
def test_words_that_make_no_sense_are_a_usage_error(words: list[str]) -> None:
    with pytest.raises(UsageError, match=r"expected|one word too many"):
        main(words)


def test_fewer_pages_than_hosts_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="each of the 8 hosts"):
        main(["--pages", "7"])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_process_and_no_file(tmp_path: Path, number: signal.Signals, code: int) -> None:
    run = "main.run('bench', ['--pages', '54321', '-p', '1'])"
    program = f"from crawler.cli import main\nif __name__ == '__main__': {run}"
    script = tmp_path / "script.py"
    script.write_text(program)
    folder = tmp_path / "temporary"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    with subprocess.Popen([sys.executable, script], env=environment, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        assert "crawling 54,321 pages" in running.stderr.readline()
        running.send_signal(number)
        assert ("KeyboardInterrupt" in running.stderr.read()) == (number == signal.SIGINT)
    assert running.returncode == code
    assert not list(folder.iterdir())
    commands = [read(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [command for command in commands if b"crawler.cli.commands.bench" in command and b"54321" in command]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # that process has just ended
        return b""
