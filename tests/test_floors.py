"""The house has floors: a room imports from rooms below its own only, no two modules import each other in a circle."""

from __future__ import annotations

import ast
import re
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
IMPURE = {
    *("socket", "ssl", "http", "urllib.request", "os", "pathlib", "tempfile", "shutil"),
    *("subprocess", "threading", "signal", "queue"),
}
#: the ledger's own tables, as other rooms must not ask for them: they have views and functions for it
OWN_TABLES = re.compile(r"\b_(?:pages|urls|hosts|seen)\b")
MOST_ATTRIBUTES = 12  # of the coordinator: what it holds fits on one screen

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
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
            found |= {node.module} - {"crawler"}  # whose names are modules, or else `_of_ours` says what they are
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
    """Return the modules of the package that a module imports; what the package itself gives is in "__init__"."""
    imports = _imports(path)
    names = {name.removeprefix("crawler.") for name in imports if name.startswith("crawler.")}
    found = names & set(MODULES)
    if "crawler" in imports or any("." not in name for name in names - found):
        found.add("__init__")
    # "from crawler.rules import urls" names the folder, too, of which nothing else may be wanted
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


def _room(module: str) -> str:
    return module.split(".")[0]


def _strings(path: Path) -> set[str]:
    """Return the strings in a module, the parts of f-strings among them."""
    nodes = ast.walk(ast.parse(path.read_text()))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


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
    imports = _imports(MODULES[module])
    libraries = {name.split(".")[0] for name in imports}
    here = {module, _room(module), module.rpartition(".")[0]}
    assert not {name for name in libraries if not here & ONLY_IN.get(name, here)}
    if _room(module) in ("rules", "pages"):
        assert not {name for name in imports if any(f"{name}.".startswith(f"{impure}.") for impure in IMPURE)}


@pytest.mark.parametrize("module", MODULES)
def test_a_file_is_read_in_one_sitting(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= 350


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("from crawler import crawl", {"__init__"}),
        ("from crawler import Config, clock", {"__init__", "clock"}),
        ("import crawler", {"__init__"}),
        ("from crawler import clock, transports", {"clock", "transports"}),
        ("from crawler.rules import urls", {"rules.urls"}),
        ("import crawler.model", {"model"}),
    ],
)
def test_what_the_package_itself_gives_stands_on_its_own_floor(line: str, wanted: set[str], tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(line)
    assert _of_ours(path) == wanted


@pytest.mark.parametrize("module", [module for module in MODULES if _room(module) != "ledger"])
def test_nobody_but_the_ledger_asks_for_its_own_tables(module: str) -> None:
    assert not {text for text in _strings(MODULES[module]) if OWN_TABLES.search(text)}


def test_the_coordinator_holds_no_more_than_fits_on_a_screen() -> None:
    tree = ast.parse(MODULES["engine.crawl"].read_text())
    (crawl,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Crawl")
    (init,) = (node for node in crawl.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    stored = {ast.unparse(node) for node in ast.walk(init) if isinstance(node, ast.Attribute) and _is_stored(node)}
    attributes = {name for name in stored if name.startswith("self.")}
    assert 0 < len(attributes) <= MOST_ATTRIBUTES, sorted(attributes)


def _is_stored(node: ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Store)
