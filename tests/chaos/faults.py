"""The table of faults: what may be done to a crawl from outside, and what happens inside at each of its stages.

A fault from outside is a function that is given a running crawl, strikes, and returns what it did ("" if there was
nobody to do it to); it tells the crawl which exit codes are now in order and whether visits may be lost. A stage is a
place in the product, named by function and a piece of the line's text, at which a `Strike` may happen to the process
that gets there; `test_stages` checks that there is exactly one such line.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from tests.chaos.running import Crawling, kill, signal_codes
from tests.chaos.sabotage import CONSUMER, COORDINATOR, WORKER, Strike

Fault = Callable[[Crawling, Random], str]


# ---- from outside


def kill_worker(crawling: Crawling, chance: Random) -> str:
    return _hit(crawling, crawling.signed(WORKER), "a worker was killed", chance)


def kill_consumer(crawling: Crawling, chance: Random) -> str:
    return _hit(crawling, crawling.signed(CONSUMER), "a consumer was killed", chance, loses=False)


def kill_child(crawling: Crawling, chance: Random) -> str:
    """Kill any child: also one that has not signed in yet."""
    server = fork_server(crawling)
    children = [each.pid for each in crawling.members() if each.pid not in (crawling.process.pid, server)]
    trackers = {each.pid for each in crawling.members() if each.is_tracker}
    return _hit(crawling, [pid for pid in children if pid not in trackers], "some child was killed", chance)


def freeze_worker(crawling: Crawling, chance: Random) -> str:
    return _hit(crawling, crawling.signed(WORKER), "a worker was frozen", chance, signal.SIGSTOP)


def freeze_consumer(crawling: Crawling, chance: Random) -> str:
    return _hit(crawling, crawling.signed(CONSUMER), "a consumer was frozen", chance, signal.SIGSTOP, loses=False)


def kill_fork_server(crawling: Crawling, chance: Random) -> str:
    server = fork_server(crawling)
    return _hit(crawling, [server] if server else [], "the fork server was killed", chance)


def kill_resource_tracker(crawling: Crawling, chance: Random) -> str:
    trackers = [member.pid for member in crawling.members() if member.is_tracker]
    if what := _hit(crawling, trackers, "the resource tracker was killed", chance, loses=False):
        crawling.tracker_was_killed = True  # the next one is told to forget what it never knew, and says so
    return what


def kill_main(crawling: Crawling, chance: Random) -> str:
    crawling.expect(-signal.SIGKILL)
    return _hit(crawling, [crawling.process.pid], "the main process was killed", chance)


def kill_group(crawling: Crawling, chance: Random) -> str:
    crawling.expect(-signal.SIGKILL)
    crawling.crashed("the whole group was killed")
    os.killpg(crawling.process.pid, signal.SIGKILL)
    return "the whole group was killed"


def interrupt(crawling: Crawling, chance: Random) -> str:
    return _signal(crawling, signal.SIGINT, 1)


def interrupt_twice(crawling: Crawling, chance: Random) -> str:
    return _signal(crawling, signal.SIGINT, 2)


def interrupt_ten_times(crawling: Crawling, chance: Random) -> str:
    return _signal(crawling, signal.SIGINT, 10)


def terminate(crawling: Crawling, chance: Random) -> str:
    return _signal(crawling, signal.SIGTERM, 1)


def hang_up(crawling: Crawling, chance: Random) -> str:
    return _signal(crawling, signal.SIGHUP, 1)


KILLS: list[Fault] = [kill_main, kill_group, kill_worker, kill_consumer, kill_fork_server, kill_resource_tracker]
FREEZES: list[Fault] = [freeze_worker, freeze_consumer]
#: fault → how often, among random ones
OUTSIDE: dict[Fault, int] = {
    kill_worker: 6, kill_consumer: 6, kill_child: 3, kill_main: 4, kill_group: 3, kill_fork_server: 2,
    kill_resource_tracker: 1, freeze_worker: 1, freeze_consumer: 1, interrupt: 1, interrupt_twice: 1,
    interrupt_ten_times: 1, terminate: 1, hang_up: 1,
}  # fmt: skip


def fork_server(crawling: Crawling) -> int:
    """Return the fork server's pid; 0 if there is none."""
    alike = [each for each in crawling.members() if "multiprocessing.forkserver" in each.command]
    return next((each.pid for each in alike if each.parent == crawling.process.pid), 0)


def _hit(
    crawling: Crawling, pids: list[int], what: str, chance: Random, number: signal.Signals = signal.SIGKILL, *,
    loses: bool = True,
) -> str:  # fmt: skip
    if not pids:
        return ""
    if loses:  # written down first: what is lost is lost after this moment
        crawling.crashed(what, late=number == signal.SIGSTOP)
    return what if kill(chance.choice(sorted(pids)), number) else ""


def _signal(crawling: Crawling, number: signal.Signals, times: int) -> str:
    if not crawling.catches_signals():
        return ""
    crawling.expect(*signal_codes(number))
    crawling.crashed(number.name)  # a second one ends what is in flight
    for _ in range(times):
        # Ctrl-C goes to all that runs in the terminal, the others to the program.
        os.killpg(crawling.process.pid, number) if number == signal.SIGINT else kill(crawling.process.pid, number)
    return number.name + (f" {times} times" if times > 1 else "")


# ---- from inside, at a stage


