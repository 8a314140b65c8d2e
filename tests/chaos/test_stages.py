"""Each fault at each stage: a process dies, or is stopped, exactly where the table says, and nothing is lost."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Iterable, Mapping, Sequence

import pytest

from tests.chaos import faults
from tests.chaos.faults import STAGES, stages
from tests.chaos.oracle import judge
from tests.chaos.running import Crawling, Options
from tests.chaos.sabotage import CONSUMER, COORDINATOR, WORKER, Strike, Walk
from tests.webgraph import WebServer

SHORT = Options(stall_seconds=1.0, page_deadline_seconds=1.0)
DRAINS = [name for name in STAGES if name.startswith(("drain", "report"))]
REPLACES = {"replace a worker": WORKER, "replace the consumers": CONSUMER}
WHILE_CRAWLING = [name for name in stages(COORDINATOR) if name not in DRAINS and name not in REPLACES]


def crawl_through(
    strikes: Sequence[Strike], options: Options = SHORT, *, pages: int = 200, poison: Mapping[str, str] | None = None
) -> Crawling:
    """Crawl until it is over; each strike must have happened, and the oracle be content."""
    with WebServer(seed=31, pages=pages) as server, Crawling(server, options, strikes, poison=poison) as crawling:
        crawling.start()
        crawling.complete()
        struck = {(each.role, each.place, each.deed) for each in crawling.struck()}
        wanted = {(each.role, f"{each.function}+{each.line}", each.deed) for each in strikes}
        assert wanted - struck == set(), crawling.output()
        assert judge(crawling).violations == []
    return crawling


def at(names: Iterable[str], *deeds: str) -> list[Strike]:
    return [STAGES[name].strike(deed) for name in names for deed in deeds]


@pytest.mark.parametrize("name", [*STAGES, "a result is half written"])
def test_a_stage_is_exactly_one_line_that_runs(name: str) -> None:
    """What is moved or renamed is no stage any more: nothing would happen there, and no crawl would tell."""
    stage = STAGES.get(name, faults.WRITES_HALF)
    module, _, path = stage.function.partition(":")
    function = functools.reduce(getattr, path.split("."), importlib.import_module(module))
    lines, first = inspect.getsourcelines(function)
    at = [first + number for number, text in enumerate(lines) if stage.line and stage.line in text]
    assert len(at) == bool(stage.line)
    runs = {line for _, _, line in function.__code__.co_lines()}
    assert runs.issuperset(at)


@pytest.mark.parametrize("consumers", [1, 2, 3])
def test_a_consumer_dies_at_each_of_its_stages(consumers: int) -> None:
    deeds = {1: "kill", 2: "exit", 3: "segfault"}
    crawling = crawl_through(at(stages(CONSUMER), deeds[consumers]), SHORT._replace(consumers=consumers))
    assert len(crawling.lives) == 1


def test_a_worker_dies_at_each_of_its_stages_in_each_way() -> None:
    names = [name for name in stages(WORKER) if name != "worker: set-up"]
    crawling = crawl_through([*at(names, "kill", "exit", "segfault"), *at(["worker: set-up"], "kill")], pages=400)
    assert len(crawling.lives) == 1


def test_the_coordinator_dies_at_each_stage_of_a_crawl() -> None:
    crawling = crawl_through(at(WHILE_CRAWLING, "kill"))
    assert len(crawling.lives) == len(WHILE_CRAWLING) + 1


@pytest.mark.parametrize("name", DRAINS)
def test_the_coordinator_dies_at_a_stage_of_the_end(name: str) -> None:
    crawling = crawl_through(at([name], "kill"), pages=60)
    assert [life.exit_code for life in crawling.lives] == [-9, 0]


@pytest.mark.parametrize("name", list(REPLACES))
def test_the_coordinator_dies_while_it_replaces_who_died(name: str) -> None:
    first = {WORKER: "worker: parse", CONSUMER: "consumer: merge"}[REPLACES[name]]
    crawling = crawl_through([*at([first], "kill"), *at([name], "kill")], pages=60)
    assert [life.exit_code for life in crawling.lives] == [-9, 0]


def test_the_fork_server_dies_while_a_child_is_being_made() -> None:
    names = ["start: workers", "start: a child is being made", "start: the fork server is asked", "dispatch"]
    crawling = crawl_through(at(names, "kill the fork server"))
    assert [life.exit_code for life in crawling.lives] == [0]


def test_the_resource_tracker_dies_at_any_stage() -> None:
    crawling = crawl_through(at(["start: consumers", "dispatch", "drain: join"], "kill the resource tracker"))
    assert [life.exit_code for life in crawling.lives] == [0]


def test_a_worker_dies_while_it_writes_a_large_result() -> None:
    """Half a result is in the pipe, and the reader has a writing end itself: no end of file ever comes."""
    crawling = crawl_through([faults.WRITES_HALF], SHORT._replace(parse="tests.chaos.hooks:parse_large"))
    assert [life.exit_code for life in crawling.lives] == [0]


SIGNAL_STAGES = ["start: the run's row", "dispatch", "drain: the end batch", "report"]
SIGNALS = ["SIGINT", "SIGINT twice", "SIGINT ten times", "SIGTERM", "SIGHUP"]
SIGNALS_IN_SHORT = {
    ("SIGTERM", "start: the run's row"),
    ("SIGINT ten times", "dispatch"),
    ("SIGHUP", "dispatch"),
    ("SIGINT twice", "drain: the end batch"),
    ("SIGINT", "report"),
}


@pytest.mark.parametrize(
    ("deed", "name"),
    [
        pytest.param(deed, name, marks=() if (deed, name) in SIGNALS_IN_SHORT else pytest.mark.slow)
        for deed in SIGNALS
        for name in SIGNAL_STAGES
    ],
)
def test_a_signal_stops_a_crawl_at_any_stage_and_the_same_command_completes_it(deed: str, name: str) -> None:
    assert len(crawl_through(at([name], deed), pages=60).lives) <= 2


def test_ctrl_c_while_children_are_spawned_makes_none_of_them_complain() -> None:
    """A spawned child runs for a tenth of a second before it is asked what it does about signals."""
    while_they_start = STAGES["dispatch"].strike("SIGINT", time=6)
    crawl_through([while_they_start], SHORT._replace(start_method="spawn"), pages=60)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("deed", ["freeze", "sleep"])
@pytest.mark.parametrize("role", [WORKER, CONSUMER])
def test_a_process_stands_still_at_each_of_its_stages(role: str, deed: str) -> None:
    strikes = at([name for name in stages(role) if name != "worker: set-up"], deed)
    assert len(crawl_through(strikes, pages=600).lives) == 1


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "walk",
    [
        Walk(CONSUMER, ("crawler.consumer", "crawler.ledger.apply", "crawler.ledger.merge", "multiprocessing.queues")),
        Walk(
            WORKER,
            (
                "crawler.worker.pump",
                "crawler.worker.batch",
                "crawler.worker.readers",
                "crawler.worker.readers.html",
                "crawler.rules.offers",
            ),
            "crawler.worker.pump:get_pages",
            4,
        ),
        Walk(
            COORDINATOR,
            (
                "crawler.api.session",
                "crawler.processes.lock",
                "crawler.ledger.opening",
                "crawler.engine.crawl",
                "crawler.engine.crew",
                "crawler.engine.drain",
                "crawler.engine.outbox",
            ),
        ),
    ],
    ids=lambda walk: walk.role,
)
def test_a_process_dies_at_each_line_that_it_comes_to(walk: Walk) -> None:
    with WebServer(seed=41, pages=1_500) as server, Crawling(server, Options(), walk=walk) as crawling:
        crawling.start()
        crawling.complete(most_lives=1_000)
        assert len(crawling.struck()) > {CONSUMER: 60, WORKER: 100, COORDINATOR: 200}[walk.role]
        assert judge(crawling, most_seconds=1_200).violations == []
