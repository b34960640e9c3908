"""One outbound SMTP or LMTP connection: the shell around a client session.

Owns the socket's protocol object, one timer, and back-pressure. What is said and what replies mean is the session's
and ``transaction``'s. A group of commands costs one write and one wait; while replies come, the only timer is pushed
back by assigning a float, and it is looked at when it fires.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import cast

from gateway.model.errors import GatewayError, RemoteProtocolError
from gateway.proto.server_reply import ServerReply
from gateway.proto.smtp_client import ClientSession, ClientState, Verb
from gateway.transport.endpoint import Endpoint
from gateway.transport.settings import ClientSettings

WRITE_HIGH_WATER = 64 * 1024

_PHASES = {
    Verb.CONNECT: "receiving the initial server greeting",
    Verb.EHLO: "performing the EHLO handshake",
    Verb.HELO: "performing the HELO handshake",
    Verb.LHLO: "performing the LHLO handshake",
    Verb.XFORWARD: "sending XFORWARD name/address",
    Verb.MAIL: "sending MAIL FROM",
    Verb.RCPT: "sending RCPT TO",
    Verb.DATA: "sending DATA command",
    Verb.END: "sending end of data -- message may be sent more than once",
    Verb.RSET: "sending final RSET",
    Verb.QUIT: "sending QUIT",
    None: "sending message body",
}


class Trouble(Enum):
    """Why a conversation ended before its time."""

    LOST = "lost"
    TIMEOUT = "timed out"
    PROTOCOL = "protocol error"

    @property
    def dsn(self) -> str:
        """Enhanced status code, the one Postfix has for it."""
        return "4.5.0" if self is Trouble.PROTOCOL else "4.4.2"


class ConversationError(GatewayError):
    """The conversation is over, and not by a reply.

    Args:
        trouble: what happened.
        text: for log and report.
        replies: replies that had come for the commands under way, in order.
        has_sent_end: the end of data was on its way: the server may have the message.
    """

    def __init__(self, trouble: Trouble, text: str, replies: list[ServerReply], *, has_sent_end: bool) -> None:
        self.trouble, self.text, self.replies, self.has_sent_end = trouble, text, replies, has_sent_end
        super().__init__(text)


class SmtpConnection(asyncio.Protocol):
    """A connection to ``endpoint``.

    Attributes:
        session: the conversation; queue commands there, then :meth:`exchange`.
        opened: loop time of the connection.
        messages: messages delivered or refused over it.
        pool_key, idle_until: the pool's notes.
    """

    __slots__ = ("_broken", "_deadline", "_drain_limit", "_due", "_is_draining", "_is_leaving", "_is_paused", "_loop",
                 "_on_end", "_settings", "_timer", "_timer_when", "_transport", "_unsent", "_waiter", "endpoint",
                 "idle_until", "messages", "opened", "pool_key", "session")  # fmt: skip

    def __init__(self, endpoint: Endpoint, settings: ClientSettings, loop: asyncio.AbstractEventLoop) -> None:
        self.endpoint = endpoint
        self.session = ClientSession(is_lmtp=settings.is_lmtp, discard_keywords=settings.discard_ehlo_keywords)
        self.opened = loop.time()
        self.messages = 0
        self.pool_key = ""
        self.idle_until = 0.0
        self._loop, self._settings = loop, settings
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_when = self._deadline = self._drain_limit = 0.0
        self._due = 0
        self._broken: tuple[Trouble, str] | None = None
        self._is_paused = self._is_draining = self._is_leaving = False
        self._unsent = 0
        self._on_end: Callable[[SmtpConnection], None] | None = None

    @property
    def is_usable(self) -> bool:
        """True when the next transaction may start now."""
        return self._broken is None and self.session.may_begin

    @property
    def is_open(self) -> bool:
        """True until the connection is closed or broken, by whomever."""
        return self._broken is None

    def when_ended(self, callback: Callable[[SmtpConnection], None] | None) -> None:
        """Ask to be told when an idle connection is no longer usable."""
        self._on_end = callback

    async def exchange(self, *content: bytes) -> list[ServerReply]:
        """Send content, then the commands that the session has queued, and wait for all their replies.

        Raises:
            ConversationError: the connection is gone, by whatever way.
        """
        session = self.session
        commands = session.data_to_send()
        if self._broken is None:
            transport = cast("asyncio.Transport", self._transport)
            if content:
                transport.writelines((*content, commands))
            elif commands:
                transport.write(commands)
            if (verb := session.waiting_for) is not None:
                self._due = session.replies_due
                await self._wait(self._settings.timeouts[verb])
        replies = self._drain_replies()
        if self._broken is not None and (session.waiting_for is not None or not replies):
            trouble, text = self._broken
            raise ConversationError(trouble, text, replies, has_sent_end=session.has_sent_end)
        return replies

    async def write(self, content: bytes) -> bool:
        """Send a piece of content and wait until the peer has taken enough of what went before.

        Returns:
            False when there is no point in more: the connection broke, or the server has already answered.
        """
        if self._broken is None and self.session.state is ClientState.BODY:
            cast("asyncio.Transport", self._transport).write(content)
            if self._is_paused:
                await self._drain()
        return self._broken is None and self.session.state is ClientState.BODY

    def leave(self) -> None:
        """Say QUIT and close; with ``smtp_skip_quit_response`` at once, else with the reply or at the deadline."""
        self._on_end = None
        if not self.is_usable:
            self.close()
            return
        self.session.send(Verb.QUIT)
        cast("asyncio.Transport", self._transport).write(self.session.data_to_send())
        if self._settings.skip_quit_response:
            self.close()
        else:
            self._is_leaving = True
            self._stop_timer()
            self._timer = self._loop.call_later(self._settings.timeouts[Verb.QUIT], self.close)

    def close(self) -> None:
        """Close after what was written is out; a peer that does not read is cut off at the QUIT deadline."""
        self._on_end = None
        if self._broken is None:
            self._broken = (Trouble.LOST, f"connection with {self.endpoint.label} closed")
            transport = cast("asyncio.Transport", self._transport)
            if transport.get_write_buffer_size():
                self._loop.call_later(self._settings.timeouts[Verb.QUIT], transport.abort)
            transport.close()
        self._stop_timer()

    def abort(self) -> None:
        """Close now, whatever is under way."""
        self._break(Trouble.LOST, "")

    # --- what the loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start: the session already waits for the greeting."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        """Replies."""
        session = self.session
        try:
            session.receive_data(data)
        except RemoteProtocolError as exc:
            self._break(Trouble.PROTOCOL, str(exc))
            return
        if self._waiter is None:
            if self._is_leaving:
                self.close()
            elif self._on_end is not None and not session.may_begin:
                self._end_idle()
            return
        due = session.replies_due
        if due:
            if due != self._due:  # only whole replies count: octets that drip in push nothing back
                self._due = due
                self._deadline = self._loop.time() + self._settings.timeouts[cast("Verb", session.waiting_for)]
        elif not self._is_draining or session.state is not ClientState.BODY:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer, or the network, ended it."""
        self._break(Trouble.LOST, "")

    def pause_writing(self) -> None:
        """More than the high-water mark is unsent."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """There is room again."""
        self._is_paused = False
        if self._is_draining:
            self._wake()

    # --- inside ---

    def _drain_replies(self) -> list[ServerReply]:
        replies = []
        next_event = self.session.next_event
        while (reply := next_event()) is not None:
            replies.append(reply)
        return replies

    async def _drain(self) -> None:
        """Wait for room: as long as the peer takes something in time, and ``smtp_min_data_rate`` on the whole."""
        self._is_draining = True
        self._unsent = self._buffered()
        timeout_s = self._settings.data_xfer_timeout_s
        self._drain_limit = self._loop.time() + timeout_s + self._unsent / self._settings.min_data_rate
        await self._wait(timeout_s)
        self._is_draining = False

    async def _wait(self, timeout_s: float) -> None:
        deadline = self._deadline = self._loop.time() + timeout_s
        if self._timer is None or deadline < self._timer_when:
            self._stop_timer()
            self._arm(deadline)
        self._waiter = waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _arm(self, when: float) -> None:
        self._timer_when = when
        self._timer = self._loop.call_at(when, self._tick)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        if self._waiter is None or self._broken is not None:
            return
        now = self._loop.time()
        if self._is_draining and (unsent := self._buffered()) < self._unsent:
            self._unsent = unsent  # slow, but it moves: smtp_data_xfer_timeout is for a write that makes no progress
            self._deadline = min(now + self._settings.data_xfer_timeout_s, self._drain_limit)
        if now < self._deadline:
            self._arm(self._deadline)
        else:
            self._break(Trouble.TIMEOUT, "")

    def _buffered(self) -> int:
        return cast("asyncio.Transport", self._transport).get_write_buffer_size()

    def _break(self, trouble: Trouble, detail: str) -> None:
        if self._broken is not None:
            return
        phase, label = _PHASES[self.session.waiting_for], self.endpoint.label
        match trouble:
            case Trouble.LOST:
                text = f"lost connection with {label} while {phase}"
            case Trouble.TIMEOUT:
                text = f"conversation with {label} timed out while {phase}"
            case Trouble.PROTOCOL:
                text = f"protocol error by {label} while {phase}: {detail}"
        self._broken = (trouble, text)
        self._stop_timer()
        if self._transport is not None:
            self._transport.abort()
        self._wake()
        self._end_idle()

    def _end_idle(self) -> None:
        callback, self._on_end = self._on_end, None
        if callback is not None:
            callback(self)
