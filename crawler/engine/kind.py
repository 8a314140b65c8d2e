"""The kind of processes that a crawl runs on, chosen by its config, and the modules that they are born with.

Imports nothing else of the engine: the command line chooses first of all, so that the fork server can import what
workers and consumers need while this process imports the rest and opens the ledger. Runs in the coordinator.
"""

from __future__ import annotations

from crawler import transports
from crawler.config import Config
from crawler.processes.kinds import Threads
from crawler.processes.local import Processes, make_processes

PRELOAD = ("crawler.worker.pump", "crawler.consumer")


def choose_kind(config: Config) -> Processes | Threads:
    """Return the kind for so many workers as the config says, with its fork server started.

    Raises:
        UsageError: this process may not have children.
    """
    if config.workers() == 0:
        return Threads()
    return make_processes(config.start_method, [*PRELOAD, *transports.modules(config)])
