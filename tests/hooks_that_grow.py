"""Hooks whose workers grow."""

from __future__ import annotations

import os

from crawler import Page

_HOARD: list[bytearray] = []


def hoard(page: Page) -> dict[str, int]:
    """Keep 5 MB for each page, and tell which process did."""
    _HOARD.append(bytearray(b"\1" * 5_000_000))
    return {"pid": os.getpid()}
