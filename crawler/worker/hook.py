"""The user's parse hook: what it is given, what it may return, and how none of it stops a crawl.

`Page` is made for each HTML page that a hook is to see; its soup is made on first use, and bs4 is imported only then.
Whatever a hook raises or returns becomes plain data here: JSON texts, URLs, one error text. Must not know where these
go. Runs in a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from crawler.model import MAX_LINKS_PER_PAGE
from crawler.pages.encodings import decode
from crawler.rules import urls

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

MAX_ITEMS = 10_000  # of one page
MAX_ITEM_BYTES = 1_000_000  # of JSON
MAX_ERROR = 500  # characters


class Follow(msgspec.Struct, frozen=True):
    """Returned by a hook among its items: a URL to be crawled, relative to the page or whole."""

    url: str


class Headers(Mapping[str, str]):
    """Response headers by name, whatever its case; repeated ones are joined by commas."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            name = name.lower()
            self._values[name] = f"{self._values[name]}, {value}" if name in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({self._values!r})"


class Page:
    """What a parse hook is called with."""

    def __init__(
        self, url: str, status: int, headers: Iterable[tuple[str, str]], content: bytes, links: Sequence[str]
    ) -> None:
        self.url = url
        self.status = status
        self.headers = Headers(headers)
        self.content = content
        self.links = list(links)

    def __repr__(self) -> str:
        return f"<Page {self.url}: {self.status}, {len(self.content)} bytes>"

    @cached_property
    def text(self) -> str:
        """The content, decoded as browsers do."""
        return decode(self.content, self.headers.get("content-type", ""))[0]

    @cached_property
    def soup(self) -> BeautifulSoup:
        """A BeautifulSoup of the text (lxml)."""
        from bs4 import BeautifulSoup

        return BeautifulSoup(self.text, "lxml")


class Extracted(NamedTuple):
    """What a hook gave."""

    items: list[str]  # JSON objects
    follow: list[str]  # normal forms
    error: str | None


def run_hook(hook: Callable[..., object], page: Page) -> Extracted:
    """Call a hook with a page. Never raises: SystemExit and KeyboardInterrupt are the hook's own business, too.

    What came before an exception, and all but what cannot be stored, is kept. One error is told: the exception, else
    the first thing that could not be stored.

    Limits:
        MAX_ITEMS items, MAX_LINKS_PER_PAGE links, MAX_ITEMS errors; then the hook is not asked for more.
    """
    sorter = _Sorter(page.url)
    raised = ""
    try:
        for thing in sorter.things(hook(page)):
            sorter.take(thing)
            if sorter.full:
                break
    except BaseException as error:
        raised = _explain(error)
    error_text = raised or sorter.error
    return Extracted(sorter.items, sorter.follow, error_text[:MAX_ERROR] if error_text else None)


class _Sorter:
    """Sorts what one call of a hook gave."""

    def __init__(self, url: str) -> None:
        self.items: list[str] = []
        self.follow: list[str] = []
        self.error = ""  # the first
        self.full = False
        self._errors = 0
        self._url = url

    def things(self, returned: object) -> Iterable[object]:
        """Return what a hook returned as an iterable."""
        if returned is None:
            return ()
        if isinstance(returned, (dict, Follow)):
            return (returned,)
        if isinstance(returned, (str, bytes)) or not isinstance(returned, Iterable):
            kind = type(returned).__name__
            self._complain(f"TypeError: a parse hook returns None, a dict or an iterable of dicts, not {kind}")
            return ()
        return returned

    def take(self, thing: object) -> None:
        """Take one thing."""
        if isinstance(thing, Follow):
            self._take_link(thing.url)
        elif isinstance(thing, dict):
            self._take_item(thing)
        else:
            self._complain(f"an item is a dict, not {type(thing).__name__}")

    def _take_link(self, reference: object) -> None:
        if len(self.follow) >= MAX_LINKS_PER_PAGE:
            self._complain(f"more than {MAX_LINKS_PER_PAGE:,} links from the hook on one page", full=True)
        elif not isinstance(reference, str):  # Follow(tag.get("href")) without one
            self._complain(f"Follow is given a text, not {type(reference).__name__}")
        elif (url := urls.normalise(reference, self._url)) is None:
            self._complain(f"Follow({reference[:200]!r}) is no http(s) URL")
        else:
            self.follow.append(url)

    def _take_item(self, item: dict[Any, Any]) -> None:
        if len(self.items) >= MAX_ITEMS:
            self._complain(f"more than {MAX_ITEMS:,} items on one page", full=True)
            return
        try:
            encoded = msgspec.json.encode(_plain(item), enc_hook=_encode_odd)
        except (TypeError, ValueError, RecursionError, OverflowError) as error:
            self._complain(f"an item cannot be stored as JSON: {error}")
            return
        if len(encoded) > MAX_ITEM_BYTES:
            self._complain(f"an item of {len(encoded):,} bytes of JSON is larger than {MAX_ITEM_BYTES:,}")
        else:
            self.items.append(encoded.decode())

    def _complain(self, error: str, *, full: bool = False) -> None:
        self.error = self.error or error.encode("utf-8", "replace").decode()
        self._errors += 1
        self.full = full or self._errors >= MAX_ITEMS


def _plain(value: object) -> object:
    """Return a value with exact str in the place of its subclasses: a soup's strings carry the whole tree."""
    if isinstance(value, str):
        return str.__str__(value).encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_plain(key) if isinstance(key, str) else key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):  # sorted: their order is another one in each process
        return sorted((_plain(item) for item in value), key=repr)
    return value


def _encode_odd(value: object) -> object:
    if isinstance(value, str):  # in a dataclass, say
        return str.__str__(value)
    raise TypeError(f"{type(value).__name__} is not plain data")


def _explain(error: BaseException) -> str:
    """Return a class name, a text, and the last line of the hook's own file on the way to where it was raised."""
    trace = error.__traceback__ and error.__traceback__.tb_next  # the first frame is run_hook's
    file = trace.tb_frame.f_code.co_filename if trace is not None else ""
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    place = f" ({Path(file).name}:{line})" if file else ""
    try:
        text = str(error)
    except BaseException:
        text = "(its text cannot be had)"
    name = type(error).__name__
    told = f"{name}: {text}" if text else name
    return (told[: MAX_ERROR - len(place)] + place).encode("utf-8", "replace").decode()