class Stage(NamedTuple):
    """A place in the product that a role's process comes to."""

    role: str
    function: str
    line: str = ""  # a piece of the line, which no other line of the function has; "": on entry
    time: int = 1  # the n-th time that one process comes there

    def strike(self, deed: str, time: int = 0) -> Strike:
        """Let something happen there."""
        return Strike(self.role, self.function, self.line, deed, time or self.time)


LATER = 4  # workers that die before they ever came back end the crawl
STAGES: dict[str, Stage] = {
    # the coordinator, in the order of a run
    "start: the lock": Stage(COORDINATOR, "crawler.processes.lock:LedgerLock._sweep"),
    "start: a new ledger": Stage(COORDINATOR, "crawler.ledger.schema:create", "connection = sqlite3.connect(begun"),
    "start: the run's row": Stage(COORDINATOR, "crawler.ledger.opening:_add_seeds"),
    "start: consumers": Stage(COORDINATOR, "multiprocessing.process:BaseProcess.start"),
    "start: workers": Stage(COORDINATOR, "concurrent.futures.process:ProcessPoolExecutor._spawn_process"),
    "start: a child is being made": Stage(
        COORDINATOR, "multiprocessing.popen_forkserver:Popen._launch", "with open(w, 'wb'"
    ),
    "start: the fork server is asked": Stage(
        COORDINATOR, "multiprocessing.forkserver:ForkServer.connect_to_new_process"
    ),
    "hand over": Stage(COORDINATOR, "crawler.engine.outbox:Outbox.hand_over", "self.unacked[self._number] = kept"),
    "put": Stage(COORDINATOR, "multiprocessing.queues:JoinableQueue.put", "self._buffer.append(obj)"),
    "feed the pipe": Stage(COORDINATOR, "multiprocessing.connection:_ConnectionBase.send_bytes"),
    "settle": Stage(COORDINATOR, "crawler.engine.crawl:Crawl.settle", "self.crew.settle(life, outcome)"),
    "acknowledge": Stage(COORDINATOR, "crawler.engine.crawl:Crawl.acknowledge", "self.receive_more()"),
    "dispatch": Stage(COORDINATOR, "crawler.engine.crawl:Crawl.dispatch", "self.flush_early = "),
    "replace a worker": Stage(COORDINATOR, "crawler.engine.crew:Crew.retire", "held = life.take_all_back()"),
    "replace the consumers": Stage(COORDINATOR, "crawler.engine.drain:Drain.replace", "complaints = self.listen()"),
    "drain: before the end batch": Stage(COORDINATOR, "crawler.engine.crawl:Crawl.end"),
    "drain: the end batch": Stage(COORDINATOR, "crawler.engine.crawl:Crawl.end", "while self.drain.outbox.unacked"),
    "drain: join": Stage(COORDINATOR, "crawler.engine.drain:Drain.wait_for", "while joiner.is_alive()"),
    "drain: close": Stage(COORDINATOR, "crawler.engine.crawl:Crawl.close", "self.drain.dismiss()"),
    "drain: give the lock back": Stage(COORDINATOR, "crawler.processes.lock:LedgerLock.release", "self.path.unlink("),
    "report": Stage(COORDINATOR, "crawler.cli.commands.crawl:_conclude"),
    # a worker, in the order of a call
    "worker: set-up": Stage(WORKER, "crawler.worker.pump:Pump.__init__"),
    "worker: take the order": Stage(WORKER, "crawler.worker.pump:Pump._accept", time=LATER),
    "worker: fetch": Stage(WORKER, "crawler.worker.pump:Pump._start_waiting", "self._transport.start(", LATER),
    "worker: parse": Stage(WORKER, "crawler.worker.readers:Readers.read", time=LATER),
    "worker: encode": Stage(WORKER, "crawler.worker.batch:Outgoing.append", time=LATER),
    "worker: hand back": Stage(WORKER, "crawler.worker.batch:Outgoing.hand_back", "batch = self.encode(", LATER),
    "worker: return": Stage(WORKER, "multiprocessing.queues:SimpleQueue.put", time=LATER),
    # a consumer, in the order of a group
    "consumer: set-up": Stage(CONSUMER, "crawler.consumer:_drain"),
    "consumer: get": Stage(CONSUMER, "crawler.consumer:_take"),
    "consumer: inside get(), holding the queue's lock": Stage(
        CONSUMER, "multiprocessing.connection:_ConnectionBase.recv_bytes"
    ),
    "consumer: before the transaction": Stage(CONSUMER, "crawler.ledger.apply:Writer.commit"),
    "consumer: inside the transaction": Stage(CONSUMER, "crawler.ledger.apply:Writer._apply", "self._end_urls("),
    "consumer: merge": Stage(CONSUMER, "crawler.ledger.merge:merge", "execute(_COLLECT)"),
    "consumer: between commit and task_done": Stage(CONSUMER, "multiprocessing.queues:JoinableQueue.task_done"),
    "consumer: inside task_done(), holding its condition": Stage(
        CONSUMER, "multiprocessing.queues:JoinableQueue.task_done", "_semlock._is_zero()"
    ),
}
#: a half-written result is a deed that needs a result larger than a pipe takes at once
WRITES_HALF = Strike(WORKER, "multiprocessing.connection:Connection._send", "", "half", LATER)


def stages(role: str) -> dict[str, Stage]:
    """The stages that a role's process comes to."""
    return {name: stage for name, stage in STAGES.items() if stage.role == role}
