from __future__ import annotations

import pytest

from gateway.scheduler.backoff import Lifetimes

LIFETIMES = Lifetimes(minimal_backoff_s=300, maximal_backoff_s=4000, queue_lifetime_s=86400, bounce_lifetime_s=3600)


def test_the_interval_doubles_between_its_bounds() -> None:
    now, intervals = 0.0, []
    for _ in range(7):
        due = LIFETIMES.next_due(now, 0.0)
        intervals.append(due - now)
        now = due
    assert intervals == [300, 300, 600, 1200, 2400, 4000, 4000]


def test_a_clock_that_went_back_does_not_make_retries_frequent() -> None:
    assert LIFETIMES.next_due(0.0, 1000.0) == 300


@pytest.mark.parametrize(
    ("age_s", "is_bounce", "expired"),
    [(86399, False, False), (86400, False, True), (3599, True, False), (3600, True, True)],
)
def test_bounces_have_their_own_lifetime(age_s: float, is_bounce: bool, expired: bool) -> None:
    assert LIFETIMES.is_expired(1000 + age_s, 1000, is_bounce=is_bounce) is expired


def test_a_lifetime_of_zero_means_one_attempt() -> None:
    assert Lifetimes(queue_lifetime_s=0).is_expired(5.0, 5.0, is_bounce=False)


def test_warning_time() -> None:
    assert not LIFETIMES.wants_warning(1e9, 0)
    warning = Lifetimes(delay_warning_s=3600)
    assert not warning.wants_warning(3599, 0)
    assert warning.wants_warning(3600, 0)
