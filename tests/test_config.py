"""Options: from a file, from words, from flags, in this order; what is wrong is named with what was expected."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from crawler.cli.arguments import Parser
from crawler.cli.layers import Layer, put_together, read_config
from crawler.cli.options import OPTIONS, add_options, read_flags
from crawler.config import Config, read_stored
from crawler.errors import UsageError

CONFIG_TOML = Path(__file__).parent.parent / "config.toml"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of each test, without a config.toml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complaint(path: Path | None = None, words: list[str] | None = None, flags: dict[str, Any] | None = None) -> str:
    """What is said of options that cannot be used, in one line."""
    with pytest.raises(UsageError) as caught:
        read_config(path, words or [], flags or {})
    text = str(caught.value)
    assert "\n" not in text.strip()
    return text


def test_config_toml_holds_exactly_the_keys_and_the_defaults_in_the_order_of_the_struct() -> None:
    read = tomllib.loads(CONFIG_TOML.read_text(encoding="utf-8"))
    assert tuple(read) == Config.__struct_fields__
    assert read_config(CONFIG_TOML, [], {}) == Config()
    for key, value in msgspec.structs.asdict(Config()).items():
        assert type(read[key]) is (list if isinstance(value, tuple) else type(value)), key


def test_every_key_of_config_toml_has_a_comment_above_it() -> None:
    lines = CONFIG_TOML.read_text(encoding="utf-8").splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r"[a-z_]+ =", line)]
    assert len(keys) == len(Config.__struct_fields__)
    assert [lines[number] for number in keys if not lines[number - 1].startswith("# ")] == []


def test_without_a_file_words_and_flags_there_are_the_defaults() -> None:
    assert read_config(None, [], {}) == Config()


def test_flags_win_over_words_and_words_over_the_file(folder: Path) -> None:
    (folder / "config.toml").write_text("max_pages = 1\nmax_depth = 1\nretries = 1\n")
    config = read_config(None, ["max_pages=2", "max_depth=2"], {"max_pages": 3})
    assert (config.max_pages, config.max_depth, config.retries) == (3, 2, 1)


def test_a_named_file_is_read_instead_of_the_one_in_the_working_directory(folder: Path) -> None:
    (folder / "config.toml").write_text("max_pages = 1\n")
    (folder / "other.toml").write_text("\ufeffmax_depth = 1\n", encoding="utf-8")
    assert read_config(folder / "other.toml", [], {}) == Config(max_depth=1)


@pytest.mark.parametrize(
    ("word", "key", "value"),
    [
        ("max_pages=500", "max_pages", 500),
        (" max_pages = 500", "max_pages", 500),
        ("delay_seconds=0", "delay_seconds", 0.0),
        ("delay_seconds=0.25", "delay_seconds", 0.25),
        ("obey_robots=false", "obey_robots", False),
        ('include=["a", "b=c"]', "include", ("a", "b=c")),
        ("transport=tests.site:Made", "transport", "tests.site:Made"),
        ('user_agent="x = y"', "user_agent", "x = y"),
        ('headers={ "Accept-Language" = "de" }', "headers", {"Accept-Language": "de"}),
        ("ledger=", "ledger", ""),
    ],
)
def test_a_word_is_toml_or_else_text(word: str, key: str, value: object) -> None:
    assert read_config(None, [word], {}) == Config(**{key: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "close"),
    [("max_page", "max_pages"), ("delay_second", "delay_seconds"), ("obey_robot", "obey_robots"), ("zzz", "")],
)
def test_a_misspelt_key_is_named_with_the_close_match(key: str, close: str, folder: Path) -> None:
    hint = f"there is no option {key!r}" + (f"; did you mean {close}?" if close else "")
    (folder / "mine.toml").write_text(f"{key} = 1\n")
    assert complaint(words=[f"{key}=1"]) == f"-s: {hint}"
    assert complaint(folder / "mine.toml") == f"{folder / 'mine.toml'}: {hint}"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("max_pages=many", "expected a whole number"),
        ("max_pages=-1", "expected a whole number of at least 0"),
        ("max_depth=-2", "expected a whole number of at least -1"),
        ("per_host=0", "expected a whole number of at least 1"),
        ("timeout_seconds=0", "expected a number above 0"),
        ("robots_max_age_seconds=1", "expected a number of at least 60"),
        ("scope='hosts'", "expected one of page, prefix, host, any; did you mean host?"),
        ("obey_robots=1", "expected true or false"),
        ('include="a"', 'expected a list, such as ["a", "b"]'),
        ('user_agent=""', "expected text that is not empty"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_what_was_expected(word: str, expected: str) -> None:
    key = word.partition("=")[0]
    text = complaint(words=[word])
    assert text.startswith(f"-s: {key} = ")
    assert text.endswith(expected)


def test_every_number_has_a_bound_below() -> None:
    numbers = [key for key, value in msgspec.structs.asdict(Config()).items() if type(value) in (int, float)]
    assert len(numbers) >= 15
    for key in numbers:
        assert f"{key} = -2" in complaint(words=[f"{key}=-2"])


def test_a_word_without_an_equals_sign_is_told_how_it_should_look() -> None:
    assert complaint(words=["max_pages"]) == "-s max_pages: expected KEY=VALUE, such as max_pages=500"


def test_a_flag_that_cannot_be_used_is_blamed_on_the_command_line() -> None:
    assert complaint(flags={"max_pages": -1}).startswith("the command line: max_pages = -1: ")


def test_a_file_that_is_missing_or_a_folder_is_said_so(folder: Path) -> None:
    missing = folder / "no.toml"
    assert complaint(missing) == f"cannot read the config file {missing}: {os.strerror(2)}"
    assert complaint(folder).startswith(f"cannot read the config file {folder}: ")


@pytest.mark.parametrize(
    "content", [b"max_pages 5", b"max_pages = 1\nmax_pages = 2\n", b"\xff\xfem\0", b"user_agent = '\xe9'"]
)
def test_a_file_that_is_no_toml_is_said_so(content: bytes, folder: Path) -> None:
    (folder / "mine.toml").write_bytes(content)
    assert complaint(folder / "mine.toml").startswith(f"{folder / 'mine.toml'} is not a TOML file: ")


def test_workers_are_the_cores_unless_a_number_is_given() -> None:
    assert [Config(processes=processes).workers() for processes in (-1, 0, 3)] == [os.cpu_count() or 1, 0, 3]


def test_the_environment_wins_over_the_file_and_gives_way_to_words(folder: Path) -> None:
    (folder / "config.toml").write_text("max_pages = 1\nmax_depth = 1\nretries = 1\n")
    environment = {"POOLCRAWL_MAX_PAGES": "2", "POOLCRAWL_MAX_DEPTH": "2", "MAX_PAGES": "9", "POOLCRAWLER": "x"}
    config = read_config(None, ["max_depth=3"], {}, environment)
    assert (config.retries, config.max_pages, config.max_depth) == (1, 2, 3)


def test_every_key_can_be_set_in_the_environment_as_by_a_word() -> None:
    for key, value in msgspec.structs.asdict(Config()).items():
        by_value = {"requests": "curl", "host": "any", "auto": "spawn", "process": "power"}
        by_type: dict[type, str] = {str: by_value.get(str(value), "12"), tuple: '["x"]', dict: '{ x = "y" }'}
        by_type[bool] = str(not value).lower()
        text = by_type.get(type(value), "77")
        read = read_config(None, [], {}, {f"POOLCRAWL_{key.upper()}": text})
        assert getattr(read, key) != value
        assert read == read_config(None, [f"{key}={text}"], {})


def test_an_empty_variable_is_not_set_and_a_misspelt_one_is_named() -> None:
    assert read_config(None, [], {}, {"POOLCRAWL_MAX_PAGES": "", "POOLCRAWL_LEDGER": " "}) == Config()
    with pytest.raises(UsageError) as caught:
        read_config(None, [], {}, {"POOLCRAWL_DELAY_SECOND": "1"})
    expected = "there is no option 'delay_second'; did you mean POOLCRAWL_DELAY_SECONDS?"
    assert str(caught.value) == f"the environment variable POOLCRAWL_DELAY_SECOND: {expected}"
    with pytest.raises(
        UsageError, match=r"environment: max_pages = 'x': expected a whole number of at least 0|number$"
    ):
        read_config(None, [], {}, {"POOLCRAWL_MAX_PAGES": "x"})


def test_of_a_stored_config_what_cannot_be_used_today_is_named_and_has_the_default() -> None:
    config = Config(max_pages=5, headers={"A": "b"}, include=("x",))
    assert read_stored(msgspec.json.encode(config).decode()) == (config, {})
    stored = '{"max_pages": 5, "retries": -1, "scope": "world", "save": 5, "headers": ["A"], "colour": "red"}'
    unusable = {"retries": -1, "scope": "world", "save": 5, "headers": ["A"]}
    assert read_stored(stored) == (Config(max_pages=5), unusable)
    for text in ("", "[]", "7", '{"max_pages": 5'):
        assert read_stored(text) == (Config(), dict.fromkeys(Config.__struct_fields__))


def test_every_flag_reads_what_its_key_takes_and_names_the_choices_that_there_are() -> None:
    """The table has all keys in their order (test_docs), and no flag twice."""
    options = [option for section in OPTIONS.values() for option in section]
    flags = [flag for option in options for flag in option.flags]
    assert len(set(flags)) == len(flags) > 25
    parser = Parser("")
    add_options(parser)
    by_kind = {int: "7", float: "0.5", str: "host", tuple: "x", dict: "A: b"}
    for option in options:
        value = getattr(Config(), option.key)
        for flag in option.flags:
            words = [flag, by_kind[type(value)]] if option.metavar else [flag]
            read = put_together([Layer("", read_flags(parser.read(words)))])
            changed = {key for key in Config.__struct_fields__ if getattr(read, key) != getattr(Config(), key)}
            assert changed == ({option.key} if option.key != "scope" else set())
    choices = {option.key: tuple(option.metavar.split("|")) for option in options if "|" in option.metavar}
    assert choices == {key: get_args(get_type_hints(Config)[key]) for key in choices} != {}
