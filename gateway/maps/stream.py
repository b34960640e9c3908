"""Servers that answer one lookup at a time over a stream: connections, kept and bounded, for ``tcp`` and ``socketmap``.

A process asks each endpoint through one :class:`StreamPool`, however many tables of however many services name it. What
is kept are plain sockets, which no event loop owns: the next lookup may come from another loop than the last. A
connection is kept only when a reply was read to its last octet and nothing followed; one that became readable while it
was idle (closed by the server, or a reply that nobody asked for) is never used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from gateway.maps.folding import Folding
from gateway.maps.source import Surroundings
from gateway.maps.table import RemoteTable
from gateway.model.errors import ConfigError, TableError

CONNECTIONS = 10
"""Connections of a process to one endpoint, and so lookups at a time."""
WAITING_LIMIT = 1000
"""Lookups that may wait for a connection; more fail at once."""
CONNECT_S = 30.0
"""For each address of a server: one that swallows packets must not use up the time of the next."""
IDLE_S = 60.0
"""How long an unused connection is kept: less than the memory of firewalls on the way."""
_CHUNK = 1 << 16

_Address = tuple[socket.AddressFamily, str | tuple[object, ...]]

ReplyEnd = Callable[[bytearray], int]
"""Octets of the reply at the start of what was read, 0 while it is incomplete; raises BadReply."""


class BadReply(ValueError):
    """What the server sent is no reply; the text says why."""


class Unreachable(OSError):
    """There is no connection to the server; the error says what the system says."""


class Endpoint(msgspec.Struct, frozen=True):
    """Where a server listens.

    Args:
        host: name or IP address; for a UNIX-domain socket its path.
        port: 0 for a UNIX-domain socket.
    """

    host: str
    port: int = 0

    @classmethod
    def tcp(cls, spec: str, text: str) -> Endpoint:
        """``host:port`` with a number or a service name, ``[address]:port``; no host is this one.

        Raises:
            ConfigError: there is no port, or none of that name.
        """
        host, colon, service = text.rpartition(":")
        if service.isascii() and service.isdigit():
            port = int(service) if len(service) <= 5 else 0
        else:
            try:
                port = socket.getservbyname(service, "tcp")
            except (OSError, UnicodeError, ValueError):
                port = 0
        if not colon or not 0 < port < 1 << 16:
            raise ConfigError(f'table {spec}: "{text}": expected host:port')
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        return cls(host or "localhost", port)

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class StreamPool:
    """The connections of this process to one endpoint; :meth:`lease` one."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._leases = 0
        self._waiting = 0
        self._idle: list[tuple[socket.socket, float]] = []
        # A semaphore belongs to the loop that first had to wait for it.
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            weakref.WeakKeyDictionary()
        )
        self._names: ThreadPoolExecutor | None = None
        weakref.finalize(self, _close_all, self._idle)

    @classmethod
    def lease(cls, endpoint: Endpoint) -> StreamPool:
        """The pool of the endpoint; whoever leases it calls :meth:`release` once."""
        pool = _POOLS.get(endpoint)
        if pool is None:
            pool = _POOLS[endpoint] = cls(endpoint)
        pool._leases += 1
        return pool

    def release(self) -> None:
        """Give it back; the last one closes the connections."""
        self._leases -= 1
        if self._leases <= 0:
            _close_all(self._idle)
            if self._names is not None:
                self._names.shutdown(wait=False, cancel_futures=True)
                self._names = None

    async def ask(self, request: bytes, end: ReplyEnd, *, limit_s: float | None = None) -> bytes:
        """The reply to ``request``, on a connection of its own for so long.

        A kept connection that turns out to be closed costs nothing but one more; a new one that is closed does not get
        a second chance.

        Args:
            request: what is sent.
            end: finds the end of the reply.
            limit_s: from the moment there is a connection, or one is looked for; None where the caller has a deadline.

        Raises:
            BadReply: what came is no reply.
            Unreachable: no connection.
            OSError: it was lost, or time is up, or too many wait already.
        """
        if self._waiting >= WAITING_LIMIT:
            raise OSError(f"{self._waiting} lookups are waiting already")
        self._waiting += 1
        loop = asyncio.get_running_loop()
        turn = self._turns.get(loop)
        if turn is None:
            turn = self._turns[loop] = asyncio.Semaphore(CONNECTIONS)
        try:
            await turn.acquire()
        finally:
            self._waiting -= 1
        try:
            async with asyncio.timeout(limit_s):
                kept = self._kept()
                if kept is not None:
                    with contextlib.suppress(ConnectionError):
                        return await self._exchange(kept, request, end)
                return await self._exchange(await self._connected(), request, end)
        except TimeoutError as error:
            raise OSError(f"no answer within {limit_s:g}s" if limit_s else "Connection timed out") from error
        finally:
            turn.release()

    async def _exchange(self, connection: socket.socket, request: bytes, end: ReplyEnd) -> bytes:
        loop, buffer = asyncio.get_running_loop(), bytearray()
        try:
            await loop.sock_sendall(connection, request)
            while not (size := end(buffer)):
                received = await loop.sock_recv(connection, _CHUNK)
                if not received:
                    raise ConnectionError("the server closed the connection")
                buffer += received
        except BaseException:
            # The rest of a reply that nobody waits for must never become the answer to another key.
            connection.close()
            raise
        if len(buffer) == size:
            self._idle.append((connection, time.monotonic()))
        else:
            connection.close()
        return bytes(buffer[:size])

    def _kept(self) -> socket.socket | None:
        oldest = time.monotonic() - IDLE_S
        while self._idle and self._idle[0][1] < oldest:
            self._idle.pop(0)[0].close()
        while self._idle:
            connection, _ = self._idle.pop()
            try:
                connection.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return connection
            except OSError:
                pass
            connection.close()
        return None

    async def _connected(self) -> socket.socket:
        error = OSError("the name has no address")
        try:
            for family, address in await self._addresses():
                try:
                    return await _connect(family, address)
                except OSError as refused:
                    error = refused
        except OSError as unknown:
            error = unknown
        raise Unreachable(error.errno or 0, error.strerror or str(error)) from error

    async def _addresses(self) -> list[_Address]:
        host, port = self.endpoint.host, self.endpoint.port
        if not port:
            return [(socket.AF_UNIX, host)]
        try:
            return _looked_up(host, port, socket.AI_NUMERICHOST)
        except OSError:
            # A name. In a thread of its own: the resolver may hang, and nothing else is to wait for it.
            if self._names is None:
                self._names = ThreadPoolExecutor(1, thread_name_prefix=f"resolve {host}")
            return await asyncio.get_running_loop().run_in_executor(self._names, _looked_up, host, port)


