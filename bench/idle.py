"""Ten thousand idle sessions: what each costs in memory.

Each session has said EHLO and waits. Memory is the PSS of all processes of the mail system before and after, divided
by the sessions. Postfix takes no part: it has one process a session, and ten thousand processes are no comparison.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from peers.ports import LOOPBACK

from bench.rig import GATEWAY, Figure, Rig, memory_bytes, raise_file_limit

SESSIONS = 10_000
_AT_ONCE = 200


class _Idle(asyncio.Protocol):
    """A client that greets and then waits."""

    def __init__(self, is_ready: asyncio.Future[None]) -> None:
        self._is_ready, self._seen = is_ready, b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        had_greeting = b"220 " in self._seen
        self._seen += data
        if not had_greeting and self._seen.endswith(b"\r\n"):
            self.transport.write(b"EHLO idle.peer.example\r\n")
        elif b"\r\n250 " in self._seen and not self._is_ready.done():
            self._is_ready.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_ready.done():
            self._is_ready.set_exception(ConnectionError(f"refused: {self._seen[-200:]!r}"))


async def _open(port: int, count: int) -> list[asyncio.Transport]:
    loop, gate = asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE)

    async def one() -> asyncio.Transport:
        async with gate, asyncio.timeout(60):
            is_ready = loop.create_future()
            transport, _ = await loop.create_connection(lambda: _Idle(is_ready), LOOPBACK, port)
            await is_ready
            return transport

    return list(await asyncio.gather(*(one() for _ in range(count))))


def run(rig: Rig) -> Iterator[Figure]:
    """KB a session, and seconds to open them all."""
    per_session = Figure(
        "idle", "memory a session", "KB", value_target=15.0, is_cost=True, note="Postfix: a process a session, not run"
    )
    if GATEWAY not in rig.options.systems:
        yield per_session
        return
    count = min(rig.count(SESSIONS, least=500), raise_file_limit(SESSIONS + 500) - 200)
    with rig.running(GATEWAY, {}) as instance:

        async def measure() -> float:
            warm = await _open(instance.port, 50)
            before = memory_bytes(instance)
            transports = await _open(instance.port, count)
            value = (memory_bytes(instance) - before) / count / 1024
            for transport in warm + transports:
                transport.abort()
            return value

        value = asyncio.run(measure())
    rig.say(f"idle     {count} sessions: {value:.2f} KB each")
    per_session.name = f"memory a session ({count})"
    per_session.add(GATEWAY, value)
    yield per_session
