"""The inside of the chaos: at a named place, once, a process of the crawl kills itself, freezes, or gets a signal.

`enter` runs in the coordinator, in the fork server (whose children inherit it) and in spawned children, before any line
of the product. The environment's CHAOS holds the `Orders`. A process arms itself when it knows what it is: the
coordinator by its command line, a worker or consumer when it signs in. Armed, it traces its own lines, and strikes
where a `Strike` says so; each strike is claimed by a file, so it happens once in a crawl, however many lives that has.
What struck, when and where is a line of the file `struck`, written before the deed.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import linecache
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any, NamedTuple

COORDINATOR, WORKER, CONSUMER = "coordinator", "worker", "consumer"
ENVIRONMENT = "CHAOS"
STACKS_SIGNAL = signal.SIGUSR2
LARGE_BYTES = 16_384  # a result that a pipe does not take in one piece

Tracer = Callable[[FrameType, str, Any], Any]


class Strike(NamedTuple):
    """Something that happens to a process of this role at a place."""

    role: str
    function: str  # "package.module:Class.function"
    line: str  # a piece of the line's text; "": on entry
    deed: str
    time: int = 1  # the n-th time that one process comes there


class Walk(NamedTuple):
    """The role's process dies at each line of these modules once, after so many calls of a function."""

    role: str
    modules: tuple[str, ...]
    function: str = ""
    calls: int = 0


class Orders(NamedTuple):
    """All that the processes of one crawl are told."""

    folder: str
    strikes: tuple[Strike, ...] = ()
    walk: Walk | None = None
    poison: Mapping[str, str] = MappingProxyType({})  # the end of a URL → what its parsing does

    def dump(self) -> str:
        """Return them as text for the environment."""
        return json.dumps((*self[:-1], dict(self.poison)))

    @classmethod
    def load(cls, text: str) -> Orders:
        """Read what `dump` wrote."""
        folder, strikes, walk, poison = json.loads(text)
        return cls(folder, tuple(Strike(*each) for each in strikes), walk and Walk(*walk), poison)


class Struck(NamedTuple):
    """A line of the file of that name."""

    time: float  # monotonic
    pid: int
    role: str
    place: str
    deed: str


