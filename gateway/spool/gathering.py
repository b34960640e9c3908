"""How long a new message waits for company before its group is committed.

A commit costs the same for one message as for eight: two thread switches, a transaction, an fsync. A disk that answers
in half a millisecond ends one before much has come together, so that on a busy gateway most of the spool's time went
into commits of one or two messages. But who sends alone must not wait for anybody.

The one commit tells the next: those who have just got their answer will be back with their next message, and those who
came meanwhile are here. So many are expected; nobody waits longer than GATHER_S for them after the commit ended, and
who comes later than that does not wait at all. Two senders do not wait for each other either: each would mostly wait in
vain, and they lost a fourth of their rate.
"""

from __future__ import annotations

GATHER_S = 0.002
FEW = 2
ENOUGH = 8
"""Messages that share a commit well enough: waiting for more saves little."""


class Gathering:
    """Counts the messages that wait for a commit, and says when it is time for one. Times are the loop's."""

    __slots__ = ("_expected", "_under_way", "_until", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self._under_way = self._expected = 0
        self._until = 0.0

    def came(self) -> None:
        """A message waits for a commit."""
        self.waiting += 1

    def begun(self) -> None:
        """A group was taken. What it left behind, for it was full, is counted with the group."""
        self._under_way, self.waiting = self.waiting, 0

    def ended(self, now: float) -> None:
        """Its commit ended: its senders are expected back."""
        expected = self._under_way + self.waiting
        self._expected = min(expected, ENOUGH) if expected > FEW else 0
        self._under_way = 0
        self._until = now + GATHER_S

    def due(self, now: float) -> float:
        """When the next group is to begin; 0: at once, for enough are here or nobody else is expected any more."""
        return 0.0 if self.waiting >= self._expected or now >= self._until else self._until
