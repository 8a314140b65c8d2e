"""A directory of HTML, served on loopback addresses by nginx or, where that is missing, by `builtin_server`.

One server a run, with an access log of its own: what a contender asked for, and when, is read from there, for all
alike. Must not know who crawls.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path

READY = "/.benchmark-ready"  # answered 204, and not logged
START_SECONDS = 10.0
STOP_SECONDS = 10.0
MOST_WORKERS = 2

# Every address is named, so that no request costs a look-up of the one it came to. Log lines are written one by one.
_NGINX = """\
daemon off; pid {folder}/nginx.pid; error_log {folder}/errors crit; {user}
worker_processes {workers}; worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
  types {{ text/html html htm; text/css css; image/svg+xml svg; image/png png; image/gif gif; image/jpeg jpg jpeg;
    application/javascript js; text/plain txt; application/pdf pdf; application/xml xml; }}
  default_type application/octet-stream;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  sendfile on; tcp_nodelay on; keepalive_timeout 75; keepalive_requests 10000000;
  open_file_cache max=50000 inactive=1h; open_file_cache_valid 1h;
  log_format line "$msec\\t$server_addr\\t$status\\t$sent_http_content_type\\t$request_uri";
  access_log {log} line;
  server {{
    {listens}
    root "{directory}"; index {index};
    location = {ready} {{ access_log off; return 204; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A directory, how often it is there (on 127.0.0.1 and the addresses after it), and its first page."""

    directory: Path
    hosts: int
    start_page: str

    @property
    def addresses(self) -> list[str]:
        """The loopback addresses it is served at."""
        return [f"127.0.0.{number}" for number in range(1, self.hosts + 1)]

    def seeds(self, port: int) -> list[str]:
        """The first page at each address."""
        return [f"http://{address}:{port}/{self.start_page}" for address in self.addresses]


@dataclass(frozen=True, slots=True)
class Visit:
    """What an access log tells of one run."""

    pages: frozenset[tuple[str, str]]  # address, and target as it was asked for; HTML with status 200
    requests: int
    first: float  # Unix time at which the first request was answered, whatever it was; 0: there was none
    last: float


@contextmanager
def serve(site: Site, folder: Path) -> Iterator[int]:
    """Serve a site while the block runs, and yield the port; the access log is `folder/access.log`.

    Raises:
        RuntimeError: the server does not start; the text says what it said.
    """
    port = _free_port(site.addresses)
    command = _nginx(site, folder, port) if nginx_version() else _builtin(site, folder, port)
    with (folder / "server.out").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        _wait_until_ready(process, port, folder)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def read_log(folder: Path) -> Visit:
    """Read what was asked of a site that was served from this folder."""
    pages, requests, first, last = set(), 0, 0.0, 0.0
    with (folder / "access.log").open(encoding="utf-8", errors="backslashreplace") as log:
        for line in log:
            seconds, address, status, content_type, target = line.rstrip("\n").split("\t", 4)
            requests += 1
            first = min(first or float(seconds), float(seconds))
            last = max(last, float(seconds))
            if status == "200" and content_type.partition(";")[0].strip().lower() == "text/html":
                pages.add((address, target.partition("#")[0]))
    return Visit(frozenset(pages), requests, first, last)


def nginx_version() -> str:
    """Return nginx's version, "" if it is not installed."""
    nginx = _find_nginx()
    if nginx is None:
        return ""
    said = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=False)
    return (said.stderr or said.stdout).strip().rpartition("/")[2]


def _find_nginx() -> str | None:
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def _nginx(site: Site, folder: Path, port: int) -> list[str]:
    config = _NGINX.format(
        folder=folder,
        user="user root;" if os.geteuid() == 0 else "",  # else the workers may not read what only root may
        workers=min(MOST_WORKERS, os.cpu_count() or 1),
        log=folder / "access.log",
        listens=" ".join(f"listen {address}:{port} backlog=1024;" for address in site.addresses),
        directory=site.directory,
        index=Path(site.start_page).name,
        ready=READY,
    )
    (folder / "nginx.conf").write_text(config)
    return [_find_nginx() or "nginx", "-e", str(folder / "errors"), "-c", str(folder / "nginx.conf")]


def _builtin(site: Site, folder: Path, port: int) -> list[str]:
    program = Path(__file__).with_name("builtin_server.py")
    words = [site.directory, folder / "access.log", Path(site.start_page).name, READY, port, *site.addresses]
    return [sys.executable, "-P", str(program), *map(str, words)]


def _free_port(addresses: list[str]) -> int:
    """Return a port that is free at every address just now."""
    for _ in range(100):
        with socket.socket() as probe:
            probe.bind((addresses[0], 0))
            port = int(probe.getsockname()[1])
        if all(_is_free(address, port) for address in addresses):
            return port
    raise RuntimeError("no port is free at all of " + ", ".join(addresses))


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=1.0)
        try:
            connection.request("GET", READY)
            if connection.getresponse().status == HTTPStatus.NO_CONTENT:
                return
        except (OSError, HTTPException):
            time.sleep(0.02)
        finally:
            connection.close()
    said = [path.read_text(errors="replace") for path in (folder / "errors", folder / "server.out") if path.exists()]
    raise RuntimeError(f"the web server does not start: {''.join(said).strip()[-500:]}")
