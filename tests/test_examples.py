"""Each example of the README and of docs/ runs, and prints what the page says it prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples import PAGES, PROGRAMS, REASONS, ROOT, Block, Session, matches, read_blocks


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    session = Session(tmp_path)
    printed = ""
    for block in read_blocks(page):
        if block.title:
            session.write(block.title, block.text)
        elif "output" in block.marks:
            assert matches(printed, block.text), f"{page.name}:{block.line}: it printed\n{printed}"
        elif block.language in PROGRAMS and not _is_shown_only(block):
            printed = session.run(block, int(block.marks.get("exit", "0")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_block_says_what_it_is(page: Path) -> None:
    known = {"output", "exit", "not run", "crawl command", "test command"}
    for block in read_blocks(page):
        assert block.language, f"{page.name}:{block.line}: a block without a language"
        assert set(block.marks) <= known, f"{page.name}:{block.line}"
        if "not run" in block.marks:
            assert block.marks["not run"] in REASONS, f"{page.name}:{block.line}"


def test_dots_in_an_output_stand_for_lines_or_for_the_rest_of_one() -> None:
    assert matches("a\nb\nc\n", "a\n...\nc\n")
    assert matches("a\nc\n", "a\n...\nc\n")
    assert not matches("a\nb\n", "a\n...\nc\n")
    assert not matches("a\nb\n", "a\n")
    assert not matches("ab\n", "a.\n")
    assert matches("at 12:31\nb\n", "at ...\nb\n")
    assert not matches("at 12:31\nc\n", "at ...\nb\n")


def test_the_columns_of_an_output_may_have_another_width() -> None:
    assert matches("url    n\n-----  --\nabcde  10\n", "url   n\n----  --\nabcde  10\n")
    assert not matches("url    n\nabcde  10\n", "url  n\nabcde  11\n")


def _is_shown_only(block: Block) -> bool:
    # What .ci/run does on a bare machine: the README's two commands, each with its own set-up.
    return not block.marks.keys().isdisjoint(("not run", "crawl command", "test command"))
