"""What master and worker tell each other, over one inherited socket pair.

The worker first reads :class:`Start`. End of file means that the other side is gone: the master restarts the worker, a
worker ends itself. Wire form: four octets of length (big-endian), then msgpack.
"""

from __future__ import annotations

import socket
import struct
from typing import TypeVar

import msgspec

from gateway.model.errors import RemoteProtocolError

_LENGTH = struct.Struct(">I")
MESSAGE_LIMIT = 16 << 20
T = TypeVar("T")


class Start(msgspec.Struct, tag=True, frozen=True):
    """Master to worker: what to do.

    Args:
        config: from ``settings.snapshot``.
        worker_number: unique among living processes.
        listeners: inherited file descriptor, and the position in ``Config.services`` of the row it serves.
        roles: import path of each role.
        is_verbose: keep debug lines.
        cpu: the processor to stay on, -1: any.
    """

    config: bytes
    worker_number: int
    listeners: list[tuple[int, int]]
    roles: dict[str, str]
    is_verbose: bool = False
    cpu: int = -1


class Stop(msgspec.Struct, tag=True, frozen=True):
    """Master to worker: take no new work, end within ``drain_s`` seconds."""

    drain_s: float


class Reload(msgspec.Struct, tag=True, frozen=True):
    """Master to worker: go over to this configuration (``settings.snapshot``) and answer :class:`Reloaded`."""

    config: bytes


class Ready(msgspec.Struct, tag=True, frozen=True):
    """Worker to master: I serve."""


class Reloaded(msgspec.Struct, tag=True, frozen=True):
    """Worker to master: done, or what was wrong (then the old configuration stays)."""

    problem: str = ""


class Failed(msgspec.Struct, tag=True, frozen=True):
    """Worker to master: I give up, and why."""

    problem: str


ToWorker = Start | Stop | Reload
ToMaster = Ready | Reloaded | Failed

_encoder = msgspec.msgpack.Encoder()
_to_worker = msgspec.msgpack.Decoder(ToWorker)
_to_master = msgspec.msgpack.Decoder(ToMaster)


def pack(message: ToWorker | ToMaster) -> bytes:
    """Wire form of one message."""
    data = _encoder.encode(message)
    return _LENGTH.pack(len(data)) + data


class Unpacker:
    """Cuts the master's incoming bytes into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[ToMaster]:
        """Add received bytes; returns the messages that are complete.

        Raises:
            RemoteProtocolError: this is no message of ours.
        """
        self._buffer += data
        messages: list[ToMaster] = []
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _length(self._buffer)
            if len(self._buffer) < end:
                break
            messages.append(_decode(_to_master, bytes(self._buffer[_LENGTH.size : end])))
            del self._buffer[:end]
        return messages


class WorkerChannel:
    """The worker's blocking end: one thread receives, any thread sends."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def receive(self) -> ToWorker | None:
        """Wait for a message; None when the master is gone.

        Raises:
            RemoteProtocolError: this is no message of ours.
        """
        head = self._read(_LENGTH.size)
        data = self._read(_length(head)) if head else b""
        return _decode(_to_worker, data) if data else None

    def send(self, message: ToMaster) -> None:
        """Send a short message; a master that is gone is noticed by :meth:`receive`."""
        try:
            self._socket.sendall(pack(message))
        except OSError:
            pass

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _read(self, size: int) -> bytes:
        """Exactly ``size`` octets, or nothing when the other side hung up."""
        data = bytearray()
        while len(data) < size:
            try:
                chunk = self._socket.recv(size - len(data))
            except OSError:
                return b""
            if not chunk:
                return b""
            data += chunk
        return bytes(data)


def _length(head: bytes | bytearray) -> int:
    length: int = _LENGTH.unpack_from(head)[0]
    if length > MESSAGE_LIMIT:
        raise RemoteProtocolError(f"a message of {length} octets")
    return length


def _decode(decoder: msgspec.msgpack.Decoder[T], data: bytes) -> T:
    try:
        return decoder.decode(data)
    except msgspec.MsgspecError as exc:
        raise RemoteProtocolError(f"not a message: {exc}") from exc
