"""One mail transaction over an open connection: envelope, content, and a result for each recipient.

Two waits a message when the server has PIPELINING: MAIL, all RCPT and DATA go in one write, content and dot in the
next. Without it each command waits for its reply.

* Some recipients refused: the message goes to the others.
* All refused, and the pipelined DATA accepted: a lone dot ends it (RFC 2920 §3.1); the reply to it tells nothing.
* DATA refused: RSET comes before the next MAIL.
* The connection ends after the dot was sent: the server may have the message. The recipients are deferred and no
  other server is tried now, so that at most a later attempt duplicates it, as RFC 5321 §4.5.3.2.6 accepts.

Source: RFC 5321 §3.3, RFC 2033 §4.2 (LMTP: a reply for each recipient), RFC 1870 §6.1, RFC 6531 §3.4. 8-bit content
goes as it is to a server without 8BITMIME, as Postfix sends it with ``disable_mime_output_conversion``.
"""

from __future__ import annotations

import asyncio
import os.path
import re
from typing import BinaryIO

from gateway.model.content import BodyFile
from gateway.model.delivery import Status
from gateway.model.errors import GatewayError
from gateway.proto.server_reply import ServerReply
from gateway.proto.smtp_client import ClientState, Verb
from gateway.proto.smtp_client_body import ContentWriter
from gateway.proto.smtp_client_commands import mail_argument, rcpt_argument, xforward_arguments
from gateway.transport.attempt import Attempt
from gateway.transport.connection import ConversationError, SmtpConnection
from gateway.transport.results import accepted, bounced, deferred, refused
from gateway.transport.settings import ClientSettings

PIECE_BYTES = 128 * 1024

_LINE_BREAK = re.compile(rb"[\r\n\0]")

Command = tuple[Verb, bytes]


class ContentUnreadable(GatewayError):
    """The body's file cannot be read, or is not as long as it was."""


