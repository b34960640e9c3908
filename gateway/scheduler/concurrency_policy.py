"""What a transport's parameters say about concurrency."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

FeedbackFunction = Callable[[int], float]


class ConcurrencyPolicy(msgspec.Struct, frozen=True):
    """What a transport's parameters say about its destinations' concurrency; a cohort limit of 0: never dead."""

    initial: int = 5
    limit: int = 20
    positive: FeedbackFunction = lambda _: 1.0
    negative: FeedbackFunction = lambda _: 1.0
    failed_cohort_limit: int = 1
