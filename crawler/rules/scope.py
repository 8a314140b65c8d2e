"""Scope: may this URL enter the crawl? Asked for every link, so a set look-up by host comes first.

Besides yes and no there is a third answer. A site is often named as http://example.org while it lives at
https://www.example.org, which is in scope only because a seed's redirect turns out to lead there. Whether that redirect
was seen before or after a link must not change what is crawled: such links are CONDITIONAL, and wait in the ledger.
Pure: no network, disk, clock or process; runs in workers, and in consumers for links that are offered again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from crawler.config import Config
from crawler.errors import UsageError
from crawler.rules import urls

OUT, IN, CONDITIONAL = 0, 1, 2


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
        self._is_any = mode == "any"
        self._include = _compile("include", include)
        self._exclude = _compile("exclude", exclude)
        self._has_patterns = bool(self._include or self._exclude)
        self._seeds: dict[str, set[str]] = {}  # targets by host
        for seed in seeds:
            host, target = urls.split(seed)
            self._seeds.setdefault(host, set()).add(target)
        self._sites = {site for host in self._seeds if (site := _site(host))}
        # What the targets in scope start with, by host: on the seeds' hosts, and on their siblings that are no seed's.
        self._starts = {host: _starts(mode, targets) for host, targets in self._seeds.items()}
        self._conditional: dict[str, tuple[str, ...]] = {}
        for host, starts in self._starts.items():
            for sibling in _siblings_of(host) if starts else ():
                if sibling not in self._seeds:
                    self._conditional[sibling] = self._conditional.get(sibling, ()) + starts

    @classmethod
    def of(cls, config: Config, seeds: Iterable[str] = ()) -> Scope:
        """Return the scope of a crawl.

        Args:
            seeds: normal forms, all that the crawl ever had.

        Raises:
            UsageError: as for `Scope`.
        """
        return cls(config.scope, seeds, config.include, config.exclude)

    def judge(self, host: str, target: str) -> int:
        """Return IN, OUT, or CONDITIONAL: in scope once a seed's redirect has widened the scope to this host."""
        targets = self._seeds.get(host)
        if targets is not None and target in targets:
            return IN
        if self._is_any or target.startswith(self._starts.get(host, ())):
            verdict = IN
        elif target.startswith(self._conditional.get(host, ())):
            verdict = CONDITIONAL
        else:
            return OUT
        if self._has_patterns and not self._passes_patterns(host + target):
            return OUT
        return verdict

    def excludes(self, url: str) -> bool:
        """Return whether the user wants nothing of this URL, neither crawled nor asked."""
        return any(pattern.search(url) for pattern in self._exclude)

    def widening(self, from_host: str, to_host: str) -> bool:
        """Return whether a seed's redirect between these hosts widens the scope: https or www. for the same site."""
        if self._is_any or to_host in self._seeds:
            return False
        return siblings(from_host, to_host) and _site(to_host) in self._sites

    def _passes_patterns(self, url: str) -> bool:
        if self._include and not any(pattern.search(url) for pattern in self._include):
            return False
        return not any(pattern.search(url) for pattern in self._exclude)


def siblings(a_host: str, b_host: str) -> bool:
    """Return whether two hosts differ at most in http or https and a leading www., both on default ports."""
    site = _site(a_host)
    return site != "" and site == _site(b_host)


def _site(host: str) -> str:
    """Return what siblings have in common, a name without www.; "" for a host on a port of its own."""
    name = urls.host_name(host)
    return name.removeprefix("www.") if host.endswith("//" + name) else ""


def _siblings_of(host: str) -> list[str]:
    site = _site(host)
    if not site:
        return []
    names = (f"www.{site}",) if site.startswith("www.") else (site, f"www.{site}")
    return [f"{scheme}://{name}" for scheme in ("http", "https") for name in names]


def _starts(mode: str, targets: Iterable[str]) -> tuple[str, ...]:
    """Return what a target must start with to be in scope beside these seeds."""
    if mode == "host":
        return ("/",)
    return tuple({_directory(target) for target in targets}) if mode == "prefix" else ()


def _directory(target: str) -> str:
    path = target.partition("?")[0]
    return path[: path.rindex("/") + 1]


def _compile(key: str, patterns: Sequence[str]) -> list[re.Pattern[str]]:
    compiled = []
    for pattern in patterns:
        try:
            compiled.append(re.compile(pattern))
        except (re.error, OverflowError, RecursionError) as error:  # of a{99999999999} and of ((((((
            raise UsageError(f"{key}: {pattern!r} is not a regular expression: {error}") from error
    return compiled
