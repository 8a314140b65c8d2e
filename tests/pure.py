"""Which files of tests are pure: those of the rules and pages. `pytest -m pure` runs them alone, in seconds.

Pure is what a file imports, so that there is no list to keep: of the crawler the nouns, the rules and the pages only
(`test_floors` keeps those from files, sockets, processes and clocks), of the tests' own modules none, and none of the
libraries that reach further. Such a test needs nothing but Python; so `.ci/run` runs them on every version that is
there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOMS: Final = {"errors", "text", "load", "clock", "model", "config", "rules", "pages"}
IMPURE: Final = {"tests", "socket", "subprocess", "threading", "multiprocessing", "sqlite3", "http", "asyncio"}

_IMPORT = re.compile(r"^\s*(?:from|import)\s+([\w.]+)", re.MULTILINE)


def is_pure(path: Path) -> bool:
    """Return whether a file of tests is about rules and pages only, and is no test of the repository itself."""
    modules = [name.split(".") for name in _IMPORT.findall(path.read_text(encoding="utf-8"))]
    ours = [name for name in modules if name[0] == "crawler"]
    if not ours or any(name[0] in IMPURE for name in modules):
        return False
    return all(len(name) > 1 and name[1] in ROOMS for name in ours)
