"""One crawler a ledger: a lock file beside it that names the holder, and the children that sign in there.

`flock` on a file of our own: a kill releases it, and SQLite's own POSIX locks are left alone (they would be dropped by
any open and close of the ledger's file in this process). Children write their pid and start time under the holder's, so
that whoever holds the lock next can kill what a dead crawl left behind, frozen processes included, before it trusts
that nobody else writes. What multiprocessing makes elsewhere (a folder, semaphores) is named after a folder that a
process keeps locked for as long as it lives (`claim_folder`): whoever claims one later removes what the dead have left.
Runs in the coordinator; `sign_in` in each child. Must not know what is in a ledger, nor what children do.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from crawler import clock
from crawler.errors import LedgerInUse, StorageError
from crawler.processes.pids import birth, kill

HOLDER_SECONDS = 0.2
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (where Linux keeps named semaphores)


class LedgerLock:
    """The lock of one ledger; held from `acquire` to `release`, or to the death of this process."""

    def __init__(self, ledger: Path) -> None:
        self.path = ledger.with_name(ledger.name + "-lock")
        self._ledger = ledger
        self._fd = -1

    def acquire(self) -> None:
        """Take the lock, and kill what the last holder left behind.

        Raises:
            LedgerInUse: somebody else has it; the text names the pid.
            StorageError: the file cannot be made.
        """
        while True:
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError as error:
                raise StorageError(
                    f"cannot write beside the ledger {self._ledger}: {error.strerror}; is its folder writable?"
                ) from error
            try:
                _flock(fd)
            except BlockingIOError as error:
                os.close(fd)
                raise LedgerInUse(
                    f"the ledger {self._ledger} is in use by another crawl, process {holder(self._ledger)}: "
                    "wait for it, stop it, or name another file with --ledger"
                ) from error
            except OSError as error:  # no locks here, as on some network file systems
                os.close(fd)
                raise StorageError(f"cannot lock {self.path}: {error.strerror}") from error
            if _is_same_file(fd, self.path):
                break
            os.close(fd)  # its last holder was just removing it
        self._fd = fd
        # Our own name first: sweeping may take seconds, and whoever asks meanwhile must not be told of the dead one.
        # Its children stay written down until they are gone.
        name = f"{os.getpid()}\n".encode()
        content = name + self._signed()
        try:
            os.pwrite(fd, content, 0)
            os.ftruncate(fd, len(content))
            self._sweep()
            os.ftruncate(fd, len(name))
        except OSError as error:
            self.release()
            raise StorageError(f"cannot write beside the ledger {self._ledger}: {error.strerror}") from error

    def release(self) -> None:
        """Kill the children that are left, remove the file, give the lock back."""
        if self._fd >= 0:
            self._sweep()
            self.path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1

    def _signed(self) -> bytes:
        return os.pread(self._fd, 1 << 20, 0).partition(b"\n")[2]

    def _sweep(self) -> None:
        lines = [line.split(" ", 2) for line in self._signed().decode(errors="replace").splitlines()]
        signed = [(int(words[0]), words[2]) for words in lines if len(words) == 3 and words[0].isdecimal()]
        kill(pid for pid, born in signed if birth(pid) == born)


def holder(ledger: Path) -> str:
    """Return the pid of the crawl that has this ledger, "" if none has."""
    try:
        fd = os.open(ledger.with_name(ledger.name + "-lock"), os.O_RDONLY)
    except OSError:
        return ""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return os.pread(fd, 64, 0).split(b"\n")[0].decode(errors="replace") or "unknown"
    else:
        return ""
    finally:
        os.close(fd)


def sign_in(path: Path, role: str) -> None:
    """Write this process under the lock's holder: its pid, "worker" or "consumer", its birth; one line, one write."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, f"{os.getpid()} {role} {birth(os.getpid())}\n".encode())
    finally:
        os.close(fd)


def claim_folder() -> Path:
    """Make a temporary folder that is this process's until it ends, and remove those of processes that have ended.

    It is locked, and the kernel gives that lock back however a process dies. (Its pid would not do: it is used again,
    and means something else in another container.)
    """
    remove_leftovers()
    while True:
        folder = Path(tempfile.mkdtemp(prefix=folder_prefix(os.getpid())))
        fd = os.open(folder, os.O_RDONLY)  # for good
        with contextlib.suppress(OSError):  # no locks here: then nobody can take it for a dead process's
            fcntl.flock(fd, fcntl.LOCK_EX)
        if _is_same_file(fd, folder):
            return folder
        os.close(fd)  # somebody was quicker to take it for a dead process's


def remove_leftovers() -> None:
    """Remove the folders and semaphores of processes that were killed together with all that would have done so.

    (Linux only for semaphores: elsewhere they cannot be listed.)
    """
    for folder in Path(tempfile.gettempdir()).glob(folder_prefix("[0-9]*") + "*"):
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        with contextlib.suppress(OSError):  # its process lives
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove_folder(folder)
        os.close(fd)


def remove_folder(folder: Path) -> None:
    """Remove a process's folder, and the semaphores that are named after it: one may have none to look after it."""
    with contextlib.suppress(OSError):  # also where there is no file descriptor left to look
        for semaphore in SHARED_MEMORY.glob(f"sem.{semaphore_prefix(folder)}-*"):
            semaphore.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def folder_prefix(pid: int | str) -> str:
    """Return how the name of a process's temporary folder begins."""
    return f"poolcrawl-{pid}-"


def semaphore_prefix(folder: Path) -> str:
    """Return how the names of the semaphores begin of the process that has this folder; macOS allows 31 characters."""
    return f"pcl-{folder.name.rpartition('-')[2]}"


def _flock(fd: int) -> None:
    """Lock a file, or raise OSError; `holder`, asked by somebody else, has it for a moment only."""
    deadline = clock.monotonic() + HOLDER_SECONDS
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.monotonic() > deadline:
                raise
        clock.sleep(0.01)


def _is_same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
