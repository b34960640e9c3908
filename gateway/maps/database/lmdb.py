"""``lmdb:`` — an OpenLDAP LMDB file, read through the package ``lmdb``. Source: lmdb_table(5).

Each lookup reads the newest commit: a file that Postfix's postmap rewrites in place answers with its old content until
the commit, and with the new one from then on. Postfix keeps writers away from readers by a lock on the file; a reader
without it could see pages reused when two commits fall into one lookup, so that is looked for, and the lookup repeated.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from gateway.maps.database.build import DatabaseWriter, Pair, WriterSettings
from gateway.maps.database.table import Changed, Database, DatabaseError, DatabaseTable

SUFFIX = ".lmdb"
INSTALL = "needs lmdb; install postgate[lmdb]"
TRIES = 5
SPACE_FACTOR = 16


def driver() -> ModuleType:
    """The module ``lmdb``.

    Raises:
        DatabaseError: it is not installed.
    """
    try:
        import lmdb
    except ImportError as error:
        raise DatabaseError(INSTALL) from error
    module: ModuleType = lmdb
    return module


class _Environments:
    """The open files of the process: LMDB forbids to open one twice.

    :meth:`release` is called by the garbage collector, at any allocation of any thread: also of the one that holds the
    lock here. So it waits for nobody: who leaves is noted, and counted by whoever has the lock, then or a moment later.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: dict[tuple[int, int], tuple[Any, int]] = {}
        self._left: deque[tuple[int, int]] = deque()

    def get(self, identity: tuple[int, int], open_it: Callable[[], Any]) -> Any:
        """The environment of a file, opened by ``open_it`` when nobody has it; given back by :meth:`release`."""
        try:
            with self._lock:
                environment, count = self._users.get(identity, (None, 0))
                if environment is None:
                    environment = open_it()
                self._users[identity] = (environment, count + 1)
                return environment
        finally:
            self._settle()

    def release(self, identity: tuple[int, int]) -> None:
        """One user less. Never waits."""
        self._left.append(identity)
        self._settle()

    def _settle(self) -> None:
        while self._left and self._lock.acquire(blocking=False):
            try:
                while self._left:
                    self._forget(self._left.popleft())
            finally:
                self._lock.release()

    def _forget(self, identity: tuple[int, int]) -> None:
        environment, count = self._users.pop(identity)
        if count > 1:
            self._users[identity] = (environment, count - 1)
        else:
            environment.close()


_ENVIRONMENTS = _Environments()


class LmdbFile(Database):
    """An LMDB file.

    Args:
        path: the file.
        map_bytes: least address space for it (``lmdb_map_size``).

    Raises:
        DatabaseError: broken, or shorter than it says. OSError: missing or not readable.
    """

    def __init__(self, path: str, map_bytes: int) -> None:
        module = driver()
        self._module, self._path = module, path
        status = os.stat(path)
        if not status.st_size:
            raise DatabaseError("it is empty")
        # Address space costs nothing, and a file that outgrows it would have to be mapped again.
        space = max(map_bytes, SPACE_FACTOR * status.st_size)

        def open_it() -> Any:
            return module.open(path, map_size=space, subdir=False, readonly=True, lock=False, create=False, max_dbs=0)

        self._identity = _identity(status)
        try:
            self._environment = _ENVIRONMENTS.get(self._identity, open_it)
        except module.Error as error:
            raise DatabaseError(_reason(error)) from error
        weakref.finalize(self, _ENVIRONMENTS.release, self._identity)
        if _identity(os.stat(path)) != self._identity:
            raise DatabaseError("it was replaced at this moment")
        self._ensure_whole(status.st_size)

    def _ensure_whole(self, size: int) -> None:
        """A page behind the end of the file would kill the process that reads it."""
        needed = (self._environment.info()["last_pgno"] + 1) * self._environment.stat()["psize"]
        if size < needed:
            raise DatabaseError(f"it is cut off: {size} octets of {needed}")

    def get(self, key: bytes) -> bytes | None:
        """The value under ``key``."""
        begin = self._environment.begin
        try:
            for _ in range(TRIES):
                transaction = begin()
                value: bytes | None = transaction.get(key)
                if begin().id() <= transaction.id() + 1:
                    return value
        except self._module.BadValsizeError:  # no such key can have been stored
            return None
        except self._module.MapResizedError as error:
            self._make_room(error)
            raise Changed("it outgrew its address space") from error
        except self._module.Error as error:
            raise DatabaseError(_reason(error)) from error
        raise DatabaseError("it is written faster than it can be read")

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All records."""
        try:
            transaction = self._environment.begin()
            yield from transaction.cursor()
            if self._environment.begin().id() > transaction.id() + 1:
                raise DatabaseError("it was rewritten meanwhile")
        except self._module.Error as error:
            raise DatabaseError(_reason(error)) from error

    def is_current(self, status: os.stat_result) -> bool:
        """True for the same file, whatever was written to it: each lookup reads the newest commit."""
        return _identity(status) == self._identity

    def _make_room(self, error: Exception) -> None:
        try:
            self._environment.set_mapsize(SPACE_FACTOR * os.stat(self._path).st_size)
        except (OSError, self._module.Error):
            raise DatabaseError(_reason(error)) from error


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _reason(error: Exception) -> str:
    """The text of an error without the path that py-lmdb puts before it."""
    return "MDB_" + str(error).rpartition("MDB_")[2] if "MDB_" in str(error) else str(error)


class LmdbTable(DatabaseTable):
    """``lmdb:name``."""

    suffix = SUFFIX

    def open_file(self, path: str) -> Database:
        """Open the file."""
        return LmdbFile(path, self._around.config.integer("lmdb_map_size"))


class LmdbWriter(DatabaseWriter):
    """Writes an LMDB file, in one transaction."""

    def __init__(self, path: str, settings: WriterSettings) -> None:
        module = driver()
        self._module = module
        try:
            self._environment = module.open(
                path, map_size=max(settings.lmdb_map_bytes, SPACE_FACTOR * settings.expected_bytes),
                subdir=False, lock=False, sync=False, meminit=False, max_dbs=0,
            )  # fmt: skip
            self._transaction = self._environment.begin(write=True)
        except module.Error as error:
            raise DatabaseError(_reason(error)) from error

    def add(self, pairs: list[Pair], *, replaces: bool) -> list[int]:
        """Store records, all at once where none is there already."""
        try:
            with self._environment.begin(write=True, parent=self._transaction) as attempt:
                consumed, added = attempt.cursor().putmulti(pairs, overwrite=replaces)
                if consumed == added == len(pairs):
                    return []
                attempt.abort()
            put = self._transaction.put
            return [at for at, (key, value) in enumerate(pairs) if not put(key, value, overwrite=replaces)]
        except self._module.Error as error:
            raise DatabaseError(_reason(error)) from error

    def delete(self, key: bytes) -> bool:
        """Remove a record."""
        try:
            return bool(self._transaction.delete(key))
        except self._module.BadValsizeError:
            return False
        except self._module.Error as error:
            raise DatabaseError(_reason(error)) from error

    def close(self) -> None:
        """Commit."""
        try:
            self._transaction.commit()
            self._environment.close()
        except self._module.Error as error:
            raise DatabaseError(_reason(error)) from error

    def discard(self) -> None:
        """Write nothing."""
        self._transaction.abort()
        self._environment.close()
