"""Why there is no answer: from an exception to a reason and a short text.

requests and urllib3 wrap what happened several times over, in `__cause__`, `__context__`, `reason` and `args`; the
whole chain is looked through, and the first row of a table that fits any link of it decides. Knows no transport and no
library: the table comes from the transport.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

MAX_TEXT_CHARS: Final = 300
_MAX_CHAIN: Final = 20

Row = tuple[type[BaseException], str]


class Failure(Exception):
    """Why there is no answer, said where it is known: a reason of `model.REASONS` and a text."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


#: C0, DEL, C1, bidi controls, line separators, and lone surrogates (which no UTF-8 encoder takes)
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_OBJECT_ADDRESS: Final = re.compile(r"(?: at)? 0x[0-9a-fA-F]{6,}")


def explain(error: BaseException, rows: Sequence[Row]) -> tuple[str, str]:
    """Return the reason for an exception, and a text for people.

    Args:
        rows: the first that any link of the exception's chain fits decides.
    """
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, Failure):
            return link.reason, escaped(str(link))
    for kind, reason in rows:
        for link in chain:
            if isinstance(link, kind):
                return reason, describe(link)
    return "internal-error", describe(error)


def describe(error: BaseException) -> str:
    """Return class and message of an exception, safe to print, in at most MAX_TEXT_CHARS characters."""
    message = str(error)[: 4 * MAX_TEXT_CHARS]
    return escaped(f"{type(error).__name__}: {message}" if message else type(error).__name__)


def escaped(text: str) -> str:
    """Return a text safe to print and to store, in at most MAX_TEXT_CHARS characters."""
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
