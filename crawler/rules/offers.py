"""Which of a page's links are offered to the frontier: those in scope and not too deep, as candidates.

What leaves the scope, and what a page embeds, is offered if the crawl is to ask for it; its depth says so (`EMBEDDED`,
`EXTERNAL`, `HEADED`): it is asked and not crawled. One rule in two places: a worker asks it for a page that it has just
parsed, a consumer for a page whose depth turned out to be smaller than it was when its links were judged. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from crawler.config import Config
from crawler.model import EMBED, EMBEDDED, EXTERNAL, HEADED, LINK, REDIRECT, Candidate, Visit, VisitId
from crawler.rules import urls
from crawler.rules.scope import DOUBTFUL, IN, OUT, Scope

EMBED_STEPS = 5  # from a page, whatever its depth: its stylesheet's import's image is three


class Offers(NamedTuple):
    """The scope and depth limit of a crawl, its ledger's fingerprint key, and what is asked beyond the scope."""

    scope: Scope
    max_depth: int  # -1: none
    key: bytes
    check_external: bool = False
    embeds: bool = False
    check_fragments: bool = False
    refuses: Callable[[str], bool] | None = None  # URLs that need not be asked, because they would not be saved

    @classmethod
    def of(cls, config: Config, scope: Scope, key: bytes) -> Offers:
        """Return the rule of a crawl."""
        refuses = None
        if config.accept or config.reject:
            from crawler.rules.selection import Selection  # late: most crawls have neither

            refuses = Selection.of(config).refuses
        return cls(scope, config.max_depth, key, config.check_external, config.embeds, config.check_fragments, refuses)

    def links(self, found: Iterable[str], depth: int, via: VisitId) -> list[Candidate]:
        """Return the candidates among the links (normal forms) of a page at this depth."""
        if 0 <= self.max_depth <= depth or depth >= EMBEDDED:
            return []
        if self.refuses is not None:
            found = [url for url in found if not self.refuses(url)]
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
            if verdict != IN and self.check_external and not self.scope.excludes(url):
                print_of_url = fingerprint(url, key)
                candidates.append(Candidate(print_of_url, host, target, LINK, HEADED + depth + 1, 0, *via))
        return candidates

    def pointed(self, found: Iterable[str], depth: int, via: VisitId) -> list[Candidate]:
        """Return the candidates among links with a fragment that leave the scope: to be read for their anchors."""
        if not self.reads_external or 0 <= self.max_depth <= depth or depth >= EMBEDDED:
            return []
        candidates = []
        for url in found:
            host, target = urls.split(url)
            if self.scope.judge(host, target) != IN and not self.scope.excludes(url):
                fingerprint = urls.fingerprint(url, self.key)
                candidates.append(Candidate(fingerprint, host, target, LINK, EXTERNAL + depth + 1, 0, *via))
        return candidates

    @property
    def reads_external(self) -> bool:
        """Tell whether pages out of scope are read for their anchors."""
        return self.check_external and self.check_fragments

    def asks_head(self, visit: Visit) -> bool:
        """Tell whether a visit is a HEAD: once is enough for most; who does not answer it properly is asked again."""
        return visit.depth >= (HEADED if self.check_fragments else EXTERNAL) and not visit.attempts

    def embedded(self, found: Iterable[str], depth: int, via: VisitId) -> list[Candidate]:
        """Return the candidates among what a page or stylesheet at this depth embeds (normal forms)."""
        steps = embed_steps(depth)
        if not self.embeds or steps >= EMBED_STEPS:
            return []
        candidates = []
        for url in found:
            if not self.scope.excludes(url) and not (self.refuses and self.refuses(url)):
                fingerprint = urls.fingerprint(url, self.key)
                candidates.append(Candidate(fingerprint, *urls.split(url), EMBED, EMBEDDED + steps + 1, 0, *via))
        return candidates

    def redirect(
        self, location: str, depth: int, redirects: int, via: VisitId, *, certain: bool = False
    ) -> list[Candidate]:
        """Return the candidates for a redirect's target (normal form): same depth, a chain longer by one.

        Args:
            certain: it answers a seed and widens the scope: no further question.
        """
        if self.refuses is not None and not certain and self.refuses(location):
            return []
        host, target = urls.split(location)
        verdict = OUT if depth >= EMBEDDED else IN if certain else self.scope.judge(host, target)
        fingerprint = urls.fingerprint(location, self.key)
        candidates = []
        if verdict != OUT:
            candidates.append(
                Candidate(fingerprint, host, target, REDIRECT, depth, redirects + 1, *via, doubtful=verdict == DOUBTFUL)
            )
        claim = depth if depth >= EMBEDDED else 0 if verdict == IN else self._claim_of_redirect(depth)
        if claim and not self.scope.excludes(location):
            candidates.append(Candidate(fingerprint, host, target, REDIRECT, claim, redirects + 1, *via))
        return candidates

    def _claim_of_redirect(self, depth: int) -> int:
        """Return the claim of what a page of the crawl redirects to, out of scope; 0: none.

        A page may be an embed as well, so its target must get what an embed's gets: else the smaller depth of the page
        would make the claim of the target a worse one, and the timing decide. Links to it may have fragments.
        """
        if self.embeds:
            return EMBEDDED
        if not self.check_external:
            return 0
        return (EXTERNAL if self.check_fragments else HEADED) + depth

    def objection(self, host: str, target: str, depth: int) -> str:
        """Return the reason why a URL that was offered once is not to be asked; "": there is none."""
        if depth >= EMBEDDED:
            is_wanted = self.check_external if depth >= EXTERNAL else self.embeds
            is_out = not is_wanted or self.scope.excludes(host + target)
        else:
            is_out = self.scope.judge(host, target) == OUT
        if is_out or (self.refuses is not None and self.refuses(host + target)):
            return "out-of-scope"
        has_limit = self.max_depth >= 0 and not EMBEDDED <= depth < EXTERNAL
        return "too-deep" if has_limit and depth % EMBEDDED > self.max_depth else ""


def embed_steps(depth: int) -> int:
    """Return how many steps of embedding lead to a URL of this depth: none to a page."""
    return max(0, depth - EMBEDDED)
