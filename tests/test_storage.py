"""The disk fails: never a false "done", a clean stop with exit code 5, and the same command goes on afterwards."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.site import Site

ROOT = Path(__file__).parent.parent
PAGES = 12
MAX_FAULTS = 2_000
needs_a_compiler = pytest.mark.skipif(
    shutil.which("cc") is None or not sys.platform.startswith("linux"), reason="the failing disk is a library in C"
)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as site:
        targets = [f"/{number}" for number in range(PAGES)]
        for target in ("/", *targets):
            site.add_page(target, targets)
        yield site


@pytest.fixture(scope="module")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("disk") / "failing_disk.so"
    source = Path(__file__).with_name("failing_disk.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)  # noqa: S607
    return library


class Disk:
    """A folder with a ledger, on a disk that may fail."""

    def __init__(self, site: Site, folder: Path, library: Path | None = None) -> None:
        self.site = site
        self.folder = folder
        self.library = library
        self.ledger = folder / "crawl.db"
        self.counter = folder.parent / "counter"
        folder.mkdir(exist_ok=True)

    def crawl(self, *options: str, **faults: object) -> subprocess.CompletedProcess[str]:
        """Run the program; the faults are those of `failing_disk.c`, in lower case."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        if faults:
            self.counter.write_bytes(bytes(8))
            environment |= {"LD_PRELOAD": str(self.library), "DISK_FOLDER": str(self.folder.resolve())}
            environment |= {"DISK_COUNTER": str(self.counter)}
            environment |= {f"DISK_{name.upper()}": str(value) for name, value in faults.items()}
        words = [sys.executable, "-m", "crawler", self.site.url("/"), "--delay", "0", "--ledger", str(self.ledger)]
        return subprocess.run(
            [*words, "-s", "retry_wait_seconds=0.01", "--no-progress", *options],
            env=environment, cwd=self.folder, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip

    def check_finished(self) -> None:
        """Each page once, and the ledger whole, in one file."""
        assert {path.name for path in self.folder.iterdir()} == {"crawl.db"}
        with closing(sqlite3.connect(self.ledger)) as connection:
            urls = connection.execute("SELECT url, state, reason FROM urls ORDER BY url").fetchall()
            pages = connection.execute("SELECT url FROM pages ORDER BY url").fetchall()
            integrity = connection.execute("PRAGMA integrity_check").fetchone()[0]
        expected = sorted(self.site.url(target) for target in ("/", *(f"/{number}" for number in range(PAGES))))
        assert urls == [(url, "done", "ok") for url in expected]
        assert pages == [(url,) for url in expected]
        assert integrity == "ok"

    def check_nothing_false(self) -> None:
        """What is said to be done is there, if there is a ledger at all."""
        if self.ledger.exists():
            with closing(sqlite3.connect(self.ledger)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
                assert connection.execute(
                    "SELECT count(*) FROM urls WHERE state = 'done' AND url NOT IN (SELECT url FROM pages)"
                ).fetchone() == (0,)


@pytest.fixture
def numbers(request: pytest.FixtureRequest) -> Iterable[int]:
    """1, 2, 3, ...; without --run-slow 1, 3, 9, ..."""
    if request.config.getoption("--run-slow"):
        return range(1, MAX_FAULTS)
    return (3**power for power in range(8))


@pytest.fixture
def make_disk(site: Site, tmp_path: Path, failing_disk: Path) -> Callable[[int], Disk]:
    return lambda number: Disk(site, tmp_path / str(number), failing_disk)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@needs_a_compiler
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    ("calls", "codes", "options"),
    [
        ("write", (errno.EIO,), ("-p", "0")),
        ("write", (errno.ENOSPC, errno.EDQUOT), ("-p", "2")),
        ("sync", (errno.EIO,), ("-p", "0", "-s", "durability=power")),
    ],
    ids=["a write fails", "the disk is full, or the quota", "a sync fails"],
)
def test_whichever_call_fails_it_stops_cleanly_and_goes_on_afterwards(
    make_disk: Callable[[int], Disk],
    numbers: Iterable[int],
    calls: str,
    codes: tuple[int, ...],
    options: tuple[str, ...],
) -> None:
    stays = {"stays": 1} if errno.ENOSPC in codes else {}
    failed = 0
    for number, code in zip(numbers, itertools.cycle(codes), strict=False):
        disk = make_disk(number)
        ran = disk.crawl(*options, calls=calls, fails_at=number, errno=code, **stays)
        assert "Traceback" not in ran.stderr, (number, ran.stderr)
        if ran.returncode == 0:  # it was never called so often, or SQLite could do without
            disk.check_finished()
            if int.from_bytes(disk.counter.read_bytes(), "little") < number:
                break
            continue
        failed += 1
        assert ran.returncode == 5, (number, ran.stderr)
        assert str(disk.ledger) in ran.stderr.splitlines()[-1], (number, ran.stderr)
        disk.check_nothing_false()
        again = disk.crawl()
        assert again.returncode == 0, (number, again.stderr)
        disk.check_finished()
    else:
        pytest.fail("no run passed")
    assert failed >= 2


@needs_a_compiler
@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_sync_that_failed_is_never_tried_again_and_the_crawl_says_so(
    make_disk: Callable[[int], Disk], durability: str
) -> None:
    disk = make_disk(0)
    options = ("-p", "0", "-q", "-s", f"durability={durability}")
    for number in range(1, 40):
        if number % 6 == 1:
            assert disk.crawl("--fresh", "--yes", "--max-pages", "1").returncode == 0
        ran = disk.crawl("--max-pages", str(2 + number), *options, calls="sync", fails_at=number, errno=errno.EIO)
        called = int.from_bytes(disk.counter.read_bytes(), "little")
        if called < number:
            assert ran.returncode == 0
            break
        assert (ran.returncode, called) == (5, number), ran.stderr
        assert ran.stderr.endswith("the same command then continues\n")
        assert f"the ledger {disk.ledger}: disk I/O error; see to the disk that it is on" in ran.stderr
        disk.check_nothing_false()
    assert number > 3
    assert disk.crawl().returncode == 0
    disk.check_finished()


def test_a_ledger_that_another_program_has_locked_is_waited_for(site: Site, tmp_path: Path) -> None:
    disk = Disk(site, tmp_path / "disk")
    assert disk.crawl("--max-pages", "3").returncode == 0
    locker = sqlite3.connect(disk.ledger, isolation_level=None, check_same_thread=False)
    locker.execute("BEGIN IMMEDIATE")
    release = threading.Timer(8.0, lambda: locker.execute("ROLLBACK"))
    release.start()
    ran = disk.crawl()
    release.join()
    locker.close()
    assert ran.returncode == 0, ran.stderr
    assert f"waiting for the ledger {disk.ledger}: the disk is slow, or another program has it locked" in ran.stderr
    disk.check_finished()


def test_a_ledger_that_is_locked_in_the_middle_of_a_crawl_is_waited_for(tmp_path: Path) -> None:
    with Site() as site:
        targets = [f"/{number}" for number in range(PAGES)]
        for target in ("/", *targets):
            site.add_page(target, targets, delay_seconds=0.2)
        disk = Disk(site, tmp_path / "disk")
        crawling = threading.Thread(target=lambda: done.append(disk.crawl("-p", "1", "-c", "1")))
        done: list[subprocess.CompletedProcess[str]] = []
        crawling.start()
        wait_until(lambda: len(site.log) > 3)
        with closing(sqlite3.connect(disk.ledger, isolation_level=None, timeout=30)) as locker:
            locker.execute("BEGIN IMMEDIATE")
            wait_until(lambda: not crawling.is_alive() or len(site.begun) == PAGES + 2)
            crawling.join(7.0)
            locker.execute("ROLLBACK")
        crawling.join()
    assert done[0].returncode == 0
    assert (
        "the ledger was not written for a while: the disk is slow, or another program has it locked" in done[0].stderr
    )
    disk.check_finished()


@pytest.mark.parametrize("lost", ["whole", "half"])
def test_a_log_that_was_lost_or_cut_short_costs_work_and_no_truth(site: Site, tmp_path: Path, lost: str) -> None:
    disk = Disk(site, tmp_path / "disk")
    assert disk.crawl("--max-pages", "5").returncode == 0
    with closing(sqlite3.connect(disk.ledger, isolation_level=None)) as connection:  # the same, with a -wal beside it
        connection.execute("UPDATE _hosts SET named = named")
        whole = disk.ledger.read_bytes()
        log = disk.ledger.with_name("crawl.db-wal").read_bytes()
    disk.ledger.write_bytes(whole)
    if lost == "half":
        disk.ledger.with_name("crawl.db-wal").write_bytes(log[: len(log) // 2])
    ran = disk.crawl()
    assert ran.returncode == 0, ran.stderr
    disk.check_finished()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_ledger_that_may_not_be_written_is_exit_code_5_and_as_it_was(site: Site, tmp_path: Path) -> None:
    disk = Disk(site, tmp_path / "disk")
    assert disk.crawl("--max-pages", "3").returncode == 0
    before = disk.ledger.read_bytes()
    for path, mode in ((disk.ledger, 0o400), (disk.folder, 0o500)):
        path.chmod(mode)
        ran = disk.crawl()
        path.chmod(0o700)
        assert (ran.returncode, "Traceback" in ran.stderr) == (5, False)
        assert str(disk.ledger) in ran.stderr
    assert disk.ledger.read_bytes() == before
    assert disk.crawl().returncode == 0
    disk.check_finished()


def test_what_sqlite_calls_damage_stops_the_crawl_and_a_copy_put_back_goes_on(site: Site, tmp_path: Path) -> None:
    disk = Disk(site, tmp_path / "disk")
    assert disk.crawl("--max-pages", "3").returncode == 0
    sound = disk.ledger.read_bytes()
    disk.ledger.write_bytes(sound[:8192] + b"Z" * (len(sound) - 8192))
    ran = disk.crawl()
    assert (ran.returncode, "Traceback" in ran.stderr) == (5, False)
    assert str(disk.ledger) in ran.stderr.splitlines()[-1]
    disk.ledger.write_bytes(sound)
    assert disk.crawl().returncode == 0
    disk.check_finished()


def test_a_file_that_is_no_ledger_is_never_touched(site: Site, tmp_path: Path) -> None:
    disk = Disk(site, tmp_path / "disk")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE mine (thing)")
    for content in (b"a letter to a friend\n" * 100, (tmp_path / "other.db").read_bytes(), b"x"):
        disk.ledger.write_bytes(content)
        changed = disk.ledger.stat().st_mtime_ns
        ran = disk.crawl("--fresh", "--yes")
        assert (ran.returncode, "is not a ledger" in ran.stderr) == (2, True), ran.stderr
        assert (disk.ledger.read_bytes(), disk.ledger.stat().st_mtime_ns) == (content, changed)
