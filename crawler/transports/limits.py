"""What every transport holds requests and responses against: which targets are sent, which headers and bodies read.

Knows no socket, no library and no thread.
"""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Container, Mapping
from itertools import chain
from typing import Final

from crawler.model import Headers
from crawler.rules import mime
from crawler.transports.failures import Failure

MAX_DRAIN_BYTES: Final = 16_384  # of an unwanted body, to keep its connection: cheaper than a new one
DRAIN_SECONDS: Final = 0.1
_IDLE_PER_REQUEST: Final = 8  # connections that are kept for each request that may be in flight, while there are files
_SPARED_FILES: Final = 64  # file descriptors that no connection is kept with: others need them
_MAX_HEADERS: Final = 200  # http.client stops at 100 already
_MAX_HEADER_CHARS: Final = 65_536
_TARGET: Final = re.compile(r"/[\x21-\x7e]*")


def most_connections(capacity: int) -> int:
    """Return how many connections a worker keeps, idle ones included, that has so many requests in flight at most."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return _IDLE_PER_REQUEST * capacity
    return max(capacity, min(_IDLE_PER_REQUEST * capacity, files - _SPARED_FILES))


def check_target(target: str) -> None:
    """Refuse what cannot be sent as it is.

    Raises:
        Failure: internal-error; a normal form has no such target.
    """
    if not _TARGET.fullmatch(target):
        raise Failure("internal-error", f"not a request target: {target!r}")


def check_headers(headers: Headers) -> None:
    """Refuse a flood of headers.

    Raises:
        Failure: bad-response.
    """
    if len(headers) > _MAX_HEADERS or sum(map(len, chain.from_iterable(headers))) > _MAX_HEADER_CHARS:
        raise Failure(
            "bad-response", f"more than {_MAX_HEADERS} headers, or more than {_MAX_HEADER_CHARS} bytes of them"
        )


def is_wanted(status: int, headers: Mapping[str, str], types: Container[str]) -> bool:
    """Return whether a body is read: those of the types wanted are, those of redirects never."""
    if 300 <= status < 400 and "location" in headers:
        return False
    return mime.essence(headers.get("content-type", "")) in types


def announced_bytes(headers: Mapping[str, str]) -> int:
    """Return how many bytes a head says its body has, -1 if it does not say."""
    length = "" if "transfer-encoding" in headers else headers.get("content-length", "").partition(",")[0].strip()
    if not (length.isascii() and length.isdigit()):
        return -1
    return int(length) if len(length) < 19 else sys.maxsize


def too_large(max_bytes: int, how: str) -> Failure:
    """Make the failure of a body that is announced, transferred or decoded beyond the cap."""
    return Failure("too-large", f"the body has more than {max_bytes} bytes, {how}")
