"""The docs say what is so: each config key, flag, reason, column and exit code; each example runs."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from crawler import Config
from crawler.ledger import schema
from crawler.model import REASONS
from crawler.report import status
from tests.site import Site

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def _rows(heading: str) -> list[list[str]]:
    """The cells of the first table after a heading."""
    table = README.split(heading, 1)[1].split("|\n|---", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[1:]]


def test_the_config_table_has_every_key_with_its_default() -> None:
    documented = {cells[0].strip("` "): cells[1].strip("`") for cells in _rows("\n## Config\n")}
    defaults = {key: getattr(Config(), key) for key in Config.__struct_fields__}
    assert list(documented) == list(defaults)
    read = {key: tomllib.loads(f"value = {text}")["value"] for key, text in documented.items()}
    assert read == {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()}


def test_config_toml_has_every_key_with_its_default() -> None:
    read = tomllib.loads((ROOT / "config.toml").read_text())
    defaults = {key: getattr(Config(), key) for key in Config.__struct_fields__}
    assert read == {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()}


def test_the_reasons_table_is_the_closed_list() -> None:
    documented = {cells[0].strip("`"): (cells[1], cells[2].strip(" |")) for cells in _rows("The reasons:\n")}
    assert documented == REASONS


def test_the_ledger_table_has_every_column(tmp_path: Path) -> None:
    schema.create(tmp_path / "crawl.db")
    connection = sqlite3.connect(tmp_path / "crawl.db")
    for cells in _rows("\n## The ledger\n"):
        view = cells[0].strip("`")
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({view})")]
        documented = re.findall(r"(?:^|, )([a-z0-9_]+)", re.sub(r"\([^)]*\)", "", cells[1]))
        assert (view, documented) == (view, columns)
    connection.close()


def test_the_keys_of_status_are_documented(tmp_path: Path) -> None:
    schema.create(tmp_path / "crawl.db")
    sentence = README.split("`status --json` has the keys", 1)[1].split(".\n", 1)[0]
    keys = [word for word in re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", sentence)) if word]
    assert keys == list(status(tmp_path / "crawl.db"))


def _example(name: str) -> str:
    return README.split(f"<!-- example: {name} -->\n```python\n", 1)[1].split("```", 1)[0]


def test_the_mocked_example_runs(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(_example("mocked"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_mine.py")],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_shop_example_runs(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(_example("shop"))
    words = [sys.executable, "-m", "crawler", str(ROOT / "examples" / "bookshop"), "--parse", "shop:parse", "-q"]
    subprocess.run(words, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, timeout=60, check=True)
    connection = sqlite3.connect(tmp_path / "crawl.db")
    items = [json.loads(row[0]) for row in connection.execute("SELECT item FROM items")]
    connection.close()
    assert {"title": "Salt Roads · The Paper Lantern", "price": "£9.95"} in items
    assert {item["price"][0] for item in items} == {"£"}


def test_the_library_example_runs(tmp_path: Path) -> None:
    with Site() as site:
        site.add_page("/")
        (tmp_path / "mine.py").write_text(_example("library").replace("https://example.org/", site.url("/")))
        done = subprocess.run(
            [sys.executable, "mine.py"], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
    state = "finished {'queued': 0, 'done': 1, 'failed': 0, 'skipped': 0}"
    assert done.stdout.splitlines() == [state, f"{site.url('/')} 200 /"], done.stderr


@pytest.mark.parametrize("marker", ["crawl command", "test command"])
def test_the_two_commands_stand_in_the_readme(marker: str) -> None:
    command = README.split(f"<!-- {marker} -->\n```sh\n", 1)[1].split("```", 1)[0]
    assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert command.count("\n") == 1
