"""Idle connections: who gets which, how long they are kept, how many."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from peers.smtp_sink import Script, ScriptedSink

from gateway.config import Config
from gateway.transport.connection import SmtpConnection
from gateway.transport.endpoint import Endpoint
from gateway.transport.handshake import open_session
from gateway.transport.pool import ConnectionPool
from gateway.transport.settings import ClientSettings

pytestmark = pytest.mark.usefixtures("both_loops")  # they differ in when they write and what they raise


def settings(**values: object) -> ClientSettings:
    read = ClientSettings.read(Config.from_settings({"myhostname": "me.example"}))
    return msgspec.structs.replace(read, **values)


async def opened(sink: ScriptedSink, count: int, use: ClientSettings) -> list[SmtpConnection]:
    return [await open_session(Endpoint("sink", "127.0.0.1", sink.port), use) for _ in range(count)]


def test_last_used_first_and_only_for_its_next_hop() -> None:
    async def go() -> None:
        use = settings()
        async with ScriptedSink() as sink:
            pool = ConnectionPool(use)
            first, second, third = await opened(sink, 3, use)
            pool.put("a", first)
            pool.put("a", second)
            pool.put("b", third)
            assert len(pool) == 3
            assert pool.take("c") is None
            assert pool.take("a") is second
            assert pool.take("a") is first
            assert pool.take("a") is None
            assert pool.take("b") is third
            assert len(pool) == 0
            for connection in (first, second, third):
                connection.abort()

    asyncio.run(go())


def test_idle_ones_leave_in_time() -> None:
    async def go() -> None:
        use = settings(connection_cache_time_limit_s=0.05)
        async with ScriptedSink() as sink:
            pool = ConnectionPool(use)
            for at, connection in enumerate(await opened(sink, 3, use)):
                pool.put(f"hop{at % 2}", connection)
            await sink.wait(3, ended=True)
            assert sink.commands.count(b"QUIT") == 3
            assert len(pool) == 0
            assert not pool._idle
            assert pool._sweeper is None

    asyncio.run(go())


def test_number_is_bounded() -> None:
    async def go() -> None:
        use = settings()
        async with ScriptedSink() as sink:
            pool = ConnectionPool(use, idle_limit=2)
            for connection in await opened(sink, 3, use):
                pool.put("a", connection)
            assert len(pool) == 2
            await sink.wait(1, ended=True)
            pool.close()
            await sink.wait(3, ended=True)
            assert sink.commands.count(b"QUIT") == 3

    asyncio.run(go())


def test_too_old_ones_are_not_kept() -> None:
    async def go() -> None:
        use = settings(connection_reuse_time_limit_s=0.0)
        async with ScriptedSink() as sink:
            pool = ConnectionPool(use)
            (connection,) = await opened(sink, 1, use)
            pool.put("a", connection)
            assert len(pool) == 0
            await sink.wait(1, ended=True)

    asyncio.run(go())


def test_server_that_goes_takes_its_connections_out() -> None:
    async def go() -> None:
        use = settings()
        pool = ConnectionPool(use)
        async with ScriptedSink(Script()) as sink:
            for connection in await opened(sink, 3, use):
                pool.put("a", connection)
        async with asyncio.timeout(5):
            while len(pool):
                await asyncio.sleep(0)
        assert pool.take("a") is None
        pool.close()

    asyncio.run(go())
