"""The socket of a ``mysql:`` connection, between PyMySQL, which blocks, and the event loop, which must not.

While it logs in, in a thread, PyMySQL reads and writes here as on any socket. Later a question is sent from here, the
whole answer is awaited, within limits of time and size, and PyMySQL then reads it without waiting. Only where an answer
ends is known here; what it says is PyMySQL's. Source: MySQL's manual of internals, "Text Protocol", "Packets".
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import ssl
import time
from collections.abc import Callable
from enum import Enum, auto

from gateway.maps.sql.pool import ANSWER_LIMIT, Lost, QueryError

_CHUNK = 1 << 16
_MORE_RESULTS = 8  # SERVER_MORE_RESULTS_EXISTS
_OK, _LOCAL_FILE, _EOF, _ERROR = 0x00, 0xFB, 0xFE, 0xFF
_LARGEST = 0xFFFFFF
_TRY_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class _Expected(Enum):
    FIRST = auto()  # of a result: OK, error, or the number of columns
    COLUMN = auto()
    ROW = auto()
    NOTHING = auto()


class AnswerEnd:
    """Finds the end of the answer to a query.

    Args:
        data: what has come so far; grows outside.
    """

    def __init__(self, data: bytearray) -> None:
        self._data, self._at = data, 0
        self._expected = _Expected.FIRST

    def is_there(self) -> bool:
        """True when the whole answer is in the data.

        Raises:
            QueryError: no server says such a thing.
        """
        data, length = self._data, len(self._data)
        while self._expected is not _Expected.NOTHING and length > self._at + 4:
            at = self._at
            size = data[at] | data[at + 1] << 8 | data[at + 2] << 16
            if size in (0, _LARGEST):
                raise QueryError("the server does not speak MySQL's protocol", is_spent=True)
            if length < at + 4 + size:
                break
            self._packet(data, at + 4, size)
            self._at = at + 4 + size
        return self._expected is _Expected.NOTHING

    def _packet(self, data: bytearray, at: int, size: int) -> None:
        first, is_eof = data[at], data[at] == _EOF and size < 9
        if first == _ERROR or (first == _LOCAL_FILE and self._expected is _Expected.FIRST):
            self._expected = _Expected.NOTHING
        elif self._expected is _Expected.FIRST:
            self._expected = self._after(data, _behind_numbers(data, at + 1, 2)) if first == _OK else _Expected.COLUMN
        elif is_eof:
            self._expected = _Expected.ROW if self._expected is _Expected.COLUMN else self._after(data, at + 3)

    @staticmethod
    def _after(data: bytearray, status_at: int) -> _Expected:
        has_more = status_at < len(data) and data[status_at] & _MORE_RESULTS
        return _Expected.FIRST if has_more else _Expected.NOTHING


def _behind_numbers(data: bytearray, at: int, count: int) -> int:
    """Where the octets begin that follow some numbers of variable length."""
    for _ in range(count):
        at += {0xFC: 3, 0xFD: 4, 0xFE: 9}.get(data[at] if at < len(data) else 0, 1)
    return at


class _Reader:
    """What PyMySQL reads from.

    Attributes:
        read: exactly so many octets, fewer at the end.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self.read = read

    def close(self) -> None:
        """Nothing: the socket is closed by itself."""


