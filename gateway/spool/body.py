"""Body files: what is too large for memory is written beside the database, by the process that receives it.

A body file is ``bodies/<hash>/<queue ID>`` under the spool directory. It is complete and on disk (file and directory
entry) before its message is submitted; the store removes it after the record's removal is on disk. So a record always
has its file, and a file without record is an orphan: swept when it is old enough to be nobody's work in progress.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from zlib import crc32

from gateway.model.content import BodyFile
from gateway.model.errors import SpoolError, SpoolFull

DIRECTORY = "bodies"
HASHES = tuple(f"{number:02x}" for number in range(64))
PIECE_BYTES = 256 * 1024
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def body_path(queue_id: str) -> str:
    """Where the body of a message is, relative to the spool directory. One name per message: nothing else is stored."""
    return f"{DIRECTORY}/{HASHES[crc32(queue_id.encode()) & 63]}/{queue_id}"


def spool_error(action: str, exc: OSError) -> SpoolError:
    """The house's error for an operating system error: full or failed."""
    return (SpoolFull if exc.errno in _NO_ROOM else SpoolError)(f"{action}: {exc.strerror or exc}")


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_directories(queue_directory: str) -> None:
    """Create ``bodies`` and its hash directories, durably, so that a writer only has to sync its own entry."""
    root = os.path.join(queue_directory, DIRECTORY)
    if os.path.isdir(os.path.join(root, HASHES[-1])):
        return
    os.makedirs(root, mode=0o700, exist_ok=True)
    for name in HASHES:
        os.makedirs(os.path.join(root, name), mode=0o700, exist_ok=True)
    sync_directory(root)
    sync_directory(queue_directory)


def remove_body(queue_directory: str, queue_id: str) -> None:
    """Remove a body file; one that is gone already is no error."""
    try:
        os.unlink(os.path.join(queue_directory, body_path(queue_id)))
    except FileNotFoundError:
        pass


def old_bodies(queue_directory: str, older_than: float) -> Iterator[str]:
    """Queue IDs of body files last written before ``older_than``; a generator, so the caller sets the pace."""
    for name in HASHES:
        try:
            with os.scandir(os.path.join(queue_directory, DIRECTORY, name)) as entries:
                names = [e.name for e in entries if e.stat(follow_symlinks=False).st_mtime < older_than]
        except FileNotFoundError:
            continue
        yield from names


class BodyWriter:
    """Writes one body file while the message arrives.

    Memory is bounded by one piece (256 KiB) whatever the size of the body. :meth:`abort` may be called at any time
    before the message is submitted and removes the file; after a submit the store decides about the file alone.

    Args:
        spool_directory: the queue directory.
        queue_id: the message's.

    Raises:
        SpoolFull: no room. SpoolError: the file cannot be made.
    """

    def __init__(self, spool_directory: str, queue_id: str) -> None:
        self.path = body_path(queue_id)
        self.size_bytes = 0
        self._full_path = os.path.join(spool_directory, self.path)
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._fd = self._create()

    def _create(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self._full_path, flags, 0o600)
        except FileNotFoundError:
            pass
        except OSError as exc:
            raise spool_error(f"create {self.path}", exc) from exc
        try:
            # The store makes these directories when it opens; a first writer may come before it.
            make_directories(os.path.dirname(os.path.dirname(os.path.dirname(self._full_path))))
            return os.open(self._full_path, flags, 0o600)
        except OSError as exc:
            raise spool_error(f"create {self.path}", exc) from exc

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append octets.

        Raises:
            SpoolFull: no room. SpoolError: the disk failed, or the writer was finished. The caller aborts.
        """
        if self._fd < 0:
            raise SpoolError(f"{self.path}: written to after its end")
        self._pieces.append(bytes(chunk))  # a buffer may be used again by its owner; bytes are not copied
        self._waiting_bytes += len(chunk)
        self.size_bytes += len(chunk)
        if self._waiting_bytes >= PIECE_BYTES:
            self._flush()

    def _flush(self) -> None:
        data = memoryview(self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces))
        self._pieces.clear()
        self._waiting_bytes = 0
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as exc:
            raise spool_error(f"write {self.path}", exc) from exc

    async def finish(self, offset: int = 0) -> BodyFile:
        """Write the rest and sync file and directory entry, in a thread.

        Args:
            offset: octets at the start of the file that are not body (a header block written with it).

        Raises:
            SpoolFull: no room. SpoolError: the disk failed. The caller aborts.
        """
        self._flush_rest()
        fd, self._fd = self._fd, -1
        try:
            await asyncio.to_thread(_sync_and_close, fd, os.path.dirname(self._full_path))
        except OSError as exc:
            raise spool_error(f"sync {self.path}", exc) from exc
        return BodyFile(self.path, self.size_bytes - offset, offset)

    def _flush_rest(self) -> None:
        if self._fd < 0:
            raise SpoolError(f"{self.path}: finished twice")
        if self._pieces:
            self._flush()

    def abort(self) -> None:
        """Remove the file. Harmless when called twice."""
        self._pieces.clear()
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
        try:
            os.unlink(self._full_path)
        except OSError:
            pass  # an orphan at worst: the sweep takes it


def _sync_and_close(fd: int, directory: str) -> None:
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_directory(directory)
