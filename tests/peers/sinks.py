"""Next hops: smtp-sink, a recording aiosmtpd Controller, and a fast counting sink that can be told to misbehave.

* :class:`SmtpSink`: Postfix's own load sink; fastest in CPU, knows only how many messages came.
* :class:`RecordingSink`: keeps every message whole; for scenarios.
* :class:`CountingSink`: keeps the identifiers of messages (:data:`peers.load.ID_HEADER`) and how often each came, and
  plays a :class:`Behaviour` that may change while it runs; for faults.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from peers.ports import LOOPBACK, free_port, wait_for, wait_for_banner

_SINK_COUNT = re.compile(rb"mesg=(\d+)\r")
ID_LINE = re.compile(rb"^X-Load-Id: (\S+)\r\n", re.MULTILINE)


class SmtpSink:
    """``smtp-sink`` on a free port, counting.

    Args:
        arguments: extra options, e.g. ``-W .:1`` (a second before the reply to end of data).
        backlog: listen backlog.
        connections: upper bound on simultaneous connections.
    """

    def __init__(self, *arguments: str, backlog: int = 1024, connections: int = 1024) -> None:
        self.port = free_port()
        # It insists on losing root's rights, and cannot lose anybody else's.
        user = ("-u", "nobody") if os.geteuid() == 0 else ()
        self._command = [
            "/usr/sbin/smtp-sink", "-4", "-c", *user, "-m", str(connections), *arguments,
            f"inet:{LOOPBACK}:{self.port}", str(backlog),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self._counters = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=self._counters, stderr=subprocess.DEVNULL
        )
        wait_for_banner(self.port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)
        self._counters.close()

    @property
    def total(self) -> int:
        """Messages received so far: the last of the counters it prints at each event."""
        end = os.fstat(self._counters.fileno()).st_size
        tail = os.pread(self._counters.fileno(), 200, max(0, end - 200))
        counts = _SINK_COUNT.findall(tail)
        return int(counts[-1]) if counts else 0

    def wait_for(self, count: int, timeout_s: float = 60.0) -> None:
        """Wait until ``count`` messages came since the start."""
        wait_for(lambda: self.total >= count, f"{count} messages at smtp-sink", timeout_s, pause_s=0.005)


@dataclass(frozen=True, slots=True)
class Received:
    """One message as a sink got it."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    mail_options: tuple[str, ...]
    rcpt_options: tuple[str, ...]
    helo: str


class RecordingSink:
    """An aiosmtpd Controller that keeps every message.

    Args:
        refuse: recipient to reply, e.g. ``{"no@b.example": "550 5.1.1 No such user"}``.
        size_limit: SIZE it announces, octets.
        smtputf8: announce SMTPUTF8.
    """

    def __init__(
        self, *, refuse: dict[str, str] | None = None, size_limit: int = 100_000_000, smtputf8: bool = True
    ) -> None:
        self.messages: list[Received] = []
        self.refuse = refuse or {}
        self.port = free_port()
        self._controller = Controller(
            self, hostname=LOOPBACK, port=self.port, data_size_limit=size_limit, enable_SMTPUTF8=smtputf8,
            ready_timeout=10.0, server_hostname="sink.peer.example",
        )  # fmt: skip

    # aiosmtpd's handler protocol

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, rcpt_options: list[str]) -> str:
        if reply := self.refuse.get(address):
            return reply
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.messages.append(
            Received(
                str(envelope.mail_from), tuple(envelope.rcpt_tos), bytes(envelope.original_content),
                tuple(envelope.mail_options), tuple(envelope.rcpt_options), str(session.host_name),
            )
        )  # fmt: skip
        return "250 2.0.0 Ok: recorded"

    # life

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    def wait_for(self, count: int = 1, timeout_s: float = 20.0) -> list[Received]:
        """Wait until ``count`` messages came; returns all of them."""
        wait_for(lambda: len(self.messages) >= count, f"{count} messages at the sink", timeout_s)
        return list(self.messages)


class Behaviour(Enum):
    """What a :class:`CountingSink` does with its clients."""

    GOOD = auto()
    REFUSE_CONNECTIONS = auto()
    """Close at once, without a word."""
    GREET_421 = auto()
    CLOSE_IN_DATA = auto()
    """Reset the connection when the first octets of the message have come."""
    CLOSE_AT_END_OF_DATA = auto()
    """Take the message, then close without a reply: the client cannot know."""
    GARBAGE = auto()
    """Greet, then answer with octets that are no SMTP."""
    SILENT = auto()
    """Accept the connection and say nothing."""
    SLOW = auto()
    """Wait :attr:`CountingSink.delay_s` before each reply to end of data."""
    TEMPFAIL = auto()
    """451 to every RCPT."""
    REJECT_MESSAGE = auto()
    """554 at end of data."""


_GARBAGE = b"\x00\xff\x80 hello 99999\r\n25\r\n\x1b[2Jnot a reply\r\n" + b"x" * 3000 + b"\r\n"
_CAPABILITIES = b"250-sink\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"


