"""The open SMTP sessions of a process."""

from __future__ import annotations

import asyncio
from typing import Protocol

CLOSING_GRACE_S = 5.0
SWEEP_S = 1.0
"""How exactly deadlines of sessions are kept."""


class OpenSession(Protocol):
    """What the registry asks of a session."""

    def check(self, now: float) -> None:
        """Enforce the session's deadline; ``now`` is loop time."""

    def stop_when_idle(self) -> None:
        """End now, or with the transaction that is under way."""

    def abort(self) -> None:
        """End now."""


class SessionRegistry:
    """The open sessions of a process: their number is bounded, and a stopping process waits for them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.open: set[OpenSession] = set()
        self.is_stopping = False
        self._sweeper: asyncio.TimerHandle | None = None
        self._empty: asyncio.Event | None = None

    def add(self, protocol: OpenSession) -> bool:
        """Take a session in; False when there are too many."""
        if len(self.open) >= self.limit:
            return False
        self.open.add(protocol)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
        return True

    def _sweep(self) -> None:
        """Ask every session whether its time is up; about a tenth of a millisecond for a thousand of them."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for protocol in tuple(self.open):
            protocol.check(now)
        self._sweeper = loop.call_later(SWEEP_S, self._sweep) if self.open else None

    def discard(self, protocol: OpenSession) -> None:
        """Let a session go."""
        self.open.discard(protocol)
        if not self.open and self._empty is not None:
            self._empty.set()

    async def finish(self, grace_s: float) -> None:
        """Let sessions end: all of them go on until the last seconds; then idle clients get 421, transactions end.

        Args:
            grace_s: seconds in all: minutes at a reload, a few at a stop.
        """
        await self._until_empty(grace_s - CLOSING_GRACE_S)
        self.is_stopping = True
        for protocol in tuple(self.open):
            protocol.stop_when_idle()
        await self._until_empty(min(grace_s, CLOSING_GRACE_S) - 0.5)
        for protocol in tuple(self.open):
            protocol.abort()

    async def _until_empty(self, deadline_s: float) -> None:
        if self.open and deadline_s > 0:
            self._empty = asyncio.Event()
            try:
                await asyncio.wait_for(self._empty.wait(), deadline_s)
            except TimeoutError:
                return
