"""Room on the disk: when to refuse new mail, and how to get out of a full disk.

Removing mail needs room too: a deletion is first written to the log. On a full disk nothing could ever leave the queue
again. So a little room is kept in a file, ``store/reserve``. When a transaction finds no room, the file is given up:
that lets the log be written back and the removals through. New mail is refused until there is room for the file again.

The reserve is 16 MiB, or an eighth of a small file system; how much log and how large a group may get follows from it,
so that what is under way always fits into the reserve.
"""

from __future__ import annotations

import os
import time

from gateway.spool.schema import PAGE_BYTES

RESERVE_BYTES = 16 * 1024 * 1024
CHECK_S = 0.25


class Room:
    """The free space of the spool's file system.

    Args:
        directory: the spool directory.
        reserve_path: the file that keeps room.
        minimum_free_bytes: refuse new messages below it (``queue_minfree``); 0: no such limit.

    Attributes:
        group_bytes: most octets of one transaction.
        checkpoint_pages: write the log back when it has so many pages.
        kept_free_pages: free pages the database keeps for the next wave.
    """

    def __init__(self, directory: str, reserve_path: str, minimum_free_bytes: int) -> None:
        self._directory, self._path, self._minimum_free = directory, reserve_path, minimum_free_bytes
        status = os.statvfs(directory)
        self._reserve_bytes = min(RESERVE_BYTES, status.f_blocks * status.f_frsize // 8)
        self.group_bytes = self._reserve_bytes // 4
        self.checkpoint_pages = max(16, self._reserve_bytes // 2 // PAGE_BYTES)
        self.kept_free_pages = self._reserve_bytes // 4 // PAGE_BYTES
        self._checked_at = -CHECK_S
        self._is_reserved = False
        self._has_room = True

    def has_room(self) -> bool:
        """True when new messages may come; looks at the file system at most four times a second."""
        now = time.monotonic()
        if now - self._checked_at >= CHECK_S:
            self._checked_at = now
            self._has_room = self._reserve() and self._is_above_minimum()
        return self._has_room

    def give_up_reserve(self) -> bool:
        """A transaction found no room: let the reserve go. False when it is gone already."""
        self._has_room, self._checked_at = False, time.monotonic()
        try:
            os.unlink(self._path)
        except OSError:
            return False
        finally:
            self._is_reserved = False
        return True

    def _is_above_minimum(self) -> bool:
        if not self._minimum_free:
            return True
        status = os.statvfs(self._directory)
        return status.f_bavail * status.f_frsize >= self._minimum_free

    def _reserve(self) -> bool:
        if self._is_reserved:
            return True
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, max(self._reserve_bytes, 1))
            finally:
                os.close(fd)
        except OSError:
            self.give_up_reserve()
            return False
        self._is_reserved = True
        return True
