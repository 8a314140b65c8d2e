"""The docs say what is so: each config key, flag, reason, view, column and exit code (each example: test_examples)."""

from __future__ import annotations

import re
import signal
import sqlite3
import tomllib
from pathlib import Path

import pytest

from crawler import Config
from crawler.api.report import status
from crawler.cli.commands import COMMANDS
from crawler.cli.commands.crawl import NO_SEED_GAVE_A_PAGE
from crawler.cli.main import parser_of
from crawler.cli.option_files import config_page, config_toml
from crawler.errors import CrawlerError
from crawler.ledger import schema
from crawler.model import REASONS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
LEDGER, CONFIG, COMMAND_LINE, LOOKING_UP = (
    (DOCS / name).read_text() for name in ("ledger.md", "config.md", "command-line.md", "looking-things-up.md")
)


def _rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table after a heading."""
    assert text.count(heading) == 1, heading
    return _cells(text.split(heading, 1)[1].split("|\n|---", 1)[1].split("\n\n", 1)[0])


def _cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.removeprefix("|").split(" |")] for line in table.splitlines()[1:]]


def _config_rows() -> list[list[str]]:
    """Return the rows of all tables of config keys."""
    tables = CONFIG.split("| key | default | flag | meaning |\n")[1:]
    return [row for table in tables for row in _cells(table.split("\n\n", 1)[0])]


def test_the_config_tables_have_every_key_with_its_default() -> None:
    documented = {cells[0].strip("`"): cells[1].strip("`") for cells in _config_rows()}
    defaults = {key: getattr(Config(), key) for key in Config.__struct_fields__}
    assert list(documented) == list(defaults)
    read = {key: tomllib.loads(f"value = {text}")["value"] for key, text in documented.items()}
    assert read == {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()}


def test_config_toml_has_every_key_with_its_default() -> None:
    read = tomllib.loads((ROOT / "config.toml").read_text())
    defaults = {key: getattr(Config(), key) for key in Config.__struct_fields__}
    assert read == {key: list(value) if isinstance(value, tuple) else value for key, value in defaults.items()}


def test_config_toml_and_the_config_page_are_as_the_table_of_options_makes_them() -> None:
    """Where this fails: `python -m crawler.cli.option_files`, in the repository's folder, writes both."""
    assert (ROOT / "config.toml").read_text() == config_toml()
    assert config_page(CONFIG) == CONFIG


def test_the_config_page_says_what_config_toml_says() -> None:
    commented = re.findall(r"((?:# .+\n)+)(\w+) = ", (ROOT / "config.toml").read_text())
    assert {cells[0].strip("`"): cells[3].replace("`", "") for cells in _config_rows()} == {
        key: comment.removeprefix("# ").replace("\n# ", " ").strip() for comment, key in commented
    }


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_and_each_of_its_flags_is_documented(command: str) -> None:
    shown = parser_of(command).format_help()
    flags = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", shown.split("options:", 1)[1]))
    tables = [line for line in f"{CONFIG}\n{COMMAND_LINE}\n{LOOKING_UP}".splitlines() if line.startswith("|")]
    documented = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", "\n".join(tables)))
    assert flags >= {"-h", "--help"}
    assert flags <= documented, flags - documented
    assert not command or any(f"`{command}`" in line for line in tables)


def test_the_reasons_table_is_the_closed_list() -> None:
    rows = _rows(LEDGER, "\n## Reasons\n")
    assert {cells[0].strip("`"): (cells[1], cells[2].strip(" |")) for cells in rows} == REASONS


def test_the_ledger_page_has_every_view_and_column(tmp_path: Path) -> None:
    schema.create(tmp_path / "crawl.db")
    connection = sqlite3.connect(tmp_path / "crawl.db")
    names = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('view', 'table')").fetchall()
    public = {name for (name,) in names if not name.startswith(("_", "sqlite_"))}
    columns = {name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")] for name in public}
    connection.close()
    listed = [cells[0].partition("]")[0].strip("[`") for cells in _rows(LEDGER, "\n| view | a row is")]
    assert set(listed) == public
    assert {name: [cells[0].strip("`") for cells in _rows(LEDGER, f"\n## {name}\n")] for name in listed} == columns


def test_the_exit_codes_table_has_every_exit_code() -> None:
    kinds = [CrawlerError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    stopped = {128 + number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    cells = " ".join(row[0] for row in _rows(COMMAND_LINE, "\n## Exit codes\n"))
    assert {int(code) for code in re.findall(r"\d+", cells)} == {
        0, NO_SEED_GAVE_A_PAGE, *stopped, *(kind.exit_code for kind in kinds)
    }  # fmt: skip


def test_the_keys_of_status_are_documented(tmp_path: Path) -> None:
    schema.create(tmp_path / "crawl.db")
    cells = " ".join(row[0] for row in _rows(COMMAND_LINE, "\n| key |"))
    assert re.findall(r"`(\w+)`", cells) == list(status(tmp_path / "crawl.db"))


def test_every_page_is_in_the_navigation_and_in_the_readme() -> None:
    pages = {page.name for page in DOCS.glob("*.md")}
    navigation = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    assert {page for part in navigation for pages in part.values() for each in pages for page in each.values()} == pages
    assert set(re.findall(r"\]\(docs/([\w-]+\.md)", README)) == pages


def test_what_the_readme_points_to_is_there() -> None:
    targets = re.findall(r"\]\(([^)#]+)", README)
    assert len(targets) > 10
    assert [target for target in targets if not (ROOT / target).is_file()] == []


@pytest.mark.parametrize("marker", ["crawl command", "test command"])
def test_the_two_commands_stand_in_the_readme(marker: str) -> None:
    command = README.split(f"<!-- {marker} -->\n```sh\n", 1)[1].split("```", 1)[0]
    assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert command.count("\n") == 1
