"""What makes a child process of ours safe to leave alone.

Must not know what the child is for. Runs in each worker process and each consumer process, once, before their work.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path

from crawler.errors import StorageError
from crawler.processes.capacity import allow_files
from crawler.processes.lock import sign_in

EXIT_PARENT_DIED = 71


def enter_child(lock_file: Path, role: str) -> None:
    """Make this child ignore Ctrl-C, sign in beside the ledger's lock, and die with its parent.

    Not PR_SET_PDEATHSIG, which follows the parent's *thread*.

    Raises:
        StorageError: the lock's file cannot be written.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    allow_files()
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


def _die_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(EXIT_PARENT_DIED)
