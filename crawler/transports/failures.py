"""From an exception to a reason and a short text: one table.

requests and urllib3 wrap what happened several times over, in `__cause__`, `__context__`, `reason` and `args`; the
whole chain is looked through, and the first row of the table that fits any link of it decides. Knows no transport:
`wrappers` hands in the rows for a library that only its own transport may import.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import Final

from urllib3 import exceptions as urllib3

MAX_TEXT_CHARS: Final = 300
_MAX_CHAIN: Final = 20

Row = tuple[type[BaseException], str]


class Failure(Exception):
    """Why there is no answer, said where it is known: a reason of `model.REASONS` and a text."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


# The order matters: RemoteDisconnected is also a BadStatusLine, an SSLError is also an OSError.
_ROWS: Final[tuple[Row, ...]] = (
    (socket.gaierror, "dns"),
    (ConnectionRefusedError, "refused"),
    (TimeoutError, "timeout"),
    (urllib3.ReadTimeoutError, "timeout"),
    (ssl.SSLEOFError, "reset"),  # after the handshake; a failure during it is a `Failure`
    (ssl.SSLZeroReturnError, "reset"),
    (ssl.SSLError, "tls"),
    (urllib3.SSLError, "tls"),
    (ConnectionError, "reset"),
    (http.client.IncompleteRead, "truncated"),
    (http.client.HTTPException, "bad-response"),
    (urllib3.InvalidHeader, "bad-response"),
    (urllib3.ProtocolError, "truncated"),  # urllib3's own complaints about chunks
)
_LAST: Final[tuple[Row, ...]] = ((OSError, "reset"),)

#: C0, DEL, C1, bidi controls, line separators, and lone surrogates (which no UTF-8 encoder takes)
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_OBJECT_ADDRESS: Final = re.compile(r"(?: at)? 0x[0-9a-fA-F]{6,}")


def explain(error: BaseException, wrappers: Sequence[Row] = ()) -> tuple[str, str]:
    """Return the reason for an exception, and a text for people.

    Args:
        wrappers: rows for exceptions that say something only when nothing inside them does.
    """
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, Failure):
            return link.reason, _escaped(str(link))
    for kind, reason in (*_ROWS, *wrappers, *_LAST):
        for link in chain:
            if isinstance(link, kind):
                return reason, describe(link)
    return "internal-error", describe(error)


def describe(error: BaseException) -> str:
    """Return class and message of an exception, safe to print, in at most MAX_TEXT_CHARS characters."""
    message = str(error)[: 4 * MAX_TEXT_CHARS]
    return _escaped(f"{type(error).__name__}: {message}" if message else type(error).__name__)


def _escaped(text: str) -> str:
    plain = _OBJECT_ADDRESS.sub("", text[: 5 * MAX_TEXT_CHARS])
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", plain)[:MAX_TEXT_CHARS]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and everything it was made from, nearest first."""
    ahead: list[object] = [error]
    met: set[int] = set()
    while ahead and len(met) < _MAX_CHAIN:
        link = ahead.pop(0)
        if isinstance(link, BaseException) and id(link) not in met:
            met.add(id(link))
            yield link
            ahead += [link.__cause__, getattr(link, "reason", None), *link.args, link.__context__]
