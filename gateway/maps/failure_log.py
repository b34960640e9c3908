"""Says in the log that a table, or who else was asked, fails: when it begins, once a minute, and when it is over.

A failing table is asked by every message, and each gets its own temporary error; one line for each would hide what else
is wrong. Source: maps(3) logs each "lookup error"; what is added here is the limit.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.model.errors import TableError

REPEAT_S = 60.0
SOURCES_LIMIT = 1000


class _State(msgspec.Struct):
    next_report: float
    unreported: int = 0
    total: int = 0


class FailureLog:
    """The failing tables of one configuration.

    Args:
        warn: takes a warning's text.
        clock: monotonic seconds.
    """

    def __init__(self, warn: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._warn, self._clock = warn, clock
        self._failing: dict[str, _State] = {}

    def failed(self, error: TableError, key: str) -> None:
        """A lookup of ``key`` failed; the error names the table, which may be a member of the one that was asked."""
        self.report(error.table, f'{error}; it was asked for "{key}"')

    def report(self, source: str, text: str) -> None:
        """A lookup failed at ``source``, a table or a server; ``text`` says all that is to be said."""
        state = self._failing.get(source)
        if state is None:
            if len(self._failing) >= SOURCES_LIMIT:
                self._failing.clear()
            state = self._failing[source] = _State(self._clock())
        state.total += 1
        now = self._clock()
        if now < state.next_report:
            state.unreported += 1
            return
        more = f"; {state.unreported} more failed since the last such line" if state.unreported else ""
        state.next_report, state.unreported = now + REPEAT_S, 0
        self._warn(f"{text}{more}")

    def answered(self, table: str) -> None:
        """A lookup worked."""
        state = self._failing.pop(table, None)
        if state is not None:
            self._warn(f"table {table}: answers again, after {state.total} failed lookup(s)")
