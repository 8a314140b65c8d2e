"""The live panel on a real (pseudo-)terminal: what is above it stays, and nothing of it does."""

from __future__ import annotations

import os
import pty
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler.cli.panel import terminal as terminal_module
from tests.panel_facts import FACTS
from tests.screen import Screen, Terminal
from tests.site import Site

ROOT = Path(__file__).parent.parent
PANEL = re.compile(r"^── crawl\.db( stopping)? ─+ 0:00:\d\d ──$")


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        site.add_page("/", [f"/{number}" for number in range(2_000)])
        for number in range(2_000):
            site.add_page(f"/{number}")
        yield site


def start(folder: Path, *words: str, **environment: str) -> Terminal:
    base = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "COLORTERM")}
    variables = {**base, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environment}
    return Terminal([sys.executable, "-m", "crawler", *words], folder, variables)


def rests(screen: Screen) -> bool:
    """Return whether a frame is complete: a Ctrl-C discards what the terminal has not printed yet."""
    return bool(PANEL.match(screen.lines[screen.row])) and screen.column == 0 and screen.is_cursor_shown


def has_panel(screen: Screen) -> bool:
    return any(PANEL.match(line) for line in screen.text())


def count(screen: Screen, label: str) -> int:
    """The number that the panel has for a label."""
    found = [line.split()[1] for line in screen.text() if line.startswith(f"{label} ")]
    return int(found[0].replace(",", "")) if found else 0


def test_ctrl_c_leaves_log_lines_and_the_report_and_nothing_of_the_panel(site: Site, tmp_path: Path) -> None:
    with start(tmp_path, site.url("/"), "--delay", "0.02") as terminal:
        terminal.wait_for(lambda screen: rests(screen) and count(screen, "pages") > 5)
        terminal.press_ctrl_c()
        assert terminal.wait() == 130
    lines = terminal.screen.text()
    assert not has_panel(terminal.screen)
    assert [line[9:] for line in lines[:1]] == ["1 new seed"]
    assert lines[1] == "stopping: what is in flight has 10 s to end; once more to stop at once"
    assert lines[2].startswith("URLs             queued")
    assert lines[-1] == "interrupted: continue with the same command"
    assert sum(line.startswith(("pages  ", "hosts busy", "received")) for line in lines) == 0
    assert (terminal.screen.is_cursor_shown, terminal.screen.wraps) == (True, True)


def test_a_crawl_that_ends_leaves_nothing_of_the_panel_either(site: Site, tmp_path: Path) -> None:
    with start(tmp_path, site.url("/"), "--delay", "0.02", "--max-pages", "40") as terminal:
        terminal.wait_for(has_panel)
        assert terminal.wait() == 0
    lines = terminal.screen.text()
    assert not has_panel(terminal.screen)
    assert lines[1].startswith("URLs             queued")
    assert terminal.screen.is_cursor_shown


def test_the_second_ctrl_c_leaves_a_sane_terminal(site: Site, tmp_path: Path) -> None:
    site.add_page("/", ["/slow"])
    site.add_page("/slow", delay_seconds=20.0)
    with start(tmp_path, site.url("/"), "--delay", "0.02") as terminal:
        terminal.wait_for(lambda screen: rests(screen) and "/slow" in site.begun)
        terminal.press_ctrl_c()
        terminal.wait_for(lambda screen: rests(screen) and " stopping " in screen.lines[screen.row])
        terminal.press_ctrl_c()
        assert terminal.wait() == 130
    lines = terminal.screen.text()
    assert not has_panel(terminal.screen)
    assert "".join(lines[-2:])[9:].startswith("stopped at once; nothing that was committed is lost: continue")
    assert (terminal.screen.is_cursor_shown, terminal.screen.wraps) == (True, True)


def test_the_panel_follows_the_windows_size(site: Site, tmp_path: Path) -> None:
    with start(tmp_path, site.url("/"), "--delay", "0.02") as terminal:
        terminal.wait_for(has_panel)
        for columns, rows in ((200, 50), (40, 10), (80, 24)):
            terminal.resize(columns, rows)
            before = len(terminal.raw)
            terminal.wait_for(lambda screen: rests(screen) and len(screen.lines[screen.row]) == screen.columns - 1)
            assert len(terminal.screen.text()) - terminal.screen.top <= rows
            assert max(map(len, terminal.screen.text())) <= columns
            assert len(terminal.raw) > before
        terminal.press_ctrl_c()
        assert terminal.wait() == 130
    assert not has_panel(terminal.screen)


@pytest.mark.parametrize(("words", "environment"), [((), {"TERM": "dumb"}), (("-v",), {})], ids=["dumb", "verbose"])
def test_where_no_panel_fits_there_are_lines_and_no_control_characters(
    site: Site, tmp_path: Path, words: tuple[str, ...], environment: dict[str, str]
) -> None:
    options = ("--delay", "0.02", "--max-pages", "30", "-s", "log_seconds=0.3", "-p", "0", *words)
    with start(tmp_path, site.url("/"), *options, **environment) as terminal:
        assert terminal.wait() == 0
    assert [line for line in terminal.screen.text() if " pages (" in line]
    if environment:
        assert "\x1b" not in terminal.raw
    assert "\x1b[?" not in terminal.raw


