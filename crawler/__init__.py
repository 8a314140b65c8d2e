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
    from crawler.api.report import Report
    from crawler.api.session import crawl
    from crawler.api.streaming import Stream, stream
    from crawler.engine.job import Stop
    from crawler.ledger.records import ItemRecord, LinkRecord, PageRecord, UrlRecord
    from crawler.worker.hook import Follow, Page

__all__ = [
    "Config", "CrawlerError", "Follow", "ItemRecord", "LedgerInUse", "LinkRecord", "Page", "PageRecord", "Report",
    "Stop", "StorageError", "Stream", "UrlRecord", "UsageError", "__version__", "crawl", "stream",
]  # fmt: skip

_LATE = {
    "Follow": "crawler.worker.hook",
    "ItemRecord": "crawler.ledger.records",
    "LinkRecord": "crawler.ledger.records",
    "Page": "crawler.worker.hook",
    "PageRecord": "crawler.ledger.records",
    "Report": "crawler.api.report",
    "Stop": "crawler.engine.job",
    "Stream": "crawler.api.streaming",
    "UrlRecord": "crawler.ledger.records",
    "crawl": "crawler.api.session",
    "stream": "crawler.api.streaming",
}


def __getattr__(name: str) -> Any:
    """Import the engine only when it is asked for: workers, consumers and `--help` start without it."""
    if name not in _LATE:
        raise AttributeError(f"module 'crawler' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATE[name]), name)
