"""What holds for every transport, ours or somebody's own: one wrapper around it.

    pump      start(request) ─► an exchange, with a deadline ─► the transport
              wait() ─► the transport's wait, no longer than to the next deadline
                          ended exchange ─► is the peer permitted? ─► decoded, under the mark ─► Answer
                          overdue ─► cancel(tag), and an Answer: timeout

The caps are counted as the bytes come (`Exchange.take`), decoded ones here, step by step. A body is decoded in the
pump's thread, so that a process that dies of it dies under the mark of that page. Lives in a worker process, in the
pump's thread. It must not know which transport it is that it wraps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from crawler import clock
from crawler.config import Config
from crawler.model import FAILED, REASONS, Answer
from crawler.transports.body import STEP_BYTES, decode_body
from crawler.transports.contract import Exchange, Marking, Request, Transport, WireTransport, headers_of
from crawler.transports.failures import Failure, describe, escaped
from crawler.transports.guard import Guard
from crawler.transports.limits import check_target, too_large

_STALLED_SECONDS: Final = 0.25  # the pump was away for longer than this: what is in flight gets the time back

#: the reasons for which there may be no answer
_FAILURES = frozenset(reason for reason, (state, _) in REASONS.items() if state == FAILED)


class _NoMark:
    """Nobody looks."""

    value = 0


class Guarded:
    """A transport that keeps to the rules, whatever is inside it. See the module's text."""

    def __init__(self, transport: Transport | WireTransport, config: Config, mark: Marking | None = None) -> None:
        """Wrap a transport, which is closed with the wrapper.

        Raises:
            UsageError: `allow_private` or `headers` cannot be used.
        """
        self.capacity = transport.capacity
        self._transport: Any = transport
        self._brings_wire = hasattr(transport, "begin")
        self._can_cancel = hasattr(transport, "cancel")
        self._has_network: bool = getattr(transport, "has_network", True)
        self._guard = Guard(config.allow_private)
        self._headers = headers_of(config)
        self._timeout_seconds = config.timeout_seconds
        self._max_body_bytes = config.max_body_bytes
        self._mark = _NoMark() if mark is None else mark
        self._open: dict[int, Exchange] = {}  # by tag, in the order of their deadlines
        self._refused: list[Answer] = []  # to what was not even handed on
        self._driven_at = 0.0

    def __repr__(self) -> str:
        return f"<Guarded: {len(self._open)} open, by {self._transport!r}>"

    def start(self, request: Request) -> None:
        """Send a request; returns at once. Its deadline runs from here on."""
        if not request.headers:
            request = request._replace(headers=self._headers)
        exchange = Exchange(request, self._guard, self._max_body_bytes, self._timeout_seconds)
        exchange.has_network = self._has_network
        try:
            check_target(request.target)
        except Failure as failure:
            self._refused.append(
                Answer(request.tag, failure.reason, escaped(str(failure)), asked=False, ended=exchange.started)
            )
            return
        if not self._open:
            self._driven_at = exchange.started
        self._open[request.tag] = exchange
        if self._brings_wire:
            self._transport.begin(exchange)
        else:
            self._transport.start(request)

    def wait(self, seconds: float) -> list[Answer]:
        """Return what has been answered since, waiting at most so long for the first; ends what is overdue."""
        now = clock.monotonic()
        self._give_back_time(now)
        answers, self._refused = self._refused, []
        until = now if answers else now + seconds
        while True:
            wake_at = min(until, next(iter(self._open.values())).deadline) if self._open else until
            for ended in self._transport.wait(max(0.0, wake_at - now)):
                exchange = self._open.pop(ended.tag, None)
                if exchange is not None:  # else it was overdue, and is answered
                    answers.append(
                        self._checked(ended, exchange) if isinstance(ended, Answer) else self._answer(exchange)
                    )
            now = clock.monotonic()
            self._end_overdue(now, answers)
            if answers or now >= until:
                self._driven_at = now
                return answers

    def close(self) -> None:
        """End everything in flight without an answer and free all that the transport holds."""
        for exchange in self._open.values():
            exchange.is_over = True
        self._open.clear()
        self._refused.clear()
        self._transport.close()

    def _give_back_time(self, now: float) -> None:
        """Make up for the time that the pump spent elsewhere: a page that takes long to parse costs no other page."""
        away_seconds = now - self._driven_at
        if away_seconds > _STALLED_SECONDS:
            latest = now + self._timeout_seconds  # of what was started meanwhile
            for exchange in self._open.values():
                exchange.deadline = min(exchange.deadline + away_seconds, latest)

    def _end_overdue(self, now: float, answers: list[Answer]) -> None:
        while self._open:
            exchange = next(iter(self._open.values()))
            if exchange.deadline > now:
                return
            del self._open[exchange.tag]
            exchange.fail("timeout", "")
            exchange.is_over = True  # before the transport lets go: to a reader, a shut socket may look like an end
            if self._can_cancel:
                self._transport.cancel(exchange.tag)
            answers.append(self._answer(exchange))

    def _answer(self, exchange: Exchange) -> Answer:
        """Make the answer of an exchange that has ended."""
        exchange.is_over = True
        body = None
        failure = exchange.failure or self._objection(exchange, exchange.ip)
        if exchange.wants_body and failure is None:
            try:
                body = self._body(exchange)
            except Failure as error:
                failure = error
            self._mark.value = 0
        raw_body = bytes(exchange.wire) if exchange.request.keep_raw and exchange.wants_body else None
        exchange.wire = b""  # the transport may still hold the exchange
        ended = exchange.ended or clock.monotonic()
        return Answer(
            exchange.tag,
            failure.reason if failure else "",
            self._text(failure, exchange) if failure else "",
            exchange.asked,
            exchange.status,
            exchange.http_version,
            exchange.headers,
            body,
            exchange.size if body is not None else None,
            exchange.ip,
            exchange.started_at,
            ended - exchange.started,
            ended,
            exchange.raw_head,
            raw_body,
        )

    def _text(self, failure: Failure, exchange: Exchange) -> str:
        if failure.reason == "timeout":  # the transport's own may come a moment before ours
            return f"no whole answer within {self._timeout_seconds:g} s: {exchange.phase}"
        return escaped(str(failure))

    def _checked(self, answer: Answer, exchange: Exchange) -> Answer:
        """Return what a transport answered that does everything itself, as far as the rules allow."""
        if answer.error:
            answer = answer._replace(error=escaped(answer.error))
        if answer.reason in _FAILURES:
            return answer
        if answer.reason:
            error = escaped(f"the transport gives an unknown reason: {answer.reason}")
            return answer._replace(reason="internal-error", error=error)
        failure = self._objection(exchange, answer.ip)
        body, cut_at = answer.body, exchange.request.cut_body_at
        if failure is None and body is not None and not cut_at and len(body) > self._max_body_bytes:
            failure = too_large(self._max_body_bytes, "decoded")
        if failure is not None:
            return answer._replace(reason=failure.reason, error=escaped(str(failure)), body=None, wire_size=None)
        return answer._replace(body=body[:cut_at]) if body is not None and cut_at else answer

    def _objection(self, exchange: Exchange, ip: str) -> Failure | None:
        """Return why an answer from this peer is refused: its address was not permitted, or nobody knows it."""
        if not exchange.has_network or exchange.permits(ip):
            return None
        if ip:
            return Failure("blocked-address", f"not public: {ip}")
        return Failure("blocked-address", "the transport does not say which address answered")

    def _body(self, exchange: Exchange) -> bytes:
        """Return the decoded body.

        Raises:
            Failure: it is too large, or does not decode.
            MemoryError: there is none left: the process is of no more use.
        """
        wire, cut_at = exchange.wire, exchange.request.cut_body_at
        if not exchange.coding:
            return bytes(wire[:cut_at] if cut_at else wire)
        self._mark.value = exchange.tag
        try:
            return decode_body(_in_steps(wire), exchange.coding, max(self._max_body_bytes, cut_at), cut_at)
        except (Failure, MemoryError):
            raise
        except Exception as error:  # a decoder's own bug costs this page alone
            raise Failure("internal-error", describe(error)) from error


def _in_steps(wire: bytes | bytearray) -> Iterator[bytes]:
    """Yield a body in parts: a decoder copies what it has not used yet of the part that it was given."""
    if len(wire) <= STEP_BYTES:
        yield bytes(wire)
        return
    for start in range(0, len(wire), STEP_BYTES):
        yield bytes(wire[start : start + STEP_BYTES])
