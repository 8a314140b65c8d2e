"""Which links are followed: one rule, for a page that was just read and for one that is offered again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from crawler import Config, Follow, Page, crawl
from crawler.pages.parse import MAX_LINK_TEXT, Link, parse_html
from crawler.rules.follow import EMBED, HOOK, NOFOLLOW, PLAIN, is_followed, kind_of
from tests.site import Site

BASE = Config(processes=0, delay_seconds=0.0, log_seconds=0.0, allow_private=("127.0.0.0/8",))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("", "yyn"), (PLAIN, "yyn"), (NOFOLLOW, "nyn"), (HOOK, "yyy"), (EMBED, "nnn")],
)
def test_what_kind_of_link_it_is_says_whether_it_is_followed(kind: str, expected: str) -> None:
    cases = [(False, True), (False, False), (True, True)]  # the page says nofollow, nofollow is obeyed
    assert "".join("ny"[is_followed(kind, page_says_nofollow=page, obey_nofollow=obey)] for page, obey in cases) == (
        expected
    )


@pytest.mark.parametrize(
    ("rel", "kind"),
    [
        ("", ""),
        ("next", ""),
        ("NoFollow ugc", NOFOLLOW),
        ("nofollow hook", NOFOLLOW),
        ("hook", PLAIN),
        ("Embed", PLAIN),
        ("x" * MAX_LINK_TEXT + " nofollow", NOFOLLOW),
        ("x" * (MAX_LINK_TEXT - 5) + " hooked", PLAIN),
    ],
)
def test_a_page_cannot_write_our_marks(rel: str, kind: str) -> None:
    page = parse_html(f"<a rel='{rel}' href=a>a</a>", "http://a.test/", with_embeds=True)
    assert [kind_of(stored(link)) for link in page.links] == [link.kind for link in page.links] == [kind]


def test_a_link_without_nofollow_counts_whether_it_is_obeyed_or_not() -> None:
    html = "<a rel=nofollow href=a>a</a><a rel=next href=a>a</a>"
    for obeys in (True, False):
        page = parse_html(html, "http://a.test/", obey_nofollow=obeys)
        assert [(link.rel, link.kind) for link in page.links] == [("next", "")]


@pytest.mark.parametrize(
    ("link", "kind"),
    [
        ({}, ""),
        ({"rel": "embed"}, EMBED),
        ({"rel": "Nofollow Hook"}, HOOK),
        ({"rel": "nofollow"}, NOFOLLOW),
        ({"rel": "embed next"}, ""),
    ],
)
def test_what_an_older_version_stored_is_read_as_it_was_meant(link: dict[str, str], kind: str) -> None:
    assert kind_of(link) == kind


@pytest.mark.parametrize("depths", [(-1,), (0, -1)], ids=["one run", "a deeper run"])
def test_words_in_a_rel_are_not_taken_for_marks_of_ours_when_links_are_offered_again(
    depths: tuple[int, ...], tmp_path: Path
) -> None:
    with Site() as site:
        site.add_page(
            "/", html='<a rel="nofollow hook" href="/n">n</a><a rel="embed" href="/e">e</a><a href="/p">p</a>'
        )
        for page in ("/n", "/e", "/p"):
            site.add_page(page)
        for depth in depths:
            config = msgspec.structs.replace(BASE, max_depth=depth)
            crawl([site.url("/")], config, ledger=tmp_path / "crawl.db").close()
        assert {hit.target for hit in site.log} == {"/robots.txt", "/", "/e", "/p"}


@pytest.mark.parametrize("depths", [(-1,), (0, -1)], ids=["one run", "a deeper run"])
def test_what_a_hook_follows_is_followed_against_nofollow_when_links_are_offered_again(
    depths: tuple[int, ...], tmp_path: Path
) -> None:
    with Site() as site:
        site.add_page("/", html="<meta name=robots content=nofollow><a rel=nofollow href=/n>n</a><a href=/p>p</a>")
        site.add_page("/n")
        site.add_page("/added")
        for depth in depths:
            config = msgspec.structs.replace(BASE, max_depth=depth)
            crawl([site.url("/")], config, parse=follow_two, ledger=tmp_path / "crawl.db").close()
        assert {hit.target for hit in site.log} == {"/robots.txt", "/", "/n", "/added"}


def follow_two(page: Page) -> list[Follow]:
    return [Follow("/n"), Follow("/added")]


def stored(link: Link) -> dict[str, str]:
    """Return a link as a reader of the ledger finds it."""
    found: dict[str, str] = msgspec.json.decode(msgspec.json.encode(link))
    return found
