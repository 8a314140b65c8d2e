"""What people are told of a failure: short, and safe to print."""

from __future__ import annotations

from crawler.transports.failures import describe, explain


def test_an_error_text_is_short_and_safe_to_print() -> None:
    text = describe(ValueError("\x1b[31m\x9b\x7f\n\u202e\ud800 <socket at 0x7f00deadbeef> " + "x" * 10_000))
    assert text.startswith("ValueError: \\u001b[31m\\u009b\\u007f\\u000a\\u202e\\ud800 <socket> xxx")
    assert len(text) == 300


def test_a_chain_that_bites_its_tail_is_explained() -> None:
    error = RuntimeError("a")
    error.__cause__ = ValueError("b")
    error.__cause__.__context__ = error
    assert explain(error, ()) == ("internal-error", "RuntimeError: a")
