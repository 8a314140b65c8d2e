"""`tail` and `status --watch` without a terminal: JSON lines as they come, and an end when the crawl has ended."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from crawler import Config, crawl
from crawler.cli import main as cli
from crawler.cli.commands import tail
from tests.site import Site

ROOT = Path(__file__).parent.parent
HERE = Config(processes=0, delay_seconds=0, log_seconds=0)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        site.add_page("/", [f"/{number}" for number in range(20)])
        for number in range(20):
            site.add_page(f"/{number}")
        yield site


@pytest.fixture
def ledger(site: Site, tmp_path: Path) -> Path:
    """A crawl that has ended, with two items a page."""
    path = tmp_path / "crawl.db"
    with crawl([site.url("/")], HERE, ledger=path, parse=lambda page: [{"n": number} for number in range(2)]):
        return path


def lines(*words: str) -> list[dict[str, Any]]:
    """What `tail` prints, as the caller's program reads it."""
    said = io.StringIO()
    with redirect_stdout(said):
        assert cli.main(["tail", *words]) == 0
    return [json.loads(line) for line in said.getvalue().splitlines()]


def test_tail_prints_the_last_pages_of_a_crawl_that_has_ended(site: Site, ledger: Path) -> None:
    pages = lines(str(ledger))
    assert [page["row"] for page in pages] == list(range(12, 22))
    everything = lines(str(ledger), "-n", "all")
    assert sorted(page["url"] for page in everything) == sorted(
        [site.url("/"), *(site.url(f"/{number}") for number in range(20))]
    )
    assert (everything[0]["url"], everything[0]["status"]) == (site.url("/"), 200)
    assert everything[0]["items"] == [{"n": 0}, {"n": 1}]
    assert lines(str(ledger), "-n", "0") == []


def test_tail_prints_items_one_a_line(site: Site, ledger: Path) -> None:
    items = lines(str(ledger), "--items", "-n", "all")
    assert [item["row"] for item in items] == list(range(1, 43))
    assert items[:2] == [
        {"row": 1, "url": site.url("/"), "item": {"n": 0}}, {"row": 2, "url": site.url("/"), "item": {"n": 1}},
    ]  # fmt: skip


def test_since_goes_on_after_a_row(ledger: Path) -> None:
    assert [page["row"] for page in lines(str(ledger), "--since", "18")] == [19, 20, 21]
    assert lines(str(ledger), "--since", "21") == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-n", "some"], "expected a whole number, not 'some'"),
        (["--since", "-1"], "--since"),
        (["no.db"], "no ledger no.db"),
    ],
)
def test_bad_words_are_exit_code_2_and_a_sentence(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = cli.main(["tail", *words])
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_control_characters_are_escaped_and_come_back_from_json() -> None:
    text = "a\x1b[31m\x9b\u202e\U000e0001\u00e4\u00a0"
    line = tail._as_line({"title": text})
    assert json.loads(line) == {"title": text}
    assert line.rstrip("\n").isprintable()
    assert "\u00e4" in line


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "crawler", *words], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def crawl_slowly(site: Site, folder: Path, delay: str) -> subprocess.Popen[str]:
    """Start a crawl, and wait for its first page."""
    process = start(folder, site.url("/"), "--delay", delay, "-p", "0", "-q", "--no-robots")
    deadline = time.monotonic() + 20
    while site.asked()["/"] == 0 or not (folder / "crawl.db").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def test_tail_follows_a_crawl_to_its_end_and_misses_nothing(site: Site, tmp_path: Path) -> None:
    crawling = crawl_slowly(site, tmp_path, "0.05")
    following = start(tmp_path, "tail", "-n", "all")
    out, err = following.communicate(timeout=60)
    assert (following.returncode, err) == (0, "")
    assert crawling.wait(30) == 0
    assert [json.loads(line)["row"] for line in out.splitlines()] == list(range(1, 22))


def test_tail_ends_when_its_reader_has_read_enough(site: Site, tmp_path: Path) -> None:
    crawling = crawl_slowly(site, tmp_path, "30")  # no second page for a long time
    try:
        words = f"{sys.executable} -m crawler tail | head -1"
        ran = subprocess.run(  # noqa: S602  (a pipe is what is tested)
            words, shell=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
            text=True, timeout=20, check=False,
        )  # fmt: skip
        assert (json.loads(ran.stdout)["url"], ran.stderr) == (site.url("/"), "")
    finally:
        crawling.send_signal(signal.SIGINT)
        crawling.communicate(timeout=30)


def test_ctrl_c_ends_tail_and_leaves_the_crawl_alone(site: Site, tmp_path: Path) -> None:
    crawling = crawl_slowly(site, tmp_path, "0.06")
    following = start(tmp_path, "tail")
    assert following.stdout is not None
    following.stdout.readline()
    following.send_signal(signal.SIGINT)
    assert following.communicate(timeout=30)[1] == ""
    assert following.returncode == 130
    assert crawling.wait(60) == 0


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_status_watch_without_a_terminal_is_a_line_for_each_look(
    site: Site, tmp_path: Path, words: tuple[str, ...]
) -> None:
    crawling = crawl_slowly(site, tmp_path, "0.06")
    watching = start(tmp_path, "status", "--watch", *words)
    out, err = watching.communicate(timeout=60)
    assert (watching.returncode, err) == (0, "")
    assert crawling.wait(30) == 0
    said = out.splitlines()
    assert len(said) >= 2
    if words:
        assert [json.loads(line)["state"] for line in said] == ["running"] * (len(said) - 1) + ["finished"]
    else:
        assert said[-1].startswith("21 pages (")
        assert said[-1].endswith(", 0 queued, 0 failed, 0 skipped, " + said[-1].rpartition("skipped, ")[2])
        assert said[0].endswith("running")
