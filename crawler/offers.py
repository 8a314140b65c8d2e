"""Which of a page's links are offered to the frontier: those in scope and not too deep, as candidates.

One rule in two places: a worker asks it for a page that it has just parsed, a consumer for a page whose depth turned
out to be smaller than it was when its links were judged. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from crawler import urls
from crawler.model import LINK, REDIRECT, Candidate, VisitId
from crawler.scope import DOUBTFUL, IN, OUT, Scope


class Offers(NamedTuple):
    """The scope and depth limit of a crawl, and its ledger's fingerprint key."""

    scope: Scope
    max_depth: int  # -1: none
    key: bytes

    def links(self, found: Iterable[str], depth: int, via: VisitId) -> list[Candidate]:
        """Return the candidates among the links (normal forms) of a page at this depth."""
        if 0 <= self.max_depth <= depth:
            return []
        judge, key, split, fingerprint = self.scope.judge, self.key, urls.split, urls.fingerprint
        candidates = []
        for url in found:
            host, target = split(url)
            verdict = judge(host, target)
            if verdict != OUT:
                candidates.append(
                    Candidate(
                        fingerprint(url, key), host, target, LINK, depth + 1, 0, *via, doubtful=verdict == DOUBTFUL
                    )
                )
        return candidates

    def redirect(
        self, location: str, depth: int, redirects: int, via: VisitId, *, certain: bool = False
    ) -> list[Candidate]:
        """Return the candidate for a redirect's target (normal form): same depth, a chain longer by one.

        Args:
            certain: it answers a seed and widens the scope: no further question.
        """
        host, target = urls.split(location)
        verdict = IN if certain else self.scope.judge(host, target)
        if verdict == OUT:
            return []
        fingerprint = urls.fingerprint(location, self.key)
        return [
            Candidate(fingerprint, host, target, REDIRECT, depth, redirects + 1, *via, doubtful=verdict == DOUBTFUL)
        ]
