"""The consuming end of the queue: a daemon that takes batches, commits them, and acknowledges what is committed.

    Outbox.hand_over ─► JoinableQueue ─► consume() ─► the ledger
    (numbers, keeps)     (bytes)         (one at a time drains *and* commits)

The queue is filled by `engine.outbox`, emptied by `consume`, and bounded by the coordinator, which hands out nothing
new while too many batches are unacknowledged; it ends when it is replaced, or with the end batch. A consumer may die at
any line: a batch is kept elsewhere until the ledger says that its number is committed.

Runs in daemon processes (in daemon threads where there are no processes). Must not know the coordinator.
"""

from __future__ import annotations

import queue
from pathlib import Path
from typing import NamedTuple

import msgspec

from crawler.config import Config
from crawler.errors import StorageError
from crawler.ledger.apply import Fenced, NumberedBatch, Writer
from crawler.processes.child import enter_child
from crawler.processes.kinds import BatchQueue, CommitLock, WordQueue
from crawler.rules.offers import Offers
from crawler.rules.scope import Scope

GROUP = 64  # batches in one transaction, at most
EXIT_STORAGE, EXIT_FENCED = 5, 72

_decode = msgspec.msgpack.Decoder(NumberedBatch).decode


class ConsumerSetup(NamedTuple):
    """What a consumer needs to know; plain data."""

    ledger: Path
    lock_file: Path
    run_id: int
    config: Config
    seeds: tuple[str, ...]
    key: bytes
    is_process: bool


class Complaint(NamedTuple):
    """Why a consumer ended: the text, and the exit code of its process."""

    text: str
    exit_code: int


def consume(setup: ConsumerSetup, q: BatchQueue, commit_lock: CommitLock, complaints: WordQueue) -> None:
    """Commit what comes on the queue, group by group; acknowledge after the commit.

    The body of a daemon process (or thread). It ends by being killed (or by a None, one per thread). A failure is put
    on `complaints`, and ends a process with the exit code 5 for storage errors and 1 for anything else.
    """
    try:
        if setup.is_process:
            enter_child(setup.lock_file, "consumer")
        _drain(setup, q, commit_lock)
    except Fenced:
        exit_code = EXIT_FENCED
    except StorageError as error:
        exit_code = EXIT_STORAGE
        complaints.put(Complaint(str(error), exit_code))
    except BaseException as error:
        exit_code = 1
        complaints.put(Complaint(f"{type(error).__name__}: {error}", exit_code))
    else:
        exit_code = 0
    if setup.is_process:
        raise SystemExit(exit_code)


def _drain(setup: ConsumerSetup, q: BatchQueue, commit_lock: CommitLock) -> None:
    config = setup.config
    writer = Writer(
        setup.ledger,
        setup.run_id,
        Offers.of(config, Scope.of(config, setup.seeds), setup.key),
        durability=config.durability,
        obey_nofollow=config.obey_nofollow,
    )
    is_over = False
    try:
        while not is_over:
            with commit_lock:  # one at a time drains and commits: so commits follow the numbers
                taken = _commit_group(writer, q)
            for _ in taken:
                q.task_done()
            is_over = taken[-1] is None
    finally:
        writer.leave()


def _commit_group(writer: Writer, q: BatchQueue) -> list[bytes | None]:
    """Wait for a group and commit it; return what was taken from the queue."""
    taken, is_empty = _take(q)
    group = [_decode(blob) for blob in taken if blob is not None]
    if group:
        writer.commit(group, queue_is_empty=is_empty)
    return taken


def _take(q: BatchQueue) -> tuple[list[bytes | None], bool]:
    """Wait for a batch, take what else is there, up to a group or a None; return whether that emptied the queue."""
    taken = [q.get()]
    try:
        while taken[-1] is not None and len(taken) < GROUP:
            taken.append(q.get_nowait())
    except queue.Empty:
        return taken, True
    return taken, False
