"""Log lines in Postfix's form: ``Nov 22 13:08:54 host postfix/smtpd[4711]: text``.

Lines are collected for a few milliseconds and written together: one write for each turn of a busy loop cost a tenth of
a message's time. Warnings and worse, and lines logged while no loop runs, are written at once. Log analysers
(pflogsumm) depend on the exact shape. Source: postconf(5) maillog_file, syslog_facility, syslog_name; RFC 3164 §4.1.2
(time stamp).
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import traceback
from asyncio import AbstractEventLoop, _get_running_loop
from collections import deque
from collections.abc import Callable
from typing import Protocol

from gateway.model.errors import ConfigError
from gateway.observe.sinks import FileSink, Level, MemorySink, Sink, StreamSink, SyslogSink, facility_number

SYSLOG_SOCKET = "/dev/log"
FLUSH_S = 0.005
"""Seconds that a line of normal activity may wait for others."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class LogSettings(Protocol):
    """What the log asks of the configuration; ``gateway.config.Config`` fits."""

    def text(self, name: str) -> str:
        """Expanded text of a parameter."""

    def words(self, name: str) -> tuple[str, ...]:
        """A list parameter."""


class MailLog:
    """The log of one process: where lines go, and the buffer on the way.

    Use :meth:`open` or :meth:`memory`; then :meth:`logger` for each program name. Safe to use from plugin threads.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        syslog_name: str = "postfix",
        clock: Callable[[], float] = time.time,
        pid: int = 0,
        syslog_socket: str = SYSLOG_SOCKET,
    ) -> None:
        self.syslog_name = syslog_name
        self.is_verbose = False
        self._sink = sink
        self._syslog_socket = syslog_socket
        self._clock = clock
        self._pid = pid or os.getpid()
        self._lines: deque[str] = deque()
        self._heads: dict[Level, str] = {}
        self._second = -1
        self._scheduled_on: AbstractEventLoop | None = None
        self._flushing = threading.Lock()

    @classmethod
    def open(cls, config: LogSettings, *, syslog_socket: str = SYSLOG_SOCKET) -> MailLog:
        """Open the log that ``maillog_file`` names, else syslog, else stderr.

        Raises:
            ConfigError: ``maillog_file`` is outside ``maillog_file_prefixes``, cannot be opened, or
                ``syslog_facility`` is unknown.
        """
        sink = _open_sink(config, syslog_socket)
        log = cls(sink, syslog_name=config.text("syslog_name") or "postfix", syslog_socket=syslog_socket)
        atexit.register(log.flush)
        return log

    @classmethod
    def memory(cls, *, clock: Callable[[], float] = time.time) -> MailLog:
        """A log that keeps its lines in :attr:`lines`: for tests."""
        return cls(MemorySink(), clock=clock)

    @property
    def lines(self) -> list[str]:
        """Every line so far of a :meth:`memory` log, without line ends; empty for the others."""
        self.flush()
        return self._sink.lines if isinstance(self._sink, MemorySink) else []

    @property
    def lost(self) -> int:
        """Lines that could not be written: disk full, syslog too slow."""
        return self._sink.lost

    def logger(self, program: str, *, syslog_name: str = "") -> Logger:
        """A logger that signs ``syslog_name/program[pid]``; ``syslog_name`` defaults to the parameter's value."""
        return Logger(self, f"{syslog_name or self.syslog_name}/{program}[{self._pid}]: ")

    def put(self, level: Level, tag: str, text: str) -> None:
        """Add one line. Cost: about one microsecond; the write is shared by all lines of some milliseconds."""
        now = int(self._clock())
        if now != self._second:
            self._start_second(now)
        if not text.isprintable():
            text = printable(text)
        self._lines.append(f"{self._heads[level]}{tag}{text}")
        loop = _get_running_loop()
        if loop is None or level <= Level.WARNING:
            self.flush()
        elif loop is not self._scheduled_on:
            self._scheduled_on = loop
            loop.call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write what is buffered. Never raises: a full disk must not stop the mail; see :attr:`lost`."""
        with self._flushing:
            # Forget the appointment before taking lines: a line added from now on makes its own.
            self._scheduled_on = None
            lines = self._lines
            if taken := [lines.popleft() for _ in range(len(lines))]:
                self._sink.write(taken)

    def reopen(self, config: LogSettings | None = None) -> None:
        """Open the file again after rotation (``postgate reload``); on failure the old one stays, with a warning.

        Args:
            config: new settings, which may name another file; None keeps the old ones.
        """
        self.flush()
        if config is None:
            problem = self._sink.reopen()
        else:
            problem = self._replace(config)
        if problem:
            self.logger("log").warning(problem)

    def _replace(self, config: LogSettings) -> str:
        """Change over to the destination that ``config`` names; returns what went wrong."""
        try:
            fresh = _open_sink(config, self._syslog_socket)
        except ConfigError as exc:
            return f"{exc}; the old log stays in use"
        with self._flushing:
            self._sink.close()
            self._sink, self._second = fresh, -1
        return ""

    def close(self) -> None:
        """Write the rest and let go of the file or socket."""
        self.flush()
        atexit.unregister(self.flush)
        self._sink.close()

    def _start_second(self, now: int) -> None:
        """Make this second's line heads: formatting the time for each line would cost more than the rest."""
        t = time.localtime(now)
        stamp = f"{_MONTHS[t.tm_mon - 1]} {t.tm_mday:2d} {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} "
        self._heads = {level: self._sink.head(level, stamp) for level in Level}
        self._second = now


