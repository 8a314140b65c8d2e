"""One crawl a ledger: who has it is named, and what a dead one left behind is ended."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import LedgerInUse, StorageError
from crawler.processes import lock, pids
from crawler.processes.lock import LedgerLock, holder
from crawler.processes.pids import birth


def test_the_second_is_refused_and_told_the_firsts_pid(tmp_path: Path) -> None:
    ledger = tmp_path / "crawl.db"
    first = LedgerLock(ledger)
    first.acquire()
    try:
        with pytest.raises(LedgerInUse, match=rf"crawl\.db is in use by another crawl, process {os.getpid()}: "):
            LedgerLock(ledger).acquire()
    finally:
        first.release()
    assert holder(ledger) == ""
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_crawl_left_is_killed_before_the_lock_is_had_and_the_new_holder_is_named_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "crawl.db"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        path = tmp_path / "crawl.db-lock"
        path.write_text(f"123456789 \n{child.pid} worker {birth(child.pid)}\n{os.getpid()} worker some-other-birth\n")
        named = []
        kill = pids.kill

        def asking_kill(found: Any) -> None:
            named.append(holder(ledger))
            kill(found)

        monkeypatch.setattr(lock, "kill", asking_kill)
        held = LedgerLock(ledger)
        held.acquire()
        assert child.wait(10) == -9
        assert named == [str(os.getpid())]
        assert path.read_text() == f"{os.getpid()}\n"
        held.release()


def test_what_a_dead_process_made_elsewhere_is_removed_by_the_next_and_a_living_ones_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, temporary = tmp_path / "shm", tmp_path / "tmp"
    shared.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(lock, "SHARED_MEMORY", shared)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    claim = "from crawler.processes import lock; print(lock.claim_folder(), flush=True); input()"
    words = [sys.executable, "-c", claim]
    with subprocess.Popen(
        words, env={**os.environ, "TMPDIR": str(temporary)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        (folder / "listener").touch()
        semaphore = shared / f"sem.{lock.semaphore_prefix(folder)}-x"
        others = shared / "sem.pcl-another-x"
        semaphore.touch()
        others.touch()
        mine = lock.claim_folder()
        assert {*temporary.iterdir(), *shared.iterdir()} == {folder, mine, semaphore, others}
        process.kill()
    lock.remove_leftovers()
    assert {*temporary.iterdir(), *shared.iterdir()} == {mine, others}
    assert folder.name.startswith(f"poolcrawl-{process.pid}-")


def test_a_process_that_ends_takes_a_semaphore_along_that_nothing_else_looks_after(tmp_path: Path) -> None:
    script = """
import multiprocessing, pathlib
from crawler.processes import local, lock
lock.SHARED_MEMORY = pathlib.Path.cwd()
local._name_what_is_made()
config = multiprocessing.current_process()._config
(lock.SHARED_MEMORY / f"sem.{config['semprefix'][1:]}-made-as-the-resource-tracker-died").touch()
print(config["tempdir"], len(list(lock.SHARED_MEMORY.glob("sem.pcl-*"))))
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )  # fmt: skip
    folder, made = ran.stdout.split()
    assert (made, ran.stderr) == ("1", "")
    assert not Path(folder).exists()
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_no_other_crawl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match=r"cannot lock .*crawl\.db-lock: No locks available"):
        LedgerLock(tmp_path / "crawl.db").acquire()
