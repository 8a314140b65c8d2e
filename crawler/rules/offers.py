"""Which of a page's links are offered to the frontier: those in scope and not too deep, as candidates.

What leaves the scope, and what a page embeds, is offered if the crawl is to ask for it; its purpose says that it is
asked and not crawled. For the outcome to be independent of timing, a stronger purpose or a smaller depth of a URL never
makes those of what it leads to weaker: so an embed's depth is counted from its page. One rule in two places: a worker
asks it for a page that it has just parsed, a consumer for a page whose depth turned out to be smaller than it was when
its links were judged. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from crawler.config import Config
from crawler.model import EMBED, LINK, REDIRECT, Candidate, Purpose, UrlId, Visit
from crawler.rules import urls
from crawler.rules.purposes import MEANINGS
from crawler.rules.scope import CONDITIONAL, IN, OUT, Scope

_PAGE, _EXTERNAL = Purpose.PAGE, Purpose.EXTERNAL  # for each candidate: an enum's member takes a while to find
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

    def links(self, found: Iterable[str], purpose: Purpose, depth: int, via: UrlId) -> list[Candidate]:
        """Return the candidates among the links (normal forms) of what was asked for this purpose, at this depth."""
        if not MEANINGS[purpose].is_crawled or 0 <= self.max_depth <= depth:
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
                        fingerprint(url, key), host, target, LINK, _PAGE, depth + 1, 0, *via,
                        conditional=verdict == CONDITIONAL,
                    )
                )  # fmt: skip
            if verdict != IN and self.check_external and not self.scope.excludes(url):
                print_of_url = fingerprint(url, key)
                candidates.append(Candidate(print_of_url, host, target, LINK, _EXTERNAL, depth + 1, 0, *via))
        return candidates

    def pointed(self, found: Iterable[str], purpose: Purpose, depth: int, via: UrlId) -> list[Candidate]:
        """Return the candidates among links with a fragment that leave the scope: to be read for their anchors."""
        if not (self.reads_external and MEANINGS[purpose].is_crawled) or 0 <= self.max_depth <= depth:
            return []
        candidates = []
        for url in found:
            host, target = urls.split(url)
            if self.scope.judge(host, target) != IN and not self.scope.excludes(url):
                fingerprint = urls.fingerprint(url, self.key)
                candidates.append(
                    Candidate(fingerprint, host, target, LINK, Purpose.EXTERNAL_FRAGMENT, depth + 1, 0, *via)
                )
        return candidates

    @property
    def reads_external(self) -> bool:
        """Return whether pages out of scope are read for their anchors."""
        return self.check_external and self.check_fragments

    def effective(self, purpose: Purpose) -> Purpose:
        """Return the purpose that counts now: without fragments to check, an external page is asked as any other."""
        return Purpose.EXTERNAL if purpose == Purpose.EXTERNAL_FRAGMENT and not self.check_fragments else purpose

    def asks_head(self, visit: Visit) -> bool:
        """Return whether a visit is a HEAD: once is enough for most; who does not answer it properly is asked again."""
        return MEANINGS[self.effective(visit.purpose)].head_first and not visit.attempts

    def embedded(self, found: Iterable[str], purpose: Purpose, depth: int, via: UrlId) -> list[Candidate]:
        """Return the candidates among what a page or stylesheet at this depth embeds (normal forms)."""
        steps = embed_steps(purpose, depth)
        if not (self.embeds and MEANINGS[purpose].has_embeds) or steps >= EMBED_STEPS:
            return []
        candidates = []
        for url in found:
            if not self.scope.excludes(url) and not (self.refuses and self.refuses(url)):
                fingerprint = urls.fingerprint(url, self.key)
                candidates.append(Candidate(fingerprint, *urls.split(url), EMBED, Purpose.EMBED, steps + 1, 0, *via))
        return candidates

    def redirect(
        self, location: str, purpose: Purpose, depth: int, redirects: int, via: UrlId, *, widens: bool = False
    ) -> list[Candidate]:
        """Return the candidates for a redirect's target (normal form): same depth, a chain longer by one.

        Args:
            widens: it answers a seed and widens the scope: no further question.
        """
        if self.refuses is not None and not widens and self.refuses(location):
            return []
        host, target = urls.split(location)
        verdict = OUT if not MEANINGS[purpose].is_crawled else IN if widens else self.scope.judge(host, target)
        fingerprint = urls.fingerprint(location, self.key)
        candidates = []
        if verdict != OUT:
            candidates.append(
                Candidate(
                    fingerprint, host, target, REDIRECT, purpose, depth, redirects + 1, *via,
                    conditional=verdict == CONDITIONAL,
                )
            )  # fmt: skip
        beyond = None if verdict == IN else self._beyond(purpose, depth)
        if beyond is not None and not self.scope.excludes(location):
            candidates.append(Candidate(fingerprint, host, target, REDIRECT, *beyond, redirects + 1, *via))
        return candidates

    def purpose_of_target(self, purpose: Purpose, *, has_fragment: bool) -> Purpose:
        """Return the purpose of what a redirect of an external link leads to: its own fragment is to be looked for."""
        if self.check_fragments and has_fragment and purpose == Purpose.EXTERNAL:
            return Purpose.EXTERNAL_FRAGMENT
        return purpose

    def _beyond(self, purpose: Purpose, depth: int) -> tuple[Purpose, int] | None:
        """Return the purpose and depth of what a redirect leads to, out of scope; None: it is not asked.

        A page may be an embed as well, so its target must get what an embed's gets: else the smaller depth of the page
        would make the purpose of the target a weaker one, and the timing decide. Links to it may have fragments.
        """
        if not MEANINGS[purpose].is_crawled:
            return purpose, depth
        if self.embeds:
            return Purpose.EMBED, 0
        if not self.check_external:
            return None
        return (Purpose.EXTERNAL_FRAGMENT if self.check_fragments else Purpose.EXTERNAL), depth

    def objection(self, host: str, target: str, purpose: Purpose, depth: int) -> str:
        """Return the reason why a URL that was offered once is not to be asked; "": there is none."""
        if MEANINGS[purpose].is_crawled:
            is_out = self.scope.judge(host, target) == OUT
        else:
            is_wanted = self.embeds if purpose == Purpose.EMBED else self.check_external
            is_out = not is_wanted or self.scope.excludes(host + target)
        if is_out or (self.refuses is not None and self.refuses(host + target)):
            return "out-of-scope"
        return "too-deep" if purpose != Purpose.EMBED and 0 <= self.max_depth < depth else ""


def embed_steps(purpose: Purpose, depth: int) -> int:
    """Return how many steps of embedding lead to a URL: none to a page."""
    return depth if purpose == Purpose.EMBED else 0