class Wire:
    """What PyMySQL takes for a socket.

    Args:
        raw: connected; TLS may be put on it later.
        seconds: until :meth:`watch`, for everything together.

    Attributes:
        is_broken: the server said something unasked, or closed.
        why: the limit that was reached, empty while none was.
    """

    def __init__(self, raw: socket.socket, seconds: float) -> None:
        self.raw = raw
        self.is_broken = False
        self.why = ""
        self._seconds, self._until = seconds, time.monotonic() + seconds
        self._data = bytearray()
        self._reader = _Reader(self._received)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: AnswerEnd | None = None
        self._done: asyncio.Future[None] | None = None
        self._sent = self._unsent = b""
        raw.settimeout(seconds)

    # -- what PyMySQL calls ------------------------------------------------------------------------------------------

    def settimeout(self, _seconds: float | None) -> None:
        """PyMySQL's own wishes are for each read, not for the whole."""

    def makefile(self, _mode: str) -> _Reader:
        """What has been received."""
        return self._reader

    def _received(self, count: int) -> bytes:
        """For as long as nobody watches: wait for more, if need be; raises OSError when the time is over."""
        while len(self._data) < count:
            if len(self._data) > ANSWER_LIMIT:
                self.why = f"the answer is larger than {ANSWER_LIMIT} octets"
            elif time.monotonic() >= self._until:
                self.why = f"no answer within {self._seconds:g} s"
            if self.why:
                raise OSError(self.why)
            try:
                more = self.raw.recv(_CHUNK)
            except TimeoutError:
                self.why = f"no answer within {self._seconds:g} s"
                raise
            if not more:
                break
            self._data += more
        found = bytes(self._data[:count])
        del self._data[:count]
        return found

    def sendall(self, data: bytes) -> None:
        """Send; once the loop watches, only what :meth:`fetch` has sent already.

        Raises:
            OSError: not sent, or something else is to be sent.
        """
        if self._loop is None:
            self.raw.sendall(data)
        elif data != self._sent:
            raise OSError("nothing else can be sent while an answer is read")

    def close(self) -> None:
        """Close the socket; harmless a second time."""
        if self._loop is not None and self.raw.fileno() >= 0:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.remove_reader(self.raw)
                self._loop.remove_writer(self.raw)
        self.raw.close()

    # -- what the event loop does ------------------------------------------------------------------------------------

    def watch(self) -> None:
        """From now on the running loop reads and writes."""
        self._loop = asyncio.get_running_loop()
        self.raw.setblocking(False)
        self._loop.add_reader(self.raw, self._readable)

    async def fetch(self, packet: bytes, seconds: float) -> None:
        """Send a packet, and wait until the whole answer can be read.

        Raises:
            QueryError: the answer is too slow, too large, or none.
            Lost: the connection broke.
        """
        assert self._loop is not None, "watch() comes first"
        self._data = bytearray()
        self._end, self._done = AnswerEnd(self._data), self._loop.create_future()
        self._sent = self._unsent = packet
        self._seconds = seconds
        timer = self._loop.call_later(seconds, self._too_slow)
        try:
            self._writable()
            await self._done
            self._reader.read = io.BytesIO(self._data).read
        finally:
            timer.cancel()
            self._end = self._done = None

    def _readable(self) -> None:
        try:
            while True:
                more = self.raw.recv(_CHUNK)
                if not more or self._end is None:
                    self._fail(Lost("the server closed the connection"))
                    return
                self._data += more
                if len(self._data) > ANSWER_LIMIT:
                    self._fail_for(f"the answer is larger than {ANSWER_LIMIT} octets")
                    return
                if len(more) < _CHUNK and not isinstance(self.raw, ssl.SSLSocket):
                    break
        except _TRY_LATER:
            pass
        except OSError as error:
            self._fail(Lost(f"{error}"))
            return
        try:
            if self._end is not None and self._end.is_there() and self._done is not None and not self._done.done():
                self._done.set_result(None)
        except QueryError as error:
            self._fail(error)

    def _writable(self) -> None:
        assert self._loop is not None
        self._loop.remove_writer(self.raw)
        try:
            while self._unsent:
                self._unsent = self._unsent[self.raw.send(self._unsent) :]
        except _TRY_LATER:
            self._loop.add_writer(self.raw, self._writable)
        except OSError as error:
            self._fail(Lost(f"{error}"))

    def _too_slow(self) -> None:
        self._fail_for(f"no answer within {self._seconds:g} s")

    def _fail_for(self, why: str) -> None:
        self.why = why
        self._fail(QueryError(why, is_spent=True))

    def _fail(self, error: QueryError | Lost) -> None:
        assert self._loop is not None
        self.is_broken = True
        self._loop.remove_reader(self.raw)
        self._loop.remove_writer(self.raw)
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)
