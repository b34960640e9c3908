"""Where log lines end: a file, a stream, syslog, memory.

A sink never raises from ``write``: it counts what it lost.
Source: RFC 3164 §4.1 (priority and header of a syslog datagram).
"""

from __future__ import annotations

import errno
import os
import socket
from enum import IntEnum
from typing import Protocol

_FACILITIES = {
    name: number
    for number, name in enumerate(
        ("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp")
    )
} | {f"local{n}": 16 + n for n in range(8)}
_SYSLOG_LINE_LIMIT = 2000  # octets; syslogd implementations cut or drop longer datagrams
_SYSLOG_BACKLOG_LIMIT = 10_000  # lines kept while syslogd does not read


class Level(IntEnum):
    """Severity, as syslog numbers it: lower is worse."""

    FATAL = 2
    ERROR = 3
    WARNING = 4
    INFO = 6
    DEBUG = 7


def facility_number(name: str) -> int | None:
    """The syslog number of a facility such as ``mail`` or ``local3``; None when there is none."""
    return _FACILITIES.get(name.lower())


def host_label() -> str:
    """The host's name up to the first dot, as syslog shows it."""
    return socket.gethostname().partition(".")[0] or "localhost"


class Sink(Protocol):
    """One destination of log lines."""

    lost: int

    def head(self, level: Level, stamp: str) -> str:
        """What stands before the program's name; ``stamp`` is ``Nov 22 13:08:54`` and a space."""

    def write(self, lines: list[str]) -> None:
        """Write lines that have no line end. Never raises."""

    def reopen(self) -> str:
        """Start a new file where the old one was moved away; returns what went wrong, or nothing."""

    def close(self) -> None:
        """Let go of the file or socket."""


class StreamSink:
    """Lines to an open descriptor: stdout or stderr of the process."""

    def __init__(self, fd: int) -> None:
        self.lost = 0
        self._fd = fd
        self._host = host_label()

    def head(self, level: Level, stamp: str) -> str:
        """Time and host; the severity shows only as the text's prefix."""
        return f"{stamp}{self._host} "

    def write(self, lines: list[str]) -> None:
        """All lines with one system call, unless the kernel takes only a part."""
        data = memoryview(("\n".join(lines) + "\n").encode("utf-8", "replace"))
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            self.lost += len(lines)

    def reopen(self) -> str:
        """Nothing to do: whoever gave the stream owns it."""
        return ""

    def close(self) -> None:
        """Nothing to do: whoever gave the stream owns it."""


class FileSink(StreamSink):
    """Lines appended to a file; many processes may share it, each write lands whole (O_APPEND).

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        super().__init__(_open_append(path))

    def reopen(self) -> str:
        """Open the path again; keep the old file when that fails."""
        try:
            fd = _open_append(self._path)
        except OSError as exc:
            return f"cannot reopen {self._path}, the old file stays in use: {exc.strerror}"
        os.close(self._fd)
        self._fd = fd
        return ""

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class SyslogSink:
    """Lines to the local syslog daemon, as datagrams.

    Never waits for it: a stuck syslogd must not stop the mail. Lines wait in a bounded backlog and go out with the next
    write; what does not fit is lost and counted.

    Raises:
        OSError: nobody listens at ``path``.
    """

    def __init__(self, path: str, facility: int) -> None:
        self.lost = 0
        self._path, self._facility = path, facility
        self._backlog: list[str] = []
        self._socket = _connect_datagram(path)

    def head(self, level: Level, stamp: str) -> str:
        """Priority and time; the daemon adds the host."""
        return f"<{self._facility << 3 | level}>{stamp}"

    def write(self, lines: list[str]) -> None:
        """One datagram a line; reconnects once when the daemon was restarted."""
        waiting = self._backlog + lines
        sent = 0
        has_reconnected = False
        while sent < len(waiting):
            try:
                self._socket.send(waiting[sent].encode("utf-8", "replace")[:_SYSLOG_LINE_LIMIT])
            except OSError as exc:
                if exc.errno in (errno.EAGAIN, errno.ENOBUFS) or has_reconnected:
                    break
                has_reconnected = True
                if self.reopen():
                    break
            else:
                sent += 1
        kept = waiting[sent:]
        self.lost += max(0, len(kept) - _SYSLOG_BACKLOG_LIMIT)
        self._backlog = kept[-_SYSLOG_BACKLOG_LIMIT:]

    def reopen(self) -> str:
        """Connect again; keep the old socket when that fails."""
        try:
            fresh = _connect_datagram(self._path)
        except OSError as exc:
            return f"cannot connect to {self._path}: {exc.strerror}"
        self._socket.close()
        self._socket = fresh
        return ""

    def close(self) -> None:
        """Close the socket; a backlog is lost."""
        self.lost += len(self._backlog)
        self._backlog = []
        self._socket.close()


class MemorySink:
    """Lines in a list, for tests."""

    def __init__(self) -> None:
        self.lost = 0
        self.lines: list[str] = []
        self._host = host_label()

    def head(self, level: Level, stamp: str) -> str:
        """The same head as in a file."""
        return f"{stamp}{self._host} "

    def write(self, lines: list[str]) -> None:
        """Keep them."""
        self.lines += lines

    def reopen(self) -> str:
        """Nothing to do."""
        return ""

    def close(self) -> None:
        """Nothing to do: the lines stay readable."""


def _open_append(path: str) -> int:
    # Mode as syslogd's files have it: readable for those who read mail.log.
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o644)


def _connect_datagram(path: str) -> socket.socket:
    fresh = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        fresh.connect(path)
    except OSError:
        fresh.close()
        raise
    return fresh
