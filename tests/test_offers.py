"""Which links are offered, and as what: by options, depth, and whether it is a page, an embed or an external link."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.config import Config
from crawler.model import EMBED, LINK, REDIRECT, Candidate, Purpose
from crawler.rules.offers import EMBED_STEPS, Offers
from crawler.rules.scope import Scope

SEED = "http://a.test/docs/"
VIA = (1, 0)
PAGE, EMBEDS, READ, ASKED = Purpose.PAGE, Purpose.EMBED, Purpose.EXTERNAL_FRAGMENT, Purpose.EXTERNAL
#: what a page links to; only the first two are in scope
INSIDE = ["http://a.test/docs/x", "http://a.test/docs/y?z"]
OUTSIDE = ["http://a.test/", "http://b.test/docs/"]
SIBLING = ["https://www.a.test/docs/"]  # in scope if the seed redirects there


def offers(**options: Any) -> Offers:
    """Return the rule of a crawl of http://a.test/docs/ with these options."""
    config = Config(scope="prefix", **options)
    return Offers.of(config, Scope(config.scope, [SEED], config.include, config.exclude), b"k" * 16)


def said(candidates: Iterable[Candidate]) -> list[tuple[str, object]]:
    """Return what is offered and as what, in order; a page that waits for a seed's redirect is a "page?"."""
    return [(each.host + each.target, "page?" if each.conditional else each.purpose) for each in candidates]


def depths(candidates: Iterable[Candidate]) -> set[int]:
    return {each.depth for each in candidates}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [*((url, PAGE) for url in INSIDE), (SIBLING[0], "page?")]),
        (
            {"check_external": True},
            [
                *((url, PAGE) for url in INSIDE),
                *((url, ASKED) for url in OUTSIDE),
                (SIBLING[0], "page?"),
                (SIBLING[0], ASKED),
            ],
        ),
        ({"check_external": True, "exclude": ("b", "www", "y")}, [(INSIDE[0], PAGE), (OUTSIDE[0], ASKED)]),
        ({"include": ("x",)}, [(INSIDE[0], PAGE)]),
        ({"include": ("x",), "check_external": True}, [(INSIDE[0], PAGE), *(
            (url, ASKED) for url in (INSIDE[1], *OUTSIDE, *SIBLING)
        )]),
        ({"check_external": True, "exclude": ("test",)}, []),
    ],
)  # fmt: skip
def test_what_the_links_of_a_page_are_offered_as(options: dict[str, Any], expected: list[tuple[str, object]]) -> None:
    found = offers(**options).links([*INSIDE, *OUTSIDE, *SIBLING], PAGE, 3, VIA)
    assert said(found) == expected
    assert depths(found) <= {4}
    assert {(each.hop, each.redirects, each.via_host_id, each.via_seq) for each in found} <= {(LINK, 0, *VIA)}


def test_what_would_not_be_saved_is_not_offered_if_its_name_says_so() -> None:
    links = ["http://a.test/docs/a.zip", "http://a.test/docs/b.html", "http://b.test/c.zip"]
    rule = offers(reject=("zip",), check_external=True, embeds=True)
    assert said(rule.links(links, PAGE, 0, VIA)) == [(links[1], PAGE)]
    assert said(rule.embedded(links, PAGE, 0, VIA)) == [(links[1], EMBEDS)]
    assert rule.redirect(links[0], PAGE, 0, 0, VIA) == []


@pytest.mark.parametrize(("max_depth", "depth", "is_offered"), [(-1, 99, True), (2, 1, True), (2, 2, False)])
def test_a_page_at_the_limit_offers_no_links_and_still_its_embeds(max_depth: int, depth: int, is_offered: bool) -> None:
    rule = offers(max_depth=max_depth, check_external=True, check_fragments=True, embeds=True)
    assert bool(rule.links(INSIDE, PAGE, depth, VIA)) == is_offered
    assert bool(rule.pointed(OUTSIDE, PAGE, depth, VIA)) == is_offered
    assert said(rule.embedded(OUTSIDE, PAGE, depth, VIA)) == [(url, EMBEDS) for url in OUTSIDE]


@pytest.mark.parametrize("purpose", [EMBEDS, READ, ASKED])
def test_what_is_asked_and_not_crawled_offers_no_links(purpose: Purpose) -> None:
    rule = offers(check_external=True, check_fragments=True, embeds=True)
    assert rule.links(INSIDE + OUTSIDE, purpose, 1, VIA) == []
    assert rule.pointed(INSIDE + OUTSIDE, purpose, 1, VIA) == []


def test_an_embed_embeds_further_until_so_many_steps_from_its_page() -> None:
    rule = offers(embeds=True)
    purpose, depth, steps = PAGE, 7, []  # a page's depth does not count
    while found := rule.embedded(["http://cdn.test/a.css"], purpose, depth, VIA):
        assert [each.hop for each in found] == [EMBED]
        steps += list(depths(found))
        purpose, depth = found[0].purpose, found[0].depth
    assert steps == list(range(1, EMBED_STEPS + 1))
    assert offers().embedded(["http://cdn.test/a.css"], PAGE, 7, VIA) == []
    assert offers(embeds=True, exclude=("cdn",)).embedded(["http://cdn.test/a.css"], PAGE, 7, VIA) == []
    assert offers(embeds=True, reject=("*.css",)).embedded(["http://cdn.test/a.css"], PAGE, 7, VIA) == []


