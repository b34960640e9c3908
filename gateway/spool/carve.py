"""Records out of raw pages: what is left of a database when its trees are broken.

A leaf page is looked at for itself, so a damaged page costs its own records and no others. Whether a record is whole is
for its checksum to say; here only its form is checked. Source: https://www.sqlite.org/fileformat2.html (b-tree pages,
record format).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple, cast

from gateway.spool.pages import PageFile

MAX_PAYLOAD_BYTES = 128 * 1024 * 1024
_INDEX_INTERIOR, _INDEX_LEAF = 2, 10
_COLUMNS = 7

Value = None | int | float | bytes | str


class MessageRow(NamedTuple):
    """A row of ``messages`` as found."""

    seq: int
    queue_id: str
    due: float
    is_held: bool
    crc: int
    envelope: bytes


class ContentRow(NamedTuple):
    """A row of ``contents`` as found."""

    seq: int
    is_headless: bool
    head: bytes
    body: bytes | None
    body_size: int
    body_offset: int
    crc: int


class IndexRow(NamedTuple):
    """An entry of the index over queue IDs."""

    queue_id: str
    seq: int


class _Malformed(Exception):
    """These octets are not what was looked for."""


def carve(pages: PageFile) -> Iterator[MessageRow | ContentRow | IndexRow]:
    """Every record that can be found, in no order; damaged ones included, duplicates possible."""
    for number, data in pages.images():
        start = 100 if number == 1 else 0
        # Every page is tried as a table leaf, whatever its type octet says: that octet may be the damaged one.
        for seq, values in _table_rows(pages, data, start):
            row = _as_row(seq, values)
            if row is not None:
                yield row
        if data[start] in (_INDEX_INTERIOR, _INDEX_LEAF):
            yield from _index_rows(pages, data, start)


def _as_row(seq: int, values: list[Value]) -> MessageRow | ContentRow | None:
    """Tell the tables apart by their columns; None for something else."""
    if len(values) != _COLUMNS or values[0] is not None:
        return None
    _, one, two, three, four, five, six = values
    if isinstance(one, str) and isinstance(two, (int, float)) and isinstance(five, int) and isinstance(six, bytes):
        return MessageRow(seq, one, float(two), bool(three), five, six)
    is_place = all(isinstance(value, int) for value in (one, four, five, six))
    if is_place and isinstance(two, bytes) and isinstance(three, (bytes, type(None))):
        return ContentRow(seq, bool(one), two, three, cast(int, four), cast(int, five), cast(int, six))
    return None


def _cells(data: bytes, start: int, header_bytes: int) -> Iterator[int]:
    """Offsets of the cells that the page's pointer array names."""
    (count,) = struct.unpack_from(">H", data, start + 3)
    first = start + header_bytes
    count = min(count, (len(data) - first) // 2)
    for offset in struct.unpack_from(f">{count}H", data, first):
        if first + 2 * count <= offset < len(data) - 3:
            yield offset


def _table_rows(pages: PageFile, data: bytes, start: int) -> Iterator[tuple[int, list[Value]]]:
    for offset in _cells(data, start, 8):
        try:
            size, position = _varint(data, offset)
            seq, position = _varint(data, position)
            usable = pages.page_bytes
            yield seq, _record(_payload(pages, data, position, size, usable - 35))
        except (_Malformed, IndexError, struct.error):
            continue


def _index_rows(pages: PageFile, data: bytes, start: int) -> Iterator[IndexRow]:
    is_leaf = data[start] == _INDEX_LEAF
    for offset in _cells(data, start, 8 if is_leaf else 12):
        try:
            size, position = _varint(data, offset if is_leaf else offset + 4)
            largest = (pages.page_bytes - 12) * 64 // 255 - 23
            values = _record(_payload(pages, data, position, size, largest))
        except (_Malformed, IndexError, struct.error):
            continue
        if len(values) == 2 and isinstance(values[0], str) and isinstance(values[1], int):
            yield IndexRow(values[0], values[1])


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A variable-length integer: seven bits an octet, the ninth has eight; the value is signed."""
    value = 0
    for index in range(9):
        octet = data[position + index]
        if index == 8:
            value = value << 8 | octet
        else:
            value = value << 7 | octet & 0x7F
            if octet < 0x80:
                break
    return (value - (1 << 64) if value >> 63 else value), position + index + 1


def _payload(pages: PageFile, data: bytes, position: int, size: int, largest: int) -> bytes:
    """A cell's payload, its overflow pages followed.

    Args:
        largest: what fits into a page without overflow.
    """
    if not 0 < size <= MAX_PAYLOAD_BYTES:
        raise _Malformed
    if size <= largest:
        if position + size > len(data):
            raise _Malformed
        return data[position : position + size]
    usable = pages.page_bytes
    smallest = (usable - 12) * 32 // 255 - 23
    local = smallest + (size - smallest) % (usable - 4)
    if local > largest:
        local = smallest
    if position + local + 4 > len(data):
        raise _Malformed
    pieces = [data[position : position + local]]
    missing = size - local
    (following,) = struct.unpack_from(">I", data, position + local)
    while missing > 0:
        page = pages.page(following)
        if page is None:
            raise _Malformed
        pieces.append(page[4 : 4 + min(missing, usable - 4)])
        missing -= usable - 4
        (following,) = struct.unpack_from(">I", page)
    return b"".join(pieces)


_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def _record(payload: bytes) -> list[Value]:
    """The columns of a record."""
    header_end, position = _varint(payload, 0)
    if not position <= header_end <= len(payload):
        raise _Malformed
    kinds = []
    while position < header_end:
        kind, position = _varint(payload, position)
        kinds.append(kind)
        if len(kinds) > _COLUMNS:
            raise _Malformed
    values: list[Value] = []
    for kind in kinds:
        value, position = _column(payload, position, kind)
        values.append(value)
    return values


def _column(payload: bytes, position: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, position
    if kind in (8, 9):
        return kind - 8, position
    size = _INTEGER_BYTES.get(kind) or (8 if kind == 7 else (kind - 12) // 2)
    end = position + size
    if kind < 0 or kind in (10, 11) or end > len(payload):
        raise _Malformed
    data = payload[position:end]
    if kind in _INTEGER_BYTES:
        return int.from_bytes(data, "big", signed=True), end
    if kind == 7:
        return struct.unpack(">d", data)[0], end
    if kind % 2 == 0:
        return data, end
    try:
        return data.decode("ascii"), end  # queue IDs are the only text
    except UnicodeDecodeError:
        raise _Malformed from None
