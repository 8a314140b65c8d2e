"""A crawl as a command, life after life: started, struck, watched, and started again.

Each life is a session of its own, so that all of its processes are known, whoever made them. Whoever waits here does so
under a watchdog: when a life hangs, each of its processes is made to dump its stacks (by a signal that
`sabotage.enter` set up), and the hang is told with them. The clock of all records is the machine's monotonic one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.chaos.sabotage import COORDINATOR, STACKS_SIGNAL, Orders, Strike, Struck, Walk
from tests.webgraph import WebServer

ROOT = Path(__file__).parent.parent.parent
RETRIES = 3
HANG_SECONDS = 90.0  # a life without a request for so long, or an end that takes so long
ORPHANS_SECONDS = 2.0  # how long children may outlive their parent
SAMPLE_SECONDS = 0.25  # between two looks at memory
LATE_SECONDS = 12.0  # a process that cannot answer is killed at its deadline, and so much later at the latest


class Hang(AssertionError):
    """A life that does not go on; the text has the stacks of all its processes."""


class Member(NamedTuple):
    """A process of a life."""

    pid: int
    parent: int
    state: str
    command: str

    @property
    def is_tracker(self) -> bool:
        """Tell multiprocessing's resource tracker."""
        return "resource_tracker" in self.command


class Crash(NamedTuple):
    """From when to when visits may have been lost, and to what."""

    start: float  # monotonic
    end: float
    what: str


class Life(NamedTuple):
    """One start of the command, and how it ended."""

    session: int
    exit_code: int
    expected: frozenset[int]


class Options(NamedTuple):
    """How a crawl is run."""

    processes: int = 2
    consumers: int = 1
    delay_seconds: float = 0.0
    start_method: str = "auto"
    transport: str = "requests"
    stall_seconds: float = 5.0
    page_deadline_seconds: float = 60.0
    parse: str = "tests.chaos.hooks:parse"
    worker_setup: str = ""

    def words(self) -> list[str]:
        """Return them as the command line has them."""
        settings = {
            "consumers": self.consumers, "start_method": self.start_method, "stall_seconds": self.stall_seconds,
            "page_deadline_seconds": self.page_deadline_seconds, "worker_setup": self.worker_setup,
            "retry_wait_seconds": 0.02, "retry_wait_max_seconds": 0.2,
        }  # fmt: skip
        words = ["-p", str(self.processes), "--delay", str(self.delay_seconds), "--retries", str(RETRIES), "-c", "16"]
        words += ["--transport", self.transport, "--parse", self.parse, "--check-fragments"]
        words += ["--per-host", "1" if self.delay_seconds else "8"]
        return words + [word for key, value in settings.items() for word in ("-s", f"{key}={value}")]


