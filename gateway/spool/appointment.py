"""One call to come on an event loop, at the earliest of the times that were asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Appointment:
    """Calls ``call`` once for each time it is made.

    Args:
        loop: on whose thread everything happens.
    """

    __slots__ = ("_call", "_due", "_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
        self._loop, self._call = loop, call
        self._handle: asyncio.Handle | None = None
        self._due = 0.0

    def at(self, due: float) -> None:
        """Not later than at loop time ``due``; 0: at the end of this turn of the loop."""
        if self._handle is not None:
            if due >= self._due:
                return
            self._handle.cancel()
        self._due = due
        self._handle = self._loop.call_at(due, self._keep) if due else self._loop.call_soon(self._keep)

    def within(self, delay_s: float) -> None:
        """Not later than in ``delay_s`` seconds."""
        self.at(self._loop.time() + delay_s)

    def _keep(self) -> None:
        self._handle = None
        self._call()

    def cancel(self) -> None:
        """No call, unless it is asked for again."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
