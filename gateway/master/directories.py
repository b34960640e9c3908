"""The directories under queue_directory: their names, owners and modes; making and checking them.

With root, the top and ``pid`` belong to root: whoever breaks into a worker cannot move them. Source: postfix-wrapper
layout in INSTALL; postconf(5) queue_directory, data_directory, mail_owner, setgid_group.
"""

from __future__ import annotations

import os
import stat
from enum import Enum, auto

import msgspec

from gateway.config import Config
from gateway.master.privileges import owner, setgid_group
from gateway.model.errors import ConfigError


class Owned(Enum):
    """Who owns a directory when root runs the master."""

    ROOT = auto()
    MAIL = auto()
    MAILDROP = auto()  # mail_owner, writable for setgid_group


class Directory(msgspec.Struct, frozen=True):
    """One directory of the layout."""

    path: str
    mode: int
    owned: Owned = Owned.MAIL


LAYOUT = (
    Directory("pid", 0o755, Owned.ROOT),
    Directory("private", 0o700),
    # The sockets in it check who connects (SO_PEERCRED), so everybody may reach them.
    Directory("public", 0o711),
    Directory("maildrop", 0o730, Owned.MAILDROP),
    Directory("bodies", 0o700),
    Directory("store", 0o700),
    Directory("corrupt", 0o700),
)


def make(config: Config) -> list[str]:
    """Make what is missing; returns warnings about what has an unexpected owner or mode.

    Raises:
        ConfigError: something cannot be made, or is no directory.
    """
    queue = config.text("queue_directory")
    _make_one(queue, 0o755, parents=True, parameter="queue_directory")
    data = config.text("data_directory")
    if _make_one(data, 0o700, parents=True, parameter="data_directory"):
        os.chown(data, *_ids(Owned.MAIL, config))
    for item in LAYOUT:
        path = os.path.join(queue, item.path)
        if _make_one(path, item.mode, parents=False, parameter="queue_directory"):
            os.chown(path, *_ids(item.owned, config))
            os.chmod(path, _mode(item, config))
    return problems(config)


def problems(config: Config) -> list[str]:
    """What differs from the layout, one line each; nothing is changed."""
    found: list[str] = []
    queue = config.text("queue_directory")
    for item in (Directory(".", 0o755, Owned.ROOT), *LAYOUT):
        path = os.path.normpath(os.path.join(queue, item.path))
        try:
            status = os.lstat(path)
        except OSError as exc:
            found.append(f"{path}: {exc.strerror}")
            continue
        uid, _ = _ids(item.owned, config)
        if not stat.S_ISDIR(status.st_mode):
            found.append(f"{path}: not a directory")
        elif status.st_uid != uid:
            found.append(f"{path}: owned by uid {status.st_uid}, expected {uid}")
        elif status.st_mode & ~_mode(item, config) & 0o022:
            found.append(f"{path}: mode {status.st_mode & 0o7777:o} lets others write, expected {item.mode:o}")
    return found


def _make_one(path: str, mode: int, *, parents: bool, parameter: str) -> bool:
    """Make one directory; True when it was not there."""
    try:
        if parents:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    except OSError as exc:
        raise ConfigError(f"cannot make {os.path.dirname(path)}: {exc.strerror}", parameter=parameter) from exc
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        # A symbolic link in place of a directory could send root's files anywhere.
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise ConfigError(f"{path} is not a directory", parameter=parameter) from None
        return False
    except OSError as exc:
        raise ConfigError(f"cannot make {path}: {exc.strerror}", parameter=parameter) from exc
    return True


def _ids(owned: Owned, config: Config) -> tuple[int, int]:
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    if owned is Owned.ROOT:
        return 0, 0
    account = owner(config)
    group = setgid_group(config) if owned is Owned.MAILDROP else None
    return account.pw_uid, account.pw_gid if group is None else group


def _mode(item: Directory, config: Config) -> int:
    """Without the group there is nobody to share the maildrop with: sendmail then uses public/pickup."""
    if item.owned is Owned.MAILDROP and setgid_group(config) is None:
        return item.mode & 0o700
    return item.mode
