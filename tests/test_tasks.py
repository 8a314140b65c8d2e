"""What people and hooks run is what CI runs: the same commands in the justfile, in pre-commit's config and .ci/run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="the sdist has no CI")


def lines(name: str) -> set[str]:
    """Return the lines of a file, without what stands in front of a command."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return {re.sub(r"^(- )?(entry: )?", "", line.strip()) for line in text.splitlines()}


def commands(name: str, pattern: str) -> set[str]:
    return {line for line in lines(name) if re.match(pattern, line)}


def test_lint_format_and_types_are_checked_by_the_same_commands() -> None:
    expected = {
        ".venv/bin/python -m ruff check .",
        ".venv/bin/python -m ruff format --check .",
        ".venv/bin/python -m mypy",
    }
    for name in (".ci/run", ".pre-commit-config.yaml", "justfile"):
        assert commands(name, r"\.venv/bin/python -m (ruff check|ruff format --check|mypy)") == expected, name


def test_each_way_to_the_pure_tests_is_the_same() -> None:
    expected = {".venv/bin/python -m pytest -q -m pure"}
    assert commands(".pre-commit-config.yaml", r".*pytest") == commands("justfile", r".*pytest.*-m pure") == expected
    assert "bash .ci/pure" in lines(".ci/run") & lines("justfile")


def test_just_builds_the_documentation_as_ci_does() -> None:
    assert ".venv/bin/zensical build --clean --strict" in lines(".ci/run") & lines("justfile")


def test_what_contributing_names_is_a_task_of_the_justfile() -> None:
    tasks = set(re.findall(r"^(\w[\w-]*).*:$", (ROOT / "justfile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"^just ([\w-]+)", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= tasks
