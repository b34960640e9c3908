"""Replacing a configuration file so that a reader sees the old or the new text, whole, even across a crash."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence

from gateway.model.errors import ConfigError


def replace_lines(path: str, lines: Sequence[str]) -> None:
    """Write lines to a new file beside ``path`` and rename it into place; owner and mode stay, links are followed.

    Args:
        lines: physical lines; a last empty one makes the file end with a line end.
    Raises:
        ConfigError: the file cannot be written; it is as before.
    """
    real = os.path.realpath(path)
    data = "\n".join(lines).encode("utf-8", "surrogateescape")
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(real)}.", dir=os.path.dirname(real))
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            _keep_owner(descriptor, real)
            os.fsync(descriptor)
        os.replace(temporary, real)
        temporary = ""
        _sync_directory(os.path.dirname(real))
    except OSError as error:
        raise ConfigError(f"cannot write: {error.strerror}", file=path) from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _keep_owner(descriptor: int, path: str) -> None:
    try:
        before = os.stat(path)
    except FileNotFoundError:
        os.fchmod(descriptor, 0o644)
        return
    os.fchmod(descriptor, before.st_mode & 0o7777)
    if os.geteuid() == 0:
        os.fchown(descriptor, before.st_uid, before.st_gid)


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
