"""The user's parse hook: what it is given, what it may return, and how none of it stops a crawl.

`Page` is made for each HTML page that a hook is to see; its soup is made on first use, and bs4 is imported only then.
Whatever a hook raises or returns becomes plain data here: JSON texts, URLs, one error text. Runs in a worker.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from crawler import urls
from crawler.errors import UsageError
from crawler.parse import decode

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

    def __iter__(self) -> Any:
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


def load_hook(spec: str) -> Callable[..., object]:
    """Import "package.module:function".

    Raises:
        UsageError: says what is wrong with it.
    """
    module, colon, name = spec.partition(":")
    if not (colon and module and name):
        raise UsageError(f"the hook {spec!r} is not of the form 'package.module:function'")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:  # a console script does not look here by itself
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:
        raise UsageError(f"the hook {spec!r} cannot be imported: {type(error).__name__}: {error}") from error
    for part in name.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise UsageError(f"the hook {spec!r}: the module {module} has no {name!r}")
    if not callable(found):
        raise UsageError(f"the hook {spec!r} is a {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]


def run_hook(hook: Callable[..., object], page: Page) -> Extracted:
    """Call a hook with a page. Never raises: SystemExit and KeyboardInterrupt are the hook's own business, too.

    What came before an exception, or before an item that cannot be stored, is kept; only the first error is told.
    """
    items: list[str] = []
    follow: list[str] = []
    errors: list[str] = []
    try:
        for thing in _things(hook(page)):
            if error := _take(thing, page, items, follow):
                errors.append(error)
            if len(items) >= MAX_ITEMS:
                errors.append(f"more than {MAX_ITEMS:,} items on one page")
                break
    except BaseException as error:
        errors.insert(0, _explain(error))
    return Extracted(items, follow, errors[0][:MAX_ERROR] if errors else None)


def _things(returned: object) -> Iterable[object]:
    if returned is None:
        return ()
    if isinstance(returned, (dict, Follow)):
        return (returned,)
    if isinstance(returned, (str, bytes)) or not isinstance(returned, Iterable):
        raise TypeError(f"a parse hook returns None, a dict or an iterable of dicts, not {type(returned).__name__}")
    return returned


def _take(thing: object, page: Page, items: list[str], follow: list[str]) -> str:
    """Sort one thing that a hook gave; return what is wrong with it."""
    if isinstance(thing, Follow):
        url = urls.normalise(str(thing.url), page.url)
        if url is None:
            return f"Follow({str(thing.url)[:200]!r}) is no http(s) URL"
        follow.append(url)
        return ""
    if not isinstance(thing, dict):
        return f"an item is a dict, not {type(thing).__name__}"
    try:
        encoded = msgspec.json.encode(_plain(thing), enc_hook=_encode_odd)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        return f"an item cannot be stored as JSON: {error}"
    if len(encoded) > MAX_ITEM_BYTES:
        return f"an item of {len(encoded):,} bytes of JSON is larger than {MAX_ITEM_BYTES:,}"
    items.append(encoded.decode())
    return ""


def _plain(value: object) -> object:
    """Return a value with exact str in the place of its subclasses: a soup's strings carry the whole tree."""
    if isinstance(value, str):
        return str.__str__(value).encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _encode_odd(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is not plain data")


def _explain(error: BaseException) -> str:
    """Return a class name, a text and the line of the hook that raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})" if trace is not None else ""
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be had)"
    return f"{type(error).__name__}: {text[: MAX_ERROR - 150]}{place}".encode("utf-8", "replace").decode()
