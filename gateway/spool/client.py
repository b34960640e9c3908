"""The other processes' end of the hand-over: one connection to the owner, many messages under way.

A message is acknowledged to the world when :meth:`SpoolClient.submit` returns, so the errors say what is known:
SpoolFull and SpoolError mean "not stored"; SpoolUnavailable means "not answered", and the message may be stored or
not. Its sender gets a 451 and tries again: a duplicate is possible, loss is not.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple, cast

import msgspec

from gateway.model.content import Content
from gateway.model.envelope import Envelope
from gateway.model.errors import RemoteProtocolError, SpoolError, SpoolFull, SpoolUnavailable
from gateway.net.acknowledgement import Acknowledgement
from gateway.spool.frames import FrameReader, decode_response, encode_frame
from gateway.spool.interface import Log
from gateway.spool.records import encode_envelope
from gateway.spool.requests import Answer, Result, Submit

MAX_IN_FLIGHT_BYTES = 32 * 1024 * 1024
FIRST_RETRY_S = 0.05
LAST_RETRY_S = 1.0


class _Request(NamedTuple):
    """A message to hand over."""

    number: int
    deadline: float
    frame: bytearray
    acknowledgement: Acknowledgement


class SpoolClient:
    """Hands messages to the owner of the spool.

    Connects when there is something to submit, and again after the connection was lost. Use on one event loop.

    Args:
        path: the service's UNIX socket.
        submit_timeout_s: how long a message may take, waiting for the owner to come back included.
        log: told when the owner goes and comes back.
        max_in_flight_bytes: octets sent and not answered; more wait here.
    """

    def __init__(
        self,
        path: str,
        *,
        submit_timeout_s: float = 30.0,
        log: Log | None = None,
        max_in_flight_bytes: int = MAX_IN_FLIGHT_BYTES,
    ) -> None:
        self._path, self._timeout_s, self._log, self._max_in_flight = path, submit_timeout_s, log, max_in_flight_bytes
        self._loop: asyncio.AbstractEventLoop | None = None
        self._number = 0
        self._waiting: deque[_Request] = deque()
        self._sent: dict[int, _Request] = {}
        self._in_flight = 0
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._pump_handle: asyncio.Handle | None = None
        self._deadline_handle: asyncio.TimerHandle | None = None
        self._deadlines: deque[_Request] = deque()
        self._is_closed = False

    def submit(self, envelope: Envelope, content: Content) -> Acknowledgement:
        """Hand over one message; the acknowledgement comes once it is durable.

        Raises:
            SpoolFull: no room. SpoolError: it failed. In both cases nothing is stored.
            SpoolUnavailable: no answer in time, or the connection was lost before it; leave a body file alone.
        """
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        acknowledgement = Acknowledgement(loop=loop)
        self._number += 1
        try:
            if self._is_closed:
                raise SpoolUnavailable("the spool client is closed")
            frame = encode_frame(
                Submit(self._number, encode_envelope(envelope), content.head, content.body, content.is_headless)
            )
        except (SpoolError, OverflowError, msgspec.MsgspecError) as exc:
            acknowledgement.settle(exc if isinstance(exc, SpoolError) else SpoolError(str(exc)))
            return acknowledgement
        request = _Request(self._number, loop.time() + self._timeout_s, frame, acknowledgement)
        self._waiting.append(request)
        self._deadlines.append(request)
        if self._pump_handle is None:
            self._pump_handle = loop.call_soon(self._pump)
        if self._deadline_handle is None:
            self._deadline_handle = loop.call_at(request.deadline, self._expire)
        return acknowledgement

    def _pump(self) -> None:
        """Send what may be sent, all of this turn of the loop in one write."""
        self._pump_handle = None
        if self._connection is None:
            if self._waiting and self._connecting is None and not self._is_closed:
                self._connecting = asyncio.get_running_loop().create_task(self._connect())
            return
        frames = []
        while self._waiting and self._in_flight < self._max_in_flight:
            request = self._waiting.popleft()
            if not request.acknowledgement.done():
                self._sent[request.number] = request
                self._in_flight += len(request.frame)
                frames.append(request.frame)
        if frames:
            self._connection.write(frames)

    async def _connect(self) -> None:
        """Connect, with back-off, for as long as somebody waits."""
        loop = asyncio.get_running_loop()
        delay_s = FIRST_RETRY_S
        try:
            while self._waiting and not self._is_closed:
                try:
                    await loop.create_unix_connection(lambda: _Connection(self), self._path)
                except OSError as exc:
                    if delay_s == FIRST_RETRY_S and self._log is not None:
                        self._log.warning(f"connect to {self._path}: {exc.strerror or exc}")
                    await asyncio.sleep(delay_s)
                    delay_s = min(delay_s * 2, LAST_RETRY_S)
                else:
                    return
        finally:
            self._connecting = None

    def _expire(self) -> None:
        """Fail what took too long. All requests have the same time to live, so the oldest is the first."""
        self._deadline_handle = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._deadlines and (self._deadlines[0].acknowledgement.done() or self._deadlines[0].deadline <= now):
            late = self._deadlines.popleft()
            late.acknowledgement.settle(SpoolUnavailable(f"no answer from the spool within {self._timeout_s:g}s"))
        while self._waiting and self._waiting[0].acknowledgement.done():
            self._waiting.popleft()
        if self._deadlines and self._deadline_handle is None:
            self._deadline_handle = loop.call_at(self._deadlines[0].deadline, self._expire)

    # -- for the connection -------------------------------------------------------------------------------------------

    def _opened(self, connection: _Connection) -> None:
        self._connection = connection
        self._pump()

    def _answered(self, answer: Answer) -> None:
        request = self._sent.pop(answer.number, None)
        if request is None:
            raise RemoteProtocolError(f"an answer to request {answer.number}, which is not open")
        self._in_flight -= len(request.frame)
        # One that is settled came too late; the message is stored, its sender will send it again.
        if answer.result is Result.OK:
            request.acknowledgement.settle()
        else:
            kind = SpoolFull if answer.result is Result.FULL else SpoolError
            request.acknowledgement.settle(kind(answer.text))

    def _received(self) -> None:
        """Answers came: there may be room for more, and the oldest deadlines may be done with."""
        while self._deadlines and self._deadlines[0].acknowledgement.done():
            self._deadlines.popleft()
        if self._waiting and self._pump_handle is None:
            self._pump()

    def _lost(self, connection: _Connection, reason: str) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        lost, self._sent, self._in_flight = self._sent, {}, 0
        for request in lost.values():
            request.acknowledgement.settle(SpoolUnavailable(f"connection to the spool lost: {reason}"))
        if lost and self._log is not None:
            self._log.warning(f"connection to the spool lost with {len(lost)} messages unanswered: {reason}")
        if not self._is_closed:
            self._pump()

    async def close(self) -> None:
        """Fail what is not answered and disconnect."""
        self._is_closed = True
        for handle in (self._pump_handle, self._deadline_handle):
            if handle is not None:
                handle.cancel()
        self._pump_handle = self._deadline_handle = None
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        for request in [*self._waiting, *self._sent.values()]:
            request.acknowledgement.settle(SpoolUnavailable("the spool client is closed"))
        self._waiting.clear()
        self._sent.clear()
        self._deadlines.clear()
        if self._connection is not None:
            await self._connection.close()


class _Connection(asyncio.Protocol):
    """The connection to the owner."""

    def __init__(self, client: SpoolClient) -> None:
        self._client = client
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._client._opened(self)

    def write(self, frames: list[bytearray]) -> None:
        """Send frames in one write."""
        if self._transport is not None:
            self._transport.write(b"".join(frames))

    def data_received(self, data: bytes) -> None:
        try:
            for payload in self._reader.feed(data):
                self._client._answered(decode_response(payload))
        except RemoteProtocolError as exc:
            self._client._lost(self, str(exc))
            if self._transport is not None:
                self._transport.abort()
            return
        self._client._received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._client._lost(self, str(exc) if exc else "closed by the owner")
        if not self._closed.done():
            self._closed.set_result(None)

    async def close(self) -> None:
        """Disconnect; what was sent and not answered stays unanswered."""
        if self._transport is not None:
            self._transport.abort()
            await self._closed
