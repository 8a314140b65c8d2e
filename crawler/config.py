"""Every option of a crawl: its name, unit, default and bounds, and reading them from TOML and from KEY=VALUE words.

One flat, frozen struct; a key here is a key in config.toml, a `Config(...)` argument and an `-s KEY=VALUE`. Knows
nothing of the command line's flags. Runs anywhere: workers get the struct itself, as plain data.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from crawler.errors import UsageError

_Seconds = Annotated[float, Meta(ge=0)]
_Count = Annotated[int, Meta(ge=0)]
_AtLeastOne = Annotated[int, Meta(ge=1)]
_OrAutomatic = Annotated[int, Meta(ge=-1)]

VERSION = "0.1.0"
ROBOTS_TOKEN = "poolcrawl"  # noqa: S105  (a product token, RFC 9309 section 2.2.1)
DEFAULT_USER_AGENT = f"poolcrawl/{VERSION} (+https://pypi.org/project/poolcrawl/)"


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of a crawl. `config.toml` has a line of explanation for each key."""

    ledger: str = ""
    # what is crawled
    scope: Literal["page", "prefix", "host", "any"] = "host"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_depth: _OrAutomatic = -1
    max_pages: _Count = 0
    max_seconds: _Seconds = 0.0
    obey_nofollow: bool = True
    # politeness
    delay_seconds: _Seconds = 1.0
    per_host: _AtLeastOne = 1
    obey_robots: bool = True
    robots_max_age_seconds: Annotated[float, Meta(ge=60)] = 86_400.0
    robots_give_up_seconds: _Seconds = 60.0
    user_agent: Annotated[str, Meta(min_length=1)] = DEFAULT_USER_AGENT
    headers: dict[str, str] = {}
    # requests
    transport: str = "requests"
    concurrency: _AtLeastOne = 64
    timeout_seconds: Annotated[float, Meta(gt=0)] = 30.0
    retries: _Count = 2
    retry_wait_seconds: _Seconds = 1.0
    retry_wait_max_seconds: _Seconds = 300.0
    max_body_bytes: _AtLeastOne = 10_000_000
    allow_private: tuple[str, ...] = ()
    # the machine
    processes: _OrAutomatic = -1
    consumers: _AtLeastOne = 1
    start_method: Literal["auto", "forkserver", "spawn"] = "auto"
    durability: Literal["process", "power"] = "process"
    page_deadline_seconds: Annotated[float, Meta(gt=0)] = 60.0
    stall_seconds: Annotated[float, Meta(gt=0)] = 60.0
    worker_setup: str = ""
    # what is extracted, and said
    parse: str = ""
    log_seconds: _Seconds = 5.0

    def workers(self) -> int:
        """Return how many worker processes to run; 0 means none, the crawl runs in this process."""
        return (os.cpu_count() or 1) if self.processes < 0 else self.processes


def read_config(path: Path | None, words: list[str], flags: dict[str, Any]) -> Config:
    """Read a config file, then KEY=VALUE words over it, then the command line's flags over both.

    Args:
        path: a TOML file; None means `config.toml` in the working directory if it is there.
        words: values are TOML (`max_pages=500`, `include=["a", "b"]`); a bare word is taken as text.
        flags: already typed values by key.

    Raises:
        UsageError: names the key, what was expected and what it is.
    """
    if path is None and (default := Path("config.toml")).is_file():
        path = default
    values: dict[str, Any] = {}
    if path is not None:
        values = _read_toml(path)
        _make_config(values, str(path))
    overlay = dict(_read_word(word) for word in words)
    _make_config(overlay, "-s")
    return _make_config({**values, **overlay, **flags}, "the command line")


def _read_toml(path: Path) -> dict[str, Any]:
    import tomllib  # with the next, a tenth of what a worker imports, and no business of it

    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read the config file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a TOML file: {error}") from error


def _read_word(word: str) -> tuple[str, Any]:
    key, equals, value = word.partition("=")
    if not equals:
        raise UsageError(f"-s {word}: expected KEY=VALUE, such as max_pages=500")
    import tomllib

    key = key.strip()
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value.strip()


def _make_config(values: dict[str, Any], source: str) -> Config:
    import difflib

    known = Config.__struct_fields__
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise UsageError(f"{source}: there is no option {key!r}{hint}")
    for key, value in values.items():
        try:
            msgspec.convert({key: value}, Config)
        except msgspec.ValidationError as error:
            expected = str(error).split(" - at ")[0]
            raise UsageError(f"{source}: {key} = {value!r}: {expected[0].lower()}{expected[1:]}") from error
    return msgspec.convert(values, Config)
