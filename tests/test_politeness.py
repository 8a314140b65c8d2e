"""Politeness: the retry table, the wait after an exchange, restarts with a clock that jumped, and Retry-After."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.model import FAILED, REASONS
from crawler.rules import politeness
from crawler.rules.politeness import MAX_RETRY_AFTER_SECONDS

DAY = 86_400.0
NOW = 1_800_000_000.0  # Unix time
SECONDS = st.floats(0, 10_000)
FAILURES = st.integers(0, 2_000)
UNIX_TIME = st.floats(NOW - 10 * DAY, NOW + 10 * DAY)


# ---- which failure is tried again


def test_every_reason_of_a_transport_stands_in_the_table() -> None:
    failed = {reason for reason, (state, _) in REASONS.items() if state == FAILED}
    assert set(politeness.RETRIES) == failed - {"robots-unreachable", "killed-worker"}


def test_what_may_pass_is_retried_and_what_the_host_is_to_blame_for_counts() -> None:
    assert {reason for reason, retry in politeness.RETRIES.items() if retry.retried} == {
        "server-error", "timeout", "refused", "reset", "dns", "truncated", "bad-response",
    }  # fmt: skip
    assert {reason for reason, retry in politeness.RETRIES.items() if retry.host_failed} == {
        "server-error", "timeout", "refused", "reset", "dns", "bad-response", "tls",
    }  # fmt: skip


@pytest.mark.parametrize("retries", [0, 1, 2, 5])
def test_a_url_is_tried_once_and_then_retries_times(retries: int) -> None:
    tried_again = [attempts for attempts in range(10) if politeness.may_retry("timeout", attempts, retries)]
    assert tried_again == list(range(retries))


def test_what_does_not_pass_is_never_tried_again() -> None:
    reasons = {reason for reason in politeness.RETRIES if politeness.may_retry(reason, 0, 100)}
    assert set(politeness.RETRIES) - reasons == {"tls", "too-large", "blocked-address", "internal-error"}


# ---- how long a host is left alone


@settings(deadline=None)
@given(SECONDS, SECONDS, SECONDS)
def test_without_failures_the_wait_is_the_delay(delay: float, base: float, most: float) -> None:
    assert politeness.wait_seconds("http://a.test", 0, delay, base, most) == delay


def test_the_wait_doubles_with_every_failure_up_to_its_maximum() -> None:
    waits = [politeness.wait_seconds("http://a.test", failures, 0.5, 1.0, 300.0) for failures in range(1, 14)]
    steps = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]
    assert [step for step, wait in zip(steps, waits, strict=True) if not step <= wait <= 1.25 * step] == []


@settings(deadline=None)
@given(st.text(max_size=20), st.floats(0.01, 10), st.floats(10, 10_000))
def test_a_host_that_goes_on_failing_is_asked_less_until_the_maximum(host: str, base: float, most: float) -> None:
    waits = [politeness.wait_seconds(host, failures, 0.0, base, most) for failures in range(1, 40)]
    assert [step for step, wait in enumerate(waits[1:]) if wait < min(waits[step], most)] == []
    assert most <= min(waits[-10:]) <= max(waits) <= 1.25 * most
    assert len(set(waits[-10:])) > 1  # the jitter is another one after each failure


@settings(deadline=None)
@given(st.text(max_size=20), st.integers(1, 2_000), SECONDS, SECONDS, SECONDS)
def test_the_wait_is_the_back_off_or_the_delay_and_up_to_a_quarter_more(
    host: str, failures: int, delay: float, base: float, most: float
) -> None:
    wait = politeness.wait_seconds(host, failures, delay, base, most)
    least = max(delay, min(base * 2.0 ** min(failures - 1, 60), most))
    assert least <= wait <= least * 1.25
    assert wait == politeness.wait_seconds(host, failures, delay, base, most)  # no randomness


@pytest.mark.parametrize(("delay", "base"), [(0.0, 1.0), (1.0, 0.5)])
def test_hosts_that_failed_together_are_not_asked_together_again(delay: float, base: float) -> None:
    waits = [politeness.wait_seconds(f"http://h{n}.test", 1, delay, base, 300.0) for n in range(1_000)]
    assert len(set(waits)) > 950
    assert min(waits) < 1.01
    assert max(waits) > 1.24
    assert 1.115 < sum(waits) / len(waits) < 1.135


def test_a_thousand_failures_do_not_overflow() -> None:
    assert 300.0 <= politeness.wait_seconds("http://a.test", 10**9, 0.0, 1.0, 300.0) <= 375.0


# ---- restarts


@pytest.mark.parametrize(
    ("asked_at", "retry_at", "due"),
    [
        (0.0, 0.0, 0.0),  # never asked
        (NOW, 0.0, 10.0),
        (NOW - 4, 0.0, 6.0),
        (NOW - 10, 0.0, 0.0),
        (NOW - 4, NOW + 2, 6.0),
        (NOW - 4, NOW + 8, 8.0),
        (NOW - 100, NOW + 8, 8.0),
        (NOW - 100, NOW - 8, 0.0),
        (0.0, NOW + MAX_RETRY_AFTER_SECONDS, MAX_RETRY_AFTER_SECONDS),
        (
            NOW + 1,
            NOW + MAX_RETRY_AFTER_SECONDS + 1,
            MAX_RETRY_AFTER_SECONDS,
        ),  # set back by a second: no less than that
        (NOW + DAY, 0.0, 10.0),  # the clock was set back by a day
        (NOW + DAY, NOW + DAY + 8, MAX_RETRY_AFTER_SECONDS),
        (NOW - DAY, NOW - DAY + 8, 0.0),  # set forward by a day, or the crawl was started again a day later
    ],
)
def test_a_host_is_due_by_what_the_ledger_remembers(asked_at: float, retry_at: float, due: float) -> None:
    assert politeness.due_in_seconds(asked_at, retry_at, NOW, 10.0) == due


@settings(deadline=None)
@given(UNIX_TIME, UNIX_TIME, UNIX_TIME, SECONDS)
def test_no_jump_of_the_clock_gives_more_than_a_full_wait(asked: float, retry: float, now: float, wait: float) -> None:
    due = politeness.due_in_seconds(asked, retry, now, wait)
    assert 0.0 <= due <= max(wait, MAX_RETRY_AFTER_SECONDS)
    assert 0.0 <= politeness.due_in_seconds(asked, 0.0, now, wait) <= wait


@settings(deadline=None)
@given(st.floats(0, 4_000), st.floats(0, MAX_RETRY_AFTER_SECONDS), st.floats(0, 4_000))
def test_with_a_steady_clock_no_wait_is_cut_short(ago: float, named: float, wait: float) -> None:
    asked_at = NOW - ago
    due = politeness.due_in_seconds(asked_at, asked_at + named, NOW, wait)
    assert due == pytest.approx(max(0.0, wait - ago, named - ago), abs=1e-5)


# ---- Retry-After


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/New_York"])
def _time_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_time_zone")
@pytest.mark.parametrize(
    "date",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",  # the three forms of RFC 9110, section 5.6.7
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 -0000",
        "  Sun, 06 Nov 1994 09:49:37 +0100 ",
    ],
)
def test_a_date_is_read_in_any_form_and_time_zone(date: str) -> None:
    then = 784_111_777.0
    waits = [politeness.retry_after_seconds(date, then + seconds) for seconds in (-DAY, -3_600, -60, 0, 60)]
    assert waits == [3_600.0, 3_600.0, 60.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("0000000000000030", 30.0),
        ("3600", 3_600.0),
        ("3601", 3_600.0),
        ("9" * 5_000, 3_600.0),
    ],
)
def test_seconds_are_read_and_cut_at_an_hour(header: str, seconds: float) -> None:
    assert politeness.retry_after_seconds(header, NOW) == seconds


@pytest.mark.parametrize(
    "header",
    [
        "", " ", "soon", "-1", "+5", "1.5", "1e3", "0x10", "1_000", "5 seconds", "5, 6", "\u0661\u0662", "\u00b2",
        "nan", "Sun, 06 Nov", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:61:61 GMT",
        "Jan 0 1:2 99999999999999999999 Z",
    ],
)  # fmt: skip
def test_nonsense_means_no_wait(header: str) -> None:
    assert politeness.retry_after_seconds(header, 0.0) == 0.0


@settings(deadline=None)
@given(st.one_of(st.text(), st.text("0123456789 :,+-.SunNovGMTZ")), st.floats(0, 1e11))
def test_any_header_gives_a_wait_within_the_limits(header: str, now: float) -> None:
    assert 0.0 <= politeness.retry_after_seconds(header, now) <= MAX_RETRY_AFTER_SECONDS


@settings(deadline=None)
@given(st.integers(0, 4_000_000_000), st.integers(-10_000, 10_000))
def test_a_date_of_now_and_so_many_seconds_is_that_wait(now: int, seconds: int) -> None:
    header = formatdate(max(0, now + seconds), usegmt=True)
    expected = min(max(max(0, now + seconds) - now, 0), MAX_RETRY_AFTER_SECONDS)
    assert politeness.retry_after_seconds(header, float(now)) == expected
