"""The pid file of a running master, and the lock that proves it runs. Source: master(8), pid/master.pid."""

from __future__ import annotations

import fcntl
import os

from gateway.model.errors import GatewayError

PID_FILE = "pid/master.pid"


class AlreadyRunning(GatewayError):
    """Another master owns this queue directory."""


class PidLock:
    """Held for the life of a master; the kernel lets it go whatever way the process ends.

    Raises:
        AlreadyRunning: another process holds it. OSError: the file cannot be opened.
    """

    def __init__(self, queue_directory: str) -> None:
        path = os.path.join(queue_directory, PID_FILE)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(self._fd, 32).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise AlreadyRunning(f"the Postgate mail system is already running: pid {pid}") from None
        os.ftruncate(self._fd, 0)
        # Right-justified in a field of its own, as Postfix writes it: scripts read either.
        os.write(self._fd, f"{os.getpid():>10}\n".encode())

    def release(self) -> None:
        """Empty the file and let go."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


def running_pid(queue_directory: str) -> int | None:
    """Process id of the master that owns this queue directory, or None when none runs."""
    try:
        fd = os.open(os.path.join(queue_directory, PID_FILE), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(fd, 32).strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(fd)
    return None
