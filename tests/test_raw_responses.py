"""The table of raw responses, walked over each transport: whole answers, and how many connections they take."""

from __future__ import annotations

import pytest

from crawler.model import Answer
from tests.hostile import Hostile, answers_once_with, answers_with
from tests.raw_bodies import BODIES
from tests.raw_heads import HEADS
from tests.raw_responses import MAX_BODY_BYTES, Raw
from tests.transports import TIMEOUT_SECONDS, Open, ask


def without_what_varies(answer: Answer) -> Answer:
    """Leave out address, times, the order of headers, and how an error is worded."""
    assert bool(answer.error) == bool(answer.reason)
    return answer._replace(
        error="", ip="", started_at=0.0, elapsed_seconds=0.0, ended=0.0, headers=tuple(sorted(answer.headers))
    )


@pytest.mark.parametrize("table", [HEADS, BODIES], ids=["heads", "bodies"])
def test_every_raw_response_gives_the_answers_in_the_table(
    open_transport: Open, table: dict[str, Raw], request: pytest.FixtureRequest
) -> None:
    kind = request.node.callspec.params["open_transport"]
    found, expected = {}, {}
    for name, row in table.items():
        with Hostile((answers_with if row.keeps else answers_once_with)(row.sent)) as server:
            options = {"timeout_seconds": TIMEOUT_SECONDS} if row.gives.reason == "timeout" else {}
            transport = open_transport(max_body_bytes=MAX_BODY_BYTES, **options)
            answers = [without_what_varies(ask(transport, server.host, **row.asks)) for _ in range(2)]
            transport.close()
        found[name] = (answers, server.connections, len(server.heads))
        expected[name] = ([row.answer(kind)] * 2, row.connects(kind), 2)
    assert {name: found[name] for name in table if found[name] != expected[name]} == {
        name: expected[name] for name in table if found[name] != expected[name]
    }


def test_the_table_has_no_name_twice() -> None:
    assert not HEADS.keys() & BODIES.keys()
