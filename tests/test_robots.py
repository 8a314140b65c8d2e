"""robots.txt against RFC 9309: its examples, its matching rules, and its table of what an answer means."""

from __future__ import annotations

import math
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.model import FAILED, REASONS
from crawler.rules import robots
from crawler.rules.robots import Rules

SECTION_5_1 = """\
User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot

EOF
"""
SECTION_5_2 = """\
User-Agent: foobot
Allow: /example/page/
Disallow: /example/page/disallowed.gif
"""
TARGETS = ["/", "/example/", "/example/page.html", "/example/allowed.gif", "/a.gif", "/a.gif?b", "/publications/a.gif"]


def for_all(*records: str) -> Rules:
    return Rules("\n".join(["User-agent: *", *records]))


def allowed(rules: Rules, targets: list[str]) -> set[str]:
    return {target for target in targets if rules.allows(target)}


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("anybot", {"/", "/a.gif?b", "/publications/a.gif"}),  # /publications/ is longer than *.gif$
        ("foobot", {"/example/page.html", "/example/allowed.gif"}),
        ("barbot", set(TARGETS) - {"/example/page.html"}),
        ("bazbot", set(TARGETS) - {"/example/page.html"}),
        ("quxbot", set(TARGETS)),  # a group without rules allows everything
    ],
)
def test_the_simple_example_of_section_5_1_holds(token: str, expected: set[str]) -> None:
    assert allowed(Rules(SECTION_5_1, token), TARGETS) == expected


def test_the_longest_match_of_section_5_2_wins() -> None:
    targets = ["/example/page/", "/example/page/disallowed.gif", "/example/page/disallowed.gif.html", "/other"]
    assert allowed(Rules(SECTION_5_2, "foobot"), targets) == {"/example/page/", "/other"}


# ---- section 2.2.1: whose group is it?


@pytest.mark.parametrize("name", ["poolcrawl", "PoolCrawl", "POOLCRAWL", "poolcrawl/1.0", "poolcrawl (+https://x)"])
def test_our_token_is_found_in_any_case_and_with_a_version(name: str) -> None:
    rules = Rules(f"User-agent: {name}\nDisallow: /ours\n\nUser-agent: *\nDisallow: /all\n")
    assert allowed(rules, ["/ours", "/all"]) == {"/all"}
    assert allowed(Rules(f"User-agent: {name}\nDisallow: /ours", "PoolCrawl"), ["/ours", "/all"]) == {"/all"}


@pytest.mark.parametrize("name", ["pool", "crawl", "poolcrawler", "poolcrawl-news", "my-poolcrawl", "*pool", "", "p*"])
def test_a_group_for_another_is_not_ours(name: str) -> None:
    rules = Rules(f"User-agent: {name}\nDisallow: /theirs\n\nUser-agent: *\nDisallow: /all\n")
    assert allowed(rules, ["/theirs", "/all"]) == {"/theirs"}


def test_all_groups_that_name_us_are_one() -> None:
    body = """
        User-agent: poolcrawl
        Disallow: /foo
        Disallow: /bar

        User-agent: other
        Disallow: /other

        user-agent: POOLCRAWL
        disallow: /baz
    """
    assert allowed(Rules(body), ["/foo", "/bar", "/other", "/baz"]) == {"/other"}


def test_all_groups_for_everybody_are_one() -> None:
    body = "User-agent: *\nDisallow: /a\n\nUser-agent: other\nUser-agent: *\nDisallow: /b\n"
    assert allowed(Rules(body), ["/a", "/b", "/c"]) == {"/c"}


def test_without_a_group_for_us_or_for_everybody_all_is_allowed() -> None:
    assert Rules("User-agent: other\nDisallow: /\n").allows("/")


def test_rules_before_any_user_agent_are_nobodys() -> None:
    assert Rules("Disallow: /\nUser-agent: other\nDisallow: /x\n").allows("/x")


