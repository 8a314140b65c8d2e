"""Hooks that worker processes import."""

from __future__ import annotations

from collections.abc import Iterator

import responses

from crawler import Follow, Page

MOCKED = "http://mocked.test"


def mock_the_network() -> None:
    """Install mocks in a worker, for as long as it lives."""
    mock = responses.RequestsMock(assert_all_requests_are_fired=False)
    mock.start()
    mock.get(f"{MOCKED}/robots.txt", status=404)
    mock.get(f"{MOCKED}/", body="<title>home</title><a href='/a'>a</a>", content_type="text/html")
    mock.get(f"{MOCKED}/a", body="<title>a</title>", content_type="text/html")


def title(page: Page) -> dict[str, str]:
    """One item a page."""
    return {"title": str(page.soup.title.string) if page.soup.title else ""}


def wayward(page: Page) -> Iterator[dict[str, str] | Follow]:
    """An item, a link that no page has, and an exception."""
    yield {"url": page.url}
    yield Follow("/hidden")
    raise RuntimeError(f"odd \x1b[31m {page.status}")
