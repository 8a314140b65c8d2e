"""The pump: what a call takes in and gives back. No process, no socket, no sleep: the transport is a list."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator, Sequence

import msgspec
import pytest

from crawler import errors
from crawler.config import Config
from crawler.model import NO_ROW, Answer, Batch, Briefing, Order, Outcome, Purpose, Result, Returned, Visit
from crawler.processes.mark import Mark
from crawler.transports import Request
from crawler.worker import pump as worker
from crawler.worker import readers
from crawler.worker.pump import WorkerSetup, get_pages, set_up, tear_down

HOST = "http://a.test"
ALLOW = Briefing(1, 1, "allow")


ROBOTS = Visit(1, NO_ROW, 99, HOST, "/robots.txt", "P", Purpose.ROBOTS, 0, 0, 0, 0, False, 1, 1)


class ListTransport:
    """Answers what a test put into `answers`, by target; everything else stays in flight."""

    has_network = False
    asked: list[str]
    headers: list[tuple[tuple[str, str], ...]]
    answers: dict[str, Answer]

    def __init__(self, config: Config, capacity: int) -> None:
        self.capacity = capacity
        self._flying: dict[str, Request] = {}
        ListTransport.asked, ListTransport.headers, ListTransport.answers = [], [], {}

    def start(self, request: Request) -> None:
        self.asked.append(request.target)
        self.headers.append(request.headers)
        self._flying[request.target] = request

    def wait(self, seconds: float) -> list[Answer]:
        ready = [target for target in self._flying if target in self.answers]
        now = time.monotonic()
        return [
            self.answers[target]._replace(tag=self._flying.pop(target).tag, ended=now, started_at=time.time())
            for target in ready
        ]

    def close(self) -> None:
        """Nothing to free."""


def page(body: str = "<title>t</title>", status: int = 200, **headers: str) -> Answer:
    fields = (("content-type", "text/html"), *((name.replace("_", "-"), value) for name, value in headers.items()))
    return Answer(0, status=status, headers=fields, body=body.encode(), wire_size=len(body))


def visit(seq: int, target: str, **changes: object) -> Visit:
    base = Visit(1, seq, seq + 100, HOST, target, "L", Purpose.PAGE, 1, 0, 0, 0, False, 4, 1)
    return msgspec.structs.replace(base, **changes)


def call(
    visits: Sequence[Visit] = (), briefings: Sequence[Briefing] = (), **order: object
) -> tuple[list[Outcome], list[Result]]:
    fields: dict[str, object] = {"flush_early": True, "stop": False, **order}
    encoded = msgspec.msgpack.encode(Order(visits=list(visits), briefings=list(briefings), **fields))  # type: ignore[arg-type]
    returned = get_pages("generation", encoded)
    assert type(returned) is Returned
    assert [type(part) for part in returned] == [str, bytes, bytes, str, bool, bool]
    assert returned.error == ""
    outcomes = msgspec.msgpack.decode(returned.outcomes, type=list[Outcome]) if returned.outcomes else []
    raw = msgspec.msgpack.decode(returned.batch, type=Batch).results if returned.batch else []
    return outcomes, [msgspec.msgpack.decode(each, type=Result) for each in raw]


def ends(outcomes: list[Outcome]) -> dict[int, tuple[str, str]]:
    return {outcome.tag - 100: (outcome.what, outcome.reason) for outcome in outcomes}


@pytest.fixture(autouse=True)
def pump() -> Iterator[None]:
    config = Config(transport="tests.test_worker:ListTransport", max_depth=5, retries=1, exclude=("/secret",))
    set_up(WorkerSetup("generation", config, (HOST + "/",), b"key", 8, None), Mark())
    yield
    tear_down("generation")


def test_what_has_finished_comes_back_and_the_rest_with_a_later_call() -> None:
    ListTransport.answers = {"/1": page()}
    outcomes, results = call([visit(1, "/1"), visit(2, "/2")], [ALLOW])
    assert ends(outcomes) == {1: ("done", "ok")}
    assert [result.page.title for result in results if result.page] == ["t"]
    ListTransport.answers = {"/2": page(status=404)}
    outcomes, _ = call()
    assert ends(outcomes) == {2: ("done", "client-error")}
    assert ListTransport.asked == ["/1", "/2"]


def test_no_more_requests_are_in_flight_for_a_host_than_the_visit_says() -> None:
    call([visit(seq, f"/{seq}", at_once=2) for seq in range(5)], [ALLOW])
    assert ListTransport.asked == ["/0", "/1"]


def test_a_worker_without_a_hosts_briefing_gives_the_visit_back() -> None:
    outcomes, results = call([visit(1, "/1")])
    assert (ends(outcomes), results, ListTransport.asked) == ({1: ("unasked", "")}, [], [])
    outcomes, results = call([msgspec.structs.replace(ROBOTS, host_id=2)])
    assert (ends(outcomes), results, ListTransport.asked) == ({-1: ("unasked", "")}, [], [])


def test_a_visit_that_needs_a_newer_briefing_is_given_back_and_an_older_one_is_asked() -> None:
    call([visit(1, "/1", briefing=2)], [msgspec.structs.replace(ALLOW, version=2)])
    outcomes, _ = call([visit(2, "/2", briefing=3), visit(3, "/3", briefing=1)])
    assert (ends(outcomes), ListTransport.asked) == ({2: ("unasked", "")}, ["/1", "/3"])
    call([visit(2, "/2", briefing=3)], [msgspec.structs.replace(ALLOW, version=3)])
    assert ListTransport.asked == ["/1", "/3", "/2"]


def test_before_its_robots_txt_is_known_nothing_else_of_a_host_is_asked() -> None:
    outcomes, _ = call([ROBOTS, visit(1, "/1")], [Briefing(1, 1)])
    assert (ends(outcomes), ListTransport.asked) == ({1: ("unasked", "")}, ["/robots.txt"])


def test_a_robots_txt_elsewhere_is_asked_with_the_briefing_of_the_host_that_is_asked() -> None:
    elsewhere = msgspec.structs.replace(ROBOTS, host="http://b.test", clock_id=2)
    call([elsewhere], [Briefing(1, 1), Briefing(2, 2, "deny", "dns", headers=(("X-Two", "2"),))])
    assert ListTransport.asked == ["/robots.txt"]
    assert dict(ListTransport.headers[0])["X-Two"] == "2"


def test_requests_get_their_headers_from_the_briefing() -> None:
    given = (("user-agent", "mine"), ("X-A", "1"))
    call([visit(1, "/1"), visit(2, "/2")], [msgspec.structs.replace(ALLOW, headers=given)])
    first, second = ListTransport.headers
    assert first is second  # made once
    assert {name: value for name, value in first if name in ("User-Agent", "user-agent", "X-A")} == dict(given)
    assert {name for name, _ in first} == {"Accept", "Accept-Encoding", "user-agent", "X-A"}


def test_what_waits_for_a_host_that_was_forgotten_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.worker.briefing.MAX_HOSTS", 1)
    call([visit(1, "/1", at_once=1), visit(2, "/2", at_once=1)], [ALLOW])
    ListTransport.answers = {"/1": page()}
    outcomes, _ = call(briefings=[Briefing(2, 2, "allow")])
    outcomes += call()[0]
    assert ends(outcomes) == {1: ("done", "ok"), 2: ("unasked", "")}


def test_another_generations_visits_are_given_back() -> None:
    order = msgspec.msgpack.encode(Order(True, False, [visit(1, "/1")]))
    returned = get_pages("another", order)
    assert ends(msgspec.msgpack.decode(returned.outcomes, type=list[Outcome])) == {1: ("unasked", "")}
    assert returned.batch == b""


def test_a_stop_gives_back_what_waits_and_lets_finish_what_is_in_flight() -> None:
    call([visit(seq, f"/{seq}", at_once=1) for seq in range(3)], [ALLOW])
    outcomes, _ = call(stop=True)
    assert ends(outcomes) == {1: ("unasked", ""), 2: ("unasked", "")}
    ListTransport.answers = {"/0": page()}
    assert ends(call(stop=True)[0]) == {0: ("done", "ok")}


@pytest.mark.parametrize(
    ("changes", "briefing", "end"),
    [
        ({}, Briefing(1, 1, "deny", "dns"), ("failed", "robots-unreachable")),
        ({}, Briefing(1, 1, "deny", "blocked-address"), ("failed", "blocked-address")),
        ({"target": "/no/1"}, Briefing(1, 1, "rules", body="User-agent: *\nDisallow: /no/"), ("skipped", "robots")),
        ({"redirects": 11}, ALLOW, ("skipped", "too-many-redirects")),
        ({"depth": 6}, ALLOW, ("skipped", "too-deep")),
        ({"target": "/secret"}, ALLOW, ("skipped", "out-of-scope")),
    ],
)
def test_what_may_not_be_asked_ends_without_a_request(
    changes: dict[str, object], briefing: Briefing, end: tuple[str, str]
) -> None:
    outcomes, results = call([msgspec.structs.replace(visit(1, "/1"), **changes)], [briefing])
    assert ends(outcomes) == {1: end}
    assert not outcomes[0].asked
    assert [(result.end.state, result.end.reason, result.end.asked) for result in results if result.end] == [
        (*end, False)
    ]
    assert ListTransport.asked == []


def test_a_host_that_says_429_gets_no_further_request_and_its_waiting_visits_are_given_back() -> None:
    ListTransport.answers = {"/0": page(status=429, retry_after="30")}
    outcomes, results = call([visit(seq, f"/{seq}", at_once=1) for seq in range(3)], [ALLOW])
    assert ends(outcomes) == {0: ("retry", "server-error"), 1: ("unasked", ""), 2: ("unasked", "")}
    failed = next(outcome for outcome in outcomes if outcome.tag == 100)
    assert (failed.retry_after_seconds, failed.host_failed, failed.has_page) == (30.0, True, False)
    assert [result.page for result in results] == [None]
    assert ends(call([visit(4, "/4")])[0]) == {4: ("unasked", "")}
    assert ListTransport.asked == ["/0"]


def test_the_last_answer_of_a_url_that_stays_broken_is_its_page() -> None:
    ListTransport.answers = {"/1": page(status=503)}
    outcomes, results = call([visit(1, "/1", attempts=1)], [ALLOW])
    assert ends(outcomes) == {1: ("failed", "server-error")}
    assert [result.page.status for result in results if result.page] == [503]


def test_hosts_that_failed_elsewhere_are_paused() -> None:
    call([visit(0, "/0", at_once=1), visit(1, "/1", at_once=1)], [ALLOW])
    outcomes, _ = call(pause=[1])
    assert ends(outcomes) == {1: ("unasked", "")}


def test_a_bug_on_one_page_costs_that_page_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_on_odd(text: str, url: str, **_: object) -> None:
        raise ZeroDivisionError("\x1b[31modd")

    monkeypatch.setattr("crawler.worker.readers.html.parse.parse_html", fail_on_odd)
    monkeypatch.setattr(worker, "HOLD_SECONDS", 10.0)  # a busy machine has time for both
    ListTransport.answers = {"/1": page(), "/2": Answer(0, reason="truncated", error="half")}
    outcomes, results = call([visit(1, "/1"), visit(2, "/2", attempts=1)], [ALLOW])
    assert ends(outcomes) == {1: ("failed", "internal-error"), 2: ("failed", "truncated")}
    assert {result.end.error for result in results if result.end} == {"ZeroDivisionError: \x1b[31modd", "half"}


def test_memory_that_has_run_out_is_the_workers_end_and_counts_against_the_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark = Mark()
    config = Config(transport="tests.test_worker:ListTransport")
    set_up(WorkerSetup("generation", config, (HOST + "/",), b"key", 8, None), mark)

    def run_out(text: str, url: str, **_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("crawler.worker.readers.html.parse.parse_html", run_out)
    ListTransport.answers = {"/1": page(), "/2": page()}
    with pytest.raises(MemoryError):
        call([visit(1, "/1"), visit(2, "/2")], [ALLOW])
    assert mark.value == visit(1, "/1").tag


def test_the_mark_names_the_page_that_is_parsed_and_nothing_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = Mark()
    config = Config(transport="tests.test_worker:ListTransport")
    seen = []
    set_up(WorkerSetup("generation", config, (HOST + "/",), b"key", 8, None, lambda _: seen.append(mark.value)), mark)
    ListTransport.answers = {"/1": page()}
    call([visit(1, "/1")], [ALLOW])
    assert (seen, mark.value) == ([101], 0)


@pytest.mark.parametrize(
    "option", [{"transport": "no_such_module:Thing"}, {"worker_setup": "tests.test_worker:explode"}]
)
def test_a_worker_that_cannot_be_set_up_says_why_with_its_first_call(option: dict[str, str]) -> None:
    set_up(WorkerSetup("broken", Config(**option), (), b"key", 8, None), Mark())  # type: ignore[arg-type]
    returned = get_pages("broken", b"")
    assert returned.outcomes == b""
    assert returned.error
    tear_down("broken")
    assert "broken" not in worker._ERRORS


def explode() -> None:
    raise RuntimeError("no mocks today")


@pytest.mark.parametrize("kind", [errors.CrawlerError, errors.UsageError, errors.LedgerInUse, errors.StorageError])
def test_every_error_survives_pickling(kind: type[errors.CrawlerError]) -> None:
    again = pickle.loads(pickle.dumps(kind("the text")))  # noqa: S301  (made here)
    assert (type(again), str(again)) == (kind, "the text")


def test_an_errand_that_this_program_fails_on_denies_its_host_and_ends_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("odd")

    monkeypatch.setitem(readers.ERRANDS, Purpose.ROBOTS, fail)
    ListTransport.answers = {"/robots.txt": page()}
    outcomes, (result,) = call([ROBOTS], [ALLOW])
    assert [(outcome.tag, outcome.what, outcome.reason) for outcome in outcomes] == [(99, "robots", "internal-error")]
    assert (result.end, result.attempt) == (None, None)
    assert result.robots is not None
    assert (result.robots.host_id, result.robots.verdict, result.robots.reason) == (1, "deny", "internal-error")
