"""Clients that load a server: smtp-source, and an asyncio generator that knows which of its messages got 250.

report = generate(port, messages=500, sessions=10)
report.acknowledged          # identifiers whose end of data was answered 250: these must never be lost
report.in_doubt              # sent whole, no reply seen: may arrive or not
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
import time
from dataclasses import dataclass, field

from peers.ports import LOOPBACK, NotReady


@dataclass(frozen=True, slots=True)
class SourceRun:
    """What one run of smtp-source took."""

    messages: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Messages a second as the client saw it."""
        return self.messages / self.seconds


def smtp_source(
    port: int,
    *,
    messages: int,
    sessions: int = 20,
    length: int = 4096,
    sender: str = "sender@a.example",
    recipient: str = "recipient@b.example",
    is_reused: bool = False,
    arguments: tuple[str, ...] = (),
    timeout_s: float = 300.0,
) -> SourceRun:
    """Run smtp-source to its end.

    Args:
        is_reused: many messages a connection (``-d``); else a new connection each.
        arguments: more options; ``-A`` lets it go on after a refusal.
    Raises: NotReady when it fails or takes longer than ``timeout_s``.
    """
    reuse = ("-d",) if is_reused else ()
    command = [
        "/usr/sbin/smtp-source", "-4", *reuse, *arguments, "-s", str(sessions), "-m", str(messages), "-l", str(length),
        "-M", "source.peer.example", "-f", sender, "-t", recipient, f"inet:{LOOPBACK}:{port}",
    ]  # fmt: skip
    start = time.perf_counter()
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired as late:
        raise NotReady(f"smtp-source did not end within {timeout_s:g} s") from late
    if done.returncode:
        raise NotReady(f"smtp-source: {done.stderr.strip()[-400:]}")
    return SourceRun(messages, time.perf_counter() - start)


@dataclass(slots=True)
class LoadReport:
    """What happened to the messages of a :class:`Load`."""

    acknowledged: set[str] = field(default_factory=set)
    in_doubt: set[str] = field(default_factory=set)
    refused: dict[str, bytes] = field(default_factory=dict)
    errors: int = 0


def _lines(length: int) -> bytes:
    """At least ``length`` octets of text in lines."""
    return (b"x" * 70 + b"\r\n") * (length // 72 + 1)


class Load:
    """Sends messages with unique identifiers over some connections until told to stop.

    Args:
        port: where to.
        sessions: parallel connections.
        length: octets of body.
        domains: recipients' domains, taken in turn.
        prefix: start of each identifier.
        limit: stop by itself after so many messages were begun; 0: never.
        per_connection: messages a connection before QUIT.
        large_every: each so many-th message has ``large_length`` octets of body instead; 0: none.
    """

    def __init__(
        self,
        port: int,
        *,
        sessions: int = 5,
        length: int = 2048,
        domains: tuple[str, ...] = ("b.example",),
        prefix: str = "m",
        limit: int = 0,
        per_connection: int = 20,
        large_every: int = 0,
        large_length: int = 300_000,
    ) -> None:
        self.port, self.sessions, self.prefix, self.limit = port, sessions, prefix, limit
        self.per_connection = per_connection
        self.report = LoadReport()
        self._domains = itertools.cycle(domains)
        self._numbers = itertools.count(1)
        self._begun = 0
        self._is_stopping = False
        self._body, self._large_body = _lines(length), _lines(large_length)
        self._large_every = large_every

    def stop(self) -> None:
        """Let each connection finish its message, then end."""
        self._is_stopping = True

    @property
    def _is_done(self) -> bool:
        return self._is_stopping or bool(self.limit and self._begun >= self.limit)

    async def run(self) -> LoadReport:
        """Send until :meth:`stop` or the limit."""
        await asyncio.gather(*(self._client() for _ in range(self.sessions)))
        return self.report

    async def _client(self) -> None:
        while not self._is_done:
            try:
                async with asyncio.timeout(30):
                    await self._connection()
            except (OSError, EOFError, TimeoutError, ValueError):
                self.report.errors += 1
                await asyncio.sleep(0.02)  # the server is being restarted: do not spin

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
        try:
            await self._expect(reader, b"220")
            writer.write(b"EHLO load.peer.example\r\n")
            await self._expect(reader, b"250")
            for _ in range(self.per_connection):
                if self._is_done:
                    break
                await self._message(reader, writer)
            writer.write(b"QUIT\r\n")
            with contextlib.suppress(OSError, EOFError, ValueError):
                await self._expect(reader, b"221")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _message(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._begun += 1
        number = next(self._numbers)
        identifier = f"{self.prefix}{number}"
        is_large = self._large_every and number % self._large_every == 0
        for command, wanted in (
            (b"MAIL FROM:<sender@a.example>\r\n", b"250"),
            (f"RCPT TO:<r@{next(self._domains)}>\r\n".encode(), b"250"),
            (b"DATA\r\n", b"354"),
        ):
            writer.write(command)
            reply = await self._reply(reader)
            if not reply.startswith(wanted):
                self.report.refused[identifier] = reply
                writer.write(b"RSET\r\n")
                await self._expect(reader, b"250")
                return
        head = f"From: <sender@a.example>\r\nSubject: load {identifier}\r\nX-Load-Id: {identifier}\r\n\r\n"
        self.report.in_doubt.add(identifier)
        writer.write(head.encode() + (self._large_body if is_large else self._body) + b".\r\n")
        reply = await self._reply(reader)
        self.report.in_doubt.discard(identifier)
        if reply.startswith(b"250"):
            self.report.acknowledged.add(identifier)
        else:
            self.report.refused[identifier] = reply

    async def _reply(self, reader: asyncio.StreamReader) -> bytes:
        """The last line of the next reply."""
        while True:
            line = await reader.readline()
            if not line.endswith(b"\n"):
                raise EOFError("connection closed")
            if line[3:4] != b"-":
                return line

    async def _expect(self, reader: asyncio.StreamReader, wanted: bytes) -> None:
        reply = await self._reply(reader)
        if not reply.startswith(wanted):
            raise ValueError(f"wanted {wanted!r}, got {reply!r}")


def generate(
    port: int,
    *,
    messages: int,
    sessions: int = 5,
    length: int = 2048,
    domains: tuple[str, ...] = ("b.example",),
    prefix: str = "m",
    timeout_s: float = 120.0,
) -> LoadReport:
    """Send about ``messages`` messages and report what became of each."""
    load = Load(port, sessions=sessions, length=length, domains=domains, prefix=prefix, limit=messages)

    async def bounded() -> LoadReport:
        async with asyncio.timeout(timeout_s):
            return await load.run()

    return asyncio.run(bounded())
