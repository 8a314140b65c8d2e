"""Where workers live, and who drains the queue: what each kind can do, and the kind without processes.

Two questions, with an answer each. A `Kind` makes pools of one for workers: in local processes, in threads, later
perhaps on other machines, where there is no pid and nothing that could be killed by one. `Daemons` makes the queue and
the processes that drain it, which are always on the ledger's machine. `local.Processes` and `Threads` answer both, so
that the engine does not know which of them it runs on. Everything here runs in the coordinator.

Must not know what workers and consumers do.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Marking(Protocol):
    """Where a worker writes what is to be known of its death: `mark.Mark` in memory that is shared, or its like."""

    value: int  # the tag of the visit that is being read, 0 if none is
    is_out_of_memory: bool  # why it died


class Pool(Protocol):
    """A pool of one worker, for one life of it. It is never mended."""

    @property
    def mark(self) -> Marking:
        """Return where the worker marks what it is reading."""

    def submit(self, function: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Let the worker call a function."""

    def look(self, now: float) -> bool:
        """Look after the worker while a call is open; return whether it has died, so that the call will come back."""

    def kill(self) -> bool:
        """Kill the worker, so that its calls come back; return False if there is nothing yet that could be killed."""

    def memory_bytes(self) -> int:
        """Return what the worker has in memory; 0 if nobody can know."""

    def end(self, *, is_called: bool) -> threading.Thread:
        """Kill what is left of it; it shuts down in the thread that is returned, which may be joined.

        Args:
            is_called: a call is open.
        """


class Kind(Protocol):
    """Where workers live."""

    are_processes: bool

    def executor(self, initializer: Callable[..., None], arguments: tuple[Any, ...]) -> Executor:
        """Make a plain pool of one, which nobody looks after."""

    def pool(self, set_up: Callable[[Any, Any], None], setup: Any, tear_down: Callable[[], None]) -> Pool:
        """Make a pool of one worker; it begins to live with its first call.

        Args:
            set_up: called in the worker, with `setup` and its mark.
            tear_down: frees what the worker had in *this* process, if it lived here.
        """


class BatchQueue(Protocol):
    """The queue between `call_back` and the consumers: of bytes, and of a None that ends a consumer thread."""

    def put(self, item: bytes | None, /) -> None:
        """Put a batch, or a None, behind the others."""

    def get(self) -> bytes | None:
        """Wait for the first item and take it."""

    def get_nowait(self) -> bytes | None:
        """Take the first item; raises `queue.Empty` if there is none."""

    def task_done(self) -> None:
        """Acknowledge one item that was taken."""

    def join(self) -> None:
        """Wait until every item is acknowledged."""


class CommitLock(Protocol):
    """The lock that consumers take in turn, around drain and commit."""

    def __enter__(self) -> bool:
        """Wait for the lock and take it."""

    def __exit__(self, kind: Any, error: Any, traceback: Any, /) -> None:
        """Release the lock."""


class WordQueue(Protocol):
    """A queue that a consumer says its last words on."""

    def put(self, item: Any, /) -> None:
        """Put a word, without a thread of the queue's own: the process may end right after."""

    def get(self) -> Any:
        """Wait for the first word and take it."""

    def empty(self) -> bool:
        """Return whether there is no word."""


class Daemon(Protocol):
    """A daemon process, or a daemon thread: the part of them that is alike."""

    def start(self) -> None:
        """Start it."""

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, for so many seconds at most."""

    def is_alive(self) -> bool:
        """Return whether it was started and has not ended."""


class Daemons(Protocol):
    """The queue, and the daemons that drain it: always on this machine."""

    are_processes: bool

    @property
    def Process(self) -> Callable[..., Daemon]:
        """Return what makes a daemon, as `multiprocessing.Process` does."""

    @property
    def Lock(self) -> Callable[[], CommitLock]:
        """Return what makes a lock."""

    @property
    def SimpleQueue(self) -> Callable[[], WordQueue]:
        """Return what makes a queue of words."""

    @property
    def JoinableQueue(self) -> Callable[[], BatchQueue]:
        """Return what makes a queue of batches."""

    def dismiss(self, daemons: Iterable[Daemon], q: BatchQueue | None) -> None:
        """End daemons, whatever they are doing, and let go of their queue."""

    def are_alive(self, daemons: Iterable[Daemon]) -> bool:
        """Return whether none of them has ended."""

    def refuse_unguarded(self, daemons: Iterable[Daemon]) -> None:
        """Refuse a script that runs itself again in each child, which its daemons died of, or are about to.

        Raises:
            UsageError: says what to do.
        """

    def memory_bytes(self, daemons: Iterable[Daemon]) -> int:
        """Return what they have in memory together, this process not included."""


class ThreadPool:
    """A pool of one thread, in this process: nothing in it can be killed, and nobody dies."""

    def __init__(self, set_up: Callable[[Any, Any], None], setup: Any, tear_down: Callable[[], None]) -> None:
        from crawler.processes.mark import Mark

        self.mark: Marking = Mark()
        self._executor = ThreadPoolExecutor(1, "crawl-worker", set_up, (setup, self.mark))
        self.submit = self._executor.submit
        self._tear_down = tear_down

    def look(self, now: float) -> bool:
        """Return False: a thread that has died is no longer there to say so."""
        return False

    def kill(self) -> bool:
        """Return False: a thread cannot be killed."""
        return False

    def memory_bytes(self) -> int:
        """Return 0: what it has is this process's."""
        return 0

    def end(self, *, is_called: bool) -> threading.Thread:
        """Shut down in the thread that is returned, and free what the worker had."""
        thread = threading.Thread(target=self._shut_down, daemon=True)
        thread.start()
        return thread

    def _shut_down(self) -> None:
        self._executor.shutdown(cancel_futures=True)
        self._tear_down()


class Threads:
    """No processes at all: for mocks, notebooks and debuggers."""

    are_processes = False
    JoinableQueue = queue.Queue
    Process = threading.Thread
    Lock = threading.Lock
    SimpleQueue = queue.SimpleQueue

    def executor(self, initializer: Callable[..., None], arguments: tuple[Any, ...]) -> Executor:
        """Make a plain pool of one thread."""
        return ThreadPoolExecutor(1, "crawl-worker", initializer, arguments)

    def pool(self, set_up: Callable[[Any, Any], None], setup: Any, tear_down: Callable[[], None]) -> Pool:
        """Make a pool of one worker thread."""
        return ThreadPool(set_up, setup, tear_down)

    def dismiss(self, daemons: Iterable[Daemon], q: BatchQueue | None) -> None:
        """End daemons: a thread cannot be killed, so each is sent a None, the oldest end marker there is."""
        if q is not None:
            for _ in daemons:
                q.put(None)

    def are_alive(self, daemons: Iterable[Daemon]) -> bool:
        """Return whether none of them has ended."""
        return all(daemon.is_alive() for daemon in daemons)

    def refuse_unguarded(self, daemons: Iterable[Daemon]) -> None:
        """Refuse nothing: a thread imports no script."""

    def memory_bytes(self, daemons: Iterable[Daemon]) -> int:
        """Return 0: what they have is this process's."""
        return 0
