"""Pools of one that outlive their workers: what a worker's life is made of, and what ends it.

N executors of one process each, not one executor of N: a dead process breaks its own pool only, we know which visits it
held, and it can be killed. `Life` is one generation of one worker: an executor, the pids it ever had, the visits it
holds, the calls under way (two at most). A life is never mended: it is retired when all its calls are back, and a new
one takes its place, in the main loop (replacing an executor in its own callback deadlocks on Python 3.12).

`Processes` and `Threads` are the two kinds of crawl: the same names, so that the engine does not know which it runs on.
Everything here runs in the coordinator, but for `enter_child`.
"""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import queue
import resource
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from crawler.errors import CrawlerError, StorageError, UsageError
from crawler.model import Visit, VisitId
from crawler.processes.lock import claim_folder, is_gone, kill, remove_folder, resident_bytes, semaphore_prefix, sign_in

CLOSE_AFTER_SECONDS = 0.5  # a worker is dead and its calls are still open: it died while it wrote a result
LATE_SECONDS = 5.0  # beyond page_deadline_seconds, at which a worker should end itself
MAX_STRIKES = 2
MAX_DEATHS_ALONE = 10
EXIT_UNGUARDED = 73
PRELOAD = ["crawler.worker.pump", "crawler.consumer"]


RESERVED_FILES = 48  # of a process: for its libraries, pipes, and the ledger
_USED_UP = {
    errno.EMFILE: "file descriptors for this process (ulimit -n)",
    errno.ENFILE: "file descriptors on this machine",
    errno.EAGAIN: "processes or threads (ulimit -u)",
    errno.ENOMEM: "memory",
}


@contextlib.contextmanager
def limits_explained() -> Iterator[None]:
    """Turn what the system says when something is used up into a sentence.

    Raises:
        CrawlerError: names what there is too little of.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _USED_UP:
            raise
        raise CrawlerError(
            f"there are too few {_USED_UP[error.errno]}: allow more, or use fewer --processes; "
            "the same command continues"
        ) from error
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        raise CrawlerError(
            f"there is too little memory, or there are too few {_USED_UP[errno.EAGAIN]}: allow more, or use fewer "
            "--processes; the same command continues"
        ) from error
    except MemoryError as error:
        raise CrawlerError("there is too little memory: use fewer --processes; the same command continues") from error


def most_requests() -> int:
    """Return how many requests a worker may have in flight, by the file descriptors that it may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if most == resource.RLIM_INFINITY else max(1, most - RESERVED_FILES)


def _allow_files() -> None:
    """Let this process, a child of ours, have as many files open as it may."""
    with contextlib.suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def enter_child(lock_file: Path, role: str) -> None:
    """Make a child process of ours safe to leave alone: it ignores Ctrl-C, signs in, and dies with its parent.

    Not PR_SET_PDEATHSIG, which follows the parent's *thread*.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _allow_files()
    if sys.stderr is None:  # closed in the parent: tracebacks and faulthandler need one
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115  (for as long as the process)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    try:
        sign_in(lock_file, role)
    except FileNotFoundError:  # the crawl is over, and so is the parent
        pass
    except OSError as error:
        if role != "worker":  # which writes nothing: no harm if it is frozen and outlives its crawl
            raise StorageError(f"cannot write beside the ledger, to {lock_file}: {error.strerror}") from error


def _die_with(parent: Any) -> None:
    parent.join()
    os._exit(71)


class _SpawnProcess(SpawnProcess):
    """A process that starts deaf to Ctrl-C and to a terminal that goes away, as the fork server's children do."""

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGHUP])
        try:
            return SpawnProcess._Popen(process_obj)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _SpawnContext(SpawnContext):
    Process = _SpawnProcess


