"""Servers that answer one question at a time over a stream: connections, kept and bounded.

For the tables ``tcp``, ``socketmap`` and ``memcache``, and for policy servers. A connection is kept only when a reply
was read to its last octet and nothing followed; one that becomes readable while it is idle (closed by the server, or a
reply that nobody asked for) is never used again. Connections are plain sockets that the loop watches, for no loop owns
those: the next question may come from another loop than the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import weakref
from collections.abc import Callable

import msgspec

from gateway.net.eager import with_deadline
from gateway.net.endpoint import Dialer, Endpoint

_CHUNK = 1 << 16

ReplyEnd = Callable[[bytearray], int]
"""Octets of the reply at the start of what was read, 0 while it is incomplete; ValueError (BadReply): it is none."""


class BadReply(ValueError):
    """What the server sent is no reply; the text says why."""


class PoolLimits(msgspec.Struct, frozen=True):
    """Bounds of a pool.

    Args:
        connections: to the server, and so questions at a time.
        waiting: questions that may wait for a connection; more fail at once.
        idle_s: how long an unused connection is kept.
        life_s: how long a connection is used at all.
        requests: asked on one connection; 0 for any number.
    """

    connections: int
    waiting: int
    idle_s: float
    life_s: float = float("inf")
    requests: int = 0


class StreamConnection:
    """One socket, watched by the event loop that used it last; by another one as soon as that is closed.

    Attributes:
        opened, idle_since: monotonic seconds.
        asked: questions so far.
        owner: who asked last.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.is_open = True
        self.opened = self.idle_since = time.monotonic()
        self.asked = 0
        self.owner: weakref.ref[object] | None = None
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

    async def ask(self, request: bytes, end: ReplyEnd, limit_s: float | None = None) -> bytes:
        """The reply to ``request``; without one, whatever the reason, the connection is closed.

        Raises:
            TimeoutError: ``limit_s`` is over.
            OSError, ValueError: as :meth:`StreamPool.ask`.
        """
        self.asked += 1
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.add_reader(self._socket.fileno(), self._readable)
        self._end, self._waiter = end, loop.create_future()
        timer = None if limit_s is None else loop.call_later(limit_s, self._give_up)
        try:
            try:
                sent = self._socket.send(request)
            except BlockingIOError:
                sent = 0
            if sent < len(request):
                rest = loop.sock_sendall(self._socket, request[sent:])
                await (rest if limit_s is None else with_deadline(rest, limit_s))
            return await self._waiter
        except BaseException:
            # The rest of a reply that nobody waits for must never become the answer to another key.
            self.close()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _give_up(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TimeoutError("no answer in time"))

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
        except (OSError, ValueError) as error:
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
    """The connections of this process to one server.

    Whoever asks may say who it is, with any object that can be weakly referred to. As long as that object lives, its
    questions go over one connection, and nobody else's do, unless all connections belong to somebody: then the one that
    was idle longest changes hands.
    """

    def __init__(self, endpoint: Endpoint, limits: PoolLimits) -> None:
        self.endpoint, self.limits = endpoint, limits
        self._busy = 0
        self._waiting = 0
        self._idle: list[StreamConnection] = []
        # A semaphore belongs to the loop that first had to wait for it.
        self._turns: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            weakref.WeakKeyDictionary()
        )
        self._sweeping: asyncio.AbstractEventLoop | None = None
        self._dialer = Dialer(endpoint)
        weakref.finalize(self, _close_all, self._idle)

    def close(self) -> None:
        """Close what is idle; a later question opens a connection again."""
        _close_all(self._idle)
        self._dialer.close()

    async def ask(
        self, request: bytes, end: ReplyEnd, *, limit_s: float | None = None, owner: object | None = None
    ) -> bytes:
        """The reply to ``request``, on a connection of its own for so long.

        A kept connection that turns out to be closed costs nothing but one more; a new one that is closed does not get
        a second chance.

        Args:
            request: what is sent.
            end: finds the end of the reply.
            limit_s: from the moment there is a connection, or one is looked for; None where the caller has a deadline.
            owner: who asks; None for nobody in particular.

        Raises:
            ValueError: what came is no reply (:class:`BadReply`, or what ``end`` raises).
            Unreachable: no connection.
            OSError: it was lost, or time is up, or too many wait already.
        """
        loop = asyncio.get_running_loop()
        turn = self._turn(loop)
        if turn.locked():
            if self._waiting >= self.limits.waiting:
                raise OSError(f"{self._waiting} lookups are waiting already")
            self._waiting += 1
            try:
                await turn.acquire()
            finally:
                self._waiting -= 1
        else:
            await turn.acquire()
        self._busy += 1
        try:
            if limit_s is None:
                return await self._answer(loop, request, end, owner)
            async with asyncio.timeout(limit_s):
                return await self._answer(loop, request, end, owner)
        except TimeoutError as error:
            raise OSError(f"no answer within {limit_s:g}s" if limit_s else "Connection timed out") from error
        finally:
            self._busy -= 1
            turn.release()

    async def ask_kept(
        self, request: bytes, end: ReplyEnd, *, limit_s: float, owner: object | None = None
    ) -> bytes | None:
        """As :meth:`ask`, on a kept connection: no Task is needed for the deadline, which is most of the cost.

        Returns:
            None when there is no such connection now, or it turned out to be closed.

        Raises:
            TimeoutError: ``limit_s`` is over.
            OSError, ValueError: as :meth:`ask`.
        """
        loop = asyncio.get_running_loop()
        turn = self._turn(loop)
        if turn.locked():
            return None
        await turn.acquire()  # which does not wait
        self._busy += 1
        try:
            kept = self._kept(loop, owner)
            if kept is not None:
                with contextlib.suppress(ConnectionError):
                    return await self._exchange(kept, request, end, owner, limit_s)
            return None
        finally:
            self._busy -= 1
            turn.release()

    def _turn(self, loop: asyncio.AbstractEventLoop) -> asyncio.Semaphore:
        turn = self._turns.get(loop)
        if turn is None:
            turn = self._turns[loop] = asyncio.Semaphore(self.limits.connections)
        return turn

    async def _answer(
        self, loop: asyncio.AbstractEventLoop, request: bytes, end: ReplyEnd, owner: object | None
    ) -> bytes:
        kept = self._kept(loop, owner)
        if kept is not None:
            with contextlib.suppress(ConnectionError):
                return await self._exchange(kept, request, end, owner)
        return await self._exchange(StreamConnection(await self._dialer.connect()), request, end, owner)

    async def _exchange(
        self,
        connection: StreamConnection,
        request: bytes,
        end: ReplyEnd,
        owner: object | None,
        limit_s: float | None = None,
    ) -> bytes:
        reply = await connection.ask(request, end, limit_s)
        if not connection.is_open:
            return reply
        if 0 < self.limits.requests <= connection.asked:
            connection.close()
            return reply
        connection.idle_since = time.monotonic()
        connection.owner = None if owner is None else weakref.ref(owner)
        self._idle.append(connection)
        loop = asyncio.get_running_loop()
        if self._sweeping is not loop:
            self._sweeping = loop
            loop.call_later(self.limits.idle_s, _sweep, weakref.ref(self))
        return reply

    def _kept(self, loop: asyncio.AbstractEventLoop, owner: object | None) -> StreamConnection | None:
        """A connection for ``owner``, taken out of the idle ones; None when a new one is to be made."""
        while (connection := self._choice(loop, owner)) is not None:
            try:
                self._idle.remove(connection)
            except ValueError:
                continue  # another thread was faster
            if self._is_old(connection, time.monotonic()):
                connection.close()
            elif connection.is_open and connection.is_silent():
                return connection
        return None

    def _choice(self, loop: asyncio.AbstractEventLoop, owner: object | None) -> StreamConnection | None:
        free = oldest = None
        for connection in reversed(self._idle):
            if not connection.is_usable(loop):
                continue
            belongs_to = connection.owner() if connection.owner is not None else None
            if belongs_to is owner:
                return connection
            if belongs_to is None and free is None:
                free = connection
            oldest = connection
        if free is not None:
            return free
        return oldest if len(self._idle) + self._busy > self.limits.connections else None

    def _is_old(self, connection: StreamConnection, now: float) -> bool:
        return now - connection.idle_since > self.limits.idle_s or now - connection.opened > self.limits.life_s

    def sweep(self) -> float:
        """Close idle connections that are too old; seconds until the next will be, 0 when none is left."""
        now, loop = time.monotonic(), asyncio.get_running_loop()
        mine = [connection for connection in self._idle if connection.is_usable(loop)]
        kept = [connection for connection in mine if not self._is_old(connection, now)]
        for connection in mine:
            if connection not in kept:
                self._idle.remove(connection)
                connection.close()
        if not kept:
            self._sweeping = None
            return 0.0
        return max(kept[0].idle_since + self.limits.idle_s - now, 0.0) + 0.01


def _sweep(pool: weakref.ref[StreamPool]) -> None:
    # Its owner may have let go of the pool meanwhile: a timer is no reason to keep it.
    alive = pool()
    if alive is not None and (again_s := alive.sweep()):
        asyncio.get_running_loop().call_later(again_s, _sweep, pool)


def _close_all(idle: list[StreamConnection]) -> None:
    while idle:
        idle.pop().close()
