"""A next hop that follows a script, octet for octet: what no real server does on demand.

Runs in the test's own loop:

    async with ScriptedSink(Script(replies={b"RCPT TO:<bad": b"550 5.1.1 No such user"})) as sink:
        ...                     # talk to 127.0.0.1:sink.port
        sink.messages[0].data   # dots undone, without the final line

A script may be replaced while the sink runs; it counts for connections that come after.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Self

KEYWORDS = ("PIPELINING", "SIZE 10240000", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8")


@dataclass(slots=True)
class Script:
    """What one connection does.

    Attributes:
        greeting: sent first; empty: nothing, ever.
        keywords: of EHLO; empty: EHLO gets 502.
        replies: reply by the longest prefix of the command line that is a key, upper-case verbs; ``b"."`` is the end of
            data. A list is used up one by one, the last stays. Lines are separated by ``\\n``; ``\\r\\n`` is added.
        close_at: prefix of the command at which the connection closes without a reply.
        hang_at: prefix of the command that gets no reply.
        close_after: octets of content after which the connection closes; None: never.
        answer_after: octets of content after which the reply to the end of data is sent early, and the connection
            closes.
        idle_reply: sent after the reply to the end of data, unasked for.
        is_lmtp: a reply for each accepted recipient.
        is_split: replies go out octet by octet.
    """

    greeting: bytes = b"220 sink.example ESMTP scripted"
    keywords: tuple[str, ...] = KEYWORDS
    replies: dict[bytes, bytes | list[bytes]] = field(default_factory=dict)
    close_at: bytes = b"\0"
    hang_at: bytes = b"\0"
    close_after: int | None = None
    answer_after: int | None = None
    idle_reply: bytes = b""
    is_lmtp: bool = False
    is_split: bool = False


@dataclass(slots=True)
class Message:
    """One message that was taken: command lines as they came, data with dots undone."""

    mail: bytes
    rcpt: list[bytes]
    data: bytes
    connection: int


class ScriptedSink:
    """Serves ``script`` on an ephemeral port, or on the UNIX-domain socket ``path``."""

    def __init__(self, script: Script | None = None, *, path: str = "", host: str = "127.0.0.1") -> None:
        self.script = script or Script()
        self.path, self.host, self.port = path, host, 0
        self.connections = 0
        self.commands: list[bytes] = []
        self.messages: list[Message] = []
        self.raw_data: list[bytes] = []
        self.ended = 0
        self.changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        if self.path:
            self._server = await asyncio.start_unix_server(self._accept, self.path)
        else:
            self._server = await asyncio.start_server(self._accept, self.host, 0, limit=1 << 20)
            self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._handlers):
            task.cancel()
        if self._handlers:
            await asyncio.wait(self._handlers, timeout=5)
        await self._server.wait_closed()

    @property
    def nexthop(self) -> str:
        return f"unix:{self.path}" if self.path else f"[{self.host}]:{self.port}"

    async def wait(self, count: int, *, ended: bool = False) -> None:
        """Until ``count`` messages came, or connections ended."""
        async with asyncio.timeout(5):
            while (self.ended if ended else len(self.messages)) < count:
                self.changed.clear()
                await self.changed.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        self.connections += 1
        connection = _Connection(self, self.script, reader, writer, self.connections)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await connection.serve()
        finally:
            self._handlers.discard(task)
            self.ended += 1
            self.changed.set()
            writer.close()


class _Connection:
    def __init__(
        self,
        sink: ScriptedSink,
        script: Script,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        number: int,
    ) -> None:
        self.sink, self.script, self.reader, self.writer, self.number = sink, script, reader, writer, number
        self.mail, self.rcpt = b"", list[bytes]()

    async def serve(self) -> None:
        if self.script.greeting:
            await self.say(self.script.greeting)
        while line := await self.reader.readline():
            command = line.rstrip(b"\r\n")
            self.sink.commands.append(command)
            if command.startswith(self.script.close_at):
                return
            if command.startswith(self.script.hang_at):
                await self.reader.read()
                return
            if not await self.obey(command):
                return

    async def obey(self, command: bytes) -> bool:
        reply = self.scripted(command) or self.default(command)
        await self.say(reply)
        if reply.startswith((b"421", b"221")):
            return False
        if reply[:1] == b"2":
            verb = command[:4].upper()
            if verb == b"MAIL":
                self.mail, self.rcpt = command, []
            elif verb == b"RCPT":
                self.rcpt.append(command)
            elif verb == b"RSET":
                self.mail, self.rcpt = b"", []
        elif reply[:3] == b"354":
            return await self.content()
        return True

    def scripted(self, command: bytes) -> bytes:
        keys = [key for key in self.script.replies if command.startswith(key)]
        if not keys:
            return b""
        answer = self.script.replies[max(keys, key=len)]
        if isinstance(answer, bytes):
            return answer
        return answer.pop(0) if len(answer) > 1 else answer[0]

    def default(self, command: bytes) -> bytes:
        match command[:4].upper():
            case b"EHLO" | b"LHLO":
                if not self.script.keywords:
                    return b"502 5.5.1 Command not recognized"
                lines = ["sink.example", *self.script.keywords]
                return "\n".join(
                    f"250{' ' if at == len(lines) - 1 else '-'}{line}" for at, line in enumerate(lines)
                ).encode()
            case b"HELO":
                return b"250 sink.example"
            case b"MAIL":
                return b"250 2.1.0 Sender ok" if not self.mail else b"503 5.5.1 Nested MAIL"
            case b"RCPT":
                return b"250 2.1.5 Recipient ok" if self.mail else b"503 5.5.1 Need MAIL"
            case b"DATA":
                return b"354 Go on" if self.rcpt else b"503 5.5.1 Need RCPT"
            case b"RSET" | b"NOOP":
                return b"250 2.0.0 Ok"
            case b"QUIT":
                return b"221 2.0.0 Bye"
            case _:
                return b"500 5.5.2 Command not recognized"

    async def content(self) -> bool:
        lines: list[bytes] = []
        size = 0
        while (line := await self.reader.readline()) != b".\r\n":
            if not line:
                return False
            lines.append(line)
            size += len(line)
            if self.script.close_after is not None and size >= self.script.close_after:
                return False
            if self.script.answer_after is not None and size >= self.script.answer_after:
                await self.say(self.scripted(b".") or b"452 4.3.1 Enough")
                return False
        self.sink.commands.append(b".")
        if self.script.close_at == b".":
            return False
        if self.script.hang_at == b".":
            await self.reader.read()
            return False
        self.sink.raw_data.append(b"".join(lines))
        data = b"".join(line[1:] if line.startswith(b".") else line for line in lines)
        self.sink.messages.append(Message(self.mail, self.rcpt, data, self.number))
        self.sink.changed.set()
        for _ in self.rcpt if self.script.is_lmtp else [b""]:
            reply = self.scripted(b".") or b"250 2.0.0 Ok: queued as %d" % len(self.sink.messages)
            await self.say(reply)
        self.mail, self.rcpt = b"", []
        if self.script.idle_reply:
            await self.say(self.script.idle_reply)
            return False
        return not reply.startswith(b"421")

    async def say(self, reply: bytes) -> None:
        raw = reply.replace(b"\n", b"\r\n") + b"\r\n"
        pieces = [raw[at : at + 1] for at in range(len(raw))] if self.script.is_split else [raw]
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
