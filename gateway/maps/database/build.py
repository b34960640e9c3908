"""Making and changing database files: into a new file beside the old one, which then takes its name.

A reader sees the old table or the new one, whole, also when the tool is killed. Tools that work on one table wait for
each other: they lock the new file, whose name is always the same, so that nothing is left lying about for long. Source:
postmap(1).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Self

import msgspec

Pair = tuple[bytes, bytes]
"""Key and value, as stored."""

SUFFIXES = {"btree": ".db", "cdb": ".cdb", "hash": ".db", "lmdb": ".lmdb"}
"""What the database file of each type that can be built ends in."""

_WRITERS = {
    "btree": "berkeley:BerkeleyWriter",
    "cdb": "cdb:CdbWriter",
    "hash": "berkeley:BerkeleyWriter",
    "lmdb": "lmdb:LmdbWriter",
}
NEW = ".new"
_COPY = 1 << 20


class WriterSettings(msgspec.Struct, frozen=True):
    """How a database file is written.

    Args:
        kind: table type.
        berkeley_cache_bytes: of memory (``berkeley_db_create_buffer_size``).
        lmdb_map_bytes: least address space (``lmdb_map_size``).
        expected_bytes: size of what it will be made of, source and old file.
    """

    kind: str
    berkeley_cache_bytes: int = 1 << 24
    lmdb_map_bytes: int = 1 << 24
    expected_bytes: int = 0


class DatabaseWriter(ABC):
    """Writes one database file: an empty one, or a copy of the old one."""

    @abstractmethod
    def add(self, pairs: list[Pair], *, replaces: bool) -> list[int]:
        """Store records in their order.

        Args:
            pairs: some records.
            replaces: a record takes the place of one with the same key.

        Returns:
            Indexes of the records that were left out because their key is there already.

        Raises:
            DatabaseError: the file cannot hold them.
        """

    @abstractmethod
    def delete(self, key: bytes) -> bool:
        """Remove the record under ``key``; False when there is none.

        Raises:
            DatabaseError: not possible.
        """

    @abstractmethod
    def close(self) -> None:
        """Write out what is left.

        Raises:
            DatabaseError: not possible.
        """

    @abstractmethod
    def discard(self) -> None:
        """Let go of the file, whatever is in it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


WriterClass = Callable[[str, WriterSettings], DatabaseWriter]


def writer_class(kind: str) -> WriterClass | None:
    """What writes files of a type; None for a type that cannot be built."""
    if kind not in _WRITERS:
        return None
    module, _, name = _WRITERS[kind].partition(":")
    found: WriterClass = getattr(import_module(f"gateway.maps.database.{module}"), name)
    return found


# -- whose file it is --------------------------------------------------------------------------------------------------


def new_mode(source: os.stat_result, *, inherits: bool) -> int:
    """Permissions of a new database file: readable for group and others as the source is, or for all (postmap -p)."""
    return 0o644 & (stat.S_IMODE(source.st_mode) | 0o600) if inherits else 0o644


@contextmanager
def rights_of(owner: os.stat_result | None) -> Iterator[None]:
    """Have the rights of a file's owner, and no more, when called by root.

    Args:
        owner: the file; None: nothing changes (postmap -o).
    """
    user, group = os.geteuid(), os.getegid()
    if owner is None or user != 0 or (owner.st_uid, owner.st_gid) == (user, group):
        yield
        return
    groups = os.getgroups()
    os.setgroups([owner.st_gid])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(user)
        os.setegid(group)
        os.setgroups(groups)


@contextmanager
def _root_again() -> Iterator[None]:
    """Have root's rights back for a moment."""
    user = os.geteuid()
    os.seteuid(0)
    try:
        yield
    finally:
        os.seteuid(user)


# -- replacing a file --------------------------------------------------------------------------------------------------


class Replacement:
    """The new file that will take the place of ``target``; made by :func:`replacing`.

    Attributes:
        path: where it is written.
    """

    def __init__(self, target: str) -> None:
        self.path = target + NEW
        self._target = target
        # Where the owner of a table may change it but not make files beside it, root makes the file for him.
        self._needs_root = False
        try:
            self.descriptor = self._locked()
        except PermissionError:
            if os.getuid() != 0 or os.geteuid() == 0 or not os.access(target, os.W_OK, effective_ids=True):
                raise
            self._needs_root = True
            user, group = os.geteuid(), os.getegid()
            with _root_again():
                self.descriptor = self._locked()
                os.fchown(self.descriptor, user, group)

    def _locked(self) -> int:
        """Make the new file, or take over one that somebody left, and lock it."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                status = os.fstat(descriptor)
                if self._is_ours(status):
                    os.ftruncate(descriptor, 0)
                    return descriptor
                if _is_at(self.path, status):
                    os.unlink(self.path)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _is_ours(self, status: os.stat_result) -> bool:
        """False when it has become the table meanwhile, or is another name of somebody's file."""
        is_plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == os.geteuid()
        return is_plain and _is_at(self.path, status)

    def copy_old(self) -> int | None:
        """Begin with the content of the old file, when there is one; it stays locked against Postfix's tools.

        Returns:
            What to close when all is done.
        """
        try:
            old = os.open(self._target, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        fcntl.flock(old, fcntl.LOCK_EX)
        with open(old, "rb", closefd=False) as source, open(self.descriptor, "wb", closefd=False) as copy:
            shutil.copyfileobj(source, copy, _COPY)
        return old

    def finish(self, mode: int) -> None:
        """Make it durable and give it its name; permissions and, for root, owner are those of the old file."""
        with suppress(FileNotFoundError):
            old = os.stat(self._target)
            mode = stat.S_IMODE(old.st_mode)
            if os.geteuid() == 0:
                os.fchown(self.descriptor, old.st_uid, old.st_gid)
        os.fchmod(self.descriptor, mode)
        os.fsync(self.descriptor)
        self._in_directory(lambda: os.replace(self.path, self._target))
        _sync_directory(os.path.dirname(self._target) or ".")

    def abandon(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            self._in_directory(lambda: os.unlink(self.path))

    def _in_directory(self, change: Callable[[], None]) -> None:
        if self._needs_root:
            with _root_again():
                change()
        else:
            change()


@contextmanager
def replacing(target: str, mode: int, *, keeps: bool = False) -> Iterator[str]:
    """Write a new file in the place of ``target``.

    Args:
        target: the database file; it need not exist.
        mode: permissions of a file that is not there yet.
        keeps: begin with the content of the old file.

    Yields:
        The path to write to: an empty file, or a copy. It takes the place of ``target`` when the block ends well, and
        is gone when it does not.

    Raises:
        OSError: not possible.
    """
    replacement = Replacement(target)
    old: int | None = None
    try:
        try:
            old = replacement.copy_old() if keeps else None
            yield replacement.path
            replacement.finish(mode)
        except BaseException:
            replacement.abandon()
            raise
    finally:
        if old is not None:
            os.close(old)
        os.close(replacement.descriptor)


def _is_at(path: str, status: os.stat_result) -> bool:
    """True when the path leads to this very file."""
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, status)


def _sync_directory(path: str) -> None:
    if not os.access(path, os.R_OK, effective_ids=True):  # the owner of a table need not be able to list its directory
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
