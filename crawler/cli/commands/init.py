"""`python -m crawler init [DIR]`: start a project that runs as it is, and whose test passes.

Its files are those of the folder `project` of this package (a name that ends in .in is one that no tool should take
for a module of ours) and a config.toml made of the table of options.
"""

from __future__ import annotations

import argparse
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from crawler.cli.arguments import Parser, program
from crawler.cli.option_files import config_toml
from crawler.errors import UsageError

_HEADING: Final = """\
# The options of this project, each with its default behind a #: take that away to set one. What is set here gives way
# to the environment (POOLCRAWL_MAX_PAGES=100), to -s KEY=VALUE and to flags. `{program} config` shows what holds.
"""
#: what a project sets that is not the default
_OWN: Final = {"parse": '"hook:parse"'}


def make_parser(name: str) -> Parser:
    """Make the parser of the command."""
    parser = Parser(name, description="Start a project that runs as it is: config, seeds, parse hook and its test.")
    parser.add_argument(
        "folder", nargs="?", default=Path(), type=Path, metavar="DIR", help="made if need be (default: this folder)"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Write the project's files; none that is there already is touched."""
    folder: Path = arguments.folder
    texts = project_files()
    if folder.is_file():
        raise UsageError(f"{folder} is a file: name a folder for the project")
    try:
        there = [name for name in texts if (folder / name).exists()]
        if there:
            raise UsageError(f"{folder / there[0]} is there already, and nothing was written: name another folder")
        for name, text in texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise UsageError(f"cannot write the project to {folder}: {error.strerror}") from error
    print(f"made {', '.join(texts)}\n\nNext:")
    if folder != Path():
        print(f"  cd {folder}")
    print(f"  {program()} seeds.txt        # crawls the two pages of example/")
    print(f"  {program()} items            # what hook.py found on them")
    print(f"  {program()} links --broken   # and the broken link")
    print("  python -m pytest                   # the test of the hook (pip install pytest responses)")
    print("\nThen put your own seeds into seeds.txt and your own words into hook.py.")
    return 0


def project_files() -> dict[str, str]:
    """Return the text of each file of a project by its path in it."""
    found = _walk(files("crawler.cli") / "project", "")
    found["config.toml"] = config_toml(_HEADING.format(program=program()), _OWN)
    return dict(sorted(found.items()))


def _walk(folder: Traversable, place: str) -> dict[str, str]:
    found = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            found.update(_walk(entry, f"{place}{entry.name}/"))
        else:
            found[place + entry.name.removesuffix(".in")] = entry.read_text(encoding="utf-8")
    return found
