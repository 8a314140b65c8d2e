"""Parse hooks that behave, and hooks that do not: none of them stops a crawl."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import UsageError
from crawler.load import load_hook
from crawler.worker.hook import MAX_ITEMS, Extracted, Follow, Page, run_hook

PAGE = Page(
    "http://a.test/dir/",
    200,
    [("content-type", "text/html; charset=latin-1"), ("x-a", "1"), ("x-a", "2")],
    b"<title>\xc4</title><p>t</p>",
    ["http://a.test/x"],
)


@dataclass
class SoupHolder:
    text: object


def items(extracted: Extracted) -> list[Any]:
    return [json.loads(item) for item in extracted.items]


def test_a_page_decodes_its_text_and_makes_its_soup() -> None:
    assert (PAGE.text, str(PAGE.soup.title), PAGE.links) == (
        "<title>Ä</title><p>t</p>",
        "<title>Ä</title>",
        ["http://a.test/x"],
    )
    assert (PAGE.headers["X-A"], len(PAGE.headers), "X-B" in PAGE.headers) == ("1, 2", 2, False)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (None, []),
        ({"a": 1}, [{"a": 1}]),
        ([{"a": 1}, {"b": [1, (2, 3)]}], [{"a": 1}, {"b": [1, [2, 3]]}]),
        (iter([{"a": None}]), [{"a": None}]),
        ({"n": float("nan"), "d": datetime.date(2026, 1, 2)}, [{"n": None, "d": "2026-01-02"}]),
        ({"s": "\ud800"}, [{"s": "?"}]),
        ([], []),
    ],
)
def test_none_a_dict_and_iterables_of_dicts_are_items(returned: object, expected: list[object]) -> None:
    extracted = run_hook(lambda page: returned, PAGE)
    assert (items(extracted), extracted.follow, extracted.error) == (expected, [], None)


def test_soup_strings_become_plain_text() -> None:
    extracted = run_hook(lambda page: {"title": page.soup.title.string, page.soup.p.string: 1}, PAGE)
    assert items(extracted) == [{"title": "Ä", "t": 1}]


def test_follow_adds_links_relative_to_the_page() -> None:
    hook = [Follow("x"), {"a": 1}, Follow("http://b.test/#f"), Follow("mailto:x@y.test")]
    extracted = run_hook(lambda page: hook, PAGE)
    assert extracted.follow == ["http://a.test/dir/x", "http://b.test/"]
    assert extracted.error == "Follow('mailto:x@y.test') is no http(s) URL"


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), RecursionError("deep"), GeneratorExit()]
)
def test_what_a_hook_raises_is_text_and_what_came_before_is_kept(error: BaseException) -> None:
    def hook(page: Page) -> Iterator[dict[str, int]]:
        yield {"a": 1}
        yield {"a": 2}
        raise error

    extracted = run_hook(hook, PAGE)
    assert items(extracted) == [{"a": 1}, {"a": 2}]
    assert extracted.error is not None
    assert extracted.error.startswith(type(error).__name__)
    assert "test_extract.py:" in extracted.error


def test_an_exception_whose_text_cannot_be_had_is_survived() -> None:
    class BadError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def hook(page: Page) -> None:
        raise BadError

    assert "BadError: (its text cannot be had)" in (run_hook(hook, PAGE).error or "")


@pytest.mark.parametrize(
    ("returned", "error"),
    [
        ("text", "TypeError: a parse hook returns None, a dict or an iterable of dicts, not str"),
        (3, "TypeError: a parse hook returns None, a dict or an iterable of dicts, not int"),
        (["text"], "an item is a dict, not str"),
        ({"f": lambda: 1}, "an item cannot be stored as JSON: function is not plain data"),
        ({"f": (n for n in "x")}, "an item cannot be stored as JSON: generator is not plain data"),
        ({"f": "x" * 10_000_000}, "an item of 10,000,008 bytes of JSON is larger than 1,000,000"),
    ],
)
def test_what_cannot_be_stored_is_named(returned: object, error: str) -> None:
    extracted = run_hook(lambda page: returned, PAGE)
    assert (extracted.items, (extracted.error or "")[: len(error)]) == ([], error)


def test_a_soup_in_an_item_is_refused() -> None:
    assert "cannot be stored as JSON" in (run_hook(lambda page: {"p": page.soup.p}, PAGE).error or "")


def test_an_item_that_contains_itself_is_refused() -> None:
    item: dict[str, object] = {}
    item["self"] = item
    assert "cannot be stored as JSON" in (run_hook(lambda page: item, PAGE).error or "")


def test_the_items_of_a_page_are_bounded() -> None:
    extracted = run_hook(lambda page: ({"n": n} for n in range(10**9)), PAGE)
    assert (len(extracted.items), extracted.error) == (MAX_ITEMS, f"more than {MAX_ITEMS:,} items on one page")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nonsense", "not of the form"),
        (":parse", "not of the form"),
        ("no_such_module:parse", "cannot be imported: there is no module no_such_module in this folder"),
        ("crawler.worker.hook:no_such_name", "has no 'no_such_name'"),
        ("crawler.worker.hook:MAX_ITEMS", "is a int, not a function"),
    ],
)
def test_a_hook_that_cannot_be_loaded_is_named_with_its_reason(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_hook(spec)


def test_a_hook_is_found_by_name() -> None:
    assert load_hook("crawler.worker.hook:run_hook") is run_hook


def test_follow_without_a_text_is_an_error_and_no_link() -> None:
    extracted = run_hook(lambda page: [Follow(page.soup.p.get("href")), Follow("x")], PAGE)
    assert (extracted.follow, extracted.error) == (["http://a.test/dir/x"], "Follow is given a text, not NoneType")


def test_exactly_as_many_items_as_are_allowed_are_no_error() -> None:
    extracted = run_hook(lambda page: [{"a": 1}] * MAX_ITEMS, PAGE)
    assert (len(extracted.items), extracted.error) == (MAX_ITEMS, None)


@pytest.mark.parametrize(("thing", "kept"), [(Follow("x"), 10_000), ("text", 0), (Follow("http://["), 0)])
def test_a_hook_that_never_ends_is_asked_no_more(thing: object, kept: int) -> None:
    extracted = run_hook(lambda page: (thing for _ in range(10**9)), PAGE)
    assert (len(extracted.follow), extracted.error is None) == (kept, False)


def test_an_exception_whose_text_ends_the_program_is_survived() -> None:
    class LeavingError(Exception):
        def __str__(self) -> str:
            raise SystemExit

    def hook(page: Page) -> None:
        raise LeavingError

    assert (run_hook(hook, PAGE).error or "").startswith("LeavingError: (its text cannot be had)")


def test_an_error_names_the_line_of_the_hook_and_not_of_a_library() -> None:
    error = run_hook(lambda page: page.soup.p["href"], PAGE).error or ""
    assert error.startswith("KeyError: 'href' (test_extract.py:")


def test_a_long_error_keeps_its_place() -> None:
    def hook(page: Page) -> None:
        raise ValueError("x" * 10_000)

    error = run_hook(hook, PAGE).error or ""
    assert (len(error), "(test_extract.py:" in error) == (500, True)


def test_no_string_of_a_soup_is_left_in_what_crosses_the_border() -> None:
    paragraph = PAGE.soup.p
    assert paragraph is not None
    hook = [{"d": SoupHolder(paragraph.string), "classes": paragraph.attrs}]
    extracted = run_hook(lambda page: hook, PAGE)
    assert (items(extracted), extracted.error) == ([{"d": {"text": "t"}, "classes": {}}], None)
    assert {type(item) for item in extracted.items} == {str}


def test_a_set_is_stored_in_one_order() -> None:
    assert run_hook(lambda page: {"a": {"c", "a", "b"}}, PAGE).items == ['{"a":["a","b","c"]}']


def test_a_module_that_ends_the_program_when_it_is_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaving_hook.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="cannot be imported: SystemExit: 3"):
        load_hook("leaving_hook:parse")


def test_the_working_directory_is_importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hook_beside_me.py").write_text("def parse(page): return {}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["/usr/lib"])
    assert load_hook("hook_beside_me:parse")(PAGE) == {}