def test_links_with_a_fragment_that_leave_the_scope_are_read_if_fragments_are_checked_there() -> None:
    expected = [(url, READ) for url in OUTSIDE + SIBLING]
    rule = offers(check_external=True, check_fragments=True)
    assert said(rule.pointed([*INSIDE, *OUTSIDE, *SIBLING], PAGE, 0, VIA)) == expected
    assert offers(check_external=True).pointed(OUTSIDE, PAGE, 0, VIA) == []
    assert offers(check_fragments=True).pointed(OUTSIDE, PAGE, 0, VIA) == []


@pytest.mark.parametrize(
    ("options", "location", "expected"),
    [
        ({}, INSIDE[0], [PAGE]),
        ({}, OUTSIDE[1], []),
        ({}, SIBLING[0], ["page?"]),
        ({"embeds": True}, INSIDE[0], [PAGE]),
        ({"embeds": True}, OUTSIDE[1], [EMBEDS]),
        ({"embeds": True, "check_external": True}, OUTSIDE[1], [EMBEDS]),
        ({"check_external": True}, OUTSIDE[1], [ASKED]),
        ({"check_external": True}, SIBLING[0], ["page?", ASKED]),
        ({"check_external": True, "check_fragments": True}, OUTSIDE[1], [READ]),
        ({"check_external": True, "exclude": ("b",)}, OUTSIDE[1], []),
    ],
)
def test_what_the_target_of_a_pages_redirect_is_offered_as(
    options: dict[str, Any], location: str, expected: list[object]
) -> None:
    found = offers(**options).redirect(location, PAGE, 2, 4, VIA)
    assert said(found) == [(location, each) for each in expected]
    assert {(each.hop, each.redirects) for each in found} <= {(REDIRECT, 5)}
    assert depths(found) <= {0, 2}


@pytest.mark.parametrize("purpose", [EMBEDS, READ, ASKED])
def test_what_is_asked_and_not_crawled_stays_so_when_it_redirects(purpose: Purpose) -> None:
    found = offers(embeds=True, check_external=True).redirect(INSIDE[0], purpose, 1, 0, VIA)
    assert said(found) == [(INSIDE[0], purpose)]


def test_the_target_of_a_seeds_redirect_that_widens_the_scope_is_a_page_without_a_question() -> None:
    assert said(offers().redirect(SIBLING[0], PAGE, 0, 0, VIA, widens=True)) == [(SIBLING[0], PAGE)]


@pytest.mark.parametrize(
    ("options", "url", "purpose", "depth", "expected"),
    [
        ({}, INSIDE[0], PAGE, 9, ""),
        ({"max_depth": 2}, INSIDE[0], PAGE, 2, ""),
        ({"max_depth": 2}, INSIDE[0], PAGE, 3, "too-deep"),
        ({}, OUTSIDE[0], PAGE, 1, "out-of-scope"),
        ({"exclude": ("x",)}, INSIDE[0], PAGE, 1, "out-of-scope"),
        ({"reject": ("zip",)}, "http://a.test/docs/a.zip", PAGE, 1, "out-of-scope"),
        ({}, OUTSIDE[0], EMBEDS, 1, "out-of-scope"),
        ({"embeds": True}, OUTSIDE[0], EMBEDS, 1, ""),
        ({"embeds": True, "max_depth": 0}, OUTSIDE[0], EMBEDS, 1, ""),
        ({}, OUTSIDE[0], ASKED, 1, "out-of-scope"),
        ({"check_external": True}, OUTSIDE[0], ASKED, 1, ""),
        ({"check_external": True}, OUTSIDE[0], READ, 1, ""),
        ({"check_external": True, "max_depth": 2}, OUTSIDE[0], ASKED, 3, "too-deep"),
        ({"check_external": True, "exclude": ("a",)}, OUTSIDE[0], ASKED, 1, "out-of-scope"),
    ],
)
def test_what_was_offered_once_may_not_be_wanted_any_more(
    options: dict[str, Any], url: str, purpose: Purpose, depth: int, expected: str
) -> None:
    cut = url.index("/", len("http://"))
    assert offers(**options).objection(url[:cut], url[cut:], purpose, depth) == expected


@given(st.lists(st.sampled_from(INSIDE + OUTSIDE + SIBLING)), st.lists(st.sampled_from(INSIDE + OUTSIDE + SIBLING)))
def test_a_link_is_judged_alone_whatever_stands_beside_it(some: list[str], others: list[str]) -> None:
    rule = offers(check_external=True)
    assert rule.links(some + others, PAGE, 0, VIA) == [
        *rule.links(some, PAGE, 0, VIA),
        *rule.links(others, PAGE, 0, VIA),
    ]
