"""``cdb:`` — constant databases, read by their offsets. Source: https://cr.yp.to/cdb/cdb.txt, cdb_table(5).

The format is read and written here. The package ``pure-cdb`` gives the hash function in C; without it Python's takes
two microseconds a key. Its reader is not used, because it maps the file, so that a file that shrinks kills the process,
and searches a damaged table for ever; nor its writer, which takes a slot with hash value 0 for a free one. Here what
lies outside the file, or goes on longer than its table, is an error.
"""

from __future__ import annotations

import os
import struct
import sys
from array import array
from collections.abc import Callable, Iterator
from typing import BinaryIO

from gateway.maps.database.build import DatabaseWriter, Pair, WriterSettings
from gateway.maps.database.table import Database, DatabaseError, DatabaseTable

SUFFIX = ".cdb"
DAMAGED = "it is damaged"
CONSTANT = "a cdb file cannot be changed, only made anew"
TABLES = 256
INDEX_BYTES = 8 * TABLES
RECORD_GUESS = 512
"""Octets read at a record: nearly all records are shorter, and need no second read."""
_PAIR = struct.Struct("<LL")
_INDEX = struct.Struct(f"<{2 * TABLES}L")
_WORD = 0xFFFFFFFF


def python_hash(key: bytes) -> int:
    """The hash function of the format."""
    value = 5381
    for octet in key:
        value = ((value << 5) + value ^ octet) & _WORD
    return value


def hash_function() -> Callable[[bytes], int]:
    """The fastest there is; only its lowest 32 bits count."""
    try:
        from cdblib.djb_hash import djb_hash
    except ImportError:
        return python_hash
    found: Callable[[bytes], int] = djb_hash
    return found


class CdbFile(Database):
    """A constant database.

    Raises:
        DatabaseError: it is no such file. OSError: missing or not readable.
    """

    def __init__(self, path: str) -> None:
        self._hash = hash_function()
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self._file)
        self._size = status.st_size
        self._stamp = _stamp(status)
        numbers = _INDEX.unpack(self._read(0, INDEX_BYTES))
        self._tables = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        self._end = min(numbers[::2])
        if self._end < INDEX_BYTES or any(at + slots * _PAIR.size > self._size for at, slots in self._tables):
            raise DatabaseError(DAMAGED)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def get(self, key: bytes) -> bytes | None:
        """The value of the first record under ``key``."""
        hashed = self._hash(key) & _WORD
        table, slots = self._tables[hashed & 0xFF]
        if not slots:
            return None
        slot = (hashed >> 8) % slots
        for _ in range(slots):
            stored, at = self._pair(table + slot * _PAIR.size)
            if not at:
                return None
            if stored == hashed and (value := self._value(at, key)) is not None:
                return value
            slot = (slot + 1) % slots
        return None

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All records, in the order of the source."""
        at = INDEX_BYTES
        while at < self._end:
            key_size, value_size = self._pair(at)
            at += _PAIR.size
            record = self._read(at, key_size + value_size)
            yield record[:key_size], record[key_size:]
            at += key_size + value_size

    def is_current(self, status: os.stat_result) -> bool:
        """False for another file, and for this one when it was changed in place."""
        return _stamp(status) == self._stamp

    def _value(self, at: int, key: bytes) -> bytes | None:
        head = self._read(at, min(RECORD_GUESS, self._size - at))
        if len(head) < _PAIR.size:
            raise DatabaseError(DAMAGED)
        key_size, value_size = _PAIR.unpack_from(head)
        if key_size != len(key):
            return None
        start, end = _PAIR.size + key_size, _PAIR.size + key_size + value_size
        record = head if end <= len(head) else self._read(at, end)
        return record[start:end] if record[_PAIR.size : start] == key else None

    def _pair(self, at: int) -> tuple[int, int]:
        first, second = _PAIR.unpack(self._read(at, _PAIR.size))
        return first, second

    def _read(self, at: int, count: int) -> bytes:
        """Exactly ``count`` octets; the size of the file bounds what a damaged record may ask for."""
        if count < 0 or at + count > self._size:
            raise DatabaseError(DAMAGED)
        try:
            data = os.pread(self._file, count, at)
        except OSError as error:
            raise DatabaseError(f"cannot read: {error.strerror}") from error
        if len(data) != count:
            raise DatabaseError(DAMAGED)
        return data


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class CdbTable(DatabaseTable):
    """``cdb:name``."""

    suffix = SUFFIX

    def open_file(self, path: str) -> Database:
        """Open the file."""
        return CdbFile(path)


class CdbWriter(DatabaseWriter):
    """Writes a constant database. Records cannot be taken back, so with replacement all are kept until the end."""

    def __init__(self, path: str, _settings: WriterSettings) -> None:
        if os.path.getsize(path):
            raise DatabaseError(CONSTANT)
        self._file: BinaryIO = open(path, "r+b")  # noqa: SIM115 — closed by close() or discard()
        self._file.write(bytes(INDEX_BYTES))
        self._at = INDEX_BYTES
        self._hash = hash_function()
        # Hash and offset of each record, in turn.
        self._tables = [array("I") for _ in range(TABLES)]
        self._seen: set[bytes] = set()
        self._kept: dict[bytes, bytes] = {}

    def add(self, pairs: list[Pair], *, replaces: bool) -> list[int]:
        """Store records."""
        if replaces:
            self._kept.update(pairs)
            return []
        refused: list[int] = []
        fresh: list[Pair] = []
        seen = self._seen
        for at, pair in enumerate(pairs):
            if pair[0] in seen:
                refused.append(at)
            else:
                seen.add(pair[0])
                fresh.append(pair)
        self._store(fresh)
        return refused

    def delete(self, key: bytes) -> bool:
        """Not possible.

        Raises:
            DatabaseError: always.
        """
        raise DatabaseError(CONSTANT)

    def close(self) -> None:
        """Write the tables."""
        try:
            self._store(list(self._kept.items()))
            index: list[int] = []
            for table in self._tables:
                index += self._at, len(table)
                slots = _slots(table)
                self._file.write(slots)
                self._at += len(slots)
            self._file.seek(0)
            self._file.write(_INDEX.pack(*index))
        except struct.error as error:
            raise DatabaseError("more than 4 GiB") from error
        finally:
            self._file.close()

    def discard(self) -> None:
        """Close the file."""
        self._file.close()

    def _store(self, pairs: list[Pair]) -> None:
        pieces: list[bytes] = []
        pack, tables, hash_of, at = _PAIR.pack, self._tables, self._hash, self._at
        try:
            for key, value in pairs:
                hashed = hash_of(key) & _WORD
                tables[hashed & 0xFF].extend((hashed, at))
                pieces += pack(len(key), len(value)), key, value
                at += _PAIR.size + len(key) + len(value)
        except OverflowError as error:
            raise DatabaseError("more than 4 GiB") from error
        self._at = at
        self._file.write(b"".join(pieces))


def _slots(table: array[int]) -> bytes:
    """The hash table: twice as many slots as records, each record in the first free one from where it belongs."""
    count = len(table)
    slots = array("I", bytes(2 * count * table.itemsize))
    for at in range(0, count, 2):
        hashed = table[at]
        slot = 2 * ((hashed >> 8) % count)
        while slots[slot + 1]:
            slot = (slot + 2) % (2 * count)
        slots[slot], slots[slot + 1] = hashed, table[at + 1]
    if sys.byteorder == "big":
        slots.byteswap()
    return slots.tobytes()
