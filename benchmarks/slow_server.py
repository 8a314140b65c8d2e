"""Hundreds of hosts that take their time, for `wide`: run as `python -m benchmarks.slow_server HOSTS LOG`.

Host n listens on 127.1.x.y at one port for all; most answer after 0.2 s, some after 2 s, some never. Each has endless
small pages: page n leads to 2n + 1 and 2n + 2. It prints its port, writes a line for each answered page into LOG (time
of the request and of the answer, host), and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from functools import partial
from io import TextIOBase
from pathlib import Path
from typing import Any

FAST_SECONDS, SLOW_SECONDS = 0.2, 2.0
SLOW_EVERY, NEVER_EVERY = 25, 50  # of so many hosts, the last one


def address(host: int) -> str:
    """Return a host's address."""
    return f"127.1.{host // 250}.{host % 250 + 1}"


def latency_seconds(host: int) -> float | None:
    """Return how long a host takes for a page; None: it never answers."""
    if host % NEVER_EVERY == NEVER_EVERY - 1:
        return None
    return SLOW_SECONDS if host % SLOW_EVERY == SLOW_EVERY - 1 else FAST_SECONDS


class _Connection(asyncio.Protocol):
    """A kept connection to one host."""

    def __init__(self, host: int, log: TextIOBase) -> None:
        self._host = host
        self._log = log
        self._rest = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request whose head is complete, in its time."""
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        latency = latency_seconds(self._host)
        for head in heads if latency is not None else ():
            target = head.split(b" ", 2)[1].decode("latin-1")
            if target == "/robots.txt":
                self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            else:
                asyncio.get_running_loop().call_later(latency or 0.0, self._answer, target, time.time())

    def _answer(self, target: str, asked: float) -> None:
        page = int(target.removeprefix("/p") or 0) if target != "/" else 0
        links = "".join(f'<p><a href="/p{number}">page {number}</a>\n' for number in (2 * page + 1, 2 * page + 2))
        html = f"<!DOCTYPE html><title>page {page}</title>\n{links}".encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(html)}\r\n\r\n".encode()
        self._transport.write(head + html)
        self._log.write(f"{asked:.4f} {time.time():.4f} {self._host}\n")


async def _serve(hosts: int, log: TextIOBase) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)  # nothing is ever written there
    with socket.create_server((address(0), 0)) as probe:
        port = probe.getsockname()[1]
    servers = [
        await loop.create_server(partial(_Connection, host, log), address(host), port, backlog=64)
        for host in range(hosts)
    ]
    print(port, flush=True)
    await ended.wait()
    for server in servers:
        server.close()


if __name__ == "__main__":
    with Path(sys.argv[2]).open("w") as opened:
        asyncio.run(_serve(int(sys.argv[1]), opened))
