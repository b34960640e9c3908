"""The wire side of one SMTP connection: octets, deadlines, backpressure.

A thin shell over :class:`gateway.proto.smtp_server.ServerSession`. It pumps events: questions go to the
:class:`~gateway.server.conversation.Conversation`, which mostly answers without waiting, so that a whole pipelined
transaction costs one read, one write and no task. While an answer is awaited, reading stops: the kernel holds the rest.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

from gateway.model.client import Client
from gateway.model.errors import GatewayError
from gateway.model.reply import Reply
from gateway.model.session import Session
from gateway.net.eager import Running, start, start_acknowledged
from gateway.net.outbox import Outbox
from gateway.proto import smtp_events as ev
from gateway.proto.proxy import ProxyHeader, ProxyParser
from gateway.proto.smtp_server import ServerSession
from gateway.server.conversation import Answer, Conversation
from gateway.server.registry import CLOSING_GRACE_S, SessionRegistry
from gateway.server.service import SmtpdService

_INTERNAL_ERROR = Reply(421, "Server error, try again later", "4.3.0", close=True)
_BACKLOG = 4096
_QUESTIONS = frozenset(ev.QUESTIONS)
_WRITE_BYTES = 64 * 1024
"""Replies to one read that are kept back at most; a read full of EHLO makes megabytes of them."""


class SmtpdProtocol(asyncio.Protocol):
    """One connection.

    Args:
        service: the listener's shared parts.
        registry: of the process.
        loop: the running loop.
        outbox: of that loop; all replies go through it.
        local: address and port of the listener, None when it is bound to all addresses: then each socket is asked.
    """

    __slots__ = (
        "_can_write", "_closing", "_conversation", "_is_busy",
        "_is_paused", "_is_pumping", "_last_activity", "_limit_s", "_local", "_loop", "_outbox", "_pending",
        "_proxy", "_registry", "_service", "_session", "_task", "_transport",
    )  # fmt: skip

    def __init__(
        self,
        service: SmtpdService,
        registry: SessionRegistry,
        loop: asyncio.AbstractEventLoop,
        outbox: Outbox,
        local: tuple[str, str] | None = None,
    ) -> None:
        self._service, self._registry, self._loop, self._local = service, registry, loop, local
        self._outbox = outbox
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._session: ServerSession | None = None
        self._conversation: Conversation | None = None
        self._task: Running | None = None
        self._limit_s = service.timeout_s  # of silence
        self._proxy: ProxyParser | None = None
        self._pending = b""
        self._is_busy = self._is_pumping = self._is_paused = self._closing = False
        self._can_write = True
        self._last_activity = 0.0

    # --- transport callbacks -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the conversation, or wait for the PROXY header first."""
        self._transport = cast(asyncio.Transport, transport)
        self._last_activity = self._loop.time()
        if self._registry.is_stopping or not self._registry.add(self):
            self._service.counters.add("smtpd.refused.session_limit")
            self._transport.write(f"421 4.3.2 {self._service.hostname} Error: too many connections\r\n".encode())
            self._transport.close()
            return
        if self._service.uses_proxy_protocol:
            self._proxy = ProxyParser()
            self._limit_s = self._service.proxy_timeout_s
            return
        self._begin_as_connected()

    def _begin_as_connected(self) -> None:
        """Begin with the socket's own end points."""
        peer = self._transport.get_extra_info("peername")
        local = self._local or _end_point(self._transport.get_extra_info("sockname"))
        self._begin(*_end_point(peer), *local)

    def _begin(self, address: str, port: str, server_address: str, server_port: str) -> None:
        session = Session(
            Client(address, port), server_address=server_address, server_port=server_port, service=self._service.name
        )
        conversation = self._conversation = Conversation(self._service, session)
        self._limit_s = self._service.timeout_s
        self._is_busy = True
        self._track(start(self._greet(conversation), self._greeted, self._failed, self._loop))

    async def _greet(self, conversation: Conversation) -> Reply:
        # The session is made after the client is known: what it may use depends on that.
        reply = await conversation.greet()
        service, client = self._service, conversation.session.client
        self._session = ServerSession(await service.settings_for(client), client.label)
        return reply

    def _greeted(self, reply: Reply) -> None:
        session = self._session
        assert session is not None
        self._task = None
        self._is_busy = False
        if self._transport.is_closing():
            return
        self._resume_reading()
        if self._pending:
            session.receive_data(self._pending)
            self._pending = b""
        session.greet(reply)
        self._pump()

    def data_received(self, data: bytes) -> None:
        """Feed the session and pump."""
        self._last_activity = self._loop.time()
        if self._proxy is not None:
            self._proxy_received(data)
            return
        session = self._session
        if session is None:
            # Before the banner: the session, once it is there, judges a client that speaks first.
            self._pending += data
            self._pause()
            return
        session.receive_data(data)
        if self._is_busy or not self._can_write:
            self._pause()  # what is buffered now is one read at most
        else:
            self._pump()

    def _pause(self) -> None:
        """Leave further octets to the kernel until there is an answer."""
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_paused and not self._closing:
            self._is_paused = False
            self._transport.resume_reading()
            self._last_activity = self._loop.time()

    def _proxy_received(self, data: bytes) -> None:
        proxy = self._proxy
        assert proxy is not None
        header = proxy.feed(data)
        if header is None:
            return
        self._proxy = None
        if not isinstance(header, ProxyHeader):
            peer = _end_point(self._transport.get_extra_info("peername"))[0]
            self._service.log.warning(f"haproxy read: unexpected reply from {peer}: {header}")
            self._transport.abort()
            return
        self._pending = header.rest
        if header.is_local:
            self._begin_as_connected()
        else:
            self._begin(header.client_address, header.client_port, header.server_address, header.server_port)

    def eof_received(self) -> bool:
        """The client has no more to say; what is owed to it is still written."""
        if self._session is not None:
            self._session.receive_eof()
            if not self._is_busy:
                self._pump()
        else:
            self._transport.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up, whatever was going on."""
        self._registry.discard(self)
        if self._task is not None:
            self._task.cancel()
        conversation, self._conversation = self._conversation, None
        if conversation is None:
            return
        if not self._closing:
            self._report("lost connection")
        conversation.lost(self._session.summary if self._session is not None else "commands=0/0")
        self._closing = True

    def pause_writing(self) -> None:
        """The client does not read its replies: stop answering."""
        self._can_write = False

    def resume_writing(self) -> None:
        """The client reads again."""
        self._can_write = True
        if not self._is_busy:
            self._resume_reading()
            self._pump()

    # --- the pump ----------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Handle events until the session wants data, policy needs time, or the client stops reading."""
        if self._is_pumping:
            return
        session, conversation = self._session, self._conversation
        if session is None or conversation is None:
            return
        self._is_pumping = True
        try:
            while not self._is_busy and self._can_write:
                event = session.next_event()
                if isinstance(event, ev.Wait):
                    break
                if type(event) in _QUESTIONS:
                    answer = self._ask(conversation, cast(ev.Question, event))
                    if isinstance(answer, Reply):
                        session.reply(answer)
                    elif answer is None:
                        return
                    else:
                        self._is_busy = True
                        self._track(start_acknowledged(answer, self._answered, self._failed, self._loop))
                    if session.is_drained:
                        break
                    if session.unsent_bytes > _WRITE_BYTES:
                        self._outbox.write(self._transport, session.data_to_send())
                        self._outbox.flush()  # may pause us: the client has to read
                elif isinstance(event, ev.BodyChunk):
                    conversation.take_content(event.data)
                elif isinstance(event, ev.Hangup):
                    self._hang_up(event)
                    return
                else:
                    conversation.notice(cast(ev.Notice, event))
                    if isinstance(event, ev.Throttle):
                        self._is_busy = True
                        self._loop.call_later(event.delay_s, self._resume)
        finally:
            self._is_pumping = False
            if data := session.data_to_send():
                self._outbox.write(self._transport, data)
        if self._registry.is_stopping:
            self.stop_when_idle()

    def _ask(self, conversation: Conversation, event: ev.Question) -> Answer | None:
        """The answer to a question; None when that failed and the connection is closing."""
        try:
            answer = conversation.answer(event)
        except Exception as exc:
            self._failed(exc)
            return None
        return self._as_another(conversation, answer) if type(event) is ev.Xclient else answer

    async def _as_another(self, conversation: Conversation, answer: Answer) -> Reply:
        """The answer to XCLIENT, and the rights that go with the new client."""
        reply = answer if isinstance(answer, Reply) else await answer
        session, client = self._session, conversation.session.client
        assert session is not None
        session.become(await self._service.settings_as(client, session.settings), client.label)
        return reply

    def _track(self, task: Running | None) -> None:
        """Keep the task of an answer that takes time. What comes meanwhile is read once, then left to the kernel."""
        if task is not None:
            self._task = task

    def _answered(self, reply: Reply) -> None:
        self._is_busy = False
        session = self._session
        if session is None or self._closing:
            return
        session.reply(reply)
        self._task = None
        self._resume_reading()
        self._pump()

    def _resume(self) -> None:
        self._is_busy = False
        if not self._closing:
            self._resume_reading()
            self._pump()

    def _failed(self, exc: BaseException) -> None:
        """No answer: a table failed, our bug, or our cancellation. The client gets 421, nothing is acknowledged."""
        self._is_busy = False
        self._task = None
        if isinstance(exc, asyncio.CancelledError) or self._closing:
            return
        if isinstance(exc, GatewayError):  # a table or a disk that has no answer now
            self._service.log.warning(str(exc))
        else:
            self._service.counters.add("smtpd.internal_error")
            self._service.log.panic(f"{type(exc).__name__}: {exc} ({_where(exc)})")
        # What was answered before goes first: its client must not take the 421 for the answer to its message.
        owed = self._session.data_to_send() if self._session is not None else b""
        owed += f"421 4.3.0 {self._service.hostname} {_INTERNAL_ERROR.text}\r\n".encode()
        self._outbox.write(self._transport, owed)
        self._close()

    def _hang_up(self, event: ev.Hangup) -> None:
        if event.reason:
            self._report(event.reason)
        if self._session is not None and (data := self._session.data_to_send()):
            self._outbox.write(self._transport, data)
        self._close()

    def _report(self, what: str) -> None:
        """``lost connection after DATA (17 bytes) from name[addr]``."""
        if self._session is not None and self._conversation is not None:
            label = self._conversation.session.client.label
            self._service.log.info(f"{what} after {self._session.place} from {label}")

    def _close(self) -> None:
        self._closing = True
        # A peer that reads nothing would keep a closing transport for ever: see check().
        self._limit_s = CLOSING_GRACE_S
        self._last_activity = self._loop.time()
        self._outbox.close(self._transport)

    # --- deadlines ---------------------------------------------------------------------------------------------------

    def check(self, now: float) -> None:
        """Enforce the deadline; the registry asks once a second, which is cheaper than a timer for each connection."""
        idle_s = now - self._last_activity
        if idle_s < self._limit_s or (self._is_busy and not self._closing):
            return
        if self._closing or self._conversation is None or self._session is None:
            self._transport.abort()
            return
        self._end(Reply(421, f"{self._service.hostname} Error: timeout exceeded", "4.4.2", close=True), "timeout")

    def _end(self, reply: Reply, reason: str = "") -> None:
        """End the session with a last reply."""
        assert self._session is not None
        self._session.hang_up(reply, reason)
        event = self._session.next_event()
        if isinstance(event, ev.Hangup):
            self._hang_up(event)
        else:
            self._close()

    def stop_when_idle(self) -> None:
        """Say 421 unless a transaction is under way (RFC 5321 §3.8)."""
        conversation = self._conversation
        if self._closing or self._is_busy or self._session is None or conversation is None:
            return
        if conversation.session.sender is None:
            self._end(Reply(421, f"{self._service.hostname} Service shutting down", "4.3.2", close=True))

    def abort(self) -> None:
        """Close now."""
        if self._transport is not None:
            self._transport.abort()


async def serve(listener: socket.socket, service: SmtpdService, registry: SessionRegistry) -> asyncio.Server:
    """Accept connections on a bound socket."""
    loop = asyncio.get_running_loop()
    outbox = Outbox(loop)
    bound = _end_point(listener.getsockname())
    local = None if bound[0] in ("0.0.0.0", "::") else bound  # noqa: S104  # compared, not bound
    return await loop.create_server(
        lambda: SmtpdProtocol(service, registry, loop, outbox, local), sock=listener, backlog=_BACKLOG
    )


def _end_point(name: Any) -> tuple[str, str]:
    """Address and port of a socket name; an IPv4 client on an IPv6 socket is an IPv4 client."""
    if not isinstance(name, tuple) or len(name) < 2:
        return "unknown", "unknown"
    address = str(name[0])
    if ":" in address:
        is_mapped = address.startswith("::ffff:") and "." in address
        address = address[7:] if is_mapped else address.partition("%")[0]
    return address, str(name[1])


def _where(exc: BaseException) -> str:
    frame = exc.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame is not None else "?"