def enter() -> None:
    """Prepare this process. Does nothing in one that is no crawl's."""
    if ENVIRONMENT not in os.environ or any("resource_tracker" in word for word in sys.orig_argv):
        return
    orders = Orders.load(os.environ[ENVIRONMENT])
    stacks = os.open(Path(orders.folder, "stacks"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    faulthandler.register(STACKS_SIGNAL, file=stacks, all_threads=True, chain=False)
    _let_the_clock_jump(Path(orders.folder, "jump"))
    from crawler.processes import child, lock

    sign_in = child.enter_child

    def enter_child(lock_file: Path, role: str) -> None:
        sign_in(lock_file, role)
        _arm(orders, role)

    child.enter_child = enter_child
    claim = lock.claim_folder

    def claim_folder() -> Path:
        folder = claim()
        with Path(orders.folder, "folders").open("a") as file:
            file.write(f"{folder.name}\n")
        return folder

    lock.claim_folder = claim_folder
    if sys.orig_argv[1:3] == ["-m", "crawler"]:
        _arm(orders, COORDINATOR)


def read_orders() -> Orders:
    """Return the orders of this process's crawl."""
    return Orders.load(os.environ[ENVIRONMENT])


def _let_the_clock_jump(file: Path) -> None:
    """Let the wall clock go wrong by as many seconds as the file says, from the moment it is there."""
    real_time = time.time

    def jumping_time() -> float:
        try:
            return real_time() + float(file.read_text())
        except FileNotFoundError:
            return real_time()

    time.time = jumping_time


def _arm(orders: Orders, role: str) -> None:
    strikes = [strike for strike in orders.strikes if strike.role == role]
    walk = orders.walk if orders.walk and orders.walk.role == role else None
    if not strikes and walk is None:
        return
    tracer = _Places(orders, role, strikes).enter if walk is None else _Walker(orders, walk).enter
    threading.settrace(tracer)
    sys.settrace(tracer)


def _name(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__')}:{frame.f_code.co_qualname}"


class _Places:
    """Traces a process until it comes to a place where something is to happen."""

    def __init__(self, orders: Orders, role: str, strikes: list[Strike]) -> None:
        self._orders = orders
        self._role = role
        self._by_function: dict[str, list[Strike]] = defaultdict(list)
        for strike in strikes:
            self._by_function[strike.function].append(strike)
        self._times: Counter[str] = Counter()
        self._names = {function.rpartition(":")[2].rpartition(".")[2] for function in self._by_function}

    def enter(self, frame: FrameType, event: str, argument: Any) -> Tracer | None:
        """Trace the calls of all functions, the lines of those that are named."""
        if frame.f_code.co_name not in self._names:
            return None
        name = _name(frame)
        self._times[name] += name in self._by_function
        strikes = [strike for strike in self._by_function.get(name, []) if strike.time <= self._times[name]]
        for strike in strikes:
            if not strike.line:
                self._strike(strike, frame)
        if not any(strike.line for strike in strikes):
            return None

        def look(frame: FrameType, event: str, argument: Any) -> Any:
            text = linecache.getline(frame.f_code.co_filename, frame.f_lineno) if event == "line" else ""
            for strike in strikes:
                if strike.line and strike.line in text:
                    self._strike(strike, frame)
            return look

        return look

    def _strike(self, strike: Strike, frame: FrameType) -> None:
        deed = _DEEDS[strike.deed]
        if deed is _write_half and len(frame.f_locals["buf"]) <= LARGE_BYTES:
            return
        name = f"{strike.function}+{strike.line} {strike.deed}"
        if _claim(self._orders.folder, f"{self._role} {name}"):
            record(self._orders.folder, self._role, f"{strike.function}+{strike.line}", strike.deed)
            deed(frame)


class _Walker:
    """Traces a process until it comes to a line at which none has died yet."""

    def __init__(self, orders: Orders, walk: Walk) -> None:
        self._orders = orders
        self._walk = walk
        self._calls = 0
        self._known: set[str] = set()

    def enter(self, frame: FrameType, event: str, argument: Any) -> Tracer | None:
        """Trace the lines of the walk's modules."""
        if frame.f_globals.get("__name__") not in self._walk.modules:
            return None
        self._calls += _name(frame) == self._walk.function
        return self._line if self._calls >= self._walk.calls else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Tracer:
        place = f"{_name(frame)}:{frame.f_lineno}"
        if event == "line" and place not in self._known:
            self._known.add(place)
            if _claim(self._orders.folder, f"{self._walk.role} {place}"):
                record(self._orders.folder, self._walk.role, place, "kill")
                _kill(frame)
        return self._line


def _claim(folder: str, name: str) -> bool:
    """Take a strike for this process; False if it has been taken."""
    try:
        os.close(os.open(Path(folder, "claims", name.replace("/", "_")), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def record(folder: str, role: str, place: str, deed: str) -> None:
    """Write down that something is about to happen here; one line, one write."""
    file = os.open(Path(folder, "struck"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, (json.dumps(Struck(time.monotonic(), os.getpid(), role, place, deed)) + "\n").encode())
    os.close(file)


# ---- what may happen


def _kill(frame: FrameType) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _exit(frame: FrameType) -> None:
    os._exit(1)


def _crash(frame: FrameType) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


def _freeze(frame: FrameType) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _sleep(frame: FrameType) -> None:
    threading.Event().wait()


def _write_half(frame: FrameType) -> None:
    """Die in the middle of what `Connection._send` was called to write."""
    buffer = frame.f_locals["buf"]
    os.write(frame.f_locals["self"]._handle, buffer[: len(buffer) // 2])
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_fork_server(frame: FrameType) -> None:
    from multiprocessing import forkserver

    server: Any = forkserver._forkserver
    if server._forkserver_pid is not None:
        os.kill(server._forkserver_pid, signal.SIGKILL)


def _kill_tracker(frame: FrameType) -> None:
    from multiprocessing import resource_tracker

    tracker: Any = resource_tracker._resource_tracker
    if tracker._pid is not None:
        os.kill(tracker._pid, signal.SIGKILL)


def _signal(number: signal.Signals, times: int = 1) -> Callable[[FrameType], None]:
    def send(frame: FrameType) -> None:
        for _ in range(times):
            # Ctrl-C goes to all that runs in the terminal, the others to the program.
            (os.killpg if number == signal.SIGINT else os.kill)(os.getpid(), number)

    return send


_DEEDS: dict[str, Callable[[FrameType], None]] = {
    "kill": _kill,
    "exit": _exit,
    "segfault": _crash,
    "freeze": _freeze,
    "sleep": _sleep,
    "half": _write_half,
    "kill the fork server": _kill_fork_server,
    "kill the resource tracker": _kill_tracker,
    "SIGINT": _signal(signal.SIGINT),
    "SIGINT twice": _signal(signal.SIGINT, 2),
    "SIGINT ten times": _signal(signal.SIGINT, 10),
    "SIGTERM": _signal(signal.SIGTERM),
    "SIGHUP": _signal(signal.SIGHUP),
}


def run_to_ruin(deed: str) -> None:
    """Do one of the deeds that need no place: for hooks."""
    frame = sys._getframe()
    _DEEDS[deed](frame)
