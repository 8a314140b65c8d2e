"""Local processes: pools of one that can be looked after and killed, by pid, whatever multiprocessing thinks of them.

N executors of one process each, not one executor of N: a dead process breaks its own pool only, we know which visits it
held, and it can be killed. What a process of ours has that a worker elsewhere need not have is here, and only here: the
pids it ever had, the end of the pipe that its results come through, the mark that it shares with us, its memory.

Runs in the coordinator. Must not know what the processes do.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from crawler.errors import UsageError
from crawler.processes.kinds import BatchQueue, Marking, Pool
from crawler.processes.lock import claim_folder, remove_folder, semaphore_prefix
from crawler.processes.pids import is_gone, kill, resident_bytes

CLOSE_AFTER_SECONDS = 0.5  # a worker is dead and its calls are still open: it died while it wrote a result
EXIT_UNGUARDED = 73


class ProcessPool:
    """A pool of one process, and what is known of that process."""

    def __init__(self, context: Any, set_up: Callable[[Any, Any], None], setup: Any) -> None:
        from crawler.processes.mark import Mark  # late: ctypes would cost the start of every crawl 3 milliseconds

        self.mark: Marking = context.RawValue(Mark)
        self._executor = ProcessPoolExecutor(1, context, set_up, (setup, self.mark))
        self.submit = self._executor.submit
        self._pids: set[int] = set()
        self._dead_since = 0.0
        self._writer_closed = False

    def look(self, now: float) -> bool:
        """Look after the process while a call is open; return whether it has died, so that the call will come back."""
        if not any(is_gone(pid) for pid in self.pids()):
            return False
        self._dead_since = self._dead_since or now
        if now - self._dead_since > CLOSE_AFTER_SECONDS:
            self._close_writer()
        return True

    def kill(self) -> bool:
        """Kill the process, so that its calls come back; return False if none was started yet."""
        pids = self.pids()
        kill(pids)
        return bool(pids)

    def memory_bytes(self) -> int:
        """Return what the process has in memory; 0 if nobody can know."""
        return max(map(resident_bytes, self.pids()), default=0)

    def pids(self) -> set[int]:
        """Return the pids that this pool has had so far."""
        self._pids.update(list(self._executor._processes or {}))
        return self._pids

    def end(self, *, is_called: bool) -> threading.Thread:
        """Kill what is left of it; it shuts down in the thread that is returned, which may be joined."""
        if self.kill() and is_called:
            self._close_writer()
        thread = threading.Thread(target=self._executor.shutdown, kwargs={"cancel_futures": True}, daemon=True)
        thread.start()
        return thread

    def _close_writer(self) -> None:
        """Close our own end of the pipe that results are written to.

        Half a result may be in the pipe, and while we hold a writing end ourselves its end would never come.
        """
        if not self._writer_closed:
            self._writer_closed = True
            with contextlib.suppress(OSError, AttributeError):
                self._executor._result_queue._writer.close()  # type: ignore[attr-defined]


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
            context.set_forkserver_preload(list(preload))
            _start_fork_server()
        self.Process = context.Process
        self.Lock = context.Lock
        self.SimpleQueue = context.SimpleQueue

    def JoinableQueue(self) -> BatchQueue:
        """Make a queue that may be thrown away at any moment, whatever its feeder thread is doing."""
        q: Any = self._context.JoinableQueue()
        q.cancel_join_thread()
        q._ignore_epipe = True  # before its feeder starts: later it would not hear of it, and print a traceback
        made: BatchQueue = q
        return made

    def executor(self, initializer: Callable[..., None], arguments: tuple[Any, ...]) -> Executor:
        """Make a plain pool of one process."""
        return ProcessPoolExecutor(1, self._context, initializer, arguments)

    def pool(self, set_up: Callable[[Any, Any], None], setup: Any, tear_down: Callable[[], None]) -> Pool:
        """Make a pool of one worker process, whose death frees all that it had."""
        return ProcessPool(self._context, set_up, setup)

    def dismiss(self, daemons: Iterable[Any], q: Any) -> None:
        """Kill daemons, whatever they are doing, and let go of their queue."""
        kill(daemon.pid for daemon in daemons if daemon.pid)
        if q is not None:
            q._reader.close()  # the feeder may be blocked in a full pipe: without a reader it gets EPIPE and ends

    def are_alive(self, daemons: Iterable[Any]) -> bool:
        """Return whether none of them has ended."""
        return not connection.wait([daemon.sentinel for daemon in daemons], 0)

    def refuse_unguarded(self, daemons: Iterable[Any]) -> None:
        """Refuse a script that runs itself again in each child, which its daemons died of, or are about to.

        Raises:
            UsageError: says what to do.
        """
        found = list(daemons)
        connection.wait([daemon.sentinel for daemon in found], CLOSE_AFTER_SECONDS)
        if any(daemon.exitcode == EXIT_UNGUARDED for daemon in found):
            raise UsageError(
                "child processes import your script, and it calls crawl(): put the call under "
                'if __name__ == "__main__": or use Config(processes=0)'
            )

    def memory_bytes(self, daemons: Iterable[Any]) -> int:
        """Return what they have in memory together, this process not included."""
        return sum(resident_bytes(daemon.pid) for daemon in daemons if daemon.pid)


def make_processes(start_method: str, preload: Sequence[str]) -> Processes:
    """Return the kind with processes, if this process may have children.

    Args:
        start_method: one of multiprocessing's, or "auto".
        preload: modules that the children are born with.

    Raises:
        UsageError: it may not.
    """
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
