"""The owner's end of the hand-over: takes messages from other processes and answers when they are durable.

Owns the listening UNIX socket and nothing of the messages: the store keeps them. What a worker sends is checked as if
the worker were an attacker, because a worker talks to attackers all day: sizes are bounded, types are checked by the
decoder, a body file can only be the one that belongs to the queue ID.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
from collections.abc import Callable
from typing import NamedTuple, cast

import msgspec

from gateway.model.content import Content
from gateway.model.envelope import Envelope
from gateway.model.errors import RemoteProtocolError, SpoolError, SpoolFull
from gateway.spool.frames import MAX_FRAME_BYTES, FrameReader, decode_request, encode_frame
from gateway.spool.interface import Log
from gateway.spool.records import decode_envelope
from gateway.spool.requests import Answer, Result, Submit
from gateway.spool.store import Store

SOCKET_PATH = "private/spool"  # under queue_directory; private: only for processes of our own
MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024
CLOSE_S = 10.0
LINGER_S = 1.0  # for a worker to read its last answers


class SpoolService:
    """Listens for workers.

    Args:
        store: where messages go; in this process.
        path: of the UNIX socket; an old one is replaced, for only the owner of the store starts a service.
        on_queued: called with envelope and content once a message is durable; may start delivering it at once.
        log: told about peers that break the protocol.
        max_frame_bytes: bound of one request.
        max_in_flight_bytes: octets accepted and not yet durable, over all connections; beyond it nobody is read.
        mode: access rights of the socket.
    """

    def __init__(
        self,
        store: Store,
        path: str,
        *,
        on_queued: Callable[[Envelope, Content], object] | None = None,
        log: Log | None = None,
        max_frame_bytes: int = MAX_FRAME_BYTES,
        max_in_flight_bytes: int = MAX_IN_FLIGHT_BYTES,
        mode: int = 0o600,
    ) -> None:
        self.path, self._store, self._on_queued, self._log = path, store, on_queued, log
        self._max_frame_bytes, self._max_in_flight, self._mode = max_frame_bytes, max_in_flight_bytes, mode
        self._in_flight = 0
        self._connections: set[_Connection] = set()
        self._is_full = False
        self._server: asyncio.Server | None = None
        self._drained: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the socket cannot be made.
        """
        loop = asyncio.get_running_loop()
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            _bind(sock, self.path, self._mode)
            self._server = await loop.create_unix_server(lambda: _Connection(self), sock=sock, backlog=128)
        except BaseException:
            sock.close()
            raise

    async def close(self) -> None:
        """Stop listening and reading, answer what was accepted (at most ten seconds), close the connections."""
        if self._server is not None:
            self._server.close()
            try:
                os.unlink(self.path)
            except OSError:
                pass
        for connection in self._connections:
            connection.pause()
        if self._in_flight:
            self._drained = asyncio.get_running_loop().create_future()
            await asyncio.wait((self._drained,), timeout=CLOSE_S)
        connections = list(self._connections)
        for connection in connections:
            connection.close()
        if connections:
            _, slow = await asyncio.wait([connection.closed for connection in connections], timeout=LINGER_S)
            if slow:
                for connection in connections:
                    connection.abort()
                await asyncio.wait(slow, timeout=LINGER_S)

    # -- for connections ----------------------------------------------------------------------------------------------

    def _opened(self, connection: _Connection) -> None:
        self._connections.add(connection)
        if self._is_full:
            connection.pause()

    def _accept(self, connection: _Connection, request: Submit, size: int) -> None:
        """Hand one message to the store; the answer goes out when it settled."""
        try:
            envelope = decode_envelope(request.envelope)
        except (msgspec.MsgspecError, ValueError) as exc:
            raise RemoteProtocolError(f"bad envelope: {exc}") from exc
        content = request.content
        self._in_flight += size
        if self._in_flight > self._max_in_flight and not self._is_full:
            self._is_full = True
            for other in self._connections:
                other.pause()
        future = self._store.put(envelope, content, encoded=request.envelope)
        handover = _Handover(connection, request.number, size, envelope, content)
        future.add_done_callback(functools.partial(self._settled, handover))

    def _settled(self, handover: _Handover, future: asyncio.Future[None]) -> None:
        connection, number, size, envelope, content = handover
        self._in_flight -= size
        if self._is_full and self._in_flight * 2 < self._max_in_flight:
            self._is_full = False
            for other in self._connections:
                other.resume()
        exc = None if future.cancelled() else future.exception()
        if exc is not None:
            result = Result.FULL if isinstance(exc, SpoolFull) else Result.ERROR
            connection.answer(Answer(number, result, str(exc)))
        else:
            connection.answer(Answer(number))
            self._tell(envelope, content)
        if self._drained is not None and not self._in_flight and not self._drained.done():
            self._drained.set_result(None)

    def _tell(self, envelope: Envelope, content: Content) -> None:
        if self._on_queued is None:
            return
        try:
            self._on_queued(envelope, content)
        except Exception as exc:  # a bug in the scheduler must not take the other messages' answers away
            if self._log is not None:
                self._log.error(f"{envelope.queue_id}: cannot start delivery: {exc!r}; it stays queued")

    def _misbehaved(self, reason: str) -> None:
        if self._log is not None:
            self._log.warning(f"spool service: {reason}; connection closed")


def _bind(sock: socket.socket, path: str, mode: int) -> None:
    """Bind with the right access from the first instant; in one go, because the umask is the whole process's."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    umask = os.umask(0o777 & ~mode)
    try:
        sock.bind(path)
    finally:
        os.umask(umask)


class _Connection(asyncio.Protocol):
    """One worker."""

    def __init__(self, service: SpoolService) -> None:
        self._service = service
        self._reader = FrameReader(service._max_frame_bytes)
        self._transport: asyncio.Transport | None = None
        self._answers: list[bytearray] = []
        self._is_writable = True
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._service._opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            for payload in self._reader.feed(data):
                self._service._accept(self, decode_request(payload), len(payload))
        except (RemoteProtocolError, SpoolError) as exc:
            self._service._misbehaved(str(exc))
            self.close()

    def answer(self, answer: Answer) -> None:
        """Send an answer together with the others of this turn of the loop."""
        if self._transport is None:
            return
        if not self._answers:
            self._loop.call_soon(self._flush)
        self._answers.append(encode_frame(answer))

    def _flush(self) -> None:
        if self._transport is not None and self._answers:
            self._transport.write(b"".join(self._answers))
        self._answers.clear()

    def pause(self) -> None:
        """Stop reading this worker."""
        if self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on, unless it does not read its answers."""
        if self._transport is not None and self._is_writable and not self._transport.is_reading():
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self._is_writable = False
        self.pause()

    def resume_writing(self) -> None:
        self._is_writable = True
        if not self._service._is_full:
            self.resume()

    def close(self) -> None:
        """Send what is answered, then close."""
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def abort(self) -> None:
        """Close without sending the rest."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._service._connections.discard(self)
        if not self.closed.done():
            self.closed.set_result(None)


class _Handover(NamedTuple):
    """A message that the store has not answered for yet."""

    connection: _Connection
    number: int
    size_bytes: int
    envelope: Envelope
    content: Content