class Crawling:
    """One crawl of a web, over as many lives as it takes; a context manager that removes its folder on success."""

    def __init__(
        self, server: WebServer, options: Options, strikes: Sequence[Strike] = (), *,
        walk: Walk | None = None, poison: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.server = server
        self.options = options
        # Not pytest's folder: the fork server's socket in it may have a name of 108 characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="chaos-"))
        self.home = self.folder / "home"  # where the ledger is
        self.temporary = self.folder / "tmp"
        for folder in (self.home, self.temporary, self.folder / "claims"):
            folder.mkdir()
        self.orders = Orders(str(self.folder), tuple(strikes), walk, dict(poison or {}))
        self.ledger = self.home / "crawl.db"
        self.lives: list[Life] = []
        self.crashes: list[Crash] = []  # of what was done from outside
        self.peak_bytes = 0
        self.began = time.monotonic()
        self.was_killed = False  # a coordinator left behind what only itself could have removed
        self.tracker_was_killed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._expected: set[int] = set()
        self._seen_struck = 0
        self._sampled_at = 0.0

    def __enter__(self) -> Crawling:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        sessions = {life.session for life in self.lives}
        if self._process is not None:
            sessions.add(self._process.pid)
        for member in [member for session in sessions for member in members(session)]:
            kill(member.pid)
        if self._process is not None:
            self._process.wait()
        if kind is None:
            shutil.rmtree(self.folder)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The coordinator of the present life."""
        assert self._process is not None, "not started"
        return self._process

    # ---- a life

    def start(self) -> None:
        """Begin a life."""
        words = [sys.executable, "-m", "crawler", *self.server.web.seeds(), "--no-progress", *self.options.words()]
        environment = {
            **os.environ, "PYTHONPATH": f"{ROOT / 'tests' / 'chaos' / 'entry'}:{ROOT}", "CHAOS": self.orders.dump(),
            "TMPDIR": str(self.temporary),
        }  # fmt: skip
        self._expected = {0}
        with (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                words, cwd=self.home, stdout=out, stderr=out, start_new_session=True, env=environment
            )

    def run_until(self, condition: Callable[[], bool]) -> bool:
        """Wait for a moment in the crawl; False if the life ended before."""
        return self._watch(lambda: condition() or self.process.poll() is not None) and self.process.poll() is None

    def run_to_hit(self, hits: int) -> bool:
        """Wait until the web was asked so often; False if the life ended before."""
        return self.run_until(lambda: len(self.server.hits) >= hits)

    def finish(self) -> int:
        """Wait for the end of the life; the exit code."""
        self._watch(lambda: self.process.poll() is not None)
        code = self.process.wait()
        expected = set(self._expected)
        for struck in self.struck()[self._seen_struck :]:
            if struck.role == COORDINATOR:
                expected |= _CODES.get(struck.deed, set())
        self._seen_struck = len(self.struck())
        self.was_killed = self.was_killed or code < 0
        self.lives.append(Life(self.process.pid, code, frozenset(expected)))
        return code

    def complete(self, most_lives: int = 200) -> None:
        """Run this life to its end, and others until the crawl is over."""
        while self.finish() != 0:
            assert len(self.lives) < most_lives, f"{most_lives} lives were not enough: {self.output()}"
            assert self.lives[-1].exit_code in self.lives[-1].expected, self.output()
            self.start()

    def _watch(self, condition: Callable[[], bool]) -> bool:
        hits, moved = len(self.server.hits), time.monotonic()
        while not condition():
            now = time.monotonic()
            if len(self.server.hits) > hits:
                hits, moved = len(self.server.hits), now
            if now - moved > HANG_SECONDS:
                raise Hang(f"nothing has happened for {HANG_SECONDS:g} s\n{self.stacks()}\n{self.output()}")
            if now - self._sampled_at > SAMPLE_SECONDS:
                self._sampled_at = now
                self.peak_bytes = max(self.peak_bytes, sum(resident_bytes(member.pid) for member in self.members()))
            time.sleep(0.002)
        return True

    # ---- what is known of it

    def members(self) -> list[Member]:
        """All processes of this life that have not ended."""
        return members(self.process.pid)

    def signed(self, role: str) -> list[int]:
        """The pids of workers or consumers that signed in and live, oldest first."""
        try:
            lines = (self.home / "crawl.db-lock").read_text().splitlines()[1:]
        except FileNotFoundError:
            return []
        alive = {member.pid for member in self.members()}
        words = [line.split(" ", 2) for line in lines]
        return [int(each[0]) for each in words if len(each) == 3 and each[1] == role and int(each[0]) in alive]

    def catches_signals(self) -> bool:
        """Return whether the coordinator has set up its own handling of signals."""
        with contextlib.suppress(OSError, IndexError):
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            return bool(int(status.split("SigCgt:")[1].split()[0], 16) >> (signal.SIGTERM - 1) & 1)
        return False

    def struck(self) -> list[Struck]:
        """What has happened from inside so far."""
        file = self.folder / "struck"
        lines = file.read_text().splitlines() if file.exists() else []
        return [Struck(*json.loads(line)) for line in lines]

    def expect(self, *codes: int) -> None:
        """Let this life end with these codes, too."""
        self._expected.update(codes)

    def crashed(self, what: str, *, late: bool = False) -> None:
        """Take note that visits may be lost from now on: until it is noticed, where the process cannot answer."""
        now = time.monotonic()
        self.crashes.append(Crash(now, now + self.lateness() if late else now, what))

    def lateness(self) -> float:
        """How long it may take to replace a process that cannot answer."""
        return self.options.page_deadline_seconds + LATE_SECONDS

    def orphans(self, seconds: float = ORPHANS_SECONDS) -> list[Member]:
        """Wait until all processes of this life are gone; return those that are not."""
        until = time.monotonic() + seconds
        while (left := self.members()) and time.monotonic() < until:
            time.sleep(0.01)
        return left

    def output(self) -> str:
        """The last of what the crawl said."""
        return (self.folder / "out").read_text(errors="replace")[-6000:]

    def said(self, pattern: str) -> int:
        """How often the crawl said something."""
        return len(re.findall(pattern, (self.folder / "out").read_text(errors="replace")))

    def stacks(self) -> str:
        """Make each process dump its stacks, and return them; all of them are killed then."""
        stacks = self.folder / "stacks"
        told = []
        for member in sorted(self.members()):
            before = stacks.stat().st_size if stacks.exists() else 0
            if not member.is_tracker:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(member.pid, STACKS_SIGNAL)
            until = time.monotonic() + 1.0
            while member.state not in "Tt" and not member.is_tracker and time.monotonic() < until:
                time.sleep(0.05)
            text = stacks.read_bytes()[before:].decode(errors="replace") if stacks.exists() else ""
            told.append(f"--- {member.pid} (child of {member.parent}, {member.state}): {member.command}\n{text}")
        for member in self.members():
            kill(member.pid)
        return "\n".join(told)


def signal_codes(number: signal.Signals) -> set[int]:
    """The exit codes of a life that got a signal: handled, or, before and after the crawl, the default."""
    return {128 + number, -number}


#: a deed done in the coordinator → the exit codes it may lead to
_CODES: dict[str, set[int]] = {
    "kill": {-signal.SIGKILL},
    "SIGINT": signal_codes(signal.SIGINT),
    "SIGINT twice": signal_codes(signal.SIGINT),
    "SIGINT ten times": signal_codes(signal.SIGINT),
    "SIGTERM": signal_codes(signal.SIGTERM),
    "SIGHUP": signal_codes(signal.SIGHUP),
}


def members(session: int) -> list[Member]:
    """All processes of a session that have not ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] not in "ZX":
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                found.append(Member(int(entry.name), int(fields[1]), fields[0], command))
    return found


def resident_bytes(pid: int) -> int:
    """Memory of a process that is its own; 0 if it has ended."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE")


def kill(pid: int, number: int = signal.SIGKILL) -> bool:
    """Send a signal; False if the process has ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