class Transaction:
    """Sends ``attempt`` over ``connection``.

    Attributes:
        was_answered: the server has replied to MAIL. Before that, a connection that breaks has told nothing about the
            message, and another one may be tried without risk.
    """

    __slots__ = ("_attempt", "_connection", "_open", "_session", "_settings", "_spool_directory", "was_answered")

    def __init__(
        self, attempt: Attempt, connection: SmtpConnection, settings: ClientSettings, spool_directory: str
    ) -> None:
        self._attempt, self._connection, self._session = attempt, connection, connection.session
        self._settings, self._spool_directory = settings, spool_directory
        self._open = list(attempt.pending)  # recipients that this server has not decided on
        self.was_answered = False

    async def run(self) -> None:
        """Settle every pending recipient; the connection may be unusable afterwards. Raises nothing of the peer's."""
        attempt, session = self._attempt, self._session
        try:
            commands = self._commands()
            if self._open:
                willing = self._read_envelope(await self._send_envelope(commands))
                if willing:
                    await self._deliver(willing)
                elif session.state is ClientState.BODY:
                    await self._end_unwanted()
                if session.state is ClientState.MAIL or session.state is ClientState.RCPT:
                    await self._tidy(Verb.RSET)
            attempt.site_failure = ""
        except ConversationError as exc:
            attempt.site_failure = exc.text
            status = deferred(exc.trouble.dsn, exc.text, self._connection.endpoint)
            self._settle(self._open, status, is_final=exc.has_sent_end)
        except ContentUnreadable as unreadable:
            self._connection.abort()
            self._settle(self._open, deferred("4.3.0", str(unreadable)), is_final=True)
        self._connection.messages += 1

    def _settle(self, indexes: list[int], status: Status, *, is_final: bool = False) -> None:
        for index in list(indexes):
            self._attempt.settle(index, status, is_final=is_final)
            self._open.remove(index)

    # --- envelope ---

    def _commands(self) -> list[Command]:
        """MAIL, RCPT for every open recipient, DATA; recipients that cannot be sent here are settled and left out."""
        attempt, endpoint = self._attempt, self._connection.endpoint
        request, server = attempt.request, self._session.capabilities
        size = request.content.size_bytes
        if attempt.needs_smtputf8 and not server.has_smtputf8:
            text = f"SMTPUTF8 is required, but was not offered by host {endpoint.label}"
            self._settle(self._open, bounced("5.6.7", text, endpoint))
        if 0 < server.size_limit < size:
            text = f"message size {size} exceeds size limit {server.size_limit} of server {endpoint.label}"
            self._settle(self._open, bounced("5.3.4", text, endpoint))
        mail = mail_argument(
            attempt.sender, request.envelope, server, size_bytes=size, needs_smtputf8=attempt.needs_smtputf8
        )
        if _LINE_BREAK.search(mail):
            self._settle(self._open, bounced("5.1.7", "line break in sender address"))
        commands = [(Verb.MAIL, mail)]
        for index in list(self._open):
            argument = rcpt_argument(request.recipients[index], server)
            if _LINE_BREAK.search(argument):
                self._settle([index], bounced("5.1.3", "line break in recipient address"))
            else:
                commands.append((Verb.RCPT, argument))
        commands.append((Verb.DATA, b""))
        return commands

    async def _send_envelope(self, commands: list[Command]) -> list[ServerReply]:
        """Replies to MAIL and RCPT and, unless it was pointless to send it, DATA; as many as came."""
        server = self._session.capabilities
        if self._settings.send_xforward_command and "XFORWARD" in server.keywords:
            await self._forward()
        if not server.has_pipelining:
            return await self._send_stepwise(commands)
        send = self._session.send
        for verb, argument in commands:
            send(verb, argument)
        try:
            return await self._connection.exchange()
        except ConversationError as exc:
            self._read_envelope(exc.replies)
            raise

    async def _send_stepwise(self, commands: list[Command]) -> list[ServerReply]:
        replies: list[ServerReply] = []
        try:
            for verb, argument in commands:
                if verb is Verb.DATA and not self._session.accepted_recipients:
                    break
                self._session.send(verb, argument)
                replies += await self._connection.exchange()
                if self._session.state is ClientState.CLOSED or (verb is Verb.MAIL and replies[0].code // 100 != 2):
                    break
        except ConversationError as exc:
            self._read_envelope(replies + exc.replies)
            raise
        return replies

    def _read_envelope(self, replies: list[ServerReply]) -> list[int]:
        """Settle refused recipients; the others, who are waiting for the content, are returned."""
        if not replies:
            return []
        self.was_answered = True
        endpoint = self._connection.endpoint
        recipients = list(self._open)
        mail = replies[0]
        if mail.code // 100 != 2:
            self._settle(recipients, refused(endpoint, mail, Verb.MAIL))
            return []
        willing: list[int] = []
        for index, reply in zip(recipients, replies[1:], strict=False):
            if reply.code // 100 == 2:
                willing.append(index)
            else:
                self._settle([index], refused(endpoint, reply, Verb.RCPT))
        if len(replies) == len(recipients) + 2 and replies[-1].code // 100 != 3:
            self._settle(willing, refused(endpoint, replies[-1], Verb.DATA))
            return []
        if len(replies) == len(recipients) + 1 and self._session.state is ClientState.CLOSED:
            # 421 to a RCPT that was sent alone: the recipients before it were accepted for nothing.
            self._settle(willing, refused(endpoint, replies[-1], Verb.RCPT))
            return []
        return willing

    async def _forward(self) -> None:
        """Pass on who the client was; a server that refuses still gets the mail."""
        for argument in xforward_arguments(self._attempt.request.envelope, self._session.capabilities):
            self._session.send(Verb.XFORWARD, argument)
            await self._connection.exchange()

    # --- content ---

    async def _deliver(self, willing: list[int]) -> None:
        endpoint = self._connection.endpoint
        try:
            replies = await self._send_content()
        except ConversationError as exc:
            self._read_end(willing, exc.replies)
            raise
        if replies:
            self._read_end(willing, replies)
        else:
            self._settle(willing, deferred("4.5.0", f"no reply from host {endpoint.label}", endpoint), is_final=True)

    def _read_end(self, willing: list[int], replies: list[ServerReply]) -> None:
        """One reply for all (SMTP), or one for each in the order of RCPT (LMTP), as many as came."""
        endpoint = self._connection.endpoint
        if not self._session.is_lmtp:
            replies = replies[:1] * len(willing)
        for index, reply in zip(willing, replies, strict=False):
            if reply.code // 100 == 2:
                status = accepted(endpoint, reply, has_dsn=self._session.capabilities.has_dsn)
            else:
                status = refused(endpoint, reply, Verb.END)
            self._settle([index], status)

    async def _send_content(self) -> list[ServerReply]:
        request = self._attempt.request
        content = request.content
        writer = ContentWriter(self._settings.line_length_limit if request.envelope.has_long_lines else 0)
        if isinstance(content.body, BodyFile):
            wire = writer.feed(content.head + content.separator)
            if await self._connection.write(wire):
                await self._stream(content.body, writer)
            wire = writer.finish()
        else:
            wire = writer.feed(content.head + content.separator + content.body) + writer.finish()
            if len(wire) > PIECE_BYTES:
                await self._connection.write(wire)
                wire = b""
        if self._session.state is not ClientState.BODY or not self._connection.is_open:
            return await self._connection.exchange()  # the server has given its reply already, or is gone
        self._session.send(Verb.END)
        return await self._connection.exchange(wire)

    async def _stream(self, body: BodyFile, writer: ContentWriter) -> None:
        """Send the file in pieces, as fast as the peer takes them. Reading may block, so a thread does it."""
        loop = asyncio.get_running_loop()
        path = os.path.join(self._spool_directory, body.path)
        rest = body.size_bytes
        try:
            file = await loop.run_in_executor(None, _open, path, body.offset)
            with file:
                while piece := await loop.run_in_executor(None, file.read, PIECE_BYTES):
                    rest -= len(piece)
                    if not await self._connection.write(writer.feed(piece)):
                        return
        except OSError as exc:
            raise ContentUnreadable(f"cannot read message content: {exc.strerror}") from exc
        if rest:
            # Half a message must never get its dot.
            raise ContentUnreadable(f"message content is {abs(rest)} octets too {'short' if rest > 0 else 'long'}")

    async def _end_unwanted(self) -> None:
        """DATA was accepted for nobody. LMTP has no reply to an end of data without recipients: nothing to wait for."""
        if self._session.is_lmtp:
            self._connection.abort()
        else:
            await self._tidy(Verb.END)

    async def _tidy(self, verb: Verb) -> None:
        """End a transaction that came to nothing; should that fail, all results are in nevertheless."""
        self._session.send(verb)
        try:
            await self._connection.exchange()
        except ConversationError:
            self._connection.abort()


def _open(path: str, offset: int) -> BinaryIO:
    file = open(path, "rb", buffering=0)  # noqa: SIM115 (the caller closes it)
    file.seek(offset)
    return file
