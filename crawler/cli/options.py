"""The one table of options: each key of `Config` in words, and the flag that sets it, if there is one.

The parser, --help and completion are made of it here and in the commands, config.toml and the tables of docs/config.md
in `option_files`; defaults and bounds are those of `Config`. A new option is a field there and an entry here. Must
not know what an option does. Runs in the coordinator.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from crawler.cli.arguments import DEFAULT_LEDGER, Parser, ledger_file
from crawler.config import Config
from crawler.errors import UsageError


def _ledger_name(text: str) -> str:
    return str(ledger_file(text))


class Option(NamedTuple):
    """A key of the config, and its flag; one without can be set by `-s` and the like only."""

    key: str
    meaning: str  # for docs/config.md, in Markdown; config.toml has the same without backticks
    flags: tuple[str, ...] = ()  # the last one is the long one
    metavar: str = ""  # what the flag takes, the unit where it has one; "": nothing, it sets `const`
    help: str = ""  # of the flag; the default is added
    const: Any = True
    type: Callable[[str], Any] | None = None  # reads the flag's value; None: as the default's type does
    has_commas: bool = False  # the flag takes several words, with commas between


#: section → its options; all keys, in the order of the config
OPTIONS: Final[dict[str, tuple[Option, ...]]] = {
    "the ledger": (
        Option(
            "ledger", "the SQLite file; empty: crawl.db on the command line, a temporary file in the library",
            ("--ledger",), "FILE", f"the SQLite file (default: {DEFAULT_LEDGER})", type=_ledger_name,
        ),
    ),
    "what is crawled": (
        Option(
            "scope",
            '"page": the seeds alone; "prefix": what is in a seed\'s directory; "host": what is on a seed\'s host; '
            '"any"',
            ("--scope",), "page|prefix|host|any", "how far from a seed links are followed",
        ),
        Option(
            "include", "regular expressions; a URL that is no seed must match one of them, if there are any",
            ("--include",), "REGEX", "only URLs that match one of these (repeatable)",
        ),
        Option(
            "exclude", "regular expressions; a URL that is no seed may match none of them",
            ("--exclude",), "REGEX", "no URL that matches any of these (repeatable)",
        ),
        Option(
            "max_depth", "links followed from a seed, in steps; 0: the seeds only, -1: no limit",
            ("--depth",), "N", "follow links so many steps from a seed; 0: the seeds only, -1: no limit",
        ),
        Option(
            "max_pages", "pages in the ledger; 0: no limit",
            ("--max-pages",), "N", "stop when the ledger has so many pages; 0: no limit",
        ),
        Option(
            "max_seconds", "seconds that this run may take; 0: no limit",
            ("--max-time",), "SECONDS", "stop this run after so long; 0: no limit",
        ),
        Option("obey_nofollow", "nofollow in meta, rel and X-Robots-Tag is obeyed"),
        Option(
            "check_external", "links that leave the scope are asked once, without following them",
            ("--check-external",), help="ask also for links that leave the scope, without following them",
        ),
        Option(
            "embeds",
            "what pages embed is asked, wherever it is: images, scripts, stylesheets and what these import, fonts, "
            "media, icons",
            ("--embeds",), help="ask also for what pages embed: images, scripts, stylesheets, fonts, media",
        ),
        Option(
            "check_fragments",
            "of each link with a #fragment, it is checked whether the page it leads to has such an id or name",
            ("--check-fragments",), help="check that pages have the #fragments that links to them name",
        ),
    ),
    "what is kept": (
        Option(
            "save", "the folder that bodies are saved in, as `host/path` files; empty: bodies are not kept",
            ("--save",), "DIR", "save bodies as files, host/path, in this folder",
        ),
        Option(
            "convert_links",
            "when the crawl ends, the links of saved pages and stylesheets are made to lead to saved files, or else to "
            "the web",
            ("--convert-links",), help="make the links of saved pages lead to saved files, in the end",
        ),
        Option(
            "types",
            "what is saved: `html`, `css`, `js`, `json`, `xml`, `text`, `pdf`, `images`, `audio`, `video`, `fonts`, "
            "`documents`, `archives`, or content types such as `image/svg+xml`; empty: all types",
            ("--types",), "TYPES", "save only these: html,css,images,pdf or content types (repeatable)",
            has_commas=True,
        ),
        Option(
            "accept",
            "suffixes, patterns of names, or content types; only what matches one of them is saved, if there are any",
            ("--accept",), "PATTERNS", "save only such suffixes, names or types: pdf,'report-*' (repeatable)",
            has_commas=True,
        ),
        Option(
            "reject", "suffixes, patterns of names, or content types; what matches one of them is not saved",
            ("--reject",), "PATTERNS", "save no such suffixes, names or types (repeatable)",
            has_commas=True,
        ),
    ),
    "politeness": (
        Option(
            "delay_seconds", "seconds between the end of one request to a host and the start of the next",
            ("--delay",), "SECONDS", "between two requests to a host",
        ),
        Option(
            "per_host", "requests in flight to a host; above 1 only without delay",
            ("--per-host",), "N", "requests in flight to a host; above 1 only without delay",
        ),
        Option(
            "obey_robots", "robots.txt is asked for and obeyed",
            ("--no-robots",), help="do not ask for or obey robots.txt", const=False,
        ),
        Option("robots_max_age_seconds", "seconds for which a robots.txt is kept; at least 60"),
        Option(
            "robots_give_up_seconds", "seconds after which a host whose robots.txt cannot be had counts as unreachable"
        ),
        Option(
            "user_agent", "how the crawler names itself; robots.txt is read for the token poolcrawl",
            ("-U", "--user-agent"), "TEXT", "how the crawler names itself",
        ),
        Option(
            "headers", 'headers of every request, to every host: `{ "Accept-Language" = "de" }`',
            ("-H", "--header"), "NAME:VALUE", "a header of every request (repeatable)",
        ),
    ),
    "requests": (
        Option(
            "transport",
            '"requests"; "curl": libcurl, several times as fast (`pip install \'poolcrawl[curl]\'`); "module:factory": '
            "one of your own",
            ("--transport",), "NAME", "how requests are sent: requests, or curl, several times as fast",
        ),
        Option(
            "concurrency", "requests in flight, all hosts together",
            ("-c", "--concurrency"), "N", "requests in flight, all hosts together",
        ),
        Option(
            "timeout_seconds", "seconds for a whole request, from the name look-up to the last byte",
            ("--timeout",), "SECONDS", "for a whole request, from the name look-up to the last byte",
        ),
        Option(
            "retries", "more tries after a failure that may pass",
            ("--retries",), "N", "after a failure that may pass",
        ),
        Option(
            "retry_wait_seconds",
            "seconds that a host is left alone after a failure; doubled with each further one in a row",
        ),
        Option("retry_wait_max_seconds", "seconds, the most of that"),
        Option("max_body_bytes", "bytes of a body, on the wire and decoded; more is failed: too-large"),
        Option(
            "allow_private", "address ranges (CIDR) that are not public and may be asked all the same",
            ("--allow-private",), "CIDR", "addresses that are not public, yet may be asked (repeatable)",
        ),
    ),
    "the machine": (
        Option(
            "processes", "worker processes; -1: one a core, 0: none, everything runs in this process",
            ("-p", "--processes"), "N", "worker processes; -1: one a core, 0: none at all",
        ),
        Option("consumers", "processes that write the ledger, one at a time; more than one are standbys"),
        Option("start_method", '"forkserver", "spawn", or "auto": forkserver where there is one'),
        Option(
            "durability",
            '"process": what is committed survives the death of every process; "power": of the machine, too, at some '
            "cost",
        ),
        Option(
            "page_deadline_seconds",
            "seconds of processor time and hooks that a page may take before its worker is killed",
        ),
        Option("stall_seconds", "seconds without a commit after which the consumers are replaced"),
        Option(
            "worker_memory_mb",
            "MB that a worker may have in memory (Linux): above it is replaced when its visits have come back, at "
            "twice that it is killed; 0: no limit",
        ),
        Option(
            "memory_mb",
            "MB that all processes together may have in memory (Linux): above that, the largest worker is replaced; "
            "0: no limit",
        ),
        Option("worker_setup", '"package.module:function", called once in each worker'),
    ),
    "what is extracted, and said": (
        Option(
            "parse",
            '"package.module:function", called with each HTML page; what it returns is stored as items',
            ("--parse",), "MODULE:FUNCTION", "called with each page; what it returns is stored as items",
        ),
        Option(
            "log_seconds", "seconds between two lines of progress, where there is no live panel; 0: none, and no panel",
            ("--no-progress",), help="no live panel, and no line every few seconds", const=0.0,
        ),
    ),
}  # fmt: skip
_WITH_FLAG: Final = [option for options in OPTIONS.values() for option in options if option.flags]


def add_options(parser: Parser) -> None:
    """Add the options that stand for keys of the config, and those that say where else these are set."""
    defaults = Config()
    for title, options in OPTIONS.items():
        group = parser.add_argument_group(title)
        for option in options:
            if option.flags:
                group.add_argument(*option.flags, dest=option.key, **_argument(option, getattr(defaults, option.key)))
    group = parser.add_argument_group("other")
    group.add_argument(
        "--config", type=Path, metavar="FILE", help="a TOML file (default: ./config.toml if it is there)"
    )
    group.add_argument("-s", "--set", action="append", metavar="KEY=VALUE", help="any key of the config (repeatable)")
    group.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")


def _argument(option: Option, default: Any) -> dict[str, Any]:
    """Return what argparse needs to know of a flag."""
    if not option.metavar:
        return {"action": "store_const", "const": option.const, "help": option.help}
    shown = f" (default: {default})" if default not in ((), {}, "") else ""
    kind = type(default) if isinstance(default, int | float) else str
    return {
        "action": "append" if isinstance(default, tuple | dict) else "store",
        "metavar": option.metavar,
        "help": option.help + shown.replace("%", "%%"),
        "type": option.type or kind,
    }


def flag_of(key: str) -> str:
    """Return the flag that sets a key of the config; "" if there is none."""
    return next((option.flags[-1] for option in _WITH_FLAG if option.key == key), "")


def read_flags(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the flags that were given, by config key and typed.

    Raises:
        UsageError: a header is none.
    """
    given = vars(arguments)
    flags: dict[str, Any] = {}
    for option in _WITH_FLAG:
        value = given[option.key]
        if value is not None and option.has_commas:
            value = [word.strip() for text in value for word in text.split(",") if word.strip()]
        if value is not None:
            flags[option.key] = value
    if "headers" in flags:
        flags["headers"] = dict(map(_read_header, flags["headers"]))
    if arguments.quiet:
        flags["log_seconds"] = 0.0
    return flags


def _read_header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageError(f"--header {text!r}: expected NAME:VALUE, such as 'Accept-Language: de'")
    return name.strip(), value.strip()