class Logger:
    """Writes lines of one program, e.g. ``postfix/smtpd[4711]: ``. Severities mean what they mean in Postfix."""

    __slots__ = ("_error", "_fatal", "_info", "_log", "_panic", "_warning")

    def __init__(self, log: MailLog, tag: str) -> None:
        self._log = log
        self._info, self._warning, self._error = tag, tag + "warning: ", tag + "error: "
        self._fatal, self._panic = tag + "fatal: ", tag + "panic: "

    @property
    def is_verbose(self) -> bool:
        """True when :meth:`debug` lines are kept: ask before formatting an expensive one."""
        return self._log.is_verbose

    def debug(self, text: str) -> None:
        """A line for whoever debugs; dropped unless the log is verbose."""
        if self._log.is_verbose:
            self._log.put(Level.DEBUG, self._info, text)

    def info(self, text: str) -> None:
        """Normal activity."""
        self._log.put(Level.INFO, self._info, text)

    def warning(self, text: str) -> None:
        """Something is odd; work goes on."""
        self._log.put(Level.WARNING, self._warning, text)

    def error(self, text: str) -> None:
        """Some work could not be done."""
        self._log.put(Level.ERROR, self._error, text)

    def fatal(self, text: str) -> None:
        """The environment does not let this process go on; the caller ends it."""
        self._log.put(Level.FATAL, self._fatal, text)

    def panic(self, text: str) -> None:
        """A bug of ours."""
        self._log.put(Level.FATAL, self._panic, text)

    def traceback(self, exc: BaseException) -> None:
        """A bug of ours, and where it happened: one line for each line of the traceback."""
        for line in "".join(traceback.format_exception(exc)).splitlines():
            self.panic(line)


def printable(text: str) -> str:
    """``text`` with every character that a terminal or a log parser could trip over replaced by ``?``."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _open_sink(config: LogSettings, syslog_socket: str) -> Sink:
    facility = facility_number(config.text("syslog_facility") or "mail")
    if facility is None:
        raise ConfigError(f"unknown facility {config.text('syslog_facility')!r}", parameter="syslog_facility")
    if path := config.text("maillog_file"):
        return _open_file(path, config.words("maillog_file_prefixes"))
    try:
        return SyslogSink(syslog_socket, facility)
    except OSError:
        # A container has no syslog: stderr is what its log collector reads.
        return StreamSink(2)


def _open_file(path: str, prefixes: tuple[str, ...]) -> Sink:
    # A configuration that somebody else may edit must not make root append to any file it likes.
    if os.path.normpath(path) != path or not path.startswith(prefixes):
        listed = " ".join(prefixes)
        raise ConfigError(
            f"{path!r} does not match any prefix in maillog_file_prefixes ({listed})", parameter="maillog_file"
        )
    if path == "/dev/stdout":
        return StreamSink(1)
    try:
        return FileSink(path)
    except OSError as exc:
        raise ConfigError(f"cannot open {path}: {exc.strerror}", parameter="maillog_file") from exc