class _Session(asyncio.Protocol):
    """One connection. Fast rather than strict: splits lines, finds the end of data, counts."""

    def __init__(self, sink: CountingSink) -> None:
        self.sink, self.buffer, self.data = sink, b"", bytearray()
        self.in_data = False
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.sink.sessions.add(self)
        self.sink.connections += 1
        match self.sink.behaviour:
            case Behaviour.REFUSE_CONNECTIONS:
                transport.abort()
            case Behaviour.GREET_421:
                transport.write(b"421 4.3.2 Not now\r\n")
                transport.close()
            case Behaviour.SILENT:
                pass
            case _:
                transport.write(b"220 sink.peer.example ESMTP\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self.sink.sessions.discard(self)

    def data_received(self, data: bytes) -> None:
        behaviour = self.sink.behaviour
        if behaviour is Behaviour.SILENT:
            return
        if behaviour is Behaviour.GARBAGE:
            self.transport.write(_GARBAGE)
            return
        if self.in_data:
            self._take(data)
        else:
            self.buffer += data
            self._commands()

    def _commands(self) -> None:
        while not self.in_data and (end := self.buffer.find(b"\n")) >= 0:
            line, self.buffer = self.buffer[: end + 1], self.buffer[end + 1 :]
            match line[:4].upper():
                case b"EHLO":
                    self.transport.write(_CAPABILITIES)
                case b"RCPT" if self.sink.behaviour is Behaviour.TEMPFAIL:
                    self.transport.write(b"451 4.3.0 Try later\r\n")
                case b"DATA" if self.sink.behaviour is Behaviour.TEMPFAIL:
                    self.transport.write(b"554 5.5.1 No valid recipients\r\n")
                case b"DATA":
                    self.in_data = True
                    self.transport.write(b"354 go on\r\n")
                case b"QUIT":
                    self.transport.write(b"221 2.0.0 Bye\r\n")
                    self.transport.close()
                case _:
                    self.transport.write(b"250 2.0.0 Ok\r\n")
        if self.in_data and self.buffer:
            data, self.buffer = self.buffer, b""
            self._take(data)

    def _take(self, data: bytes) -> None:
        if self.sink.behaviour is Behaviour.CLOSE_IN_DATA:
            self.transport.abort()
            return
        self.data += data
        end = self.data.find(b"\r\n.\r\n", max(0, len(self.data) - len(data) - 4))
        if end < 0:
            return
        self.buffer = bytes(self.data[end + 5 :])
        message = bytes(self.data[: end + 2])
        self.data.clear()
        self.in_data = False
        self._finish(message)

    def _finish(self, message: bytes) -> None:
        match self.sink.behaviour:
            case Behaviour.CLOSE_AT_END_OF_DATA:
                self.sink.count_unanswered(message)
                self.transport.abort()
            case Behaviour.SLOW:
                asyncio.get_running_loop().call_later(self.sink.delay_s, self._accept, message)
            case Behaviour.REJECT_MESSAGE:
                self.transport.write(b"554 5.7.1 Not this one\r\n")
                self._commands()
            case _:
                self._accept(message)

    def _accept(self, message: bytes) -> None:
        if not self.transport.is_closing():
            self.sink.count(message)
            self.transport.write(b"250 2.0.0 Ok\r\n")
            self._commands()


class CountingSink:
    """A fast next hop in a thread of its own that counts messages by identifier.

    Args:
        behaviour: what to do at first; :meth:`behave` changes it at any time.
        delay_s: for ``Behaviour.SLOW``.
        on_message: called in the sink's thread for each message it accepted.
    """

    def __init__(
        self,
        behaviour: Behaviour = Behaviour.GOOD,
        *,
        delay_s: float = 1.0,
        on_message: Callable[[bytes], None] | None = None,
    ) -> None:
        self.behaviour, self.delay_s = behaviour, delay_s
        self.port = free_port()
        self.received: Counter[str] = Counter()
        self.first_at: dict[str, float] = {}  # monotonic seconds of the first copy
        self.unanswered: Counter[str] = Counter()
        self.connections = 0
        self.sessions: set[_Session] = set()
        self._on_message = on_message
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="counting-sink", daemon=True)

    def count(self, message: bytes) -> None:
        """Note a message that was accepted (sink's thread)."""
        identifier = self._identifier(message)
        self.received[identifier] += 1
        self.first_at.setdefault(identifier, time.monotonic())
        if self._on_message:
            self._on_message(message)

    def count_unanswered(self, message: bytes) -> None:
        """Note a message that came whole and got no reply (sink's thread)."""
        self.unanswered[self._identifier(message)] += 1

    @staticmethod
    def _identifier(message: bytes) -> str:
        found = ID_LINE.search(message)
        return found.group(1).decode("ascii", "replace") if found else ""

    @property
    def total(self) -> int:
        """Messages accepted, duplicates included."""
        return self.received.total()

    @property
    def duplicates(self) -> int:
        """How many came more than once, counting each extra copy."""
        return sum(times - 1 for times in self.received.values())

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    def listen(self) -> None:
        """Start to listen (again)."""

        async def listen() -> None:
            self._server = await self._loop.create_server(
                lambda: _Session(self), LOOPBACK, self.port, backlog=1024, reuse_address=True
            )

        self._run(listen())

    def close(self) -> None:
        """Stop to listen and drop every connection: the host is down, its port refuses."""

        async def close() -> None:
            if self._server is not None:
                self._server.close()
                self._server = None
            for session in list(self.sessions):
                session.transport.abort()

        self._run(close())

    def behave(self, behaviour: Behaviour) -> None:
        """Change what it does, dropping every connection."""
        self.behaviour = behaviour

        async def drop() -> None:
            for session in list(self.sessions):
                session.transport.abort()

        self._run(drop())

    def __enter__(self) -> Self:
        self._thread.start()
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._run(asyncio.sleep(0))  # aborted transports call connection_lost in the next tick
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def wait_for(self, identifiers: set[str], timeout_s: float = 60.0) -> None:
        """Wait until each of these messages came at least once."""
        wait_for(lambda: identifiers <= self.received.keys(), f"{len(identifiers)} messages at the sink", timeout_s)
