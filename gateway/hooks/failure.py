"""What happens when a plugin fails: a policy for each plugin and stage, and a breaker for a plugin that is ill.

Postfix's ``milter_default_action`` is the model; each fail-open is counted and logged.
"""

from __future__ import annotations

from enum import Enum

from gateway.model.verdict import Verdict

PUBLIC_TEXT = "Service unavailable - try again later"


class FailurePolicy(Enum):
    """Values of ``plugin_default_action``."""

    TEMPFAIL = "tempfail"  # 451 4.3.0
    ACCEPT = "accept"  # go on as if the plugin had no opinion
    REJECT = "reject"  # 554 5.3.0
    HOLD = "hold"  # accept into the hold queue
    SHUTDOWN = "shutdown"  # 421 4.3.0 and close the connection
    SKIP = "skip"  # as accept, and leave the plugin out for the rest of the connection

    @property
    def is_open(self) -> bool:
        """True when mail goes on unchecked."""
        return self is FailurePolicy.ACCEPT or self is FailurePolicy.SKIP


def failure_verdict(policy: FailurePolicy, reason: str) -> Verdict | None:
    """The verdict that stands in for a failed plugin's, or None for the open policies."""
    match policy:
        case FailurePolicy.TEMPFAIL:
            return Verdict.defer(PUBLIC_TEXT, code=451, enhanced="4.3.0", reason=reason)
        case FailurePolicy.REJECT:
            return Verdict.reject("Service unavailable", code=554, enhanced="5.3.0", reason=reason)
        case FailurePolicy.SHUTDOWN:
            verdict = Verdict.defer(PUBLIC_TEXT, code=421, enhanced="4.3.0", reason=reason)
            return Verdict(verdict.action, verdict.text, 421, "4.3.0", reason, close=True)
        case FailurePolicy.HOLD:
            return Verdict.hold(reason)
        case FailurePolicy.ACCEPT | FailurePolicy.SKIP:
            return None


class PluginSuspended(Exception):
    """The breaker is open: the plugin was not asked."""


class Breaker:
    """Stops calling a plugin after ``limit`` failures in a row, for ``reset_s`` seconds; then one call tries again.

    Args:
        limit: failures in a row (``plugin_breaker_failures``); 0 never opens.
        reset_s: seconds without a call (``plugin_breaker_reset``).
    """

    __slots__ = ("_limit", "_reset_s", "failures", "open_until")

    def __init__(self, limit: int, reset_s: float) -> None:
        self._limit, self._reset_s = limit, reset_s
        self.failures = 0
        self.open_until = 0.0

    def admit(self, now: float) -> None:
        """Raise PluginSuspended while open; a trial call re-arms it first, so one caller at a time tries."""
        if not self.open_until:
            return
        if now < self.open_until:
            raise PluginSuspended(f"suspended after {self.failures} failures in a row")
        self.open_until = now + self._reset_s

    def succeeded(self) -> bool:
        """Count a good call; True when it closed an open breaker."""
        was_open = self.open_until > 0
        self.failures, self.open_until = 0, 0.0
        return was_open

    def failed(self, now: float) -> bool:
        """Count a failure; True when it opened the breaker."""
        self.failures += 1
        if not self._limit or self.failures < self._limit:
            return False
        was_open = self.open_until > 0
        self.open_until = now + self._reset_s
        return not was_open
