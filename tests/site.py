"""The language of the loopback site: `site.add_page("/", ["/next"])`, crawl, and look at what was asked."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Hit(NamedTuple):
    """A request that was served."""

    start: float  # monotonic
    end: float
    method: str
    target: str  # as sent on the wire
    status: int


class Served(NamedTuple):
    """What a target answers."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    delay_seconds: float


class Site:
    """One host on loopback; a context manager. What was not added answers 404."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.log: list[Hit] = []
        self.begun: list[str] = []  # targets that were asked for, answered or not yet
        self._lock = threading.Lock()
        self._pages: dict[str, Served] = {}
        self._failing: dict[str, list[int]] = {}
        self._server = _make_server(self, address, port)
        self.port = int(self._server.server_port)
        self.host = f"http://{address}:{self.port}"

    def start(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """End, whether it was started or not."""
        threading.Thread(target=self._server.shutdown, daemon=True).start()
        self._server.server_close()

    def __enter__(self) -> Site:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def url(self, target: str) -> str:
        return self.host + target

    def add_page(
        self, target: str, links: Sequence[str] = (), *, html: str = "", status: int = 200, delay_seconds: float = 0.0,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:  # fmt: skip
        """Add an HTML page with these links, or with this HTML."""
        text = html or f"<title>{target}</title>" + "".join(f'<a href="{link}">{link}</a>' for link in links)
        fields = tuple(headers)
        if "content-type" not in {name.lower() for name, _ in fields}:
            fields = (("Content-Type", "text/html; charset=utf-8"), *fields)
        self._pages[target] = Served(status, fields, text.encode(), delay_seconds)

    def add_redirect(self, target: str, to: str, status: int = 301) -> None:
        """Add a redirect."""
        self._pages[target] = Served(status, (("Location", to),), b"", 0.0)

    def add_file(self, target: str, body: bytes, content_type: str, status: int = 200) -> None:
        """Add what is no page of ours: these bytes, of this type."""
        self._pages[target] = Served(status, (("Content-Type", content_type),), body, 0.0)

    def robots(self, text: str, status: int = 200) -> None:
        """Set the robots.txt; without one it is a 404."""
        self.add_file("/robots.txt", text.encode(), "text/plain", status)

    def fail(self, target: str, statuses: Sequence[int]) -> None:
        """Let a target answer these statuses first."""
        self._failing[target] = list(statuses)

    def asked(self) -> Counter[str]:
        """How often each target was asked."""
        with self._lock:
            return Counter(hit.target for hit in self.log)

    def serve(self, method: str, target: str) -> Served:
        """Answer one request, and log it."""
        start = time.monotonic()
        served = self._pages.get(target, Served(404, (("Content-Type", "text/html"),), b"<title>404</title>", 0.0))
        with self._lock:
            self.begun.append(target)
            if self._failing.get(target):
                served = Served(self._failing[target].pop(0), (), b"", 0.0)
        time.sleep(served.delay_seconds)  # it is the server's page that is slow, not the test
        with self._lock:
            self.log.append(Hit(start, time.monotonic(), method, target, served.status))
        return served


def _make_server(site: Site, address: str, port: int) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16

        def setup(self) -> None:
            super().setup()
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def do_GET(self) -> None:
            served = site.serve(self.command, self.requestline.split(" ")[1])  # self.path has its "//" mended
            self.send_response(served.status)
            for name, value in served.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(served.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(served.body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class names it)
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: a crawler that ends closes connections in the middle."""

    return Server((address, port), Handler)
