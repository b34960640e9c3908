"""A place that a worker fills: watched, and filled again with back-off when the worker dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.config import Config
from gateway.master.child import Child, describe
from gateway.observe import Logger

BACKOFF_FIRST_S = 0.1
BACKOFF_LIMIT_S = 60.0
"""Longest pause before a worker that never became ready is tried again."""
BACKOFF_READY_LIMIT_S = 2.0
"""The same for one that did serve: its clients wait."""
STABLE_S = 2.0
"""A worker that lived this long starts the back-off anew."""


class Slot:
    """One worker's place.

    Args:
        role, index: what runs here; ``index`` picks the sockets.
        config: what its workers get.
        spawn: starts a worker for this slot.
        log: where deaths are reported.
    """

    def __init__(self, role: str, index: int, config: Config, spawn: Callable[[Slot], Child], log: Logger) -> None:
        self.role, self.index, self.config = role, index, config
        self.restarts = 0
        self._spawn, self._log = spawn, log
        self._backoff_s = BACKOFF_FIRST_S
        self._supervisor: asyncio.Task[None] | None = None
        self.child = spawn(self)

    def supervise(self) -> None:
        """From now on replace the worker whenever it ends."""
        self._supervisor = asyncio.get_running_loop().create_task(self._replace_forever())

    def stop(self, drain_s: float) -> asyncio.Future[int]:
        """Replace it no more and have it finish; returns the future of its exit code."""
        if self._supervisor:
            self._supervisor.cancel()
        self.child.stop(drain_s)
        return self.child.exit

    async def _replace_forever(self) -> None:
        while True:
            code = await asyncio.shield(self.child.exit)
            problem = await asyncio.shield(self.child.is_up)
            self._log.warning(describe(self.role, self.child.pid, code))
            if problem and self.child.problem:
                self._log.warning(f"{self.role}: {self.child.problem}")
            pause_s = self._pause(was_ready=problem is None)
            if pause_s > 1:
                self._log.warning(f"process {self.role}: bad command startup -- throttling for {pause_s:g}s")
            await asyncio.sleep(pause_s)
            self.child = self._spawn(self)
            self.restarts += 1

    def _pause(self, *, was_ready: bool) -> float:
        """Seconds until the next try: doubled with each early death."""
        lived_s = asyncio.get_running_loop().time() - self.child.started
        if was_ready and lived_s >= STABLE_S:
            self._backoff_s = BACKOFF_FIRST_S
        pause_s = self._backoff_s
        self._backoff_s = min(pause_s * 2, BACKOFF_READY_LIMIT_S if was_ready else BACKOFF_LIMIT_S)
        return pause_s
