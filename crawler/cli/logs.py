"""Where the log lines of a crawl go: to standard error, above the live panel if there is one, and to a file if named.

Touches the logger "crawler" only, and that in the coordinator; called by whoever is the program, never by the library.
Must not know what is logged, nor what a panel shows.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from crawler.errors import UsageError


def set_up(log_file: Path | None, *, quiet: bool, verbose: bool) -> None:
    """Let the crawl's log lines go to standard error and to a file, in the place of where they went.

    Raises:
        UsageError: the file cannot be written.
    """
    logger = logging.getLogger("crawler")
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.ERROR if quiet else logging.DEBUG if verbose else logging.INFO)
    handlers: list[logging.Handler] = [console]
    if log_file is not None:
        try:
            handlers.append(logging.FileHandler(log_file, encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"cannot write the log file {log_file}: {error.strerror}") from error
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
    logger.propagate = False


def put_above_panel(terminal: Any) -> None:
    """Let a terminal's panel have what went to standard error, without the lines of progress, which it says better."""
    for handler in logging.getLogger("crawler").handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
            handler.setStream(terminal)
            handler.addFilter(lambda record: record.name != "crawler.progress")
