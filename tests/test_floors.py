"""The house has floors: a module imports from floors below its own only, and the rules touch nothing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "crawler"
FLOORS = [
    {"model", "errors"},
    {"urls", "scope", "robots", "politeness", "encodings", "parse", "embeds", "fragments", "extract", "offers"}
    | {"harvest", "filenames", "selection", "rewriting"},
    {"config", "layers", "ledger", "lock", "frontier", "transports", "progress", "report", "seeds", "folder", "saving"},
    {"mark", "pools", "worker", "consumer", "watchdog", "converting"},
    {"engine", "session", "streaming"},
    {"__init__", "__main__", "cli", "bench", "commands", "arguments", "export", "pager", "panel", "summary"},
]
RULES = FLOORS[1]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
#: on the floor of the hands, these may be imported by the others (the config by the rules too: it is plain data)
COMMON = {"config", "ledger", "lock", "progress"}
#: a library → the only rooms that may import it
ONLY_IN = {
    "requests": {"transports"},
    "pycurl": {"transports"},
    "urllib3": {"transports"},
    "bs4": {"extract"},
    "sqlite3": {"ledger"},
    "multiprocessing": {"pools", "worker", "consumer", "engine"},
    "concurrent": {"pools", "worker", "consumer", "engine", "converting"},
    "protego": {"robots"},
    "selectolax": {"parse", "embeds", "fragments"},
    "ada_url": {"urls"},
}
IMPURE = {"socket", "ssl", "os", "subprocess", "threading", "tempfile", "shutil", "signal", "queue"}


def _room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "crawler":
                found.update(f"crawler.{alias.name}" for alias in node.names)
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_room_has_a_floor() -> None:
    assert {_room(path) for path in FILES} == set(FLOOR_OF)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_from_the_floors_below_only(path: Path) -> None:
    room = _room(path)
    if room in ("__init__", "__main__"):
        return
    rooms = {name.split(".")[1] for name in _imports(path) if name.startswith("crawler.")} - {room}
    rooms = {other for other in rooms if other in FLOOR_OF}
    same_floor = {"model", "errors", *COMMON} if FLOOR_OF[room] == 2 else FLOORS[FLOOR_OF[room]]
    wrong = {
        other
        for other in rooms
        if (FLOOR_OF[other] > FLOOR_OF[room] and other != "config")
        or (FLOOR_OF[other] == FLOOR_OF[room] and other not in same_floor)
    }
    assert not wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_library_is_imported_where_it_belongs(path: Path) -> None:
    libraries = {name.split(".")[0] for name in _imports(path)}
    assert not {name for name in libraries if _room(path) not in ONLY_IN.get(name, {_room(path)})}
    if _room(path) in RULES - {"extract"}:
        assert not libraries & IMPURE
