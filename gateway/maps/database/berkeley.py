"""``hash:`` and ``btree:`` — Berkeley DB files as postmap(1) writes them, read through the package ``berkeleydb``.

Postfix's own postmap rebuilds such a file in place, under a lock, and its readers wait. Nobody waits here: a lookup
that finds the file overwritten opens it again, and is a temporary error as long as it is being written. Our postmap
puts a new file in its place, so readers notice nothing.

Without the package the source file is read instead: :func:`open_berkeley`. Source: DATABASE_README, postmap(1).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from types import ModuleType

from gateway.maps.database.build import DatabaseWriter, Pair, WriterSettings
from gateway.maps.database.table import Changed, Database, DatabaseError, DatabaseTable
from gateway.maps.source import Surroundings
from gateway.maps.texthash import TexthashTable
from gateway.model.errors import ConfigError

SUFFIX = ".db"
INSTALL = "install postgate[berkeleydb]"


def driver() -> ModuleType | None:
    """The module ``berkeleydb.db``; None when the package is not installed."""
    try:
        import berkeleydb.db
    except ImportError:
        return None
    module: ModuleType = berkeleydb.db
    return module


def open_berkeley(spec: str, name: str, around: Surroundings) -> DatabaseTable | TexthashTable:
    """The table; without the driver, one made of the source file, with a warning.

    Raises:
        ConfigError: no driver and no source file; a missing or broken file.
    """
    if driver() is not None:
        return BerkeleyTable(spec, name, around)
    source = os.path.join(around.directory, name)
    if not os.path.exists(source):
        raise ConfigError(f"table {spec}: needs berkeleydb; {INSTALL}", file=source + SUFFIX)
    around.warn(f"table {spec}: berkeleydb is missing, the source file {source} is read instead; {INSTALL}")
    return TexthashTable(spec, name, around, is_aliases=is_alias_table(spec, around))


def is_alias_table(spec: str, around: Surroundings) -> bool:
    """True when main.cf uses the table for aliases, whose source files have a syntax of their own."""
    config = around.config
    return spec in {
        word.removeprefix("proxy:") for name in ("alias_maps", "alias_database") for word in config.words(name)
    }


class BerkeleyFile(Database):
    """A Berkeley DB file.

    Args:
        path: the file.
        kind: ``hash`` or ``btree``; it must be of that kind.
        cache_bytes: of memory for its pages.

    Raises:
        DatabaseError: it is missing, broken, of another kind, or being rebuilt. OSError: not readable.
    """

    def __init__(self, path: str, kind: str, cache_bytes: int) -> None:
        module = driver()
        assert module is not None
        self._error: type[Exception] = module.DBError
        # libdb maps small files, and a file that shrinks would kill the process: no maps.
        flags = module.DB_RDONLY | module.DB_NOMMAP | module.DB_THREAD
        with open(path, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # held by a postmap(1) that rebuilds it in place
            except BlockingIOError as error:
                raise DatabaseError("it is being rebuilt") from error
            self._db = module.DB()
            try:
                self._db.set_cachesize(0, cache_bytes)
                self._db.open(path, None, module.DB_HASH if kind == "hash" else module.DB_BTREE, flags)
                self._descriptor = self._db.fd()
                self._stamp = _stamp(os.fstat(self._descriptor))
            except module.DBError as error:
                raise DatabaseError(_reason(error)) from error

    def get(self, key: bytes) -> bytes | None:
        """The value under ``key``."""
        try:
            value: bytes | None = self._db.get(key)
        except self._error as error:
            self._ensure_unchanged()
            raise DatabaseError(_reason(error)) from error
        self._ensure_unchanged()
        return value

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All records."""
        try:
            cursor = self._db.cursor()
            while (record := cursor.next()) is not None:
                yield record
            cursor.close()
        except self._error as error:
            raise DatabaseError(_reason(error)) from error
        self._ensure_unchanged()

    def is_current(self, status: os.stat_result) -> bool:
        """False for another file, and for this one when it was changed in place."""
        return _stamp(status) == self._stamp

    def _ensure_unchanged(self) -> None:
        if _stamp(os.fstat(self._descriptor)) != self._stamp:
            raise Changed("it was overwritten and cannot be opened again")


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _reason(error: Exception) -> str:
    """The text of a DBError, ``(number, text)``."""
    return str(error.args[-1]) if error.args else type(error).__name__


class BerkeleyTable(DatabaseTable):
    """``hash:name`` or ``btree:name``."""

    suffix = SUFFIX

    def open_file(self, path: str) -> Database:
        """Open the file."""
        kind = self.spec.partition(":")[0]
        return BerkeleyFile(path, kind, self._around.config.integer("berkeley_db_read_buffer_size"))


class BerkeleyWriter(DatabaseWriter):
    """Writes a Berkeley DB file."""

    def __init__(self, path: str, settings: WriterSettings) -> None:
        module = driver()
        if module is None:
            raise DatabaseError(f"needs berkeleydb; {INSTALL}")
        self._module = module
        self._db = module.DB()
        self._db.set_cachesize(0, settings.berkeley_cache_bytes)
        is_hash = settings.kind == "hash"
        if is_hash and not os.path.getsize(path):
            self._db.set_h_nelem(4096)
        try:
            self._db.open(path, None, module.DB_HASH if is_hash else module.DB_BTREE, module.DB_CREATE)
        except module.DBError as error:
            raise DatabaseError(_reason(error)) from error

    def add(self, pairs: list[Pair], *, replaces: bool) -> list[int]:
        """Store records."""
        refused: list[int] = []
        put, flags, exists = self._db.put, 0 if replaces else self._module.DB_NOOVERWRITE, self._module.DBKeyExistError
        at = 0
        try:
            for at, (key, value) in enumerate(pairs):
                try:
                    put(key, value, flags=flags)
                except exists:
                    refused.append(at)
        except self._module.DBError as error:
            raise DatabaseError(_reason(error)) from error
        return refused

    def delete(self, key: bytes) -> bool:
        """Remove a record."""
        try:
            self._db.delete(key)
        except self._module.DBNotFoundError:
            return False
        except self._module.DBError as error:
            raise DatabaseError(_reason(error)) from error
        return True

    def close(self) -> None:
        """Write everything out."""
        try:
            self._db.close()
        except self._module.DBError as error:
            raise DatabaseError(_reason(error)) from error

    def discard(self) -> None:
        """Write nothing more."""
        self._db.close(self._module.DB_NOSYNC)
