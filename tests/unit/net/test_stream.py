"""What a pool adds for those who come back: connections that stay with somebody, grow old, and are counted.

How connections are kept, bounded and never confused is tested where tables use them: tests/unit/maps/test_stream.py.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop
from peers.scripted import HANG, ScriptedServer

from gateway.net.endpoint import Endpoint
from gateway.net.stream import PoolLimits, StreamPool

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Owner:
    """Somebody who asks."""


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    return asyncio.run if request.param == "asyncio" else uvloop.run


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Says on which of its connections a question came."""
    numbers: dict[int, int] = {}

    def answer(request: bytes) -> bytes:
        number = numbers.setdefault(threading.get_ident(), len(numbers))
        return b"%d\n" % number

    with ScriptedServer(answer) as server:
        yield server


def pool_for(server: ScriptedServer, **limits: Any) -> StreamPool:
    given: dict[str, Any] = {"connections": 3, "waiting": 10, "idle_s": 60.0} | limits
    return StreamPool(Endpoint("127.0.0.1", server.port), PoolLimits(**given))


def line_end(buffer: bytearray) -> int:
    return buffer.find(b"\n") + 1


async def asked(pool: StreamPool, owner: object | None = None) -> int:
    return int(await pool.ask(b"x\n", line_end, owner=owner))


def test_an_owner_stays_on_its_connection(run: Run, server: ScriptedServer) -> None:
    pool = pool_for(server)
    one, two = Owner(), Owner()

    async def talk() -> list[int]:
        return [await asked(pool, who) for who in (one, two, one, two, None, one, two, None)]

    assert run(talk()) == [0, 1, 0, 1, 2, 0, 1, 2]
    pool.close()


def test_the_connection_of_who_is_gone_is_free(run: Run, server: ScriptedServer) -> None:
    pool = pool_for(server)

    async def talk() -> list[int]:
        return [await asked(pool, Owner()) for _ in range(3)]

    assert run(talk()) == [0, 0, 0]
    pool.close()


def test_owners_share_when_there_are_too_many(run: Run, server: ScriptedServer) -> None:
    pool = pool_for(server)
    owners = [Owner() for _ in range(5)]

    async def talk() -> list[int]:
        return [await asked(pool, who) for who in owners]

    assert run(talk()) == [0, 1, 2, 0, 1]  # the one that was idle longest changes hands
    assert server.connections == 3
    pool.close()


def test_questions_of_a_connection_are_counted(run: Run, server: ScriptedServer) -> None:
    pool = pool_for(server, requests=2)

    async def talk() -> list[int]:
        return [await asked(pool) for _ in range(5)]

    run(talk())
    assert server.connections == 3
    pool.close()


def test_a_connection_has_an_end_however_busy(run: Run, server: ScriptedServer) -> None:
    pool = pool_for(server, life_s=0.0)
    run(asked(pool))
    run(asked(pool))
    assert server.connections == 2
    pool.close()


def test_idle_connections_are_closed_while_nobody_asks(run: Run, server: ScriptedServer) -> None:
    pool = pool_for(server, idle_s=0.05)

    async def talk() -> None:
        await asyncio.gather(asked(pool), asked(pool))
        assert server.open_now == 2
        async with asyncio.timeout(5):
            while server.open_now:
                await asyncio.sleep(0.01)
        await asked(pool)

    run(talk())
    assert server.connections == 3
    pool.close()


def test_a_kept_connection_can_be_asked_without_waiting_for_one(run: Run, server: ScriptedServer) -> None:
    pool = pool_for(server, connections=1)

    async def kept(limit_s: float = 5.0) -> bytes | None:
        return await pool.ask_kept(b"x\n", line_end, limit_s=limit_s)

    async def talk() -> None:
        assert await kept() is None  # none yet
        await asked(pool)
        assert await kept() == b"0\n"
        busy = asyncio.ensure_future(asked(pool))
        await asyncio.sleep(0)
        assert await kept() is None  # no turn
        await busy

    run(talk())
    server.stop()
    assert run(kept()) is None  # closed by now
    pool.close()


@pytest.mark.parametrize("size", [2, 20_000_000], ids=["no answer", "request not read"])
def test_a_kept_connection_is_given_up_when_time_is_up(run: Run, server: ScriptedServer, size: int) -> None:
    pool = pool_for(server)
    run(asked(pool))
    server.answer = lambda request: HANG
    with pytest.raises(TimeoutError):
        run(pool.ask_kept(b"x" * size, line_end, limit_s=0.1))
    assert run(pool.ask_kept(b"x\n", line_end, limit_s=0.1)) is None
    pool.close()


def test_a_timer_does_not_keep_a_pool(run: Run, server: ScriptedServer) -> None:
    async def talk() -> None:
        pool = pool_for(server, idle_s=60.0)  # the timer is still to come
        await asked(pool)
        gone = weakref.ref(pool)
        del pool
        gc.collect()
        assert gone() is None
        async with asyncio.timeout(5):
            while server.open_now:
                await asyncio.sleep(0.01)

    run(talk())
    assert server.open_now == 0


def test_a_timer_that_finds_no_pool_makes_no_other(run: Run, server: ScriptedServer) -> None:
    async def talk() -> None:
        loop = asyncio.get_running_loop()
        failures: list[object] = []
        loop.set_exception_handler(lambda _loop, context: failures.append(context))
        pool = pool_for(server, idle_s=0.02)
        await asked(pool)
        del pool
        gc.collect()
        passed = asyncio.Event()
        loop.call_later(0.05, passed.set)  # later than the pool's own timer
        await asyncio.wait_for(passed.wait(), 5)
        assert failures == []

    run(talk())
