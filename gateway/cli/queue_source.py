"""The queue as the tools reach it: through the running scheduler, or the spool itself when the mail system is down."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from gateway.cli.console import EX_UNAVAILABLE, Console, Fatal
from gateway.cli.control_client import NotRunning, ask, converse
from gateway.cli.queue_listing import Entry
from gateway.config import Config
from gateway.model.errors import ConfigError, RemoteProtocolError, SpoolError

if TYPE_CHECKING:  # what only a stopped mail system needs is imported then: it would double the time of postqueue
    from gateway.spool import Store
    from gateway.spool.interface import Selection

T = TypeVar("T")

SOCKET = "public/qmgr"
PAGE = 500
BATCH = 500  # requests over one connection: some 50 KB


class Queue:
    """The queue of one configuration.

    Args:
        config: as read. console: for the warning that the mail system is down.
    """

    def __init__(self, config: Config, console: Console) -> None:
        self._directory = config.text("queue_directory")
        self._console = console

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """One request to the scheduler, one answer.

        Raises:
            NotRunning, Refused, RemoteProtocolError.
        """
        for answer in self._stream(op, **fields):
            return answer
        return {}

    def entries(self) -> Iterator[Entry]:
        """All messages, from the scheduler or, when it is down, from the spool.

        Raises:
            Fatal: the mail system is down and the caller may not read the spool.
        """
        try:
            for answer in self._stream("showq"):
                if "queue_id" in answer:
                    yield msgspec.convert(answer, Entry)
        except NotRunning as exc:
            yield from self._stored(exc)

    def change(self, op: str, ids: list[str]) -> list[str]:
        """Hold, release, requeue or delete messages.

        Args:
            op: ``hold release requeue delete``.
        Returns:
            The queue IDs that were changed.
        Raises:
            Refused: not allowed. Fatal: the mail system is down and the caller may not change the spool.
        """
        try:
            return [queue_id for batch in _batches(ids) for queue_id in self._change_some(op, batch)]
        except NotRunning:
            return self._without_scheduler(lambda store: _change_each(store, op, ids))

    def change_all(self, op: str) -> int:
        """The same with every message; returns how many were changed."""
        try:
            return int(self.ask(op, queue_ids="ALL").get("count", 0))
        except NotRunning:
            from gateway.spool.interface import ALL

            return self._without_scheduler(lambda store: _change(store, op, ALL))

    def _change_some(self, op: str, ids: list[str]) -> list[str]:
        """One request for each message, so that we know which of them there were."""
        requests = [{"op": op, "queue_ids": [queue_id]} for queue_id in ids]
        answers = list(converse(self._directory, SOCKET, requests))
        if len(answers) != len(ids):
            raise RemoteProtocolError(f"{len(answers)} answers to {len(ids)} requests")
        return [queue_id for queue_id, answer in zip(ids, answers, strict=True) if answer.get("count")]

    def _stream(self, op: str, **fields: Any) -> Iterator[dict[str, Any]]:
        return ask(self._directory, SOCKET, {"op": op, **fields})

    # --- without the scheduler ---------------------------------------------------------------------------------------

    def _stored(self, why: NotRunning) -> Iterator[Entry]:
        from gateway.master.privileges import become_owner_of
        from gateway.spool.reader import StoreReader

        try:
            become_owner_of(os.path.join(self._directory, "store"))  # reading, too, may make index files
            reader = StoreReader.open(self._directory)
        except (SpoolError, ConfigError) as exc:
            raise Fatal(f"Queue report unavailable - mail system is down ({exc})", EX_UNAVAILABLE) from exc
        self._console.warning(f"Mail system is down -- accessing queue directly ({why})")
        with reader:
            after = ""
            while page := reader.entries(after, PAGE):
                for envelope in page:
                    yield Entry.of(envelope, "hold" if envelope.is_held else "deferred")
                after = page[-1].queue_id

    def _without_scheduler(self, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        """Own the spool for a moment."""
        import asyncio

        from gateway.master.privileges import become_owner_of

        try:
            become_owner_of(os.path.join(self._directory, "store"))
            return asyncio.run(self._own(work))
        except (SpoolError, ConfigError) as exc:
            raise Fatal(f"mail system is down, and the queue cannot be changed: {exc}", EX_UNAVAILABLE) from exc

    async def _own(self, work: Callable[[Store], Coroutine[Any, Any, T]]) -> T:
        from gateway.spool import Store

        store = Store.open(self._directory)
        try:
            return await work(store)
        finally:
            store.close()


def _batches(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), BATCH):
        yield ids[start : start + BATCH]


async def _change_each(store: Store, op: str, ids: list[str]) -> list[str]:
    return [queue_id for queue_id in ids if await _change(store, op, [queue_id])]


async def _change(store: Store, op: str, chosen: list[str] | Selection) -> int:
    now = time.time()
    match op:
        case "hold":
            return await store.hold(chosen, now)
        case "release":
            return await store.release(chosen, now)
        case "requeue":
            return await store.requeue(chosen, now)
        case _:
            return await store.delete(chosen)
