"""Events: the little that they do."""

from __future__ import annotations

from gateway.proto.smtp_events import QUESTIONS, EarlyInput, Hello, Noop


def test_early_input_is_printable_and_bounded() -> None:
    assert EarlyInput.after("NOOP", b"a\r\n\x00\xff\\") == EarlyInput("NOOP", "a\\r\\n\\x00\\\\xff\\\\")
    assert len(EarlyInput.after("NOOP", b"\0" * 5000).data) == 400


def test_questions_are_the_events_that_wait() -> None:
    assert Hello in QUESTIONS
    assert Noop not in QUESTIONS