# One for each endpoint in a process: tables of the same server share its connections, whichever service opened them.
_POOLS: weakref.WeakValueDictionary[Endpoint, StreamPool] = weakref.WeakValueDictionary()


async def _connect(family: socket.AddressFamily, address: str | tuple[object, ...]) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(CONNECT_S):
            await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException as error:
        connection.close()
        if isinstance(error, TimeoutError):
            raise OSError("Connection timed out") from error
        raise
    return connection


def _looked_up(host: str, port: int, flags: int = 0) -> list[_Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as error:
        raise OSError(f'"{host}" is no host name') from error
    return [(family, address) for family, _, _, _, address in found]


def _close_all(idle: list[tuple[socket.socket, float]]) -> None:
    while idle:
        idle.pop()[0].close()


class StreamTable(RemoteTable):
    """What tables that ask over a stream have in common: keys are sent whole, and keep their case, as in Postfix.

    Args:
        endpoint: of the server.
        around: for ``smtputf8_enable``.
        folds: they do not keep it.
    """

    is_pattern = True

    def __init__(self, spec: str, endpoint: Endpoint, around: Surroundings, *, folds: bool = False) -> None:
        super().__init__(spec)
        self._folding = Folding(around.config)
        self._folding.folds = folds
        self._pool = StreamPool.lease(endpoint)
        self._is_closed = False

    def octets(self, key: str) -> bytes | None:
        """The key as it is sent; None when it can be in no table."""
        return self._folding.octets(key)

    async def ask(self, request: bytes, end: ReplyEnd, *, limit_s: float | None = None) -> bytes:
        """As :meth:`StreamPool.ask`.

        Raises:
            TableError: no reply; caused by one of the errors there.
        """
        try:
            return await self._pool.ask(request, end, limit_s=limit_s)
        except BadReply as error:
            raise TableError(self.spec, f"{self._pool.endpoint}: bad reply: {error}") from error
        except OSError as error:
            cause = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
            raise TableError(self.spec, f"{self._pool.endpoint}: {cause}") from error

    def value(self, raw: bytes) -> str:
        """The text of a value.

        Raises:
            TableError: it is empty, which the daemons of Postfix take for an error too, has a NUL, or is not UTF-8
                and must be.
        """
        if not raw or b"\0" in raw:
            raise TableError(self.spec, "a value that is empty or has a NUL")
        return self._folding.value(self.spec, raw)

    async def close(self) -> None:
        """Close the connections, unless another table needs them."""
        if not self._is_closed:
            self._is_closed = True
            self._pool.release()
