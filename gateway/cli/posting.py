"""Where ``sendmail`` puts a message: a file in the maildrop, or pickup's socket."""

from __future__ import annotations

import os
import socket
from typing import Protocol

from gateway.cli.console import EX_TEMPFAIL, EX_UNAVAILABLE, Fatal
from gateway.cli.control_client import NotRunning, Refused, connect
from gateway.server.maildrop import DropWriter, Posted

PICKUP = "public/pickup"
ANSWER_TIMEOUT_S = 300.0
WAKE_TIMEOUT_S = 2.0
PIECE = 65536


class Drop(Protocol):
    """A message being posted."""

    @property
    def size_bytes(self) -> int:
        """Content octets so far."""

    def write(self, data: bytes) -> None:
        """Append content. Raises OSError."""

    def finish(self, posted: Posted) -> None:
        """Return when the message is durable. Raises OSError, Fatal."""

    def abort(self) -> None:
        """Leave nothing behind."""


def open_drop(queue_directory: str) -> Drop:
    """The maildrop when the caller may write there, else pickup's socket.

    Raises:
        Fatal: neither can be had now (EX_TEMPFAIL).
    """
    maildrop = os.path.join(queue_directory, "maildrop")
    if os.access(maildrop, os.W_OK | os.X_OK):
        try:
            return MaildropFile(queue_directory, maildrop)
        except OSError as exc:
            raise Fatal(f"{maildrop}: {exc.strerror}", EX_TEMPFAIL) from exc
    try:
        return PickupSocket(connect(queue_directory, PICKUP))
    except (NotRunning, Refused) as exc:
        raise Fatal(f"mail system is down, and {maildrop} is not writable: {exc}", EX_TEMPFAIL) from exc


class MaildropFile:
    """A file in the maildrop directory; pickup is told when it is there, and finds it anyway if nobody listens."""

    def __init__(self, queue_directory: str, maildrop: str) -> None:
        self._queue_directory = queue_directory
        self._writer = DropWriter(maildrop)
        self.write, self.abort = self._writer.write, self._writer.abort

    @property
    def size_bytes(self) -> int:
        """Content octets so far."""
        return self._writer.size_bytes

    def finish(self, posted: Posted) -> None:
        """Sync, make visible, and wake pickup."""
        self._writer.finish(posted)
        try:
            with connect(self._queue_directory, PICKUP, WAKE_TIMEOUT_S) as sock:
                sock.sendall(b"W")
        except (NotRunning, Refused, OSError):
            pass


class PickupSocket:
    """A stream to pickup, which writes the file for us."""

    def __init__(self, sock: socket.socket) -> None:
        self.size_bytes = 0
        self._socket = sock
        self._socket.settimeout(ANSWER_TIMEOUT_S)
        self._buffer = bytearray(b"M")

    def write(self, data: bytes) -> None:
        """Append content; sent in large pieces."""
        self._buffer += data
        self.size_bytes += len(data)
        if len(self._buffer) >= PIECE:
            self._send()

    def finish(self, posted: Posted) -> None:
        """Send the envelope and wait for the answer."""
        self._buffer += posted.packed()
        self._send()
        self._socket.shutdown(socket.SHUT_WR)
        with self._socket, self._socket.makefile("rb") as answers:
            answer = answers.readline(4096).decode("utf-8", "replace").strip()
        if answer != "ok":
            raise Fatal(answer or "pickup hung up", EX_UNAVAILABLE if "too big" in answer else EX_TEMPFAIL)

    def abort(self) -> None:
        """Hang up: without its end the message is damaged, and pickup drops it."""
        self._socket.close()

    def _send(self) -> None:
        self._socket.sendall(self._buffer)
        self._buffer.clear()
