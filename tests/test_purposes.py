"""What a purpose means: how it is asked, and what is read of its answer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from crawler.config import Config
from crawler.model import CHAIN, Purpose, Visit
from crawler.rules.mime import CSS_TYPES, PAGE_TYPES
from crawler.rules.offers import Offers
from crawler.rules.purposes import MEANINGS, types_read
from crawler.rules.scope import Scope
from crawler.worker.asking import Asking

ALL = Config(check_external=True, embeds=True, check_fragments=True, max_body_bytes=5_000)
HEADERS = (("User-Agent", "x"),)


class Keeper:
    """Keeps everything."""

    def types(self, url: str, others: Sequence[str]) -> tuple[str, ...]:
        return (*others, "anything")


def asked(purpose: Purpose, config: Config, attempts: int = 0, keeper: object = None) -> tuple[str, object, int]:
    offers = Offers.of(config, Scope.of(config), b"key")
    visit = Visit(1, 2, 3, "http://a.test", "/x", "L", purpose, 1, 0, attempts, attempts, True, 4, 1)
    request = Asking(config, offers, keeper).request(visit, HEADERS)  # type: ignore[arg-type]
    assert (request.tag, request.host, request.target, request.named) == (3, "http://a.test", "/x", True)
    assert request.headers is HEADERS
    return request.method, request.types, request.cut_body_at


def test_every_purpose_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Purpose)


@pytest.mark.parametrize(
    ("purpose", "plain", "everything"),
    [
        (Purpose.PAGE, ("GET", PAGE_TYPES, 0), ("GET", PAGE_TYPES + CSS_TYPES, 0)),
        (Purpose.EMBED, ("GET", CSS_TYPES, 0), ("GET", CSS_TYPES + PAGE_TYPES, 0)),
        (Purpose.EXTERNAL_FRAGMENT, ("HEAD", (), 0), ("GET", PAGE_TYPES, 5_000)),
        (Purpose.EXTERNAL, ("HEAD", (), 0), ("HEAD", (), 0)),
        (Purpose.ROBOTS, ("GET", (), 512_000), ("GET", (), 512_000)),
    ],
)
def test_a_purpose_says_how_it_is_asked(purpose: Purpose, plain: object, everything: object) -> None:
    assert asked(purpose, Config()) == plain
    assert asked(purpose, ALL) == everything


def test_what_refused_a_head_is_asked_again_and_not_read() -> None:
    assert asked(Purpose.EXTERNAL, ALL, attempts=1) == ("GET", (), 0)
    assert asked(Purpose.EXTERNAL_FRAGMENT, Config(), attempts=1) == ("GET", (), 0)


def test_only_what_belongs_to_the_crawl_is_kept() -> None:
    kept = [purpose for purpose in Purpose if "anything" in asked(purpose, ALL, 1, Keeper())[1]]  # type: ignore[operator]
    assert kept == [purpose for purpose in Purpose if MEANINGS[purpose].is_kept] == [Purpose.PAGE, Purpose.EMBED]


def test_a_stronger_purpose_reads_all_that_a_weaker_one_reads() -> None:
    for stronger, weaker in itertools.pairwise(CHAIN):
        assert set(types_read(stronger, ALL)) >= set(types_read(weaker, ALL))
