"""SQL that several statements share, each phrase said once: a URL's latest page, queueing again, times for users.

In all of it `p` is a row of `_pages`, and `u` the row of `_urls` that it belongs to. Knows no connection, and imports
nothing. Runs wherever a ledger is written or read.
"""

from __future__ import annotations

from typing import Final

#: a page is one of this URL's, the latest or one of its history
OF_URL: Final = "u.host_id = p.host_id AND u.seq = p.seq"
#: of the pages of a URL, this is the latest
LATEST: Final = "u.page = p.id"
#: a page is this URL's latest. It names the key, too, so that a URL is looked up by it.
LATEST_OF_URL: Final = f"{OF_URL} AND {LATEST}"

#: queues URLs that have ended; the tries that they had still count. A FROM or WHERE is to follow.
QUEUE_AGAIN: Final = "UPDATE _urls SET state = 'queued', reason = NULL, error = NULL"
#: the same, with all tries before them: as something else than they were asked as, or after a run without a network
QUEUE_ANEW: Final = f"{QUEUE_AGAIN}, attempts = 0"


def iso(seconds: str) -> str:
    """Return SQL for a Unix time as ISO 8601, in UTC, to the millisecond; NULL stays NULL."""
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', {seconds}, 'unixepoch')"
