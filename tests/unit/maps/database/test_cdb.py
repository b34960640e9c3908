"""cdb: files, and damaged ones."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.maps.database import cdb
from gateway.maps.database.build import Pair, WriterSettings
from gateway.maps.database.cdb import CdbFile, CdbWriter, hash_function, python_hash
from gateway.maps.database.table import DatabaseError


def written(path: Path, pairs: list[Pair], *, replaces: bool = False) -> list[int]:
    path.write_bytes(b"")
    with CdbWriter(str(path), WriterSettings("cdb")) as writer:
        return writer.add(pairs, replaces=replaces)


def test_records_of_all_sizes(tmp_path: Path) -> None:
    pairs = [(b"k%d" % size, b"v" * size) for size in (0, 1, 400, 511, 512, 600, 70_000)]
    pairs += [(b"n%d" % number, b"%d" % number) for number in range(3000)]
    pairs.append((b"", b"empty"))
    assert written(tmp_path / "t", pairs) == []
    file = CdbFile(str(tmp_path / "t"))
    assert [file.get(key) for key, _ in pairs] == [value for _, value in pairs]
    assert [file.get(b"x%d" % number) for number in range(3000)] == [None] * 3000
    assert list(file.items()) == pairs


def test_the_first_of_two_counts_or_the_last(tmp_path: Path) -> None:
    pairs = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"a", b"4")]
    assert written(tmp_path / "t", pairs) == [2, 3]
    assert CdbFile(str(tmp_path / "t")).get(b"a") == b"1"
    assert written(tmp_path / "t", pairs, replaces=True) == []
    assert CdbFile(str(tmp_path / "t")).get(b"a") == b"4"


def test_a_file_is_made_once(tmp_path: Path) -> None:
    written(tmp_path / "t", [(b"a", b"1")])
    with pytest.raises(DatabaseError, match="only made anew"):
        CdbWriter(str(tmp_path / "t"), WriterSettings("cdb"))
    (tmp_path / "u").touch()
    with CdbWriter(str(tmp_path / "u"), WriterSettings("cdb")) as writer, pytest.raises(DatabaseError, match="anew"):
        writer.delete(b"a")


def test_without_the_package_the_hash_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [b"", b"a", b"joe@example.com", bytes(range(256))]
    fast = hash_function()
    assert [fast(key) & 0xFFFFFFFF for key in keys] == [python_hash(key) for key in keys]
    monkeypatch.setitem(__import__("sys").modules, "cdblib.djb_hash", None)
    assert hash_function() is python_hash


def poke(data: bytes, at: int, *words: int) -> bytes:
    return data[:at] + struct.pack(f"<{len(words)}L", *words) + data[at + 4 * len(words) :]


def slot_of(data: bytes, key: bytes) -> tuple[int, int]:
    """Where the table and the slot of a key are."""
    hashed = python_hash(key)
    table, slots = struct.unpack_from("<LL", data, 8 * (hashed & 255))
    return table, table + 8 * ((hashed >> 8) % slots)


DAMAGES: list[Callable[[bytes], bytes]] = [
    lambda data: poke(data, slot_of(data, b"a")[1] + 4, 1 << 31),  # the record lies outside
    lambda data: poke(data, slot_of(data, b"a")[1] + 4, len(data) - 4),  # or is cut off
    lambda data: poke(data, 2048, 1, 1 << 30),  # the value is longer than the file
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_an_error(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "t"
    written(path, [(b"a", b"1")])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatabaseError, match="damaged"):
        CdbFile(str(path)).get(b"a")


def test_a_table_without_a_free_slot_is_searched_once(tmp_path: Path) -> None:
    path = tmp_path / "t"
    written(path, [(b"a", b"1")])
    data = path.read_bytes()
    table, _ = slot_of(data, b"a")
    path.write_bytes(poke(data, table, 5, 2048, 5, 2048))
    assert CdbFile(str(path)).get(b"a") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:2000],
        lambda data: data[:-1],
        lambda data: poke(data, 0, 1 << 31, 1),
        lambda data: poke(data, 0, 5, 0),
    ],
)
def test_a_damaged_index_is_found_when_opened(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "t"
    written(path, [(b"a", b"1")])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DatabaseError, match="damaged"):
        CdbFile(str(path))


def test_a_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t"
    written(path, [(b"a", b"1")])
    file = CdbFile(str(path))
    path.write_bytes(b"")
    with pytest.raises(DatabaseError, match="damaged"):
        file.get(b"a")
    with pytest.raises(DatabaseError, match="damaged"):
        list(file.items())


def test_a_hash_of_zero_is_a_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cdb, "hash_function", lambda: lambda key: 0)
    pairs = [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
    written(tmp_path / "t", pairs)
    file = CdbFile(str(tmp_path / "t"))
    assert [file.get(key) for key, _ in pairs] == [b"1", b"2", b"3"]
    assert file.get(b"d") is None


def test_more_than_four_gigabytes_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "t").touch()
    writer = CdbWriter(str(tmp_path / "t"), WriterSettings("cdb"))
    writer._at = 1 << 32
    with pytest.raises(DatabaseError, match="4 GiB"):
        writer.add([(b"a", b"1")], replaces=False)
    writer.discard()
    (tmp_path / "u").touch()
    writer = CdbWriter(str(tmp_path / "u"), WriterSettings("cdb"))
    writer._at = 1 << 32
    with pytest.raises(DatabaseError, match="4 GiB"):
        writer.close()
