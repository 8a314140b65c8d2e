"""Scope: may this URL enter the crawl? Asked for every link, so a set look-up by host comes first.

Besides yes and no there is a third answer. A site is often named as http://example.org while it lives at
https://www.example.org, which is in scope only because a seed's redirect turns out to lead there. Whether that redirect
was seen before or after a link must not change what is crawled: such links are DOUBTFUL, and the ledger parks them.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from crawler import urls
from crawler.errors import UsageError

OUT, IN, DOUBTFUL = 0, 1, 2


class Scope:
    """The scope of a crawl: how far from its seeds links are followed."""

    def __init__(self, mode: str, seeds: Iterable[str], include: Sequence[str], exclude: Sequence[str]) -> None:
        """Make a scope.

        Args:
            mode: "page" the seeds alone; "prefix" what is in the directory of a seed; "host" what is on the host of a
                seed; "any" everything.
            seeds: normal forms; always in scope themselves.
            include: regular expressions, one of which the URL must match (anywhere), if there are any.
            exclude: regular expressions, none of which it may match.

        Raises:
            UsageError: names the key and the pattern that is no regular expression.
        """
        self._mode = mode
        self._include = _compile("include", include)
        self._exclude = _compile("exclude", exclude)
        self._seeds: dict[str, set[str]] = {}  # targets by host
        for seed in seeds:
            host, target = urls.split(seed)
            self._seeds.setdefault(host, set()).add(target)
        self._sites: dict[str, set[str]] = {}  # targets by site
        for host, targets in self._seeds.items():
            if site := _site(host):
                self._sites.setdefault(site, set()).update(targets)

    def judge(self, host: str, target: str) -> int:
        """Return IN, OUT, or DOUBTFUL: in scope once a seed's redirect has widened the scope to this host."""
        if self._mode == "any":
            return self._filter(host, target, IN)
        targets = self._seeds.get(host)
        if targets is not None:
            if target in targets:
                return IN
            return self._filter(host, target, IN) if self._reaches(targets, target) else OUT
        if self._mode == "page" or (targets := self._sites.get(_site(host))) is None:
            return OUT
        return self._filter(host, target, DOUBTFUL) if self._reaches(targets, target) else OUT

    def widening(self, from_host: str, to_host: str) -> bool:
        """Tell that a seed's redirect between these hosts widens the scope: https or www. for the same site."""
        if to_host in self._seeds or self._mode == "any":
            return False
        site = _site(to_host)
        return bool(site) and site in self._sites and site == _site(from_host)

    def _reaches(self, targets: set[str], target: str) -> bool:
        if self._mode == "host":
            return True
        return self._mode == "prefix" and any(target.startswith(_directory(seed)) for seed in targets)

    def _filter(self, host: str, target: str, verdict: int) -> int:
        if self._include or self._exclude:
            url = host + target
            if self._include and not any(pattern.search(url) for pattern in self._include):
                return OUT
            if any(pattern.search(url) for pattern in self._exclude):
                return OUT
        return verdict


def _site(host: str) -> str:
    """Return what http://, https:// and a leading www. have in common; "" for a host on a port of its own."""
    name = urls.host_name(host)
    if not host.endswith("//" + name):
        return ""
    return name.removeprefix("www.")


def _directory(target: str) -> str:
    path = target.partition("?")[0]
    return path[: path.rindex("/") + 1]


def _compile(key: str, patterns: Sequence[str]) -> list[re.Pattern[str]]:
    compiled = []
    for pattern in patterns:
        try:
            compiled.append(re.compile(pattern))
        except re.error as error:
            raise UsageError(f"{key}: {pattern!r} is not a regular expression: {error}") from error
    return compiled
