"""The ``corrupt`` directory: what is left of damaged messages and databases, for a person to look at."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from gateway.spool.body import body_path, sync_directory

DIRECTORY = "corrupt"


def make_directory(queue_directory: str) -> str:
    """The directory, made when missing."""
    path = os.path.join(queue_directory, DIRECTORY)
    if not os.path.isdir(path):
        os.makedirs(path, mode=0o700, exist_ok=True)
        sync_directory(queue_directory)
    return path


def free_name(queue_directory: str, name: str) -> str:
    """A path in ``corrupt`` that nothing has yet: evidence is never overwritten."""
    base = path = os.path.join(make_directory(queue_directory), os.path.basename(name))
    number = 0
    while os.path.lexists(path):
        number += 1
        path = f"{base}.{number}"
    return path


def keep_message(queue_directory: str, queue_id: str, blobs: Sequence[object]) -> str:
    """Write the raw envelope, header block and body of a damaged message, one after the other; keep its body file.

    Args:
        queue_id: names the file.
        blobs: what could be read; other than octets is skipped.

    Returns:
        The path of the file; the body file is beside it with ``.body`` appended.

    Raises:
        OSError: it cannot be written; the message must stay where it is.
    """
    path = free_name(queue_directory, queue_id)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        for blob in blobs:
            if isinstance(blob, bytes):
                file.write(b"--- %d octets ---\n" % len(blob) + blob + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.rename(os.path.join(queue_directory, body_path(queue_id)), path + ".body")
    except FileNotFoundError:
        pass
    sync_directory(os.path.dirname(path))
    return path


def keep_file(queue_directory: str, path: str) -> str | None:
    """Move a database file into ``corrupt``; returns its new path, None when there was none."""
    if not os.path.exists(path):
        return None
    kept = free_name(queue_directory, f"{os.path.basename(path)}.{int(time.time())}")
    os.rename(path, kept)
    return kept
