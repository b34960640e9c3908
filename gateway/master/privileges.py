"""Giving up root's rights, and taking the file descriptors a busy worker needs. Source: postconf(5) mail_owner."""

from __future__ import annotations

import grp
import os
import pwd
import resource

import gateway
from gateway.config import Config
from gateway.model.errors import ConfigError

FILE_LIMIT = 1 << 17


def owner(config: Config) -> pwd.struct_passwd:
    """The account that workers run as: ``mail_owner`` for root, the caller's own for everybody else.

    Raises:
        ConfigError: ``mail_owner`` does not exist.
    """
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    name = config.text("mail_owner")
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise ConfigError(
            f"user {name!r} does not exist; create it (useradd --system --no-create-home "
            f"--shell /usr/sbin/nologin {name}) or name an existing one",
            parameter="mail_owner",
        ) from None


def setgid_group(config: Config) -> int | None:
    """Group number of ``setgid_group`` when root may use it; None without the group or without root."""
    if os.geteuid() != 0:
        return None
    try:
        return grp.getgrnam(config.text("setgid_group")).gr_gid
    except KeyError:
        return None


def drop(config: Config) -> None:
    """Become ``mail_owner`` for good. Does nothing for an ordinary user, and nothing when ``mail_owner`` is root.

    Raises:
        ConfigError: the account is missing, or cannot read this installation.
    """
    account = owner(config)
    _become(account.pw_uid, account.pw_gid, account.pw_name)


def become_owner_of(directory: str) -> None:
    """Become the user who owns a directory, for tools that root runs: files they make there must belong to him.

    Raises:
        ConfigError: there is no such directory, or its owner cannot read this installation.
    """
    try:
        status = os.stat(directory)
    except OSError as exc:
        raise ConfigError(f"{directory}: {exc.strerror}") from exc
    _become(status.st_uid, status.st_gid, f"uid {status.st_uid}")


def _become(uid: int, gid: int, name: str) -> None:
    if os.geteuid() != 0 or uid == 0:
        return
    os.setgroups([gid])
    os.setgid(gid)
    os.setuid(uid)
    # Modules are imported when first needed: find out now, not at the first message.
    for path in (os.__file__, gateway.__file__):
        if not os.access(path, os.R_OK):
            raise ConfigError(
                f"user {name!r} cannot read {path}: install Postgate, and the Python it runs on, "
                "where every user can read them",
                parameter="mail_owner",
            )


def raise_file_limit() -> int:
    """Allow as many open files as the system lets us, within reason; returns the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = FILE_LIMIT if hard == resource.RLIM_INFINITY else min(hard, FILE_LIMIT)
    if os.geteuid() == 0 and hard != resource.RLIM_INFINITY and hard < FILE_LIMIT:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (FILE_LIMIT, FILE_LIMIT))
        except (OSError, ValueError):  # a container may forbid it
            pass
        else:
            return FILE_LIMIT
    if target > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    return max(soft, target)