@pytest.mark.parametrize("record", ["Sitemap: http://a/s.xml", "Unknown: x", "nonsense", "# comment", "", "Host: a"])
def test_other_records_end_no_group(record: str) -> None:
    rules = Rules(f"User-agent: poolcrawl\n{record}\nUser-agent: other\n{record}\nDisallow: /a\n{record}\nDisallow: /b")
    assert allowed(rules, ["/a", "/b", "/c"]) == {"/c"}


# ---- section 2.2.2: paths


@pytest.mark.parametrize(
    ("rule", "same"),
    [
        ("/foo/bar?baz=quz", ["/foo/bar?baz=quz"]),
        ("/foo/bar?baz=https://foo.bar", ["/foo/bar?baz=https://foo.bar", "/foo/bar?baz=https%3A//foo.bar"]),
        ("/foo/bar?baz=https%3A%2F%2Ffoo.bar", ["/foo/bar?baz=https%3A%2F%2Ffoo.bar"]),
        ("/foo/bar/\u30c4", ["/foo/bar/%E3%83%84", "/foo/bar/%e3%83%84", "/foo/bar/\u30c4"]),
        ("/foo/bar/%E3%83%84", ["/foo/bar/%E3%83%84", "/foo/bar/\u30c4"]),
        ("/foo/bar/%62%61%7A", ["/foo/bar/baz", "/foo/bar/%62%61%7a"]),
        ("/%7ejoe/", ["/~joe/", "/%7Ejoe/", "/%7ejoe/"]),
        ("/~joe/", ["/~joe/", "/%7Ejoe/"]),
        ("/a{1}|2^3", ["/a{1}|2^3", "/a%7B1%7D|2%5E3", "/a%7b1%7d%7C2^3"]),
        ("/?{1}|2^3[x]", ["/?{1}|2^3[x]", "/?%7B1%7D%7C2%5E3%5Bx%5D"]),
        ("/caf\u00e9?\u00e9", ["/caf%C3%A9?%C3%A9"]),
        ("/a;b=c,d", ["/a;b=c,d", "/a%3Bb=c%2Cd"]),
        ("//double//slash", ["//double//slash"]),
        ("/path/file-with-a-%2A.html", ["/path/file-with-a-*.html", "/path/file-with-a-%2A.html"]),
        ("/path/foo-%24", ["/path/foo-$", "/path/foo-%24"]),
        ("/a%zz%", ["/a%zz%"]),
    ],
)
def test_spellings_of_one_path_are_equal(rule: str, same: list[str]) -> None:
    rules = for_all(f"Disallow: {rule}")
    assert allowed(rules, [*same, *(target + "more" for target in same)]) == set()
    assert allowed(rules, ["/", "/foo/bar", "/foo/bar?baz=", "/path/foo-", "/a", "/double/slash"]) == {
        "/", "/foo/bar", "/foo/bar?baz=", "/path/foo-", "/a", "/double/slash",
    }  # fmt: skip


def test_an_escaped_slash_is_no_slash() -> None:
    rules = for_all("Disallow: /a%2fb", "Disallow: /c/d")
    assert allowed(rules, ["/a%2Fb", "/a%2fb", "/a/b", "/c/d", "/c%2Fd"]) == {"/a/b", "/c%2Fd"}


def test_paths_are_case_sensitive() -> None:
    assert allowed(for_all("Disallow: /Private"), ["/Private", "/private"]) == {"/private"}


@pytest.mark.parametrize(
    ("rule", "matched"),
    [
        ("/", {"/", "/?", "/fish", "/fish.php?id=1", "/catfish"}),
        ("/fish", {"/fish", "/fish.php?id=1"}),
        ("/fish*", {"/fish", "/fish.php?id=1"}),
        ("/*.php", {"/fish.php?id=1"}),
        ("/*.php$", set()),
        ("/*?", {"/?", "/fish.php?id=1"}),
        ("/*?$", {"/?"}),
        ("/?$", {"/?"}),
        ("/$", {"/"}),
        ("/fish$", {"/fish"}),
        ("*fish$", {"/fish", "/catfish"}),
        ("*", {"/", "/?", "/fish", "/fish.php?id=1", "/catfish"}),
        ("/**fish***$", {"/fish", "/catfish", "/fish.php?id=1"}),
        ("", set()),
        ("fish", set()),
    ],
)
def test_a_star_stands_for_anything_and_a_dollar_for_the_end(rule: str, matched: set[str]) -> None:
    targets = ["/", "/?", "/fish", "/fish.php?id=1", "/catfish"]
    assert set(targets) - allowed(for_all(f"Disallow: {rule}"), targets) == matched


