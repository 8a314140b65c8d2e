"""What a machine does not give is said in a sentence, or made do without."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from crawler.errors import CrawlerError
from crawler.processes.capacity import limits_explained
from tests.site import Site

ROOT = Path(__file__).parent.parent


def crawl_with(limit: str, site: Site, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the program under a limit of the shell's `ulimit`."""
    words = [sys.executable, "-m", "crawler", site.url("/"), "--delay", "0", "--per-host", "64", *options]
    return subprocess.run(
        ["/bin/sh", "-c", f'ulimit {limit} && exec "$@"', "sh", *words], cwd=folder, capture_output=True, text=True,
        timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip


def test_with_too_few_file_descriptors_to_start_it_says_so(tmp_path: Path) -> None:
    with Site() as site:
        site.add_page("/")
        done = crawl_with("-n 20", site, tmp_path, "-q")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "poolcrawl: there are too few file descriptors for this process (ulimit -n): allow more, or use fewer "
        "--processes; the same command continues"
    )


@pytest.mark.parametrize("transport", ["requests", "curl"])
def test_with_few_file_descriptors_it_has_fewer_requests_in_flight_and_loses_nothing(
    tmp_path: Path, transport: str
) -> None:
    with Site() as site:
        targets = [f"/{number}" for number in range(300)]
        site.add_page("/", targets)
        for target in targets:
            site.add_page(target)
        done = crawl_with("-n 64", site, tmp_path, "-p", "2", "-c", "500", "--transport", transport)
    assert done.returncode == 0
    assert "no more than 32 requests will be in flight: so many file descriptors (ulimit -n) are there" in done.stderr
    with sqlite3.connect(tmp_path / "crawl.db") as connection:
        found = connection.execute("SELECT state, reason, count(*) FROM urls GROUP BY 1, 2").fetchall()
    connection.close()
    assert found == [("done", "ok", 301)]


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (OSError(errno.EMFILE, "x"), "file descriptors for this process (ulimit -n)"),
        (BlockingIOError(errno.EAGAIN, "x"), "processes or threads (ulimit -u)"),
        (OSError(errno.ENOMEM, "x"), "memory"),
        (RuntimeError("can't start new thread"), "processes or threads (ulimit -u)"),
        (MemoryError(), "memory"),
    ],
)
def test_what_is_used_up_is_named(error: BaseException, what: str) -> None:
    with pytest.raises(CrawlerError, match=r"there (are|is) too (few|little) ") as raised, limits_explained():
        raise error
    assert what in str(raised.value)


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "x"), RuntimeError("other")])
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)), limits_explained():
        raise error
