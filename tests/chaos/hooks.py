"""Hooks that the worker processes of a crawl under test import: they yield an item a page, and misbehave."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from crawler import Page
from tests.chaos import sabotage


@cache
def _orders() -> sabotage.Orders:
    return sabotage.read_orders()


def parse(page: Page) -> Iterator[dict[str, Any]]:
    """One item a page, but for those that the orders poison."""
    orders = _orders()
    for end, deed in orders.poison.items():
        if page.url.endswith(end):
            sabotage.record(orders.folder, sabotage.WORKER, page.url, deed)
            loop_in_c() if deed == "loop" else sabotage.run_to_ruin(deed)
    yield {"url": page.url}


def parse_large(page: Page) -> dict[str, str]:
    """One item a page, larger than a pipe takes in one piece."""
    return {"url": page.url, "padding": "x" * 100_000}


_HOARD: list[bytes] = []


def parse_greedily(page: Page) -> dict[str, Any]:
    """One item a page; the poisoned one takes all the memory that its process may have, and keeps it."""
    if any(page.url.endswith(end) for end in _orders().poison):
        sabotage.record(_orders().folder, sabotage.WORKER, page.url, "memory")
        _limit_memory(10_000_000)
        for size in (1_000_000, 10_000, 100):
            with contextlib.suppress(MemoryError):
                while True:
                    _HOARD.append(bytes(size))
    return {"url": page.url}


def _limit_memory(more_bytes: int) -> tuple[int, int]:
    """Let this process have so much more than now; return the limit that was."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (size + more_bytes, before[1]))
    return before


def loop_in_c() -> None:
    """Hold the interpreter's lock for longer than anybody lives."""
    re.match(r"(a+)+$", "a" * 64 + "b")


def set_up_and_die() -> None:
    """Leave a trace, and take the worker along."""
    with Path(_orders().folder, "set-ups").open("a") as file:
        file.write(f"{os.getpid()}\n")
    os._exit(1)


def set_up_and_raise() -> None:
    """Leave a trace, and fail."""
    with Path(_orders().folder, "set-ups").open("a") as file:
        file.write(f"{os.getpid()}\n")
    raise RuntimeError("no mocks today")


# ---- hooks that do what no hook should: by the page's last letter


class Unprintable(BaseException):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Unpicklable(Exception):
    """An exception that breaks a pool that tries to send it."""

    def __init__(self, one: object, two: object) -> None:
        super().__init__("only one")
        self.lock = sys.stdout


def _deep(page: Page) -> Any:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return {"deep": deep}


def _raise(error: BaseException) -> Any:
    raise error


def _endless(page: Page) -> Iterator[dict[str, int]]:
    while True:
        yield {"n": 1}


def _exhaust_memory(page: Page) -> Any:
    before = _limit_memory(50_000_000)
    hoard: list[bytes] = []
    try:
        while True:
            hoard.append(bytes(1_000_000))
    finally:
        hoard.clear()
        resource.setrlimit(resource.RLIMIT_AS, before)


#: what a page's hook does → (it, how many items are stored, what its error says)
ODD: dict[str, tuple[Any, int, str]] = {
    "raises": (lambda page: _raise(ValueError("odd \x1b[31m")), 0, "ValueError: odd"),
    "unprintable": (lambda page: _raise(Unprintable()), 0, "Unprintable"),
    "unpicklable": (lambda page: _raise(Unpicklable(1, 2)), 0, "Unpicklable: only one"),
    "exits": (lambda page: sys.exit("bye"), 0, "SystemExit: bye"),
    "interrupts": (lambda page: _raise(KeyboardInterrupt()), 0, "KeyboardInterrupt"),
    "generator-exit": (lambda page: _raise(GeneratorExit()), 0, "GeneratorExit"),
    "recursion": (_deep, 0, "cannot be stored as JSON"),
    "memory": (_exhaust_memory, 0, "MemoryError"),
    "lambda": (lambda page: lambda: 1, 0, "not function"),
    "generator-in-item": (lambda page: {"g": (n for n in range(3))}, 0, "cannot be stored as JSON"),
    "class": (lambda page: [Unpicklable], 0, "an item is a dict, not type"),
    "number": (lambda page: 7, 0, "not int"),
    "text": (lambda page: "text", 0, "not str"),
    "soup": (lambda page: {"soup": page.soup}, 0, "cannot be stored as JSON"),
    "soup-string": (lambda page: {"title": page.soup.title.string}, 1, ""),
    "large": (lambda page: {"large": "x" * 10_000_000}, 0, "larger than 1,000,000"),
    "many-large": (lambda page: ({"large": "x" * 999_000} for _ in range(5)), 5, ""),
    "surrogate": (lambda page: {"s": "\ud800"}, 1, ""),
    "not-a-number": (lambda page: {"n": float("nan")}, 1, ""),
    "endless": (_endless, 10_000, "more than 10,000 items"),
    "nothing": (lambda page: None, 0, ""),
}


def odd(page: Page) -> Any:
    """Do what the page's name says."""
    deed = ODD.get(page.url.rpartition("/")[2])
    return deed[0](page) if deed else {"url": page.url}