class Processes:
    """Real processes, by fork server where there is one."""

    are_processes = True

    def __init__(self, start_method: str, preload: Sequence[str]) -> None:
        if start_method == "auto":
            start_method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context: Any = _SpawnContext() if start_method == "spawn" else multiprocessing.get_context(start_method)
        self._context = context
        _name_what_is_made()
        if start_method == "forkserver":
            _forget_foreign_fork_server()
            context.set_forkserver_preload([*PRELOAD, *preload])
            _start_fork_server()
        self.Process = context.Process
        self.Lock = context.Lock
        self.SimpleQueue = context.SimpleQueue

    def JoinableQueue(self) -> Any:
        """Make a queue that may be thrown away at any moment, whatever its feeder thread is doing."""
        q = self._context.JoinableQueue()
        q.cancel_join_thread()
        q._ignore_epipe = True  # before its feeder starts: later it would not hear of it, and print a traceback
        return q

    def mark(self) -> Any:
        """Make a mark that survives the worker's death."""
        from crawler.processes.mark import Mark

        return self._context.RawValue(Mark)

    def executor(self, initializer: Callable[..., None], arguments: tuple[Any, ...]) -> Executor:
        """Make a pool of one."""
        return ProcessPoolExecutor(1, self._context, initializer, arguments)

    def dismiss(self, consumers: Iterable[Any], q: Any) -> None:
        """End consumers, whatever they are doing, and let go of their queue."""
        kill(consumer.pid for consumer in consumers if consumer.pid)
        if q is not None:
            q._reader.close()  # the feeder may be blocked in a full pipe: without a reader it gets EPIPE and ends

    def check(self, consumers: Sequence[Any]) -> None:
        """Raise if consumers died, or are about to, because the caller's script runs itself again in each child.

        Raises:
            UsageError: says what to do.
        """
        connection.wait([consumer.sentinel for consumer in consumers], CLOSE_AFTER_SECONDS)
        if any(consumer.exitcode == EXIT_UNGUARDED for consumer in consumers):
            raise UsageError(
                "child processes import your script, and it calls crawl(): put the call under "
                'if __name__ == "__main__": or use Config(processes=0)'
            )

    def are_alive(self, consumers: Iterable[Any]) -> bool:
        """Tell that no consumer has ended."""
        return not connection.wait([consumer.sentinel for consumer in consumers], 0)


class Threads:
    """No processes at all: for mocks, notebooks and debuggers."""

    are_processes = False
    JoinableQueue = queue.Queue
    Process = threading.Thread
    Lock = threading.Lock
    SimpleQueue = queue.SimpleQueue

    def mark(self) -> Any:
        """Make a mark."""
        from crawler.processes.mark import Mark

        return Mark()

    def executor(self, initializer: Callable[..., None], arguments: tuple[Any, ...]) -> Executor:
        """Make a pool of one thread."""
        return ThreadPoolExecutor(1, "crawl-worker", initializer, arguments)

    def dismiss(self, consumers: Iterable[Any], q: Any) -> None:
        """End consumers: a thread cannot be killed, so each is sent a None, the oldest end marker there is."""
        if q is not None:
            for _ in consumers:
                q.put(None)

    def check(self, consumers: Sequence[Any]) -> None:
        """Raise nothing: a thread imports no script."""

    def are_alive(self, consumers: Iterable[Any]) -> bool:
        """Tell that no consumer has ended."""
        return all(consumer.is_alive() for consumer in consumers)


def choose_kind(workers: int, start_method: str, preload: Sequence[str] = ()) -> Processes | Threads:
    """Return the kind of crawl for so many workers.

    Args:
        preload: modules that workers are born with, besides our own.

    Raises:
        UsageError: this process may not have children.
    """
    if workers == 0:
        return Threads()
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        # A child of ours imports the caller's script, and runs it again. The parent says what is wrong, once.
        # (Not SystemExit: the fork server would make exit code 1 of it.)
        sys.stdout.flush()
        os._exit(EXIT_UNGUARDED)
    if multiprocessing.current_process().daemon:
        raise UsageError(
            "a daemon process may have no children: start it with daemon=False, or use Config(processes=0)"
        )
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script is not None and not Path(script).exists():  # "<stdin>"
        raise UsageError(
            f"child processes cannot import the script {script}: save it as a file, or use Config(processes=0)"
        )
    return Processes(start_method, preload)


