"""Named event counts of one process."""

from __future__ import annotations


class Counters:
    """Counts by name, such as ``smtpd.connect``; one object a process, handed to whoever counts.

    Cost: one dictionary update. Not for values that go down.
    """

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, name: str, n: int = 1) -> None:
        """Count ``n`` more of ``name``."""
        counts = self._counts
        counts[name] = counts.get(name, 0) + n

    def snapshot(self) -> dict[str, int]:
        """A copy of all counts, by name."""
        return dict(self._counts)
