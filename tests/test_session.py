"""What `crawl()` refuses before anything is touched, and what it makes of a hook, a ledger's name and its seeds."""

from __future__ import annotations

import functools
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from crawler.api import session
from crawler.config import Config
from crawler.errors import UsageError
from tests import hooks


def parse(page: object) -> None:
    """Return nothing: a hook that workers can import."""


def test_a_hook_by_its_name_or_importable_by_it_is_a_name_in_the_config() -> None:
    for hook in ("tests.hooks:title", hooks.title):
        config, function = session.check(Config(processes=2), hook)
        assert (config.parse, function) == ("tests.hooks:title", None)


def test_a_hook_given_to_a_call_goes_before_the_one_in_the_config() -> None:
    before = Config(parse="tests.hooks:wayward", processes=2)
    assert session.check(before)[0].parse == "tests.hooks:wayward"
    assert session.check(before, parse)[0].parse == f"{__name__}:parse"


@pytest.mark.parametrize("hook", [lambda page: None, functools.partial(parse)])
def test_without_processes_anything_callable_is_a_hook_and_with_them_it_must_be_importable(hook: Any) -> None:
    config, function = session.check(Config(processes=0), hook)
    assert (config.parse, function) == ("", hook)
    with pytest.raises(UsageError, match="cannot be imported by worker processes: define it at the top level"):
        session.check(Config(processes=1), hook)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"include": ("(",)}, "include: '(' is not a regular expression"),
        ({"exclude": ("(",)}, "exclude: '(' is not a regular expression"),
        ({"allow_private": ("one.two/three",)}, "allow_private: "),
        ({"transport": "carrier-pigeon"}, "transport = 'carrier-pigeon'"),
        ({"parse": "tests.hooks:nobody"}, "tests.hooks"),
        ({"worker_setup": "no.such.module:x"}, "no.such.module"),
        ({"types": ("pdf",)}, "--save"),
        ({"types": ("?",), "save": "copy"}, "types: "),
        ({"convert_links": True}, "save"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(
    options: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as raised:
        session.crawl(["http://a.test/"], Config(**options))
    assert message in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_the_copys_folder_is_absolute_whatever_the_working_directory_of_a_child_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert session.check(Config(save="copy"))[0].save == os.fspath(tmp_path / "copy")
    assert session.check(Config())[0].save == ""


def test_a_ledger_without_a_name_is_in_a_temporary_folder_and_one_with_a_name_is_there() -> None:
    path, temporary = session.choose_ledger("")
    assert temporary is not None
    assert path == temporary / "crawl.db"
    assert temporary.is_dir()
    shutil.rmtree(temporary)
    assert session.choose_ledger("some.db") == (Path("some.db"), None)


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ("http://a.test/", "seeds must be a list of URLs, not one text: ['http://a.test/']"),
        ([], "there is no seed: name at least one URL"),
        ([7], "a seed must be text, not int: 7"),
        (["http://a.test/", "http://[broken"], "http://[broken"),
    ],
)
def test_seeds_that_are_none_are_refused(seeds: Any, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        session.read_words(seeds)
    assert str(raised.value).startswith(message)
