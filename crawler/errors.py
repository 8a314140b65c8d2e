"""What a caller may have to catch. Each class names its exit code; each message names the thing and what to do.

Plain exceptions with one text, so that they pickle (tested): nothing here may grow an `__init__`. Must
not know who raises or catches them: that may be in any process.
"""

from __future__ import annotations


class CrawlerError(Exception):
    """The crawl cannot go on. The ledger is as good as after a kill: the same command continues it."""

    exit_code = 1


class UsageError(CrawlerError):
    """A seed, an option, a config value or a hook that cannot be used."""

    exit_code = 2


class LedgerInUse(UsageError):
    """Another crawl holds the ledger."""


class StorageError(CrawlerError):
    """The ledger cannot be read or written: disk full, read-only, damaged, locked by another program."""

    exit_code = 5


class SavingError(StorageError):
    """A file of the copy cannot be written or read; the ledger is well."""
