"""What the tests promise of themselves: a process that is left behind fails its test; pure tests need no process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import descendants, left_behind
from tests.pure import is_pure

HERE = Path(__file__).parent
#: names its pid once it runs: before, its command line is not yet its own
SLEEPER = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
#: starts a sleeper and waits to be killed
PARENT = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {SLEEPER!r}])
time.sleep(60)
"""
#: a file of tests, run by a pytest of its own: a process whose parent was killed, and tests before and after it
LEAKING = f"""
import subprocess, sys
import pytest
from tests import conftest
from tests.conftest import _no_process_is_left_behind

conftest.LEAVING_SECONDS = 0.3

def test_before(): pass

def test_that_leaks():
    parent = subprocess.Popen([sys.executable, "-c", {PARENT!r}], stdout=subprocess.PIPE, text=True)
    print("orphan", parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()

def test_after(): pass
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at on Linux only")


@pytest.fixture
def orphan() -> Iterator[int]:
    """Make a process whose parent was killed; it is ended after the test."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    yield pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def test_a_process_is_below_us_with_its_children_and_no_longer_when_it_has_ended() -> None:
    before = descendants()
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        found = left_behind(before)
        os.kill(child, signal.SIGKILL)
        parent.kill()
    assert set(found) == {parent.pid, child}
    deadline = time.monotonic() + 5
    while descendants() - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left_behind(before) == {}


def test_an_orphan_is_seen_after_its_parent_was_killed(orphan: int) -> None:
    assert left_behind(descendants() - {orphan}) == {orphan: f"{sys.executable} -c {SLEEPER}"}


def test_a_test_that_leaves_an_orphan_fails_and_its_neighbours_do_not(tmp_path: Path) -> None:
    (tmp_path / "test_leak.py").write_text(LEAKING)
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.conftest", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *words, str(tmp_path)], cwd=HERE.parent, capture_output=True, text=True, check=False
    )
    orphan = int(done.stdout.partition("\norphan ")[2].split()[0])
    os.kill(orphan, signal.SIGKILL)  # an orphan of that pytest, too, and now ours
    assert "3 passed, 1 error" in done.stdout
    assert "ERROR at teardown of test_that_leaks" in done.stdout
    assert f"{orphan}: '{sys.executable} -c {SLEEPER}'" in done.stdout


def test_tests_of_rules_and_pages_are_pure_and_others_are_not() -> None:
    pure = {path.stem for path in HERE.rglob("test_*.py") if is_pure(path)}
    assert pure >= {"test_urls", "test_scope", "test_robots", "test_parse", "test_encodings", "test_filenames"}
    assert not pure & {"test_ledger", "test_worker", "test_guard", "test_floors", "test_docs", "test_conftest"}


@pytest.mark.parametrize("line", ["import socket", "from tests.site import Site", "from crawler import crawl"])
def test_a_file_that_reaches_further_is_not_pure(line: str, tmp_path: Path) -> None:
    path = tmp_path / "test_some.py"
    path.write_text("from crawler.rules import urls\nfrom crawler.pages.parse import parse\n")
    assert is_pure(path)
    path.write_text(f"from crawler.rules import urls\n\n\ndef test_it():\n    {line}\n")
    assert not is_pure(path)
