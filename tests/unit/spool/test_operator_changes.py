from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from gateway.model.content import Content
from gateway.model.envelope import Envelope
from gateway.spool.interface import ALL, QueueState
from gateway.spool.store import Store

Mail = Callable[..., tuple[Envelope, Content]]
NOW = 1_900_000_000.0


def test_hold_release_requeue_flush_delete(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        mail = [make_mail(due=NOW + 1000 + n) for n in range(6)]
        await asyncio.gather(*(store.put(*one) for one in mail))
        names = [envelope.queue_id for envelope, _ in mail]

        def due() -> list[str]:
            return [envelope.queue_id for envelope in store.due(NOW, 100)]

        assert await store.hold([names[0], names[1], names[1], "unknown0"], NOW) == 2
        assert await store.hold(names[:2], NOW) == 0, "held already"
        assert store.counts() == {"deferred": 4, "hold": 2}
        assert [e.is_held for e in store.entries(state=QueueState.HOLD)] == [True, True]
        assert await store.release([names[0], names[5]], NOW) == 1
        assert due() == [names[0]]
        assert await store.requeue([names[1], names[2]], NOW) == 2
        assert sorted(due()) == names[:3]
        assert await store.hold([names[3]], NOW) == 1
        assert await store.flush(NOW) == 2
        assert sorted(due()) == [*names[:3], *names[4:]]
        assert await store.delete([names[0], "unknown0"]) == 1
        assert await store.hold(ALL, NOW) == 4
        assert due() == []
        assert await store.release(ALL, NOW) == 5
        assert await store.requeue(ALL, NOW) == 5
        assert await store.delete(ALL) == 5
        assert store.counts() == {"deferred": 0, "hold": 0}
        store.close()

    asyncio.run(run())


def test_a_large_queue_is_changed_in_steps(tmp_path: Path, make_mail: Mail) -> None:
    async def run() -> None:
        store = Store.open(str(tmp_path))
        await asyncio.gather(*(store.put(*make_mail()) for _ in range(1000)))
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counter = asyncio.create_task(count_turns())
        assert await store.hold(ALL, NOW) == 1000
        assert await store.delete(ALL) == 1000
        counter.cancel()
        assert turns > 20
        assert store.entries() == []
        store.close()

    asyncio.run(run())
