"""Politeness: which failure is tried again, and how long a host is left alone.

The same rules derive decisions live and at a restart, from the same facts: when the host was last asked, how often it
failed in a row, what it said in Retry-After. No randomness: the jitter is a hash, so a restart decides alike. Pure: no
network, disk or process, and the clock is handed in; runs in the coordinator (waits) and in workers (retries).
"""

from __future__ import annotations

import hashlib
from datetime import UTC
from typing import Final, NamedTuple

MAX_RETRY_AFTER_SECONDS: Final = 3_600.0  # more is cut: a header must not end a crawl
MAX_JITTER: Final = 0.25


class Retry(NamedTuple):
    """What a kind of failure means."""

    retried: bool  # it may pass
    host_failed: bool  # it counts towards the host's failures in a row


RETRIES: Final[dict[str, Retry]] = {
    "server-error": Retry(retried=True, host_failed=True),
    "timeout": Retry(retried=True, host_failed=True),
    "refused": Retry(retried=True, host_failed=True),
    "reset": Retry(retried=True, host_failed=True),
    "dns": Retry(retried=True, host_failed=True),
    "bad-response": Retry(retried=True, host_failed=True),
    "truncated": Retry(retried=True, host_failed=False),
    "tls": Retry(retried=False, host_failed=True),
    "too-large": Retry(retried=False, host_failed=False),
    "blocked-address": Retry(retried=False, host_failed=False),
    "internal-error": Retry(retried=False, host_failed=False),
}


def may_retry(reason: str, attempts: int, retries: int) -> bool:
    """Return whether a URL that was tried `attempts` times before this failure is to be tried again."""
    return RETRIES[reason].retried and attempts < retries


def wait_seconds(host: str, failures: int, delay_seconds: float, base_seconds: float, max_seconds: float) -> float:
    """Return how long a host is left alone after the end of an exchange.

    Its delay; after `failures` failures in a row base * 2 ** (failures - 1), at most max and at least the delay, and up
    to a quarter more, so that hosts that failed together are not asked together again.
    """
    if failures <= 0:
        return delay_seconds
    backoff_seconds = min(base_seconds * 2.0 ** min(failures - 1, 60), max_seconds)
    digest = hashlib.blake2b(f"{host} {failures}".encode(), digest_size=2).digest()
    jitter = 1.0 + MAX_JITTER * int.from_bytes(digest, "little") / 0xFFFF
    return max(delay_seconds, backoff_seconds) * jitter


def due_in_seconds(asked_at: float, retry_at: float, now: float, wait: float) -> float:
    """Return in how many seconds a host may be asked, from facts of the wall clock (Unix times; 0: never).

    Clamped: however far the clock was set back, a host is left alone for no longer than `wait`, or than the longest
    Retry-After. A clock that was set forward cannot be told from time that has passed.
    """
    since_asked = asked_at + wait - now if asked_at else 0.0
    until_retry = retry_at - now if retry_at else 0.0
    return max(0.0, min(since_asked, wait), min(until_retry, MAX_RETRY_AFTER_SECONDS))


def retry_after_seconds(header: str, now: float) -> float:
    """Read a Retry-After header: seconds or a date (RFC 9110, section 10.2.3); 0 for nonsense, at most an hour.

    Args:
        now: Unix time.
    """
    text = header.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text)
    else:
        from email.utils import parsedate_to_datetime  # seldom needed, and slow to import

        try:
            date = parsedate_to_datetime(text)
            # asctime's form names no zone and means UTC (RFC 9110, section 5.6.7); Python would take this machine's
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, TypeError, OverflowError, IndexError):
            return 0.0
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