def test_of_equal_matches_the_allowing_one_wins() -> None:
    for records in (["Allow: /page", "Disallow: /page"], ["Disallow: /page", "Allow: /page"]):
        assert for_all(*records).allows("/page")


def _matches(pattern: str, target: str) -> bool:
    body = pattern.removesuffix("$")
    wanted = ".*".join(re.escape(part) for part in body.split("*"))
    return re.match(wanted + ("$" if body != pattern else ""), target) is not None


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.from_regex(r"\A[/*][ab/*]{0,4}\$?\Z")), max_size=5),
    st.from_regex(r"\A/[ab/]{0,6}\Z"),
)
def test_the_longest_match_decides(records: list[tuple[bool, str]], target: str) -> None:
    rules = for_all(*(f"{'Allow' if allow else 'Disallow'}: {pattern}" for allow, pattern in records))
    matching = [(len(pattern), allow) for allow, pattern in records if _matches(pattern, target)]
    assert rules.allows(target) == max(matching, default=(0, True))[1]


def test_robots_txt_itself_is_always_allowed() -> None:
    assert allowed(for_all("Disallow: /"), ["/robots.txt", "/robots.txt.bak", "/a/robots.txt"]) == {"/robots.txt"}


# ---- what real files look like


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_bom_and_any_line_ends_are_survived(start: bytes, end: str) -> None:
    lines = ["User-agent:*# comment", "  Disallow : /a # comment", "", "\tALLOW:/a/b", "Crawl-Delay: 2.5"]
    rules = Rules(robots.decode(start + end.join(lines).encode()))
    assert allowed(rules, ["/a", "/a/b", "/c"]) == {"/a/b", "/c"}
    assert rules.crawl_delay == 2.5
    assert not Rules("\ufeffUser-agent: *\nDisallow: /").allows("/")
    assert robots.decode(start + b"a" + end.encode()) == "a" + end


def test_debris_of_other_encodings_costs_its_line_only() -> None:
    body = "User-agent: *\nDisallow: /caf\u00e9\nDisallow: /b\0\nDisallow: /c\n".encode("latin-1")
    assert allowed(Rules(robots.decode(body)), ["/b", "/c", "/d"]) == {"/d"}


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_body_is_cut_at_500_kib_and_half_a_line_is_dropped(end: bytes) -> None:
    assert robots.MAX_BODY_BYTES == 500 * 1024
    head = end.join([b"User-agent: *", b"Disallow: /a", b""])
    filler = b"#" * (robots.MAX_BODY_BYTES - len(head) - len(end + b"Disallow: /"))
    text = robots.decode(head + filler + end.join([b"", b"Disallow: /b", b"Disallow: /c", b""]))
    assert len(text) == robots.MAX_BODY_BYTES - len(b"Disallow: /")
    assert allowed(Rules(text), ["/", "/a", "/b", "/c"]) == {"/", "/b", "/c"}


def test_rules_around_half_a_mebibyte_of_junk_hold() -> None:
    head, tail = b"User-agent: *\nDisallow: /a\n", b"\nDisallow: /b\n"
    junk = random.Random(9309).randbytes(robots.MAX_BODY_BYTES - len(head) - len(tail) - 1)
    rules = Rules(robots.decode(head + junk + tail))
    assert allowed(rules, ["/", "/a", "/b", "/c"]) == {"/", "/c"}


def test_a_pattern_of_thousands_of_stars_is_matched_without_going_back() -> None:
    rules = for_all("Disallow: /" + "*a" * 2_000 + "*b$")
    assert [rules.allows("/" + "a" * 8_000 + end) for end in ("", "b", "ba")] == [True, False, True]


def test_a_body_that_never_ends_its_line_says_nothing() -> None:
    assert robots.decode(b"x" * 600_000) == ""


