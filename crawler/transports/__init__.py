"""How a request gets onto the wire and its answer back: one small protocol, several transports.

A transport lives in a worker process and is driven by the pump's thread alone: `start` and `wait` are called from
there. It never follows a redirect, never retries, never raises for what a server did: that is an `Answer` with a
reason. It must not know the frontier, the ledger or any rule but the address guard.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from crawler.config import Config
from crawler.errors import UsageError
from crawler.model import Answer

_ACCEPT: Final = "text/html,application/xhtml+xml,*/*;q=0.8"
_HEADER_NAME: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")


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
    transport: Transport = _import_factory(config.transport)(config, capacity)
    return transport


def check(config: Config) -> None:
    """Refuse a transport that there is not, or headers that cannot be sent, without opening anything.

    Raises:
        UsageError: names the option, what was expected and what it is.
    """
    if config.transport != "requests":
        _import_factory(config.transport)
    request_headers(config, "")


def request_headers(config: Config, accept_encoding: str) -> dict[str, str]:
    """Return the headers of every request; the config's stand in the place of ours, whatever their case.

    Raises:
        UsageError: one of them cannot be sent.
    """
    headers = {"User-Agent": config.user_agent, "Accept": _ACCEPT, "Accept-Encoding": accept_encoding}
    given = {name.lower() for name in config.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in given} | config.headers
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise UsageError(
                f"{name!r}: {value!r} cannot be sent as a header: expected latin-1 without control characters"
            )
    return headers


def _import_factory(spec: str) -> Callable[..., Any]:
    module, colon, name = spec.partition(":")
    if not colon:
        raise UsageError(f"transport = {spec!r}: expected 'requests' or 'module:factory'")
    try:
        factory: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"transport = {spec!r} cannot be imported: {error}") from error
    return factory
