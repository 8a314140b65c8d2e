"""A folder of HTML, served on loopback by the crawler itself for as long as it crawls.

So that people can check the build of their static site, links, redirects and 404s included, without a web server.
Threads of the coordinator's process; must not know what a crawl is.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from crawler.errors import UsageError

ADDRESS = "127.0.0.1"
INDEX_PAGES = ("index.html", "index.htm")  # what the standard library looks for, in a folder


class FolderServer:
    """Serves one folder; a context manager."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        """Bind to a port (0: any that is free), without answering yet.

        Raises:
            UsageError: the port is taken; names it and what to do.
        """
        root = folder.resolve()

        class Handler(_Handler):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(root))

        try:
            self._server = _Server((ADDRESS, port), Handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise UsageError(
                f"the folder {folder} was served at port {port} of {ADDRESS} before, and another program has that port "
                "now: free it, or start over with --fresh"
            ) from error
        self.port = self._server.server_port
        self.url = f"http://{ADDRESS}:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> FolderServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a crawler that ends closes connections in the middle."""


class _Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # headers and a small body leave in one packet
    timeout = 60
    # The charset is the page's to say; other types as Python knows them.
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".html": "text/html", ".htm": "text/html"}  # noqa: RUF012

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send_head(self) -> Any:
        """Answer for a file; 404 for what is outside the folder, by a link or otherwise."""
        # Another site's page in a browser may have its name point here (DNS rebinding): it gets nothing.
        port = self.connection.getsockname()[1]
        if self.headers.get("Host") not in (f"{ADDRESS}:{port}", f"localhost:{port}"):
            self.send_error(403)
            return None
        if not self._is_inside(self.translate_path(self.path)):
            self.send_error(404)
            return None
        return super().send_head()

    def _is_inside(self, path: str) -> bool:
        """Return whether this is a file or folder of ours, and so is the index page that would be sent for a folder."""
        root = Path(self.directory)
        try:
            real = Path(os.path.realpath(path))  # Path.resolve() raises on a loop of links
            if real.is_dir():
                indexes = [Path(os.path.realpath(index)) for name in INDEX_PAGES if (index := real / name).is_file()]
                return all(each.is_relative_to(root) for each in (real, *indexes))
            return real.is_file() and real.is_relative_to(root)  # no pipe: to open one may wait for ever
        except (OSError, ValueError):  # too long a name, a NUL
            return False

    def list_directory(self, path: Any) -> None:
        """Answer 404: a folder without an index page is no page."""
        self.send_error(404)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class names it)
        """Say nothing."""