@settings(deadline=None)
@given(st.binary(max_size=400), st.text(max_size=40))
def test_no_body_and_no_target_ever_raises(body: bytes, target: str) -> None:
    for start in (b"", b"User-agent: *\nDisallow:", b"User-agent: *\nCrawl-delay:"):
        rules = Rules(robots.decode(start + body))
        assert rules.allows("/" + target) in (True, False)
        delay = rules.crawl_delay
        assert delay is None or 0 <= delay <= robots.MAX_CRAWL_DELAY_SECONDS


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1", 1.0),
        ("0", 0.0),
        ("0.25", 0.25),
        ("3600", 3_600.0),
        ("86400", 3_600.0),
        ("1e99", 3_600.0),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("ten", None),
        ("", None),
        ("1,5", None),
        ("1 second", None),
    ],
)
def test_a_crawl_delay_is_finite_and_at_most_an_hour(value: str, seconds: float | None) -> None:
    rules = for_all(f"Crawl-delay: {value}")
    assert rules.crawl_delay == seconds
    assert rules.crawl_delay is None or math.isfinite(rules.crawl_delay)


def test_the_crawl_delay_is_that_of_our_group() -> None:
    body = "User-agent: *\nCrawl-delay: 7\n\nUser-agent: poolcrawl\nCrawl-delay: 3\n"
    assert {token: Rules(body, token).crawl_delay for token in ("poolcrawl", "other")} == {"poolcrawl": 3, "other": 7}
    assert Rules("User-agent: *\nCrawl-delay: 7\n\nUser-agent: poolcrawl\nDisallow: /x\n").crawl_delay is None


# ---- section 2.3.1: what the answer means


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (range(200, 300), "rules"),
        (range(300, 400), "allow"),  # no target, or more than five in a row: unavailable (2.3.1.2)
        ([*range(400, 429), *range(430, 500)], "allow"),
        ([429, *range(500, 600)], ""),
        ([0, 100, 199, 600, 999], ""),
    ],
)
def test_a_status_means(statuses: list[int], expected: str) -> None:
    assert {robots.verdict(status, "", 1, 0.0, 60.0) for status in statuses} == {expected}
    final = {robots.verdict(status, "", 99, 1e9, 60.0) for status in statuses}
    assert final == {expected or "deny"}


def _tries_until_denied(status: int, reason: str) -> int:
    for tries in range(1, 100):
        if robots.verdict(status, reason, tries, 0.0, 60.0) == "deny":
            return tries
    raise AssertionError("it is asked for ever")


def test_an_unreachable_host_is_denied_after_so_many_tries() -> None:
    assert {reason: _tries_until_denied(0, reason) for reason in robots.TRIES} == {
        "dns": 1, "tls": 1, "blocked-address": 1, "internal-error": 1, "too-large": 1,
        "refused": 3, "reset": 3,
        "server-error": 5, "timeout": 5, "truncated": 5, "bad-response": 5,
    }  # fmt: skip
    assert [_tries_until_denied(status, "") for status in (429, 500, 503)] == [5, 5, 5]


def test_a_reason_decides_even_where_a_status_came_with_it() -> None:
    assert [robots.verdict(200, "truncated", tries, 0.0, 60.0) for tries in (1, 5)] == ["", "deny"]
    assert robots.verdict(404, "timeout", 5, 0.0, 60.0) == "deny"


def test_an_unreachable_host_is_denied_when_its_time_is_over() -> None:
    verdicts = [robots.verdict(503, "", 1, elapsed, 60.0) for elapsed in (0.0, 59.9, 60.0, 1e9)]
    assert verdicts == ["", "", "deny", "deny"]
    assert robots.verdict(0, "timeout", 1, 0.0, 0.0) == "deny"
    assert robots.verdict(200, "", 1, 1e9, 60.0) == "rules"


def test_every_reason_of_a_transport_has_its_tries() -> None:
    failed = {reason for reason, (state, _) in REASONS.items() if state == FAILED}
    assert set(robots.TRIES) == failed - {"robots-unreachable", "killed-worker"}


def test_five_redirects_are_followed() -> None:
    assert robots.MAX_REDIRECTS == 5
