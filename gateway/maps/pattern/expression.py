"""What a compiled expression is to a pattern table, whichever library compiled it."""

from __future__ import annotations

from typing import Protocol


class MatchFailed(Exception):
    """The library gave up: a limit was reached, memory ran out. Neither a match nor none."""


class Pattern(Protocol):
    """One compiled expression; octets are matched.

    Attributes:
        group_count: subexpressions in it.
    """

    @property
    def group_count(self) -> int:
        """See above."""

    def matches(self, text: bytes) -> bool:
        """True when the expression matches somewhere in ``text``.

        Raises:
            MatchFailed: see there.
        """

    def groups(self, text: bytes) -> list[bytes] | None:
        """The whole match and every subexpression, empty where one took no part; None without a match.

        Raises:
            MatchFailed: see there.
        """
