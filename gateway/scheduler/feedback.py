"""Concurrency feedback: how many deliveries at a time one destination gets, and when it counts as dead.

Source: SCHEDULER_README, "Summary of the Postfix 2.5 concurrency feedback algorithm" and its "dead destination"
detection. Deliveries that the next hop answered, whatever it said, are positive; a failed connection or handshake is
negative.
"""

from __future__ import annotations

import math
import re

from gateway.model.errors import ConfigError
from gateway.scheduler.concurrency_policy import ConcurrencyPolicy, FeedbackFunction

UNLIMITED = 1_000_000
_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_FEEDBACK = re.compile(rf"{_NUMBER}\s*(?:/\s*(?:(sqrt_)?concurrency|{_NUMBER}))?")


def parse_feedback(text: str, parameter: str) -> FeedbackFunction:
    """Read ``1``, ``1/4``, ``0.5/concurrency`` or ``1/sqrt_concurrency`` as a function of the concurrency.

    Raises:
        ConfigError: any other form, or a number outside 0 … 1.
    """
    match = _FEEDBACK.fullmatch(text.strip())
    amount = float(match[1]) if match else -1.0
    if match is not None and match[3]:
        amount = amount / float(match[3]) if float(match[3]) else -1.0
    if match is None or not 0 <= amount <= 1:
        raise ConfigError(
            f"bad feedback {text!r}: want a number from 0 to 1, number/concurrency or number/sqrt_concurrency",
            parameter=parameter,
        )
    if match[2]:
        return lambda concurrency: amount / math.sqrt(concurrency)
    if text.rstrip().endswith("concurrency"):
        return lambda concurrency: amount / concurrency
    return lambda _: amount


class Feedback:
    """The concurrency of one destination as it changes with what its deliveries report."""

    __slots__ = ("_failed_cohorts", "_failure", "_policy", "_success", "concurrency")

    def __init__(self, policy: ConcurrencyPolicy) -> None:
        self._policy = policy
        self.reset()

    def reset(self) -> None:
        """Start again, after a dead destination's time of rest."""
        self.concurrency = min(self._policy.initial, self._policy.limit)
        self._success = self._failure = self._failed_cohorts = 0.0

    def succeed(self, busy: int) -> None:
        """The next hop answered. ``busy``: deliveries to it that are running, this one included."""
        policy = self._policy
        self._failed_cohorts = 0.0
        # Growing beyond what is in use would make the next negative feedback come too late.
        if self.concurrency >= policy.limit or self.concurrency >= busy + policy.initial:
            return
        self._success += policy.positive(self.concurrency)
        while self._success >= 1:
            self.concurrency += 1
            self._failure = 0.0
            self._success -= 1
        self.concurrency = min(self.concurrency, policy.limit)

    def fail(self) -> bool:
        """The next hop could not be reached, or did not speak sense. True: it is dead (concurrency 0) for now."""
        if self.concurrency <= 0:
            return True
        policy = self._policy
        self._failed_cohorts += 1.0 / self.concurrency
        # A hair below the limit counts as reached: five times one fifth is less than one in binary.
        if 0 < policy.failed_cohort_limit < self._failed_cohorts + 1e-9:
            self.concurrency = 0
            return True
        self._failure -= policy.negative(self.concurrency)
        while self._failure < 0:
            self.concurrency -= 1
            self._failure += 1
            self._success = 0.0
        self.concurrency = max(self.concurrency, 1)
        return False
