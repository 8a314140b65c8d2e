"""What machine a measurement was made on, and when: the part of a report that makes its numbers mean something."""

from __future__ import annotations

import os
import platform
import sqlite3
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.sites import nginx_version


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, and the programs of it that every contender shares."""

    cpu: str
    cores: int  # that this process may use
    memory_bytes: int
    kernel: str
    python: str
    sqlite: str
    nginx: str  # "" if the built-in server serves
    date: str

    def lines(self) -> list[str]:
        """Return it as lines of Markdown."""
        server = f"nginx {self.nginx}" if self.nginx else "the built-in server (nginx is not installed)"
        return [
            f"- machine: {self.cpu}, {self.cores} cores, {self.memory_bytes / 1e9:.1f} GB memory, Linux {self.kernel}",
            f"- {self.date}; CPython {self.python}, SQLite {self.sqlite}; served by {server} on the same machine",
        ]

    def as_json(self) -> dict[str, str | int]:
        """Return it as plain data."""
        return asdict(self)


def describe() -> Machine:
    """Look at this machine."""
    return Machine(
        cpu=_field("/proc/cpuinfo", "model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=int((_field("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) * 1024,
        kernel=platform.release(),
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        nginx=nginx_version(),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


def _field(path: str, name: str) -> str:
    """Return what follows `name` and a colon in a file of /proc; "" if nothing does."""
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
