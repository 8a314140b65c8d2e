"""How a request gets onto the wire and its answer back: `contract` says what a transport is, `guarded` what holds for
each of them, `registry` which there are.
"""

from crawler.rules.mime import CSS_TYPES, PAGE_TYPES
from crawler.transports.contract import (
    Exchange,
    Request,
    Transport,
    WireTransport,
    headers_of,
    request_headers,
)
from crawler.transports.registry import check, modules, open_transport

__all__ = [
    "CSS_TYPES",
    "PAGE_TYPES",
    "Exchange",
    "Request",
    "Transport",
    "WireTransport",
    "check",
    "headers_of",
    "modules",
    "open_transport",
    "request_headers",
]