def _name_what_is_made() -> None:
    """Give the semaphores and the folder that multiprocessing makes for this process names that tell whose they are.

    It removes them itself; of a process that is killed, its resource tracker removes the semaphores, and whoever claims
    a folder next does the rest (`lock.claim_folder`). A forked child goes on with its parent's.
    """
    config: Any = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    if config.get("poolcrawl"):
        return
    folder = claim_folder()
    config["poolcrawl"] = str(folder)
    config["semprefix"] = "/" + semaphore_prefix(folder)
    if config.get("tempdir") is None:
        config["tempdir"] = str(folder)
    # Its own finalizers have run by then; a semaphore that was made as the resource tracker died has none.
    Finalize(None, remove_folder, (folder,), exitpriority=-100)


def _forget_foreign_fork_server() -> None:
    """Make this process start a fork server of its own if it was forked from one that had a fork server.

    multiprocessing inherits the pid of that server, and waits for it as for a child of its own: ChildProcessError.
    """
    server: Any = forkserver._forkserver
    with server._lock:
        if server._forkserver_pid is None:
            return
        try:
            os.waitid(os.P_PID, server._forkserver_pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            os.close(server._forkserver_alive_fd)
            server._forkserver_pid = server._forkserver_alive_fd = server._forkserver_address = None


def _start_fork_server() -> None:
    """Start the fork server deaf to Ctrl-C and to a terminal that goes away, and so all of its children.

    A signal goes to the whole group, and would end them with tracebacks while they start; stopping is the
    coordinator's business, and they die with it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    try:
        resource_tracker.ensure_running()  # would unblock SIGINT
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Life:
    """One life of one worker."""

    def __init__(
        self, worker: int, generation: str, pool: Executor, mark: Any, tear_down: Callable[[str], None]
    ) -> None:
        self.worker = worker
        self._tear_down = tear_down  # frees what the worker has in *this* process: all of it, without processes
        self.generation = generation
        self.pool = pool
        self.mark = mark
        self.held: dict[VisitId, Visit] = {}
        self.pauses: set[int] = set()  # hosts that failed elsewhere, to be told with the next call
        self.calls = 0
        self.has_returned = False
        self.is_alone = False  # reserved for one suspect visit
        self.error = ""  # why no more calls are made
        self.is_retired = False
        self._since = 0.0  # when the call under way began
        self.handed_at: dict[VisitId, float] = {}  # when each visit that is held was handed out
        self.is_worn = False  # has grown too large: gets no more visits, and is replaced when it holds none
        self._pids: set[int] = set()
        self._dead_since = 0.0
        self._writer_closed = False

    def __repr__(self) -> str:
        return f"<Life {self.generation}: {len(self.held)} held, {self.calls} calls, {self.error or 'well'}>"

    def called(self, visits: Iterable[Visit], now: float) -> None:
        """Take note of a call."""
        if self.calls == 0:
            self._since = now
        self.calls += 1
        for visit in visits:
            self.held[visit.id] = visit
            self.handed_at[visit.id] = now

    def take_back(self, visit_id: VisitId) -> Visit:
        """Return a visit whose outcome is there, and hold it no longer."""
        del self.handed_at[visit_id]
        return self.held.pop(visit_id)

    def pause(self, host_id: int) -> None:
        """Let the next call give back what waits for a host that failed, if anything does."""
        if any(visit.clock_id == host_id for visit in self.held.values()):
            self.pauses.add(host_id)

    def returned(self, error: str, now: float) -> None:
        """Take note of a call's end; what the calls behind it are given begins now."""
        self.calls -= 1
        self._since = now
        if error:
            self.error = self.error or error
        else:
            self.has_returned = True

    def death(self) -> str:
        """Say what ended it."""
        return "out of memory" if self.mark.is_out_of_memory else self.error

    def check(self, now: float, deadline_seconds: float) -> str:
        """Look after the processes behind the open calls: called every few hundredths of a second.

        Returns what is wrong, if anything new is.
        """
        pids = self.pids()
        if not pids or not self.calls:
            return ""
        if any(is_gone(pid) for pid in pids):
            self._dead_since = self._dead_since or now
            if now - self._dead_since > CLOSE_AFTER_SECONDS and not self._writer_closed:
                # Half a result is in the pipe, and we hold a writing end ourselves: it would never end.
                self._writer_closed = True
                with contextlib.suppress(OSError, AttributeError):
                    self.pool._result_queue._writer.close()  # type: ignore[attr-defined]
            return ""
        if now - self._since > deadline_seconds + LATE_SECONDS:
            self._since = now
            kill(pids)
            return f"worker {self.worker} did not come back from a call for {deadline_seconds:g} s and was killed"
        return ""

    def check_memory(self, limit_bytes: int) -> str:
        """Look at what the worker's process has in memory; above the limit it is worn, at twice that it is killed.

        Returns what is done about it, if anything is. Called about once a second.
        """
        size = max(map(resident_bytes, self.pids()), default=0)
        if not limit_bytes or size <= limit_bytes:
            return ""
        if size > 2 * limit_bytes:
            kill(self.pids())
            return f"worker {self.worker} has {size >> 20:,} MB in memory and was killed"
        if self.is_worn:
            return ""
        self.is_worn = True
        return f"worker {self.worker} has {size >> 20:,} MB in memory: it is replaced when its visits have come back"

    def pids(self) -> set[int]:
        """Return the pids that this pool has had so far."""
        processes = getattr(self.pool, "_processes", None) or {}
        self._pids.update(list(processes))
        return self._pids

    def end(self) -> threading.Thread:
        """Kill what is left of it; its pool shuts down in the thread that is returned, which may be joined."""
        kill(self.pids())
        if self.calls and not self._writer_closed and self._pids:
            self._writer_closed = True
            with contextlib.suppress(OSError, AttributeError):
                self.pool._result_queue._writer.close()  # type: ignore[attr-defined]
        thread = threading.Thread(target=self._shut_down, daemon=True)
        thread.start()
        return thread

    def _shut_down(self) -> None:
        self.pool.shutdown(cancel_futures=True)
        self._tear_down(self.generation)


class Suspects:
    """Which visits may be killing their workers.

    Only a *marked* death is a strike: the page was being parsed. Deaths without a mark only isolate: slow innocent
    pages share many workers' deaths. One strike and the visit runs alone; two end it.
    """

    def __init__(self) -> None:
        self._strikes: Counter[VisitId] = Counter()
        self._deaths: Counter[VisitId] = Counter()

    def died_with(self, visit: Visit, *, marked: bool, alone: bool) -> str:
        """Take note that a visit's worker died; return why the visit must end, "" if it need not."""
        self._deaths[visit.id] += 1
        if marked:
            self._strikes[visit.id] += 1
        if self._strikes[visit.id] >= MAX_STRIKES:
            return "its worker died while parsing it, twice"
        if alone and self._deaths[visit.id] >= MAX_DEATHS_ALONE:
            return f"its worker died {MAX_DEATHS_ALONE} times with it"
        return ""

    def is_suspect(self, visit: Visit) -> bool:
        """Tell that a visit must run alone."""
        return self._strikes[visit.id] > 0 or self._deaths[visit.id] >= 2

    def acquit(self, visit_id: VisitId) -> None:
        """Forget a visit that has ended."""
        self._strikes.pop(visit_id, None)
        self._deaths.pop(visit_id, None)
