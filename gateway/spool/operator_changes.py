"""What the operator does to the queue: hold, release, requeue, flush, delete, for a list of messages or all of them.

A million messages are changed a bounded step at a time, and the loop turns between the steps. Source: postsuper(1),
postqueue(1).
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable

from gateway.spool.interface import ALL, QueueState, Selection
from gateway.spool.records import Record

STEP = 200  # messages changed between two turns of the loop: some milliseconds


class OperatorChanges(ABC):
    """The operator's part of a store; the store itself gives the four single steps."""

    @abstractmethod
    def remove(self, queue_id: str) -> asyncio.Future[None]:
        """Forget a message."""

    @abstractmethod
    def _change(self, record: Record) -> asyncio.Future[None]:
        """Store a message's new state."""

    @abstractmethod
    def _record(self, queue_id: str) -> Record | None:
        """A message's present state."""

    @abstractmethod
    def _page(self, after: str, limit: int, state: QueueState | None = None) -> list[Record]:
        """A page of states in order of queue ID."""

    async def hold(self, queue_ids: Iterable[str] | Selection, now: float = 0.0) -> int:
        """Put messages on hold; those that are held already do not count."""
        return await self._restate(queue_ids, lambda r: None if r.is_held else r.with_state(due=r.due, is_held=True))

    async def release(self, queue_ids: Iterable[str] | Selection, now: float) -> int:
        """Take messages off hold, due at ``now``."""
        return await self._restate(queue_ids, lambda r: r.with_state(due=now, is_held=False) if r.is_held else None)

    async def requeue(self, queue_ids: Iterable[str] | Selection, now: float) -> int:
        """Make messages due at ``now``, held ones included (postsuper(1) -r looks into the hold queue too)."""
        return await self._restate(queue_ids, lambda r: r.with_state(due=now, is_held=False))

    async def flush(self, now: float) -> int:
        """Make every message due at ``now`` that is not held and due later."""

        def change(record: Record) -> Record | None:
            return None if record.is_held or record.due <= now else record.with_state(due=now, is_held=False)

        return await self._restate(ALL, change)

    async def delete(self, queue_ids: Iterable[str] | Selection) -> int:
        """Delete messages, durably."""
        count = 0
        async for records in self._steps(queue_ids):
            for future in [self.remove(record.queue_id) for record in records]:
                await future
            count += len(records)
        return count

    async def _restate(self, queue_ids: Iterable[str] | Selection, change: Callable[[Record], Record | None]) -> int:
        """Change the state of messages in steps; durable on return."""
        count = 0
        async for records in self._steps(queue_ids):
            changed = [new for record in records if (new := change(record)) is not None]
            for future in [self._change(record) for record in changed]:
                await future
            count += len(changed)
        return count

    async def _steps(self, queue_ids: Iterable[str] | Selection) -> AsyncIterator[list[Record]]:
        """The selected records, a bounded number at a time; the loop turns in between."""
        if isinstance(queue_ids, Selection):
            after = ""
            while records := self._page(after, STEP):
                after = records[-1].queue_id
                yield records
                await asyncio.sleep(0)
            return
        names = list(dict.fromkeys(queue_ids))
        for start in range(0, len(names), STEP):
            found = [self._record(queue_id) for queue_id in names[start : start + STEP]]
            yield [record for record in found if record is not None]
            await asyncio.sleep(0)
