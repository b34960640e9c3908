"""The form in which ``sendmail`` leaves a message for pickup: a file that is complete or not there.

A file has the content as it was given, then the envelope (msgpack), its length, and a magic number: what is cut short
is recognised. It is written under a hidden name, synced, marked ready by its mode and renamed; compare postdrop(1).
Everything in it is the work of an unprivileged user and is checked by the reader.
"""

from __future__ import annotations

import os
import secrets
import stat
import struct
import time
from typing import BinaryIO

import msgspec

from gateway.model.errors import GatewayError

MAGIC = b"PGM1"
READY_MODE = 0o704
"""Ready: executable for its owner. Readable for mail_owner; the directory lets nobody else in."""
TRAILER_LIMIT = 16 << 20
_END = struct.Struct(">I4s")


class Damaged(GatewayError):
    """A file that no sendmail of ours completed."""


class Posted(msgspec.Struct, frozen=True, omit_defaults=True):
    """The envelope as the user gave it; addresses are octets in internal form, not qualified.

    Args:
        sender: empty for the null sender.
        recipients: at least one.
        content_bytes: octets of content before the envelope.
        posted_at: seconds since the epoch.
        uid: who posted it; only believed when pickup itself wrote the file.
        full_name: for a From header that is missing.
        encoding: ``7BIT``, ``8BITMIME`` or empty (``-B``).
        notify: NOTIFY words (``-N``). ret: ``FULL`` or ``HDRS`` (``-R``). envid: ``-V``.
    """

    sender: bytes
    recipients: list[bytes]
    content_bytes: int
    posted_at: float
    uid: int = -1
    full_name: bytes = b""
    encoding: str = ""
    notify: tuple[str, ...] = ()
    ret: str = ""
    envid: bytes = b""

    def packed(self) -> bytes:
        """The end of a file."""
        data = msgspec.msgpack.encode(self)
        return data + _END.pack(len(data), MAGIC)


class DropWriter:
    """Writes one file into a maildrop directory.

    Raises:
        OSError: it cannot be made or written; :meth:`abort` leaves nothing behind.
    """

    def __init__(self, directory: str) -> None:
        self.name = f"{time.time_ns() // 1000:x}.{os.getpid()}.{secrets.token_hex(8)}"
        self.size_bytes = 0
        self._directory = directory
        self._temporary = os.path.join(directory, f".{self.name}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file: BinaryIO = open(os.open(self._temporary, flags, 0o600), "w+b")  # noqa: SIM115 - finish closes it

    def write(self, data: bytes) -> None:
        """Append content."""
        self._file.write(data)
        self.size_bytes += len(data)

    def finish(self, posted: Posted) -> None:
        """Add the envelope and make the message visible, durably."""
        self._file.write(posted.packed())
        self._publish()

    def finish_received(self, uid: int, limit: int) -> None:
        """Make a file visible that came with its envelope, over a socket, from ``uid``.

        Raises:
            Damaged: it is not complete.
        """
        self._file.flush()
        posted = read_envelope(self._file, limit)
        self._file.seek(posted.content_bytes)
        self._file.truncate()
        self._file.write(msgspec.structs.replace(posted, uid=uid).packed())
        self._publish()

    def abort(self) -> None:
        """Remove what was written."""
        self._file.close()
        try:
            os.unlink(self._temporary)
        except OSError:  # finished already, or the disk fails: pickup removes old hidden files
            pass

    def _publish(self) -> None:
        self._file.flush()
        os.fchmod(self._file.fileno(), READY_MODE)
        os.fsync(self._file.fileno())
        self._file.close()
        os.rename(self._temporary, os.path.join(self._directory, self.name))
        # A directory that we may write and not read (mode 0730) cannot be opened for syncing; the file itself is safe
        # and file systems with a journal order the rename with it.
        try:
            fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except PermissionError:
            return
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def read_envelope(file: BinaryIO, limit: int) -> Posted:
    """Read and check the envelope of a file; leaves the position at its content.

    Args:
        limit: most octets of content.

    Raises:
        Damaged: cut short, too large, or nonsense.
    """
    size = file.seek(0, os.SEEK_END)
    if size < _END.size:
        raise Damaged("cut short")
    file.seek(size - _END.size)
    length, magic = _END.unpack(file.read(_END.size))
    start = size - _END.size - length
    if magic != MAGIC or length > TRAILER_LIMIT or start < 0:
        raise Damaged("cut short, or not from sendmail")
    file.seek(start)
    try:
        posted = msgspec.msgpack.decode(file.read(length), type=Posted)
    except msgspec.MsgspecError as exc:
        raise Damaged(f"bad envelope: {exc}") from exc
    if posted.content_bytes != start:
        raise Damaged(f"{start} octets of content instead of {posted.content_bytes}")
    if limit and start > limit:
        raise Damaged(f"{start} octets are more than message_size_limit")
    if not posted.recipients:
        raise Damaged("no recipient")
    file.seek(0)
    return posted


def is_ready(status: os.stat_result) -> bool:
    """True for a regular file that its writer completed; a hard link is somebody's trick."""
    return stat.S_ISREG(status.st_mode) and bool(status.st_mode & stat.S_IXUSR) and status.st_nlink == 1
