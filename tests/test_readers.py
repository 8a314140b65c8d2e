"""Which reader reads an answer, and what it gives: without a pump, a transport or a ledger."""

from __future__ import annotations

import msgspec
import pytest

from crawler.config import Config
from crawler.model import MAX_LINKS_PER_PAGE, Answer, Purpose, Visit
from crawler.pages.parse import Link
from crawler.rules.offers import Offers
from crawler.rules.scope import Scope
from crawler.worker.hook import Follow
from crawler.worker.hook import Page as HookPage
from crawler.worker.readers import OTHERWISE, READERS, Readers
from crawler.worker.readers.context import Reading

HOST = "http://a.test"
HTML = b"<title>t</title><p id=here><a href=/a>a</a><a href=http://b.test/#x>b</a><img src=i.png>"
CSS = b"a { background: url(/i.png) }"
ALL = Config(check_external=True, embeds=True, check_fragments=True, retries=1, max_body_bytes=1_000)
PAGE, EMBED, POINTED, EXTERNAL_LINK, ROBOTS = Purpose


def readers(config: Config = ALL, hook: object = None) -> Readers:
    offers = Offers.of(config, Scope.of(config, [HOST + "/"]), b"key")
    return Readers(config, offers, hook)  # type: ignore[arg-type]


def visit(purpose: Purpose = PAGE, **changes: object) -> Visit:
    made = Visit(1, 7, 107, HOST, "/page", "L", purpose, 1, 0, 0, 0, False, 4, 1)
    return msgspec.structs.replace(made, **changes)


def answer(status: int = 200, body: bytes | None = HTML, kind: str = "text/html", **headers: str) -> Answer:
    return Answer(0, status=status, headers=(("content-type", kind), *headers.items()), body=body, started_at=1.0)


def gave(reading: Reading) -> str:
    """Say in a word or two how a visit ended, and which parts its result has."""
    outcome, result = reading.outcome, reading.result
    parts = {
        "page": result.page is not None, "links": bool(result.page and result.page.links),
        "candidates": bool(result.candidates), "fragments": result.fragments is not None,
        "anchors": bool(result.fragments and result.fragments.anchors), "robots": result.robots is not None,
    }  # fmt: skip
    return " ".join([outcome.what, outcome.reason, *(name for name, is_there in parts.items() if is_there)])


WHOLE = "done ok page links candidates fragments anchors"


@pytest.mark.parametrize(
    ("what", "purpose", "came", "expected"),
    [
        ("a page", PAGE, answer(), WHOLE),
        ("a page without a type", PAGE, answer(kind=""), WHOLE),
        ("a page with an error", PAGE, answer(404), "done client-error page links"),
        ("a stylesheet as a page", PAGE, answer(body=CSS, kind="text/css"), "done ok page links candidates"),
        ("some other body", PAGE, answer(body=b"%PDF", kind="application/pdf"), "done ok page"),
        ("a body that was not read", PAGE, answer(body=None), "done ok page"),
        ("a redirect", PAGE, answer(301, None, location="/b#x"), "done redirect page candidates fragments"),
        ("a redirect to nowhere", PAGE, answer(301, None), "done redirect page"),
        ("a server's error", PAGE, answer(503), "retry server-error"),
        ("too many requests", PAGE, answer(429), "retry server-error"),
        ("no answer", PAGE, Answer(0, reason="timeout"), "retry timeout"),
        ("a page as an embed", EMBED, answer(), "done ok page fragments anchors"),
        ("a stylesheet", EMBED, answer(body=CSS, kind="text/css"), "done ok page links candidates"),
        ("a page elsewhere, pointed at", POINTED, answer(), "done ok page fragments anchors"),
        ("only a part of it", POINTED, answer(body=HTML * 20), "done ok page"),
        ("one with an error", POINTED, answer(404), "done client-error page"),
        ("a stylesheet elsewhere", POINTED, answer(body=CSS, kind="text/css"), "done ok page"),
        ("a page elsewhere", EXTERNAL_LINK, answer(body=None), "done ok page"),
        ("a HEAD that was refused", EXTERNAL_LINK, answer(405, None), "retry client-error"),
        ("a robots.txt", ROBOTS, answer(body=b"User-agent: *", kind="text/plain"), "robots rules robots"),
        ("a robots.txt that failed", ROBOTS, Answer(0, reason="dns"), "robots deny robots"),
        ("a robots.txt that moved", ROBOTS, answer(301, None, location="/r"), "robots  robots"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) and "robots" not in value else None,
)
def test_what_a_visit_is_for_and_what_came_back_choose_the_reader(
    what: str, purpose: Purpose, came: Answer, expected: str
) -> None:
    assert gave(readers().read(visit(purpose), came)) == expected, what


def test_whatever_comes_back_has_a_reader() -> None:
    assert {what for _, what in READERS} <= set(OTHERWISE)


def test_without_an_option_what_is_no_page_gives_its_headers_alone() -> None:
    plain = readers(Config())
    for purpose in (EMBED, POINTED, EXTERNAL_LINK):
        assert gave(plain.read(visit(purpose, attempts=1), answer())) == "done ok page"


def test_a_url_that_was_tried_often_enough_fails() -> None:
    tried = visit(attempts=1)
    assert gave(readers().read(tried, answer(503))) == "failed server-error page"
    assert gave(readers().read(tried, Answer(0, reason="timeout"))) == "failed timeout"
    assert gave(readers().read(visit(EXTERNAL_LINK, attempts=1), answer(405, None))) == "done client-error page"


def test_links_are_reported_once_and_only_if_their_result_was_taken() -> None:
    reader = readers()
    lost = reader.read(visit(), answer())
    again = reader.read(visit(), answer())
    assert [c.target for c in lost.result.candidates] == [c.target for c in again.result.candidates] == [
        "/a", "/", "/", "/i.png",
    ]  # fmt: skip
    again.remember()
    assert reader.read(visit(), answer()).result.candidates == []
    nearer = reader.read(visit(depth=0), answer()).result.candidates
    assert [(c.purpose, c.depth) for c in nearer] == [(PAGE, 1), (EXTERNAL_LINK, 1), (POINTED, 1)]  # embeds: no nearer


def test_all_extractors_see_a_page_and_the_first_error_is_kept() -> None:
    reader = readers(Config())
    seen: list[HookPage] = []

    def first(page: HookPage) -> object:
        seen.append(page)
        yield {"n": 1}
        raise ValueError("first")

    def second(page: HookPage) -> object:
        seen.append(page)
        return [{"n": 2}, Follow("/added"), Follow("/a"), 3]

    for hook in (first, second):
        reader._context.extractors += readers(Config(), hook)._context.extractors
    result = reader.read(visit(), answer()).result
    assert result.page is not None
    assert seen[0] is seen[1]
    assert result.items == ['{"n":1}', '{"n":2}']
    assert (result.page.item_error or "").startswith("ValueError: first")
    assert {(link.url, link.kind) for link in msgspec.json.decode(result.page.links or "", type=list[Link])} == {
        (HOST + "/a", "hook"), ("http://b.test/", ""), (HOST + "/added", "hook"),
    }  # fmt: skip


def test_what_a_hook_follows_beyond_the_stored_links_is_followed_and_not_stored() -> None:
    body = b"".join(b"<a href=%d>x</a>" % number for number in range(MAX_LINKS_PER_PAGE))
    result = readers(Config(), lambda page: Follow("/added")).read(visit(), answer(body=body)).result
    assert result.page is not None
    assert len(msgspec.json.decode(result.page.links or "")) == MAX_LINKS_PER_PAGE
    assert result.candidates[-1].target == "/added"
