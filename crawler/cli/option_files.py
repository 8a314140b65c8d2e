"""The table of options as files: config.toml, a new project's config.toml, and the tables of docs/config.md.

`python -m crawler.cli.option_files` writes those of the repository, in whose folder it is run; a test says whether
they are as it would write them. Runs in the coordinator.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from crawler.cli.options import OPTIONS, Option
from crawler.config import Config
from crawler.text import printable

LINE: Final = 120  # columns of a comment
HEADING: Final = """\
# Every option with its default. Delete what you do not change, or leave it: a flag on the command line wins, then
# -s KEY=VALUE, then this file. `python -m crawler --help` has the flags.
"""
_TABLE: Final = "| key | default | flag | meaning |\n|---|---|---|---|\n"
_DEFAULTS: Final = Config()


def as_toml(value: Any) -> str:
    """Return an option's value as it would stand in config.toml; printable."""
    if isinstance(value, dict):
        inside = ", ".join(f"{as_toml(key)} = {as_toml(each)}" for key, each in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    return printable(json.dumps(value, ensure_ascii=False))


def config_toml(heading: str = HEADING, own: Mapping[str, str] | None = None) -> str:
    """Return a config.toml with every option, its meaning and its default.

    Args:
        own: TOML by key, of the options that the file sets: all others are commented out. None: all are set.
    """
    parts = [heading]
    for title, options in OPTIONS.items():
        parts.append(f"# ---- {title}\n")
        for option in options:
            comment = textwrap.fill(option.meaning.replace("`", ""), LINE, initial_indent="# ", subsequent_indent="# ")
            parts.append(f"{comment}\n{_line(option.key, own)}\n")
    return "\n".join(parts)


def _line(key: str, own: Mapping[str, str] | None) -> str:
    if own is not None and key in own:
        return f"{key} = {own[key]}"
    return f"{'' if own is None else '#'}{key} = {_default(key)}"


def _default(key: str) -> str:
    value = getattr(_DEFAULTS, key)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:_}" if is_number else as_toml(value)


def config_tables() -> str:
    """Return the part of docs/config.md that is made of the table: a section with a table of keys for each of ours."""
    sections = []
    for title, options in OPTIONS.items():
        heading = f"## {title[0].upper()}{title[1:]}\n\n"
        sections.append(heading + _TABLE + "".join(map(_row, options)))
    return "\n".join(sections)


def _row(option: Option) -> str:
    flags = ", ".join(f"`{flag}`" for flag in option.flags)
    return f"| `{option.key}` | `{_default(option.key)}` | {flags} | {option.meaning} |\n"


def config_page(page: str) -> str:
    """Return docs/config.md with the sections of the table in the place of those that it has."""
    prose, _, _ = page.partition("\n## ")
    return f"{prose}\n{config_tables()}"


def write(repository: Path) -> None:
    """Write what is made of the table into the repository in this folder."""
    page = repository / "docs" / "config.md"
    page.write_text(config_page(page.read_text(encoding="utf-8")), encoding="utf-8")
    (repository / "config.toml").write_text(config_toml(), encoding="utf-8")


if __name__ == "__main__":
    write(Path())
