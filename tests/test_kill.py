"""Killed at any instant, nothing is lost and nothing is stored twice: SIGKILL, then the same command again."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crawler.lock import is_gone
from tests.webgraph import WebServer

ROOT = Path(__file__).parent.parent
RETRIES = 3
DEADLINE_SECONDS = 60.0


class Command:
    """The crawl as a command, and what may be done to it."""

    def __init__(self, server: WebServer, folder: Path, *options: str) -> None:
        self.server = server
        self.folder = folder
        self.ledger = folder / "crawl.db"
        self.lock = folder / "crawl.db-lock"
        self.words = [
            sys.executable, "-m", "crawler", *server.web.seeds(), "--delay", "0", "--per-host", "8", "--retries",
            str(RETRIES), "-p", "2", "-c", "16", "-s", "retry_wait_seconds=0.02", "-s",
            "retry_wait_max_seconds=0.2", "-s", "stall_seconds=5", *options,
        ]  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None
        self.pids: set[int] = set()

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "out").open("ab") as out:
            self.process = subprocess.Popen(
                self.words, cwd=self.folder, stdout=out, stderr=out, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip
        return self.process

    def signed(self, role: str) -> list[int]:
        """The children that signed in, oldest first."""
        try:
            lines = self.lock.read_text().splitlines()[1:]
        except FileNotFoundError:
            return []
        words = [line.split(" ", 2) for line in lines]
        pids = [int(pid) for pid, its_role, _ in words if its_role == role]
        self.pids.update(pids)
        return [pid for pid in pids if not is_gone(pid)]

    def run_until(self, condition: Callable[[], bool]) -> bool:
        """Wait for a moment in the crawl; False if the crawl ended before."""
        assert self.process is not None
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            if self.process.poll() is not None:
                return False
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.002)
        return True

    def finish(self) -> int:
        """Wait for the end; the exit code."""
        assert self.process is not None
        try:
            return self.process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"hangs: {self.output()}") from None

    def output(self) -> str:
        return (self.folder / "out").read_text(errors="replace")[-4000:]


def check(command: Command, crashes: int) -> None:
    """One oracle for every crawl that was killed and continued."""
    server = command.server
    connection = sqlite3.connect(command.ledger)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = connection.execute("SELECT url, state, reason FROM urls").fetchall()
        pages = [row[0] for row in connection.execute("SELECT url FROM pages")]
        added, ended, counted = connection.execute(
            "SELECT total(urls), total(ended_urls), total(pages) FROM runs"
        ).fetchone()
    finally:
        connection.close()
    expected = server.web.expected()
    assert {url: (state, reason) for url, state, reason in rows} == expected
    assert len(rows) == len(expected) == added == ended
    with_page = {url for url, (state, reason) in expected.items() if state == "done" or reason == "server-error"}
    assert set(pages) == with_page
    assert len(pages) == len(with_page) == counted
    asked = server.asked()
    silent = ("robots", "robots-unreachable", "too-many-redirects")
    assert set(asked) == {url for url, (_, reason) in expected.items() if reason not in silent}
    too_often = {url: n for url, n in asked.items() if n > server.web.requests(url, RETRIES) + crashes}
    assert not too_often
    assert sorted(path.name for path in command.folder.iterdir()) == ["crawl.db", "out"]
    assert all(is_gone(pid) for pid in command.pids)


def kill_main(command: Command) -> None:
    assert command.process is not None
    command.signed("worker"), command.signed("consumer")
    os.kill(command.process.pid, signal.SIGKILL)


def kill_group(command: Command) -> None:
    assert command.process is not None
    os.killpg(command.process.pid, signal.SIGKILL)


def kill_worker(command: Command) -> None:
    if pids := command.signed("worker"):
        os.kill(pids[-1], signal.SIGKILL)


def kill_consumer(command: Command) -> None:
    if pids := command.signed("consumer"):
        os.kill(pids[-1], signal.SIGKILL)


def kill_fork_server(command: Command) -> None:
    children = [pid for role in ("worker", "consumer") for pid in command.signed(role)]
    if children:
        parent = int(Path(f"/proc/{children[0]}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent, signal.SIGKILL)


def freeze_worker(command: Command) -> None:
    if pids := command.signed("worker"):
        os.kill(pids[-1], signal.SIGSTOP)


def freeze_consumer(command: Command) -> None:
    if pids := command.signed("consumer"):
        os.kill(pids[-1], signal.SIGSTOP)


FAULTS = [kill_main, kill_group, kill_worker, kill_consumer, kill_fork_server]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("consumers", ["1", "3"])
def test_a_crawl_that_is_killed_again_and_again_completes(
    fault: Callable[[Command], None], consumers: str, tmp_path: Path
) -> None:
    with WebServer(seed=11, pages=500) as server:
        command = Command(server, tmp_path, "-s", f"consumers={consumers}")
        command.start()
        for hits in (1, 40, 120, 200, 300, 400):
            if command.run_until(lambda hits=hits: len(server.hits) >= hits):  # type: ignore[misc]
                fault(command)
            if fault in (kill_main, kill_group):
                command.finish()
                command.start()
        assert command.finish() == 0, command.output()
        check(command, crashes=6)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_kills_lose_nothing(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    with WebServer(seed=seed, pages=500) as server:
        command = Command(server, tmp_path, "-s", f"consumers={chance.choice([1, 2, 3])}")
        command.start()
        crashes = 0
        while crashes < 8:
            goal = len(server.hits) + chance.randrange(0, 80)
            running = command.run_until(lambda goal=goal: len(server.hits) >= goal)  # type: ignore[misc]
            if not running:
                if command.finish() == 0:
                    break
                command.start()
                continue
            chance.choice(FAULTS)(command)
            crashes += 1
        while command.finish() != 0:
            command.start()
        check(command, crashes)


@pytest.mark.parametrize("fault", [freeze_worker, freeze_consumer], ids=lambda fault: fault.__name__)
def test_a_frozen_process_is_replaced(fault: Callable[[Command], None], tmp_path: Path) -> None:
    with WebServer(seed=12, pages=300) as server:
        command = Command(server, tmp_path, "-s", "stall_seconds=1", "-s", "page_deadline_seconds=1")
        command.start()
        command.run_until(lambda: len(server.hits) >= 60)
        fault(command)
        assert command.finish() == 0, command.output()
        check(command, crashes=1)


def test_children_die_with_their_parent(tmp_path: Path) -> None:
    with WebServer(seed=13, pages=500) as server:
        command = Command(server, tmp_path)
        command.start()
        command.run_until(lambda: len(server.hits) >= 40 and len(command.signed("worker")) == 2)
        kill_main(command)
        command.finish()
        deadline = time.monotonic() + 2
        while not all(is_gone(pid) for pid in command.pids) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [pid for pid in command.pids if not is_gone(pid)] == []


def test_a_frozen_child_of_a_dead_crawl_is_killed_by_the_next_start(tmp_path: Path) -> None:
    with WebServer(seed=14, pages=300) as server:
        command = Command(server, tmp_path)
        command.start()
        command.run_until(lambda: len(server.hits) >= 40 and len(command.signed("worker")) == 2)
        frozen = command.signed("consumer")[0]
        os.kill(frozen, signal.SIGSTOP)
        kill_main(command)
        command.finish()
        assert not is_gone(frozen)
        command.start()
        assert command.finish() == 0, command.output()
        assert is_gone(frozen)
        check(command, crashes=1)
