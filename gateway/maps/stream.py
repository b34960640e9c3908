"""Servers that answer one lookup at a time over a stream: connections, kept and bounded, for ``tcp`` and ``socketmap``.

A process asks each endpoint through one :class:`StreamPool`, however many tables of however many services name it. A
connection is kept only when a reply was read to its last octet and nothing followed; one that becomes readable while it
is idle (closed by the server, or a reply that nobody asked for) is never used again. Connections are plain sockets that
the loop watches, for no loop owns those: the next lookup may come from another loop than the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import weakref
from collections.abc import Callable

from gateway.maps.endpoint import Dialer, Endpoint, system_text
from gateway.maps.folding import Folding
from gateway.maps.source import Surroundings
from gateway.maps.table import RemoteTable
from gateway.model.errors import TableError

CONNECTIONS = 10
"""Connections of a process to one endpoint, and so lookups at a time."""
WAITING_LIMIT = 1000
"""Lookups that may wait for a connection; more fail at once."""
IDLE_S = 60.0
"""How long an unused connection is kept: less than the memory of firewalls on the way."""
_CHUNK = 1 << 16

ReplyEnd = Callable[[bytearray], int]
"""Octets of the reply at the start of what was read, 0 while it is incomplete; raises BadReply."""


class BadReply(ValueError):
    """What the server sent is no reply; the text says why."""


class _Connection:
    """One socket, watched by the event loop that used it last; by another one as soon as that is closed."""

    def __init__(self, connection: socket.socket) -> None:
        self.is_open = True
        self.idle_since = 0.0
        self._socket = connection
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: ReplyEnd = len
        self._waiter: asyncio.Future[bytes] | None = None
        self._buffer = bytearray()

    def is_usable(self, loop: asyncio.AbstractEventLoop) -> bool:
        """False when another loop, of another thread, is watching it."""
        return self._loop is loop or self._loop is None or self._loop.is_closed()

    def is_silent(self) -> bool:
        """False when there is something to read, which nobody asked for, or the end; then it is closed."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return self.is_open
        except OSError:
            pass
        self.close()
        return False

    async def ask(self, request: bytes, end: ReplyEnd) -> bytes:
        """The reply to ``request``; without one, whatever the reason, the connection is closed."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.add_reader(self._socket.fileno(), self._readable)
        self._end, self._waiter = end, loop.create_future()
        try:
            try:
                sent = self._socket.send(request)
            except BlockingIOError:
                sent = 0
            if sent < len(request):
                await loop.sock_sendall(self._socket, request[sent:])
            return await self._waiter
        except BaseException:
            # The rest of a reply that nobody waits for must never become the answer to another key.
            self.close()
            raise

    def close(self) -> None:
        """Stop watching; whoever waits gets nothing."""
        if not self.is_open:
            return
        self.is_open = False
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.cancel()

    def _readable(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            self.close()
            return
        try:
            size = self._read()
        except BlockingIOError:
            return
        except (OSError, BadReply) as error:
            waiter.set_exception(error)
            self.close()
            return
        self._waiter = None
        waiter.set_result(bytes(self._buffer[:size]))
        if len(self._buffer) > size:
            self.close()
        self._buffer.clear()

    def _read(self) -> int:
        # As long as there is something: of data and an error behind it, uvloop tells once.
        while True:
            received = self._socket.recv(_CHUNK)
            if not received:
                raise ConnectionError("the server closed the connection")
            self._buffer += received
            size = self._end(self._buffer)
            if size:
                return size


class StreamPool:
    """The connections of this process to one endpoint; :meth:`lease` one."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._leases = 0
        self._waiting = 0
        self._idle: list[_Connection] = []
        # A semaphore belongs to the loop that first had to wait for it.
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            weakref.WeakKeyDictionary()
        )
        self._dialer = Dialer(endpoint)
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
            self._dialer.close()

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
        loop = asyncio.get_running_loop()
        turn = self._turns.get(loop)
        if turn is None:
            turn = self._turns[loop] = asyncio.Semaphore(CONNECTIONS)
        if turn.locked():
            if self._waiting >= WAITING_LIMIT:
                raise OSError(f"{self._waiting} lookups are waiting already")
            self._waiting += 1
            try:
                await turn.acquire()
            finally:
                self._waiting -= 1
        else:
            await turn.acquire()
        try:
            if limit_s is None:
                return await self._answer(loop, request, end)
            async with asyncio.timeout(limit_s):
                return await self._answer(loop, request, end)
        except TimeoutError as error:
            raise OSError(f"no answer within {limit_s:g}s" if limit_s else "Connection timed out") from error
        finally:
            turn.release()

    async def _answer(self, loop: asyncio.AbstractEventLoop, request: bytes, end: ReplyEnd) -> bytes:
        kept = self._kept(loop)
        if kept is not None:
            with contextlib.suppress(ConnectionError):
                return await self._exchange(kept, request, end)
        return await self._exchange(_Connection(await self._dialer.connect()), request, end)

    async def _exchange(self, connection: _Connection, request: bytes, end: ReplyEnd) -> bytes:
        reply = await connection.ask(request, end)
        if connection.is_open:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        return reply

    def _kept(self, loop: asyncio.AbstractEventLoop) -> _Connection | None:
        oldest = time.monotonic() - IDLE_S
        for at in range(len(self._idle) - 1, -1, -1):
            connection = self._idle[at]
            if not connection.is_usable(loop):
                continue
            del self._idle[at]
            if connection.idle_since < oldest:
                connection.close()
            elif connection.is_open and connection.is_silent():
                return connection
        return None


# One for each endpoint in a process: tables of the same server share its connections, whichever service opened them.
_POOLS: weakref.WeakValueDictionary[Endpoint, StreamPool] = weakref.WeakValueDictionary()


def _close_all(idle: list[_Connection]) -> None:
    while idle:
        idle.pop().close()


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
            raise TableError(self.spec, f"{self._pool.endpoint}: {system_text(error)}") from error

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
