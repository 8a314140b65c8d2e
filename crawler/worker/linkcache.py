"""Which links a worker reported lately, so that the hundred navigation links of a page are not sent a thousand times.

A link counts as reported only once the result that carries it is in a batch; all is forgotten with the worker. Runs in
a worker, in the pump's thread; must not know what a link leads to.
"""

from __future__ import annotations

from collections.abc import Sequence

CACHED_LINKS = 32_768  # in each of a cache's two halves


class LinkCache:
    """Which links were reported lately, and with which depth.

    Two halves: when the young one is full it becomes the old one, and the old one is forgotten. Forgetting only costs a
    candidate that the sieve drops.
    """

    def __init__(self) -> None:
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}

    def unreported(self, links: Sequence[str], depth: int) -> list[str]:
        """Return the links that were not reported with this depth or a smaller one."""
        young, old = self._young.get, self._old.get
        return [url for url in links if young(url, old(url, 1 << 30)) > depth]

    def add(self, links: Sequence[str], depth: int) -> None:
        """Remember links as reported."""
        if len(self._young) > CACHED_LINKS:
            self._old, self._young = self._young, {}
        self._young.update(dict.fromkeys(links, depth))
