"""How a request gets onto the wire and its answer back: one small protocol, several transports.

A transport lives in a worker process and is driven by the pump's thread alone: `start` and `wait` are called from
there. It never follows a redirect, never retries, never raises for what a server did: that is an `Answer` with a
reason. It must not know the frontier, the ledger or any rule but the address guard.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple, Protocol

from crawler.config import Config
from crawler.errors import UsageError
from crawler.model import Answer


class Request(NamedTuple):
    """One GET. `target` is sent on the wire byte for byte."""

    tag: int
    host: str  # scheme and authority
    target: str
    named: bool = False  # the guard lets this host's addresses pass
    cut_body_at: int = 0  # > 0: a body of any type is wanted, and no more of it than this (robots.txt)


class Transport(Protocol):
    """Up to `capacity` requests in flight."""

    capacity: int

    def start(self, request: Request) -> None:
        """Send a request; returns at once."""

    def wait(self, seconds: float) -> list[Answer]:
        """Return what has been answered since, waiting at most so long for the first; ends what is overdue."""

    def close(self) -> None:
        """End everything in flight without an answer and free all sockets and threads."""


def open_transport(config: Config, capacity: int) -> Transport:
    """Make the transport that the config names: `requests`, or `module:factory` called as `factory(config, capacity)`.

    Raises:
        UsageError: there is no such transport.
    """
    if config.transport == "requests":
        from crawler.transports.requests import RequestsTransport

        return RequestsTransport(config, capacity)
    module, colon, name = config.transport.partition(":")
    if not colon:
        raise UsageError(f"transport = {config.transport!r}: expected 'requests' or 'module:factory'")
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"transport = {config.transport!r} cannot be imported: {error}") from error
    transport: Transport = factory(config, capacity)
    return transport
