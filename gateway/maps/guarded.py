"""A plugin's table behind the contract of our own: a deadline, and no other exception than TableError.

Callers ask tables in the middle of a command, some of them before there is a task (:mod:`gateway.net.eager`); a lookup
that waits gets a task of its own, so that ``asyncio.timeout`` and the like work in it.
"""

from __future__ import annotations

import asyncio

from gateway.maps.failure_log import FailureLog
from gateway.maps.table import Table
from gateway.model.errors import TableError
from gateway.net.eager import with_deadline


class GuardedTable(Table):
    """Asks ``table``, which somebody else wrote.

    Args:
        spec: as configured.
        table: asked for each key.
        deadline_s: longest lookup (``plugin_timeout``).
        failures: told when lookups fail, and when they work again.

    Attributes:
        table: the plugin's.
    """

    def __init__(self, spec: str, table: Table, deadline_s: float, failures: FailureLog) -> None:
        super().__init__(spec)
        self.is_pattern = table.is_pattern
        self.table, self._deadline_s, self._failures = table, deadline_s, failures
        self._is_failing = False

    async def find(self, key: str) -> str | None:
        """What the table says; TableError when it fails, hangs, or says what is no text."""
        try:
            value = await self._answer(key)
        except TableError as error:
            self._is_failing = True
            self._failures.failed(error, key)
            raise
        if self._is_failing:
            self._is_failing = False
            self._failures.answered(self.spec)
        return value

    async def _answer(self, key: str) -> str | None:
        task = asyncio.ensure_future(self._ask(key))
        try:
            value = await with_deadline(task, self._deadline_s)
        except TableError:
            raise
        except asyncio.CancelledError as exc:
            here = asyncio.current_task()
            if not task.cancelled() or (here is not None and here.cancelling()):
                raise
            raise TableError(self.spec, "lookup was cancelled by itself") from exc
        except Exception as exc:
            raise TableError(self.spec, f"{type(exc).__name__}: {exc}") from exc
        if value is not None and not isinstance(value, str):
            raise TableError(self.spec, f"returned {type(value).__name__}, a str or None is wanted")
        return value

    async def _ask(self, key: str) -> object:
        return await self.table.find(key)

    async def close(self) -> None:
        """Close the plugin's table."""
        await self.table.close()
