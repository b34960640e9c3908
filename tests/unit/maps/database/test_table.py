"""What tables in database files share: keys, null octets, new files, warnings. Tried with cdb, which needs no driver."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.maps.database.build import Pair, WriterSettings, replacing, writer_class
from gateway.maps.database.cdb import CdbTable
from gateway.maps.database.table import Changed, Database, DatabaseError, DatabaseTable, Nulls
from gateway.model.errors import ConfigError, TableError


def write(path: Path, pairs: list[Pair], kind: str = "cdb") -> None:
    """Replace a database file."""
    make = writer_class(kind)
    assert make is not None
    with replacing(str(path), 0o644) as new, make(new, WriterSettings(kind)) as writer:
        assert writer.add(pairs, replaces=False) == []


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(tmp_path: Path, clock: Clock | None = None, smtputf8: str = "yes") -> tuple[CdbTable, list[str]]:
    warnings: list[str] = []
    around = surroundings(
        {"smtputf8_enable": smtputf8}, directory=str(tmp_path), clock=clock or Clock(), warnings=warnings
    )
    return CdbTable("cdb:t", "t", around), warnings


def test_keys_fold_and_must_be_utf8(tmp_path: Path) -> None:
    write(tmp_path / "t.cdb", [(b"a", b"1"), ("é".encode(), b"2"), (b"x\xff", b"3"), (b"bad", b"\xff")])
    table, _ = opened(tmp_path)
    assert [table.get(key) for key in ("A", "É", "x\udcff", "absent", "a\0")] == ["1", "2", None, None, None]
    with pytest.raises(TableError, match="cdb:t: the value is not UTF-8"):
        table.get("bad")
    octets, _ = opened(tmp_path, smtputf8="no")
    assert [octets.get(key) for key in ("x\udcff", "bad", "É")] == ["3", "\udcff", None]
    table.keep_case()
    assert table.get("A") is None


def test_the_first_record_found_says_whether_null_octets_are_stored(tmp_path: Path) -> None:
    write(tmp_path / "t.cdb", [(b"a\0", b"with\0"), (b"a", b"without"), (b"b", b"other"), (b"c\0", b"x\0y\0")])
    table, _ = opened(tmp_path)
    assert table.get("a") == "with"
    assert table.get("b") is None
    assert table.get("c") == "x"
    table, _ = opened(tmp_path)
    assert table.get("b") == "other"
    assert table.get("c") is None
    assert table.get("a") == "without"


@pytest.mark.parametrize(("nulls", "value"), [(Nulls.WITH, "with"), (Nulls.WITHOUT, "without")])
def test_the_kind_of_records_can_be_chosen(tmp_path: Path, nulls: Nulls, value: str) -> None:
    write(tmp_path / "t.cdb", [(b"a\0", b"with\0"), (b"a", b"without")])
    table, _ = opened(tmp_path)
    table.nulls = nulls
    assert table.get("a") == value
    assert list(table.items()) == [("a", "with"), ("a", "without")]


def test_a_new_file_is_seen_after_a_second(tmp_path: Path) -> None:
    write(tmp_path / "t.cdb", [(b"a\0", b"1\0")])
    clock = Clock()
    table, warnings = opened(tmp_path, clock)
    assert table.get("a") == "1"
    write(tmp_path / "t.cdb", [(b"a", b"2")])  # without null octets, now
    clock.now = 0.9
    assert table.get("a") == "1"
    clock.now = 1.1
    assert table.get("a") == "2"
    assert warnings == []


@pytest.mark.parametrize("broken", [b"", b"x" * 5000, None])
def test_a_broken_file_is_told_once_and_the_old_one_stays(tmp_path: Path, broken: bytes | None) -> None:
    path = tmp_path / "t.cdb"
    write(path, [(b"a", b"1")])
    clock = Clock()
    table, warnings = opened(tmp_path, clock)
    path.unlink()
    if broken is not None:
        path.write_bytes(broken)
    for _ in range(3):
        clock.now += 2
        assert table.get("a") == "1"
    assert len(warnings) == 1
    assert warnings[0].startswith(f"table cdb:t: {path}: ")
    assert warnings[0].endswith("; keeping the content it had")
    write(path, [(b"a", b"2")])
    clock.now += 2
    assert table.get("a") == "2"


@pytest.mark.parametrize("content", [None, b"", b"x" * 5000])
def test_a_file_that_is_broken_at_the_start_stops_it(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "t.cdb").write_bytes(content)
    with pytest.raises(ConfigError, match=r"table cdb:t: .*; run postmap cdb:t") as caught:
        opened(tmp_path)
    assert caught.value.file == str(tmp_path / "t.cdb")


def test_a_database_older_than_its_source_is_warned_of(tmp_path: Path) -> None:
    write(tmp_path / "t.cdb", [])
    (tmp_path / "t").write_text("a 1\n")
    assert opened(tmp_path)[1] == []  # somebody is still writing it
    os.utime(tmp_path / "t", (2e9 - 1e9, 2e9 - 1e9))
    os.utime(tmp_path / "t.cdb", (9e8, 9e8))
    assert opened(tmp_path)[1] == [f"database {tmp_path}/t.cdb is older than source file {tmp_path}/t"]


class Scripted(Database):
    """Does what it is told."""

    def __init__(self, answer: Callable[[], bytes | None]) -> None:
        self._answer = answer

    def get(self, key: bytes) -> bytes | None:
        return self._answer()

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        raise DatabaseError("torn")

    def is_current(self, status: os.stat_result) -> bool:
        return True


class ScriptedTable(DatabaseTable):
    files: list[Database]

    def open_file(self, path: str) -> Database:
        if not self.files:
            raise DatabaseError("it is being rebuilt")
        return self.files.pop(0)


def fails(error: DatabaseError) -> Callable[[], bytes | None]:
    def answer() -> bytes | None:
        raise error

    return answer


def scripted(tmp_path: Path, *files: Database) -> ScriptedTable:
    (tmp_path / "t").touch()
    ScriptedTable.files = list(files)
    return ScriptedTable("hash:t", "t", surroundings(directory=str(tmp_path)))


def test_a_read_error_is_a_temporary_error(tmp_path: Path) -> None:
    table = scripted(tmp_path, Scripted(fails(DatabaseError("torn"))))
    with pytest.raises(TableError, match=f"table hash:t: {tmp_path}/t: torn"):
        table.get("a")
    with pytest.raises(TableError, match="torn"):
        list(table.items())


def test_a_file_that_was_overwritten_is_opened_again(tmp_path: Path) -> None:
    table = scripted(tmp_path, Scripted(fails(Changed("changed"))), Scripted(lambda: b"new"))
    assert table.get("a") == "new"
    table = scripted(tmp_path, Scripted(fails(Changed("changed"))))
    with pytest.raises(TableError, match="it is being rebuilt"):
        table.get("a")
