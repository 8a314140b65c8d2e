"""Both of our transports keep the contract that is shipped, and it finds out those that do not."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import pytest

from crawler import clock
from crawler.config import Config
from crawler.testing import TransportContract
from crawler.testing.contract import check_transport
from crawler.transports import Exchange


class TestRequests(TransportContract):
    transport = "requests"


class TestCurl(TransportContract):
    transport = "curl"


class Naive:
    """A transport as somebody might write it first: one request after the other, and no thought of a guard."""

    def __init__(self, config: Config, capacity: int) -> None:
        self.capacity = capacity
        self._ended: list[Exchange] = []

    def begin(self, exchange: Exchange) -> None:
        request = exchange.request
        connection = http.client.HTTPConnection(urlsplit(request.host).netloc, timeout=1)
        try:
            connection.request(request.method, request.target, headers=dict(request.headers))
            exchange.ip = connection.sock.getpeername()[0]
            response = connection.getresponse()
            headers = tuple((name.lower(), value) for name, value in response.getheaders())
            if exchange.take_head(response.status, "1.1", headers):
                while (data := response.read1(65_536)) and exchange.take(data):
                    pass
        except (OSError, http.client.HTTPException) as error:
            exchange.fail("reset", str(error))
        finally:
            connection.close()
        exchange.end()
        self._ended.append(exchange)

    def wait(self, seconds: float) -> list[Exchange]:
        if not self._ended:
            clock.sleep(seconds)
        ended, self._ended = self._ended, []
        return ended

    def cancel(self, tag: int) -> None:
        """Nothing is ever in flight."""

    def close(self) -> None:
        """Nothing to free."""


def test_a_contract_that_is_not_kept_is_said_in_a_sentence() -> None:
    with pytest.raises(AssertionError, match=r"^what breaks off is no page: reason, .*: expected \('truncated', "):
        check_transport("tests.test_transport_contract:Naive")


def test_the_wrapper_keeps_most_of_the_contract_for_a_naive_transport() -> None:
    contract: Any = TransportContract()
    contract.transport = "tests.test_transport_contract:Naive"
    broken = set()
    for name in [name for name in vars(TransportContract) if name.startswith("test_")]:
        try:
            getattr(contract, name)()
        except AssertionError:
            broken.add(name.removeprefix("test_").replace("_", " "))
    assert broken == {
        "what breaks off is no page",
        "a closed port is refused",
        "a server that says nothing is left at the deadline",
        "an address that is not permitted is not connected to",
    }
