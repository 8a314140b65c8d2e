"""Scope: the four modes as tables, the third answer by its definition, patterns, and what a redirect widens."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.errors import UsageError
from crawler.rules import urls
from crawler.rules.scope import CONDITIONAL, IN, OUT, Scope, siblings

MODES = ["page", "prefix", "host", "any"]
SEEDS = ["http://example.org/docs/guide.html", "http://example.org/faq", "http://other.test:8080/a/?x=/b/c"]
#: URL → what each mode says of it, in the order of MODES
VERDICTS = {
    "http://example.org/docs/guide.html": (IN, IN, IN, IN),
    "http://example.org/docs/": (OUT, IN, IN, IN),
    "http://example.org/docs/deeper/page.html?q": (OUT, IN, IN, IN),
    "http://example.org/docs/guide.html?q": (OUT, IN, IN, IN),
    "http://example.org/": (OUT, IN, IN, IN),  # /faq is a page of the directory /
    "http://other.test:8080/a/": (OUT, IN, IN, IN),
    "http://other.test:8080/a/?x=/b/c": (IN, IN, IN, IN),
    "http://other.test:8080/": (OUT, OUT, IN, IN),
    "http://other.test:8080/ab": (OUT, OUT, IN, IN),
    "http://other.test/a/": (OUT, OUT, OUT, IN),  # another port is another site
    "https://example.org/docs/": (OUT, CONDITIONAL, CONDITIONAL, IN),
    "https://www.example.org/": (OUT, CONDITIONAL, CONDITIONAL, IN),
    "http://www.example.org/docs/guide.html": (OUT, CONDITIONAL, CONDITIONAL, IN),
    "https://example.org:8443/docs/": (OUT, OUT, OUT, IN),
    "http://docs.example.org/docs/": (OUT, OUT, OUT, IN),
    "http://example.org.evil.test/docs/": (OUT, OUT, OUT, IN),
    "http://notexample.org/docs/": (OUT, OUT, OUT, IN),
}
HOSTS = [
    f"{scheme}://{www}{name}{port}"
    for scheme, www, name, port in itertools.product(
        ("http", "https"), ("", "www.", "www.www."), ("a.test", "b.test"), ("", ":8080")
    )
]
TARGETS = ["/", "/docs", "/docs/", "/docs/a", "/docs/b/c?d=/e/", "/other/"]
A_HOST = st.sampled_from(HOSTS)
A_TARGET = st.sampled_from(TARGETS)
A_URL = st.tuples(A_HOST, A_TARGET).map("".join)


def judge(scope: Scope, url: str) -> int:
    return scope.judge(*urls.split(url))


@pytest.mark.parametrize(("url", "expected"), VERDICTS.items())
def test_each_mode_reaches_so_far(url: str, expected: tuple[int, ...]) -> None:
    assert tuple(judge(Scope(mode, SEEDS, (), ()), url) for mode in MODES) == expected


def test_prefix_is_the_directory_of_the_seed() -> None:
    scope = Scope("prefix", ["http://example.org/docs/guide.html?from=/x/y"], (), ())
    targets = ["/docs/", "/docs/a", "/docs", "/documents/", "/x/", "/"]
    assert [scope.judge("http://example.org", target) for target in targets] == [IN, IN, OUT, OUT, OUT, OUT]
    assert [scope.judge("https://example.org", target) for target in targets[1:3]] == [CONDITIONAL, OUT]


@settings(deadline=None)
@given(st.sampled_from(MODES), st.sets(A_URL, max_size=4), A_URL, st.lists(st.sampled_from(["docs", ".", "$^"])))
def test_a_seed_is_in_scope_whatever_the_patterns_say(mode: str, seeds: set[str], seed: str, out: list[str]) -> None:
    scope = Scope(mode, [*seeds, seed], ["nothing matches this"], out)
    assert judge(scope, seed) == IN


@settings(deadline=None)
@given(st.sampled_from(MODES), st.lists(A_URL, max_size=4), A_HOST, A_TARGET)
def test_conditional_is_what_a_sibling_seed_host_has_in_scope(
    mode: str, seeds: list[str], host: str, target: str
) -> None:
    scope = Scope(mode, seeds, (), ())
    seed_hosts = {urls.split(seed)[0] for seed in seeds}
    elsewhere = any(siblings(host, other) and scope.judge(other, target) == IN for other in seed_hosts)
    is_conditional = mode in ("prefix", "host") and host not in seed_hosts and elsewhere
    assert (scope.judge(host, target) == CONDITIONAL) == is_conditional


def test_a_host_with_seeds_of_its_own_is_not_conditional() -> None:
    scope = Scope("prefix", ["http://example.org/a/", "https://example.org/b/"], (), ())
    hosts = ["http://example.org", "https://example.org", "http://www.example.org", "http://www.www.example.org"]
    verdicts = {host: tuple(scope.judge(host, target) for target in ("/a/x", "/b/x", "/c/x")) for host in hosts}
    assert verdicts == {
        "http://example.org": (IN, OUT, OUT),
        "https://example.org": (OUT, IN, OUT),
        "http://www.example.org": (CONDITIONAL, CONDITIONAL, OUT),
        "http://www.www.example.org": (OUT, OUT, OUT),
    }


def test_only_one_leading_www_is_passed_over() -> None:
    scope = Scope("host", ["http://www.www.example.org/"], (), ())
    hosts = ["https://www.www.example.org", "http://www.example.org", "http://example.org"]
    assert [scope.judge(host, "/") for host in hosts] == [CONDITIONAL, OUT, OUT]


@settings(deadline=None)
@given(st.sampled_from(["prefix", "host"]), st.lists(A_URL, min_size=1, max_size=4), A_HOST, A_TARGET)
def test_what_is_conditional_can_be_widened_to(mode: str, seeds: list[str], host: str, target: str) -> None:
    scope = Scope(mode, seeds, (), ())
    if scope.judge(host, target) == CONDITIONAL:
        assert {scope.widening(urls.split(seed)[0], host) for seed in seeds} >= {True}


def test_one_include_pattern_must_match_the_whole_url_anywhere() -> None:
    scope = Scope("host", ["http://example.org/"], [r"\.html$", r"^http://example\.org/docs/"], ())
    verdicts = {
        target: scope.judge("http://example.org", target)
        for target in ("/", "/a.html", "/a.html?x", "/docs/x", "/x/docs/")
    }
    assert verdicts == {"/": IN, "/a.html": IN, "/a.html?x": OUT, "/docs/x": IN, "/x/docs/": OUT}


def test_an_exclude_pattern_wins_over_an_include_pattern() -> None:
    scope = Scope("any", ["http://example.org/"], ["docs"], ["private", r"\?"])
    verdicts = {
        target: scope.judge("http://b.test", target)
        for target in ("/docs", "/docs/private", "/docs?x", "/private", "/")
    }
    assert verdicts == {"/docs": IN, "/docs/private": OUT, "/docs?x": OUT, "/private": OUT, "/": OUT}


def test_patterns_hold_for_conditional_links_too() -> None:
    scope = Scope("host", ["http://example.org/"], (), ["/private/"])
    assert [scope.judge("https://example.org", target) for target in ("/", "/private/")] == [CONDITIONAL, OUT]


@pytest.mark.parametrize("pattern", ["[", "(" * 5_000, "a{99999999999}", "*"])
@pytest.mark.parametrize("key", ["include", "exclude"])
def test_a_pattern_that_is_no_regular_expression_is_named_with_its_key(key: str, pattern: str) -> None:
    patterns = {"include": ["fine"], "exclude": ["fine"], key: ["fine", pattern]}
    with pytest.raises(UsageError) as caught:
        Scope("host", [], patterns["include"], patterns["exclude"])
    assert str(caught.value).startswith(f"{key}: {pattern!r} is not a regular expression")


SITE = {"http://example.org", "https://example.org", "http://www.example.org", "https://www.example.org"}
STRANGERS = [
    "http://example.org:8080",
    "https://example.org:80",
    "http://docs.example.org",
    "http://www.www.example.org",
    "http://wwwexample.org",
    "http://example.com",
    "http://[::1]",
    "http://[::1]:8080",
]


def test_siblings_differ_in_https_and_www_only() -> None:
    assert {(a, b) for a in SITE for b in [*SITE, *STRANGERS] if siblings(a, b)} == set(itertools.product(SITE, SITE))


@settings(deadline=None)
@given(A_HOST, A_HOST, A_HOST)
def test_being_siblings_goes_both_ways_and_is_passed_on(a: str, b: str, c: str) -> None:
    assert siblings(a, b) == siblings(b, a)
    assert not (siblings(a, b) and siblings(b, c)) or siblings(a, c)


@pytest.mark.parametrize("mode", ["page", "prefix", "host"])
def test_a_seeds_redirect_widens_to_a_sibling_that_is_no_seeds_host(mode: str) -> None:
    scope = Scope(mode, ["http://example.org/a", "http://www.example.org/b", "http://b.test:8080/"], (), ())
    hosts = [*sorted(SITE), *STRANGERS, "http://b.test", "http://b.test:8080", "https://b.test:8080"]
    widened = {(a, b) for a in hosts for b in hosts if scope.widening(a, b)}
    assert widened == set(itertools.product(SITE, {"https://example.org", "https://www.example.org"}))


def test_where_everything_is_in_scope_nothing_widens_it() -> None:
    assert not Scope("any", ["http://example.org/"], (), ()).widening("http://example.org", "https://example.org")


def test_a_sibling_of_no_seed_widens_nothing() -> None:
    scope = Scope("host", ["http://example.org/"], (), ())
    assert not scope.widening("http://other.test", "https://other.test")
    assert not scope.widening("http://other.test", "https://example.org")
