from __future__ import annotations

import pytest

from gateway.model.errors import ConfigError
from gateway.scheduler.concurrency_policy import ConcurrencyPolicy
from gateway.scheduler.feedback import Feedback, parse_feedback


@pytest.mark.parametrize(
    ("text", "at_four"),
    [("1", 1.0), ("0.25", 0.25), ("1/4", 0.25), ("1/concurrency", 0.25), (".5 / concurrency", 0.125),
     ("1/sqrt_concurrency", 0.5), ("0", 0.0)],
)  # fmt: skip
def test_feedback_forms(text: str, at_four: float) -> None:
    assert parse_feedback(text, "p")(4) == pytest.approx(at_four)


@pytest.mark.parametrize("text", ["", "2", "1/0", "4/2", "-1", "x", "1/windows", "concurrency"])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="p: bad feedback"):
        parse_feedback(text, "p")


def test_concurrency_grows_by_one_a_delivery_up_to_the_limit() -> None:
    feedback = Feedback(ConcurrencyPolicy(initial=5, limit=8))
    seen = []
    for _ in range(5):
        feedback.succeed(feedback.concurrency)
        seen.append(feedback.concurrency)
    assert seen == [6, 7, 8, 8, 8]


def test_small_feedback_grows_after_a_whole_cohort() -> None:
    feedback = Feedback(ConcurrencyPolicy(initial=2, limit=20, positive=parse_feedback("1/concurrency", "p")))
    feedback.succeed(2)
    assert feedback.concurrency == 2
    feedback.succeed(2)
    assert feedback.concurrency == 3


def test_concurrency_does_not_grow_beyond_what_is_in_use() -> None:
    feedback = Feedback(ConcurrencyPolicy(initial=2, limit=20))
    for _ in range(10):
        feedback.succeed(1)
    assert feedback.concurrency == 3  # one busy and the initial two


def test_a_whole_cohort_of_failures_is_death() -> None:
    feedback = Feedback(ConcurrencyPolicy(initial=5, limit=20, negative=parse_feedback("0", "p")))
    assert [feedback.fail() for _ in range(5)] == [False, False, False, False, True]
    assert feedback.concurrency == 0
    assert feedback.fail()
    feedback.reset()
    assert feedback.concurrency == 5


def test_failures_lower_the_concurrency_at_once_and_one_success_forgives_the_cohort() -> None:
    feedback = Feedback(ConcurrencyPolicy(initial=5, limit=20, negative=parse_feedback("0.5", "p")))
    feedback.fail()
    assert feedback.concurrency == 4
    feedback.fail()
    assert feedback.concurrency == 4
    feedback.succeed(4)
    assert not feedback.fail()


def test_a_cohort_limit_of_zero_never_kills() -> None:
    feedback = Feedback(ConcurrencyPolicy(initial=2, limit=20, failed_cohort_limit=0))
    assert not any(feedback.fail() for _ in range(50))
    assert feedback.concurrency == 1


def test_initial_concurrency_keeps_to_the_limit() -> None:
    assert Feedback(ConcurrencyPolicy(initial=5, limit=2)).concurrency == 2
