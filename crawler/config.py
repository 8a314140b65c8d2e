"""Every option of a crawl: its name, unit, default and bounds.

One flat, frozen struct; a key here is a key in config.toml, a `Config(...)` argument, an `-s KEY=VALUE` and, in upper
case, an environment variable POOLCRAWL_KEY (`cli.layers` reads these; `cli.options` has the words). Runs anywhere:
workers get the struct itself, as plain data, and so this imports next to nothing.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

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
    check_external: bool = False
    embeds: bool = False
    check_fragments: bool = False
    # what is kept
    save: str = ""
    convert_links: bool = False
    types: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()
    reject: tuple[str, ...] = ()
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
    worker_memory_mb: _Count = 1_024
    memory_mb: _Count = 0
    worker_setup: str = ""
    # what is extracted, and said
    parse: str = ""
    log_seconds: _Seconds = 5.0

    def workers(self) -> int:
        """Return how many worker processes to run; 0 means none, the crawl runs in this process."""
        return (os.cpu_count() or 1) if self.processes < 0 else self.processes


class Stored(NamedTuple):
    """The config of a run, as a ledger has it."""

    config: Config  # with the default in the place of what cannot be used
    unusable: dict[str, Any]  # what is stored of these keys, and is no value of theirs today


def read_stored(text: str) -> Stored:
    """Return what a ledger says of the options that a run had.

    Another version of the program, or somebody's editor, may have written it: an option that there is no more is left
    out, a value that is none is named and left out, and where the whole is no JSON object, that goes for all keys.
    """
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        found = None
    if not isinstance(found, dict):
        return Stored(Config(), dict.fromkeys(Config.__struct_fields__))
    known = {key: value for key, value in found.items() if key in Config.__struct_fields__}
    unusable = {key: value for key, value in known.items() if not _is_usable(key, value)}
    return Stored(msgspec.convert({key: known[key] for key in known.keys() - unusable.keys()}, Config), unusable)


def _is_usable(key: str, value: Any) -> bool:
    try:
        msgspec.convert({key: value}, Config)
    except msgspec.ValidationError:
        return False
    return True
