"""When a deferred message is tried again, and when it is too old.

Pure arithmetic on seconds. Source: postconf(5) minimal_backoff_time, maximal_backoff_time, maximal_queue_lifetime,
bounce_queue_lifetime, delay_warning_time.
"""

from __future__ import annotations

import msgspec


class Lifetimes(msgspec.Struct, frozen=True, gc=False):
    """The five times that shape a message's life in the queue, in seconds."""

    minimal_backoff_s: float = 300.0
    maximal_backoff_s: float = 4000.0
    queue_lifetime_s: float = 432000.0
    bounce_lifetime_s: float = 432000.0
    delay_warning_s: float = 0.0

    def next_due(self, now: float, arrival: float) -> float:
        """The time of the next attempt: as far ahead as the message is old, within the two back-off times.

        The interval so doubles with each attempt, as qmgr(8) has it, without a counter to keep.
        """
        age_s = now - arrival
        return now + min(max(age_s, self.minimal_backoff_s), self.maximal_backoff_s)

    def is_expired(self, now: float, arrival: float, *, is_bounce: bool) -> bool:
        """True when a message that is still undelivered has to be given up; bounces have their own lifetime."""
        return now - arrival >= (self.bounce_lifetime_s if is_bounce else self.queue_lifetime_s)

    def wants_warning(self, now: float, arrival: float) -> bool:
        """True when the sender is to hear that the mail is late; never when ``delay_warning_time`` is 0."""
        return 0 < self.delay_warning_s <= now - arrival
