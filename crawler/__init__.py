"""poolcrawl: a concurrent web crawler built on process pools, with everything in one SQLite ledger.

from crawler import crawl, Config
report = crawl(["https://example.org/"], Config(delay_seconds=0, max_pages=500))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crawler.config import VERSION as __version__
from crawler.config import Config
from crawler.errors import CrawlerError, LedgerInUse, StorageError, UsageError

if TYPE_CHECKING:
    from crawler.engine import Stop
    from crawler.extract import Follow, Page
    from crawler.report import ItemRecord, LinkRecord, PageRecord, Report, UrlRecord
    from crawler.session import crawl
    from crawler.streaming import Stream, stream

__all__ = [
    "Config", "CrawlerError", "Follow", "ItemRecord", "LedgerInUse", "LinkRecord", "Page", "PageRecord", "Report",
    "Stop", "StorageError", "Stream", "UrlRecord", "UsageError", "__version__", "crawl", "stream",
]  # fmt: skip

_LATE = {
    "Follow": "crawler.extract",
    "ItemRecord": "crawler.report",
    "LinkRecord": "crawler.report",
    "Page": "crawler.extract",
    "PageRecord": "crawler.report",
    "Report": "crawler.report",
    "Stop": "crawler.engine",
    "Stream": "crawler.streaming",
    "UrlRecord": "crawler.report",
    "crawl": "crawler.session",
    "stream": "crawler.streaming",
}


def __getattr__(name: str) -> Any:
    """Import the engine only when it is asked for: workers, consumers and `--help` start without it."""
    if name not in _LATE:
        raise AttributeError(f"module 'crawler' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATE[name]), name)
