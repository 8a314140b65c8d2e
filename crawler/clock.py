"""All time there is: whoever wants the hour, a span or a rest asks here, so that a crawl can be given other time.

Asked as `clock.monotonic()`, never imported by name: who replaces a function here (a simulation, a test) replaces it
for all. What waits in the kernel (a queue, a selector, a thread) takes a number of seconds that was measured here.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

#: seconds that only ever grow, for spans and deadlines; of no meaning outside this boot of the machine
monotonic = time.monotonic
#: Unix time in seconds, for what is stored; it may jump
wall = time.time
#: rest for so many seconds
sleep = time.sleep


def utc_now() -> str:
    """Return the time as the ledger writes it: UTC, ISO 8601, milliseconds."""
    return datetime.fromtimestamp(wall(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local_time(wall_seconds: float) -> str:
    """Return a Unix time as people here read it, to the second: "14:05:09"."""
    return time.strftime("%H:%M:%S", time.localtime(wall_seconds))
