"""What every test gets: the --run-slow flag, a check that no test leaves a process behind, and transports."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import transports
from crawler.config import Config
from crawler.transports import Transport
from tests.transports import LOOPBACK, PATIENCE_SECONDS, Open, request_threads


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="run the tests that take minutes, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--run-slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="takes minutes: --run-slow"))


@pytest.fixture(autouse=True)
def _no_process_is_left_behind() -> Iterator[None]:
    """Fail a test after which a worker or consumer still runs; the fork server and its tracker may stay."""
    before = _descendants()
    yield
    deadline = time.monotonic() + 5
    while (left := _descendants() - before) and time.monotonic() < deadline:
        multiprocessing.active_children()  # reaps
        time.sleep(0.02)
    assert not left, {pid: _command(pid) for pid in left}


def _descendants() -> set[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            parents[int(entry.name)] = int(stat[1])
    found: set[int] = set()
    todo = [os.getpid()]
    while todo:
        parent = todo.pop()
        children = [pid for pid, its_parent in parents.items() if its_parent == parent]
        todo += children
        found.update(pid for pid in children if not _is_server(pid))
    return found


def _stat(pid: int) -> list[str]:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[0] in "ZX" else fields


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _is_server(pid: int) -> bool:
    """Tell the fork server itself (its children have the same command line) and the resource tracker."""
    command = _command(pid)
    if "resource_tracker" in command:
        return True
    stat = _stat(pid)
    return "forkserver" in command and bool(stat) and "forkserver" not in _command(int(stat[1]))


@pytest.fixture(params=["requests", "curl"])
def open_transport(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Make transports of each kind; they are closed after the test, and must leave no thread."""
    opened: list[Transport] = []

    def make(capacity: int = 4, **options: Any) -> Transport:
        settings = {"timeout_seconds": PATIENCE_SECONDS, "allow_private": LOOPBACK, "transport": request.param}
        opened.append(transports.open_transport(Config(**{**settings, **options}), capacity))
        return opened[-1]

    yield make
    for transport in opened:
        transport.close()
    assert request_threads() == set()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """Make a self-signed certificate for 127.0.0.1 and a server's context with it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command here")
    folder = tmp_path_factory.mktemp("tls")
    made = subprocess.run(  # a fixed command with fixed arguments
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=loopback"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("this openssl cannot make a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context
