"""Idle connections, by next hop: the next message to the same place takes one and skips connect and handshake.

Owns how long and how many. Source: CONNECTION_CACHE_README; ``smtp_connection_cache_time_limit``,
``smtp_connection_reuse_time_limit``, ``smtp_connection_reuse_count_limit``. Postfix waits for traffic before it caches
(``smtp_connection_cache_on_demand``); here a connection that is ready is kept, since keeping it costs nothing.
"""

from __future__ import annotations

import asyncio

from gateway.transport.connection import SmtpConnection
from gateway.transport.settings import ClientSettings

IDLE_LIMIT = 500


class ConnectionPool:
    """Connections that nobody uses now, at most ``idle_limit``."""

    def __init__(self, settings: ClientSettings, *, idle_limit: int = IDLE_LIMIT) -> None:
        self._settings = settings
        self._idle_limit = idle_limit
        self._idle: dict[str, list[SmtpConnection]] = {}
        self._count = 0
        self._sweeper: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return self._count

    def take(self, key: str) -> SmtpConnection | None:
        """The connection to this next hop that was used last, or None."""
        stack = self._idle.get(key)
        if not stack:
            return None
        connection = stack.pop()
        self._count -= 1
        connection.when_ended(None)
        return connection

    def put(self, key: str, connection: SmtpConnection) -> None:
        """Keep a connection for the next message, or let it go when it may not be used again."""
        now = asyncio.get_running_loop().time()
        if self._count >= self._idle_limit or not self._may_keep(key, connection, now):
            connection.leave()
            return
        connection.pool_key = key
        connection.idle_until = now + self._settings.connection_cache_time_limit_s
        connection.when_ended(self._drop)
        self._idle.setdefault(key, []).append(connection)
        self._count += 1
        if self._sweeper is None:
            self._sweep_later()

    def close(self) -> None:
        """Say QUIT on all of them."""
        for stack in self._idle.values():
            for connection in stack:
                connection.leave()
        self._idle.clear()
        self._count = 0
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _may_keep(self, key: str, connection: SmtpConnection, now: float) -> bool:
        settings = self._settings
        return (
            connection.is_usable
            and settings.connection_cache_time_limit_s > 0
            and (settings.connection_cache_on_demand or key in settings.connection_cache_destinations)
            and now - connection.opened < settings.connection_reuse_time_limit_s
            and not 0 < settings.connection_reuse_count_limit <= connection.messages
        )

    def _drop(self, connection: SmtpConnection) -> None:
        """The server ended an idle connection."""
        self._remove(connection)
        connection.close()

    def _remove(self, connection: SmtpConnection) -> None:
        stack = self._idle[connection.pool_key]
        stack.remove(connection)
        self._count -= 1
        if not stack:
            del self._idle[connection.pool_key]

    def _sweep_later(self) -> None:
        delay_s = self._settings.connection_cache_time_limit_s
        self._sweeper = asyncio.get_running_loop().call_later(delay_s, self._sweep)

    def _sweep(self) -> None:
        """Let go of what was idle for too long: one timer for all, so that put and take need none."""
        self._sweeper = None
        now = asyncio.get_running_loop().time()
        for key, stack in list(self._idle.items()):
            # Used last is at the end: those before the first fresh one are all stale.
            fresh = next((at for at, connection in enumerate(stack) if connection.idle_until > now), len(stack))
            for connection in stack[:fresh]:
                connection.leave()
            del stack[:fresh]
            self._count -= fresh
            if not stack:
                del self._idle[key]
        if self._count:
            self._sweep_later()
