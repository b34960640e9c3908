"""The files of a table: there, readable, and writable by nobody who should not. Source: DATABASE_README, postmap(1)."""

from __future__ import annotations

import os
import re
import stat

from gateway.config.lines import read_lines
from gateway.config.main_cf import parse_main_cf
from gateway.maps.lint.findings import Report
from gateway.model.errors import ConfigError

DATABASE_SUFFIXES: dict[str, tuple[str, ...]] = {
    "btree": (".db",),
    "cdb": (".cdb",),
    "dbm": (".dir", ".pag"),
    "hash": (".db",),
    "lmdb": (".lmdb",),
    "sdbm": (".dir", ".pag"),
}
"""What postmap puts behind the name of the source file."""

TEXT_TYPES = frozenset({"cidr", "pcre", "regexp", "texthash"})
CLIENT_TYPES = frozenset({"ldap", "memcache", "mysql", "pgsql", "sqlite"})
"""Types whose name may be a file with the settings of a client."""

_SECRET = re.compile(r"bind_pw|password")


def files_of(kind: str, name: str, directory: str) -> tuple[str, tuple[str, ...]]:
    """The source file of a table and the files made from it; empty when the table is in no file."""
    path = os.path.join(directory, name)
    if kind in DATABASE_SUFFIXES:
        return path, tuple(path + suffix for suffix in DATABASE_SUFFIXES[kind])
    if (kind in TEXT_TYPES and not name.startswith("{")) or (kind in CLIENT_TYPES and name.startswith(("/", "."))):
        return path, ()
    return "", ()


def lint_file(path: str, report: Report, trusted: frozenset[int]) -> os.stat_result | None:
    """Owner and mode of one file; None when it is not there.

    Args:
        trusted: users that may own it.
    """
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return status
    if status.st_mode & stat.S_IWOTH:
        report.warn("everybody may write to it", path)
    elif status.st_mode & stat.S_IWGRP:
        report.warn("its group may write to it", path)
    if status.st_uid not in trusted:
        report.warn(f"its owner is user {status.st_uid}, not root", path)
    return status


def lint_secrets(path: str, report: Report) -> None:
    """A file with a password that everybody may read."""
    try:
        settings, _ = parse_main_cf(read_lines(path), path)
        mode = os.stat(path).st_mode
    except (ConfigError, OSError):
        return  # opening the table says what is wrong with it
    for name, setting in settings.items():
        if mode & stat.S_IROTH and _SECRET.fullmatch(name) and setting.value:
            report.warn("holds a password, and everybody may read it", path, setting.line)


def lint_readable(path: str, owner: str, report: Report) -> None:
    """A file that the mail system cannot read; called with the rights of ``mail_owner``."""
    if os.path.exists(path) and not os.access(path, os.R_OK):
        report.fail(ConfigError(f"{owner} may not read it", file=path))
