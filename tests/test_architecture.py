"""ARCHITECTURE.md is read in ten minutes, and each room, file, module and test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_floors import ROOMS

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
STEPS = (ROOT / "docs" / "from-a-queue.md").read_text(encoding="utf-8")
MOST_BYTES = 12_000


def cells(heading: str) -> list[list[str]]:
    """Return the rows of the table under a heading."""
    section = TEXT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    assert len(rows) > 3, heading
    return rows[1:]


def names(text: str) -> list[str]:
    """Return what stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def is_there(path: str) -> bool:
    """Return whether a file or folder is in the package, among the tests, or in the repository."""
    return any((folder / path).exists() for folder in (ROOT / "crawler", ROOT / "tests", ROOT))


def test_it_is_read_in_ten_minutes() -> None:
    assert len(TEXT.encode()) <= MOST_BYTES


def test_every_room_stands_in_the_table_and_is_there() -> None:
    rooms = {name.rstrip("/") for row in cells("Rooms") for name in names(row[0])}
    assert rooms == set(ROOMS) - {"__init__"}


@pytest.mark.parametrize("row", cells("Rooms"), ids=lambda row: row[0])
def test_what_a_room_is_said_to_hold_is_in_it(row: list[str]) -> None:
    files = [path for room in names(row[0]) for path in (ROOT / "crawler").glob(f"{room.rstrip('/')}*")]
    sources = [source for path in files for source in (path.rglob("*.py") if path.is_dir() else [path])]
    there = {source.stem for source in sources} | {source.parent.name for source in sources}
    there |= {name for source in sources for name in re.findall(r"^def (\w+)", source.read_text(), re.MULTILINE)}
    named = {name.rstrip("/") for name in names(row[1]) if re.fullmatch(r"\w+/?", name)}
    assert named - there == set()


def test_every_file_and_folder_that_is_named_is_there() -> None:
    named = {name for name in names(TEXT) if re.fullmatch(r"[\w/]+(\.py|/)", name)}
    named |= set(re.findall(r"\]\(([^)#]+)\)", TEXT))
    named |= {name.removeprefix("crawler/") for name in names(STEPS) if re.fullmatch(r"crawler/[\w/]+(\.py|/)", name)}
    assert len(named) > 40
    assert {name for name in named if not is_there(name)} == set()


def test_every_invariant_has_a_test_that_is_there() -> None:
    for number, _, tests in cells("Invariants, each with its test"):
        files = [name for name in names(tests) if name.endswith(".py")]
        assert files, number
        assert [name for name in files if not (ROOT / "tests" / name).is_file()] == [], number
        modules = re.findall(r"python -m ([\w.]+)", tests)
        assert [name for name in modules if not (ROOT / name.replace(".", "/") / "__main__.py").is_file()] == []