def test_no_color_means_no_colour(site: Site, tmp_path: Path) -> None:
    site.add_page("/", ["/gone", *(f"/{number}" for number in range(200))])
    with start(tmp_path, site.url("/"), "--delay", "0.02", "--max-pages", "30", NO_COLOR="1") as terminal:
        terminal.wait_for(lambda screen: any("404 Not Found" in line for line in screen.text()))
        assert terminal.wait() == 0
    styles = {number for found in re.findall(r"\x1b\[([0-9;]*)m", terminal.raw) for number in found.split(";")}
    assert styles <= {"0", "1", "2"}  # bold and dim are no colours


@pytest.mark.parametrize("rows", [5, 12, 24])
def test_what_others_print_between_two_frames_costs_the_panel_nothing_but_its_place(rows: int) -> None:
    """As a parse hook does: the cursor rests where it harms nobody."""
    screen = Screen(40, rows)
    panel = [f"panel {number}" for number in range(min(6, rows - 1))]
    screen.feed("$ crawler\r\n")
    for number in range(10):
        screen.feed(terminal_module.frame(panel))
        assert screen.text()[-len(panel) :] == panel
        assert (screen.lines[screen.row], screen.column) == ("panel 0", 0)
        screen.feed(f"printed {number:<12}|\r\n")
    screen.feed(terminal_module.frame(panel, "said\r\n"))
    assert screen.text()[-len(panel) - 1 :] == ["said", *panel]
    screen.feed("\r" + terminal_module.CLEAR_BELOW)
    assert screen.text() == ["$ crawler", *(f"printed {number:<12}|" for number in range(10)), "said"]


def test_a_window_that_grew_narrow_a_moment_ago_wraps_no_line() -> None:
    screen = Screen(20, 10)
    panel = ["-" * 30, "x" * 25, "short"]
    for _ in range(3):
        screen.feed(terminal_module.frame(panel))
    assert [len(line) for line in screen.text()] == [20, 20, 5]
    assert (screen.row, screen.is_cursor_shown, screen.wraps) == (0, True, True)


def test_the_log_file_has_its_lines_all_the_same(site: Site, tmp_path: Path) -> None:
    options = ("--delay", "0.02", "--max-pages", "40", "-s", "log_seconds=0.3", "--log-file", "log")
    with start(tmp_path, site.url("/"), *options) as terminal:
        terminal.wait_for(has_panel)
        assert terminal.wait() == 0
    assert " pages (" in (tmp_path / "log").read_text()
    assert not any(" pages (" in line for line in terminal.screen.text())


def test_a_terminal_that_is_stopped_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by Ctrl-S, or a line that is dead: nobody reads what we print, and the kernel's buffer is soon full."""
    monkeypatch.setattr(terminal_module, "CLOSE_SECONDS", 0.2)
    master, slave = pty.openpty()
    before = set(threading.enumerate())
    with os.fdopen(slave, "w") as stream:
        terminal = terminal_module.Terminal(stream)
        terminal.draw(FACTS)
        (drawing,) = set(threading.enumerate()) - before
        began = time.monotonic()
        for number in range(2 * terminal_module.MAX_LINES):
            terminal.write(f"line {number}\n")
            terminal.draw(FACTS)
        assert len(terminal._lines) <= terminal_module.MAX_LINES
        terminal.close()
        assert time.monotonic() - began < 2
        os.close(master)
        drawing.join(10)
    assert not drawing.is_alive()


def test_status_watch_stays_in_place_and_leaves_the_last_table(site: Site, tmp_path: Path) -> None:
    crawl = start(tmp_path, site.url("/"), "--delay", "0.05", "--max-pages", "30")
    with crawl:
        crawl.wait_for(has_panel)
        with start(tmp_path, "status", "--watch") as terminal:
            terminal.wait_for(lambda screen: any("pages/s now" in line for line in screen.text()))
            assert crawl.wait() == 0
            assert terminal.wait() == 0
    lines = terminal.screen.text()
    assert [line.split()[0] for line in lines].count("URLs") == 1
    assert not any("pages/s now" in line for line in lines)
    assert lines[-1].startswith("ledger: crawl.db, finished")


def test_ctrl_c_ends_status_watch_and_leaves_the_crawl_alone(site: Site, tmp_path: Path) -> None:
    crawl = start(tmp_path, site.url("/"), "--delay", "0.02", "--max-pages", "70")
    with crawl:
        crawl.wait_for(has_panel)
        with start(tmp_path, "status", "--watch") as terminal:
            terminal.wait_for(lambda screen: any("pages/s now" in line for line in screen.text()))
            terminal.press_ctrl_c()
            assert terminal.wait() == 130
        assert crawl.wait() == 0
    assert terminal.screen.text()[-1] == "ledger: crawl.db, running"
