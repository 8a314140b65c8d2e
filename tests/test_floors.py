"""The house has floors: a room imports from rooms below its own only, no two modules import each other in a circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "crawler"
#: the rooms from the ground up; a room is a folder or a module of the package. One that stands further down may be
#: imported by all that stand further up, and by no other
ROOMS = [
    *("errors", "text", "load", "clock", "model", "config"),  # the nouns
    *("rules", "pages"),
    *("processes", "transports"),
    "ledger",
    *("frontier", "copy", "consumer"),
    "worker",
    "engine",
    "api",
    *("testing", "cli"),
    *("__init__", "__main__"),
]
HEIGHT = {room: height for height, room in enumerate(ROOMS)}
#: rooms that stand side by side: neither may know the other
SIDE_BY_SIDE = [{"processes", "transports"}, {"frontier", "copy", "consumer"}, {"testing", "cli"}]
#: a library → the only rooms, or modules, that may import it
ONLY_IN = {
    "requests": {"transports"},
    "pycurl": {"transports"},
    "urllib3": {"transports"},
    "bs4": {"worker.hook"},
    "sqlite3": {"ledger"},
    "multiprocessing": {"processes", "consumer", "engine"},
    "concurrent": {"processes", "worker", "consumer", "engine", "copy.converting"},
    "protego": {"rules.robots"},
    "selectolax": {"pages"},
    "ada_url": {"rules.urls"},
    "time": {"clock"},
}
#: what rules and pages may not import: they are pure
IMPURE = {"socket", "ssl", "os", "subprocess", "threading", "tempfile", "shutil", "signal", "queue"}

FILES = sorted(PACKAGE.rglob("*.py"))


def _module(path: Path) -> str:
    """Return a module's dotted name without the package's: "rules.urls", "model"; a folder's own is "rules"."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {_module(path): path for path in FILES}


def _imports(path: Path) -> set[str]:
    """Return all that a module imports, at its top or later."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found |= _named(node.args[0])
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def _named(name: ast.expr) -> set[str]:
    """Return the modules that an `import_module(name)` may import: one, or all that a folder has."""
    if isinstance(name, ast.Constant):
        return {str(name.value)}
    if isinstance(name, ast.JoinedStr):  # f"crawler.cli.commands.{...}"
        folder = ast.unparse(name).removeprefix("f'crawler.").partition("{")[0]
        return {f"crawler.{module}" for module in MODULES if module.startswith(folder)}
    return set()  # what a user names, or a public name of the package


def _of_ours(path: Path) -> set[str]:
    """Return the modules of the package that a module imports."""
    names = {name.removeprefix("crawler.") for name in _imports(path) if name.startswith("crawler.")}
    found = names & set(MODULES)
    # "from crawler.rules import urls" names the folder, too, of which nothing else may be wanted
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


def _room(module: str) -> str:
    return module.split(".")[0]


def test_every_room_has_a_floor() -> None:
    assert {_room(module) for module in MODULES} == set(ROOMS)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_from_the_rooms_below_only(module: str) -> None:
    room = _room(module)
    rooms = {_room(other) for other in _of_ours(MODULES[module])} - {room}
    assert not {other for other in rooms if HEIGHT[other] > HEIGHT[room]}
    for side in SIDE_BY_SIDE:
        assert not (room in side and rooms & side)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: _of_ours(path) - {module} for module, path in MODULES.items() if module != "__init__"}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("module", MODULES)
def test_a_library_is_imported_where_it_belongs(module: str) -> None:
    libraries = {name.split(".")[0] for name in _imports(MODULES[module])}
    here = {module, _room(module), module.rpartition(".")[0]}
    assert not {name for name in libraries if not here & ONLY_IN.get(name, here)}
    if _room(module) in ("rules", "pages"):
        assert not libraries & IMPURE


@pytest.mark.parametrize("module", MODULES)
def test_a_file_is_read_in_one_sitting(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= 350
