"""One owner: the process that holds ``store/owner.pid`` locked is the only one that opens the database for writing."""

from __future__ import annotations

import fcntl
import os
import time

from gateway.model.errors import SpoolError


class OwnerLock:
    """An exclusive lock that ends with the process, however it ends.

    Args:
        path: the pid file.

    Raises:
        SpoolError: another process has it (its pid is in the text), or the file cannot be made.
    """

    def __init__(self, path: str) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise SpoolError(f"open {path}: {exc.strerror}") from exc
        try:
            self._lock()
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise SpoolError(f"the spool is in use: {path} is locked by process {owner or 'unknown'}") from None
        except OSError as exc:
            os.close(self._fd)
            raise SpoolError(f"lock {path}: {exc.strerror}") from exc

    def _lock(self) -> None:
        for _ in range(3):
            try:
                return fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.01)  # somebody may just be asking who owns it: owner_of holds it for an instant
        return fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        """Let another process in. The file stays: removing it would race with a process that just opened it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def owner_of(path: str) -> int | None:
    """The pid of the process that holds the lock, or None when nobody does."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(fd)
    return None
