"""A program that uses every public name as a typed user would. mypy --strict reads it; it is never run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, assert_type

from bs4 import BeautifulSoup

import crawler
from crawler import (
    Config,
    CrawlerError,
    Follow,
    ItemRecord,
    LedgerInUse,
    LinkRecord,
    Page,
    PageRecord,
    Report,
    Stop,
    StorageError,
    Stream,
    UrlRecord,
    UsageError,
    crawl,
    stream,
)


def parse(page: Page) -> Iterator[dict[str, object] | Follow]:
    """Give an item and a link."""
    assert_type(page.url, str)
    assert_type(page.status, int)
    assert_type(page.headers["content-type"], str)
    assert_type(page.content, bytes)
    assert_type(page.text, str)
    assert_type(page.soup, BeautifulSoup)
    assert_type(page.links, list[str])
    yield {"url": page.url}
    yield Follow(page.links[0])


def use(stop: Stop) -> int:
    """Crawl and look at what came back."""
    config = Config(delay_seconds=0.5, max_pages=10, include=("/a/",), headers={"Accept-Language": "de"})
    assert_type(config.scope, Literal["page", "prefix", "host", "any"])
    try:
        with crawl(["https://example.org/"], config, parse=parse, ledger=Path("crawl.db"), stop=stop) as report:
            assert_type(report, Report)
            look(report)
    except (LedgerInUse, StorageError, UsageError) as error:
        return error.exit_code
    except CrawlerError as error:
        assert_type(error.exit_code, int)
    stop("interrupted")
    assert_type(crawler.__version__, str)
    return 0


def look(report: Report) -> None:
    """Iterate over everything."""
    assert_type(report.finish_reason, str)
    assert_type(report.counts, dict[str, Any])
    for page in report.pages():
        assert_type(page, PageRecord)
        assert_type(page.status, int)
        assert_type(page.title, str | None)
    for url in report.urls():
        assert_type(url, UrlRecord)
        assert_type(url.reason, str | None)
    for link in report.links():
        assert_type(link, LinkRecord)
        assert_type(link.source, str)
    for item in report.items():
        assert_type(item, ItemRecord)
        assert_type(item.item, dict[str, Any])


def follow() -> int:
    """Take pages as they come."""
    with stream(["https://example.org/"], Config(max_pages=10), ledger="crawl.db") as pages:
        assert_type(pages, Stream)
        for page in pages:
            assert_type(page, PageRecord)
            assert_type(page.url, str)
    assert_type(pages.report, Report)
    return 0
