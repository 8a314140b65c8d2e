"""Whatever happens to the processes or the disk: a page that is done has its file, whole, and the end is the same."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.chaos.running import members
from tests.site import Site

ROOT = Path(__file__).parent.parent
PAGES = 150


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site() as site:
        targets = [f"/{'d/' * (number % 3)}{number}" for number in range(PAGES)]
        for number, target in enumerate(targets):
            links = "".join(f"<a href='{other}'>{other}</a>" for other in targets[:: 1 + number % 4])
            site.add_page(target, html=f"<link rel=stylesheet href=/s.css>{links}<p>{'ä' * 3_000}")
        site.add_page("/", targets)
        site.add_file("/s.css", b"a { background: url(cat.png) }", "text/css")
        site.add_file("/cat.png", b"PNG" * 10_000, "image/png")
        yield site


@pytest.fixture(scope="module")
def expected(site: Site, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("once")
    assert start(site, folder).wait(60) == 0
    return files(folder)


def start(site: Site, folder: Path, *options: str, **environment: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "crawler", site.url("/"), "--save", "copy", "--convert-links", "--embeds", "-p", "2"]
    words += ["--delay", "0", "--per-host", "4", "-s", "retry_wait_seconds=0.01", "--no-progress", *options]
    with (folder / "out").open("ab") as out:
        return subprocess.Popen(
            words, cwd=folder, stdout=out, stderr=out, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )  # fmt: skip


def files(folder: Path) -> dict[str, bytes]:
    copy = folder / "copy"
    return {str(path.relative_to(copy)): path.read_bytes() for path in copy.rglob("*.*") if path.is_file()}


def check_nothing_false(folder: Path, expected: dict[str, bytes]) -> int:
    """Each page that is done has its whole file: as it was sent, or, once a conversion has begun, converted."""
    if not (folder / "crawl.db").exists():
        return 0
    with closing(sqlite3.connect(folder / "crawl.db")) as connection:
        rows = connection.execute(
            "SELECT p.file, p.digest, p.converted FROM _pages p "
            "JOIN _urls u ON u.host_id = p.host_id AND u.seq = p.seq WHERE u.state = 'done' AND p.status = 200"
        ).fetchall()
    for file, digest, converted in rows:
        body = (folder / "copy" / file).read_bytes()
        if "sha256:" + hashlib.sha256(body).hexdigest() != digest:
            assert (converted, body) == (1, expected[file]), file
    return len(rows)


@pytest.mark.parametrize("whom", ["group", "main"])
def test_killed_again_and_again_it_ends_as_if_nothing_had_been(
    site: Site, tmp_path: Path, expected: dict[str, bytes], whom: str
) -> None:
    for moment in (1, 40, 60, "converting"):
        process = start(site, tmp_path)
        asked = len(site.log)
        while process.poll() is None:
            if is_converting(tmp_path) if moment == "converting" else len(site.log) - asked >= int(moment):
                break
            time.sleep(0.001)
        assert process.returncode is None, moment
        (os.killpg if whom == "group" else os.kill)(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        wait_until_all_are_gone(process.pid)
        check_nothing_false(tmp_path, expected)
    assert start(site, tmp_path).wait(60) == 0, (tmp_path / "out").read_text()[-3000:]
    assert check_nothing_false(tmp_path, expected) == PAGES + 3
    assert files(tmp_path) == expected
    assert [path.name for path in (tmp_path / "copy").iterdir()] == [f"127.0.0.1+{site.port}"]


def is_converting(folder: Path) -> bool:
    """Return whether the links of the first page were converted, a moment ago."""
    return any(b"@.html" in path.read_bytes() for path in (folder / "copy").glob("*/index.html"))


def wait_until_all_are_gone(session: int) -> None:
    deadline = time.monotonic() + 10
    while members(session) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not members(session)


@pytest.fixture(scope="module")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None or not sys.platform.startswith("linux"):
        pytest.skip("the failing disk is a library in C")
    library = tmp_path_factory.mktemp("disk") / "failing_disk.so"
    source = Path(__file__).with_name("failing_disk.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)  # noqa: S607
    return library


FAULTS = {
    "at once": ("write", errno.ENOSPC, 1, "No space left on device; make room on the disk; the same command then"),
    "in the middle": ("write", errno.EDQUOT, PAGES // 2, "Disk quota exceeded; make room in the quota; the same"),
    "while links are converted": ("write", errno.EIO, PAGES + 50, "Input/output error; see to the cause; the same"),
    "a sync": ("sync", errno.EIO, 60, "Input/output error; see to the cause; the same command then continues"),
}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, id=name, marks=[pytest.mark.slow] if name == "in the middle" else [])
        for name, fault in FAULTS.items()
    ],
)
def test_a_disk_that_fails_ends_the_crawl_and_loses_no_page(
    site: Site, tmp_path: Path, failing_disk: Path, expected: dict[str, bytes], fault: tuple[str, int, int, str]
) -> None:
    calls, code, fails_at, said = fault
    (tmp_path / "counter").write_bytes(bytes(8))
    (tmp_path / "copy").mkdir()
    disk = {"FOLDER": tmp_path / "copy", "COUNTER": tmp_path / "counter", "CALLS": calls, "FAILS_AT": fails_at}
    process = start(
        site, tmp_path, "-s", "durability=power", LD_PRELOAD=str(failing_disk), DISK_STAYS="1", DISK_ERRNO=str(code),
        **{f"DISK_{name}": str(value) for name, value in disk.items()},
    )  # fmt: skip
    assert process.wait(60) == 5
    last = (tmp_path / "out").read_text().splitlines()[-1]
    assert last.startswith(f"poolcrawl: cannot save {tmp_path}/copy/127.0.0.1+{site.port}/")
    assert said in last
    assert "Traceback" not in (tmp_path / "out").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"crawl.db", "copy", "counter", "out"}
    check_nothing_false(tmp_path, expected)
    assert start(site, tmp_path).wait(60) == 0
    assert files(tmp_path) == expected
