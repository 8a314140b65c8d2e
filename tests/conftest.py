"""What every test gets: --run-slow, the marker `pure`, a check that no process is left behind, and transports."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import transports
from crawler.config import Config
from crawler.transports.guarded import Guarded
from tests.processes import descendants, left_behind, take_orphans_in
from tests.pure import is_pure
from tests.transports import LOOPBACK, PATIENCE_SECONDS, Open, request_threads

LEAVING_SECONDS = 5.0  # how long processes may take to end after their test


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="run the tests that take minutes, too")


def pytest_configure(config: pytest.Config) -> None:
    take_orphans_in()
    # Who wants no bytecode written (as images of containers do) would have each of the many hundred processes that the
    # tests start compile the whole package again: a second of processor time, twice what the rest of its start takes.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the other files unread where only pure tests are wanted: what they import takes longer than the tests."""
    is_other = collection_path.match("test_*.py") and config.option.markexpr == "pure" and not is_pure(collection_path)
    return True if is_other else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    pure = {path for path in {item.path for item in items} if is_pure(path)}
    for item in items:
        if item.path in pure:
            item.add_marker(pytest.mark.pure)
        if "slow" in item.keywords and not config.getoption("--run-slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: --run-slow"))


@pytest.fixture(autouse=True)
def _no_process_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test after which a process still runs that it started, or that those started."""
    if "pure" in request.keywords:
        yield
        return
    before = descendants()
    yield
    deadline = time.monotonic() + LEAVING_SECONDS
    while (left := left_behind(before)) and time.monotonic() < deadline:
        multiprocessing.active_children()  # reaps
        time.sleep(0.02)
    assert not left


@pytest.fixture(params=["requests", "curl"])
def open_transport(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Make transports of each kind; they are closed after the test, and must leave no thread."""
    opened: list[Guarded] = []

    def make(capacity: int = 4, **options: Any) -> Guarded:
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
