"""A small web server, for machines without nginx: files from memory, kept connections, a log line for each request.

A program: DIRECTORY LOG INDEX READY PORT ADDRESS... . Answers GET only; ends at SIGTERM, and has written its log then.
"""

from __future__ import annotations

import asyncio
import mimetypes
import signal
import sys
import time
from functools import cache
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote

LIMIT_BYTES = 65_536  # of a request's head


class Answers:
    """What a directory answers; files are read once and kept."""

    def __init__(self, directory: Path, index: str, ready: str, log: TextIO) -> None:
        self._root = directory.resolve()
        self._index = index
        self._ready = ready
        self._log = log
        self._answer = cache(self._find)

    def answer(self, target: str, address: str) -> bytes:
        """Return a whole response, and log the request."""
        if target == self._ready:
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        status, content_type, response = self._answer(target.partition("?")[0])
        self._log.write(f"{time.time():.3f}\t{address}\t{status}\t{content_type}\t{target}\n")
        return response

    def _find(self, path: str) -> tuple[int, str, bytes]:
        words = unquote(path).strip("/").split("/")
        file = self._root.joinpath(*words)
        if file.is_dir():
            file = file / self._index
        if ".." in words or not file.is_file():
            return 404, "text/plain", _response("404 Not Found", "text/plain", b"not found\n")
        content_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return 200, content_type, _response("200 OK", content_type, file.read_bytes())


def _response(status: str, content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One kept connection; requests are answered in their order."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._waiting = b""
        self._address = ""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the address that was connected to."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (what asyncio gives a stream's protocol)
        self._transport = transport
        self._address = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:
        """Answer each request whose head is complete."""
        assert self._transport is not None  # noqa: S101  (asyncio connects first)
        self._waiting += data
        while b"\r\n\r\n" in self._waiting:
            head, _, self._waiting = self._waiting.partition(b"\r\n\r\n")
            words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
            if len(words) != 3 or words[0] != "GET":
                self._transport.close()
                return
            self._transport.write(self._answers.answer(words[1], self._address))
            if b"\r\nconnection: close" in head.lower():
                self._transport.close()
        if len(self._waiting) > LIMIT_BYTES:
            self._transport.close()


async def main(arguments: list[str]) -> None:
    """Serve until SIGTERM."""
    directory, log_path, index, ready, port, *addresses = arguments
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    with Path(log_path).open("w", encoding="utf-8") as log:
        answers = Answers(Path(directory), index, ready, log)
        await loop.create_server(lambda: Connection(answers), addresses, int(port), backlog=1024)
        await stopped.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
