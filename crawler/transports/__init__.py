"""How a request gets onto the wire and its answer back: one small protocol, several transports.

A transport lives in a worker process and is driven by the pump's thread alone: `start` and `wait` are called from
there. It never follows a redirect, never retries, never raises for what a server did: that is an `Answer` with a
reason. It must not know the frontier, the ledger or any rule but the address guard.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from importlib.util import find_spec
from typing import Any, Final, NamedTuple, Protocol

from crawler.config import Config
from crawler.errors import UsageError
from crawler.load import load
from crawler.model import Answer
from crawler.rules.mime import PAGE_TYPES

_BUILT_IN: Final = {
    "requests": "crawler.transports.requests:RequestsTransport",
    "curl": "crawler.transports.curl:CurlTransport",
}
_ACCEPT: Final = "text/html,application/xhtml+xml,*/*;q=0.8"
_HEADER_NAME: Final = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")


class Request(NamedTuple):
    """One request. `target` is sent on the wire byte for byte."""

    tag: int
    host: str  # scheme and authority
    target: str
    named: bool = False  # the guard lets this host's addresses pass
    cut_body_at: int = 0  # > 0: no more of a body than this is wanted
    method: str = "GET"  # or "HEAD": no body is sent
    types: Container[str] = PAGE_TYPES  # of bodies that are wanted; others are not read
    headers: tuple[tuple[str, str], ...] = ()  # all but Host; one tuple for all requests that share them

    @property
    def wants_any(self) -> bool:
        """Tell that a body is wanted whatever its type: a robots.txt."""
        return self.cut_body_at > 0 and not self.types


class Transport(Protocol):
    """Up to `capacity` requests in flight; whoever starts them does not start more."""

    capacity: int

    def start(self, request: Request) -> None:
        """Send a request; returns at once."""

    def wait(self, seconds: float) -> list[Answer]:
        """Return what has been answered since, waiting at most so long for the first; ends what is overdue."""

    def close(self) -> None:
        """End everything in flight without an answer and free all sockets and threads."""


def open_transport(config: Config, capacity: int) -> Transport:
    """Make the transport that the config names: a built-in one, or `module:factory`: `factory(config, capacity)`.

    Raises:
        UsageError: there is no such transport.
    """
    _check_extra(config.transport)
    transport: Transport = _import_factory(_BUILT_IN.get(config.transport, config.transport))(config, capacity)
    return transport


def modules(config: Config) -> list[str]:
    """Return the modules that a worker with this config's transport will import."""
    return [_BUILT_IN.get(config.transport, config.transport).partition(":")[0]]


def check(config: Config) -> None:
    """Refuse a transport that there is not, or headers that cannot be sent, without opening anything.

    Raises:
        UsageError: names the option, what was expected and what it is.
    """
    _check_extra(config.transport)
    if config.transport not in _BUILT_IN:  # those are imported in the workers
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


def _check_extra(name: str) -> None:
    if name == "curl" and find_spec("pycurl") is None:
        raise UsageError("transport = 'curl' needs pycurl: pip install 'poolcrawl[curl]'")


def _import_factory(spec: str) -> Callable[..., Any]:
    if ":" not in spec:
        raise UsageError(f"transport = {spec!r}: expected 'requests', 'curl' or 'module:factory'")
    return load("the transport", spec, "mine:Transport")
