"""lmdb: reading while others write, broken files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from peers.tables import surroundings

from gateway.maps.database import lmdb
from gateway.maps.database.build import Pair, WriterSettings
from gateway.maps.database.lmdb import LmdbFile, LmdbTable, LmdbWriter, _Environments
from gateway.maps.database.table import Changed, DatabaseError

pytestmark = pytest.mark.peer("lmdb")
MAP = 1 << 24


def write(path: Path, pairs: list[Pair], *, replaces: bool = True) -> list[int]:
    """Into the file itself, as Postfix's postmap does."""
    with LmdbWriter(str(path), WriterSettings("lmdb")) as writer:
        return writer.add(pairs, replaces=replaces)


def test_records(tmp_path: Path) -> None:
    path = tmp_path / "t"
    assert write(path, [(b"b", b"2"), (b"a", b"1")]) == []
    file = LmdbFile(str(path), MAP)
    assert [file.get(key) for key in (b"a", b"b", b"c", b"", b"k" * 600)] == [b"1", b"2", None, None, None]
    assert list(file.items()) == [(b"a", b"1"), (b"b", b"2")]


def test_duplicates(tmp_path: Path) -> None:
    path = tmp_path / "t"
    assert write(path, [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")], replaces=False) == [2]
    assert write(path, [(b"c", b"1"), (b"b", b"4")], replaces=False) == [1]
    assert list(LmdbFile(str(path), MAP).items()) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"1")]
    assert write(path, [(b"a", b"5")], replaces=True) == []
    assert LmdbFile(str(path), MAP).get(b"a") == b"5"


def test_deleting(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write(path, [(b"a", b"1"), (b"b", b"2")])
    with LmdbWriter(str(path), WriterSettings("lmdb")) as writer:
        assert [writer.delete(key) for key in (b"a", b"x", b"k" * 600)] == [True, False, False]
    assert list(LmdbFile(str(path), MAP).items()) == [(b"b", b"2")]


def test_nothing_is_written_when_something_fails(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write(path, [(b"a", b"1")])

    def fail() -> None:
        with LmdbWriter(str(path), WriterSettings("lmdb")) as writer:
            writer.add([(b"b", b"2")], replaces=False)
            writer.add([(b"k" * 600, b"")], replaces=False)

    with pytest.raises(DatabaseError, match="MDB_BAD_VALSIZE"):
        fail()
    assert list(LmdbFile(str(path), MAP).items()) == [(b"a", b"1")]


def test_a_file_can_be_open_twice(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write(path, [(b"a", b"1")])
    one, other = LmdbFile(str(path), MAP), LmdbFile(str(path), MAP)
    assert one.get(b"a") == other.get(b"a") == b"1"
    del one
    assert other.get(b"a") == b"1"


def test_a_file_let_go_of_while_another_is_opened_is_closed_afterwards() -> None:
    """The garbage collector may run in the middle of an opening, and must not wait for its end."""

    class Environment:
        is_closed = False

        def close(self) -> None:
            self.is_closed = True

    environments = _Environments()
    old = environments.get((1, 1), Environment)
    was_closed_inside = []

    def open_it() -> Environment:
        environments.release((1, 1))
        was_closed_inside.append(old.is_closed)
        return Environment()

    new = environments.get((1, 2), open_it)
    assert (was_closed_inside, old.is_closed, new.is_closed) == ([False], True, False)
    assert environments.get((1, 2), Environment) is new
    environments.release((1, 2))
    assert not new.is_closed
    environments.release((1, 2))
    assert new.is_closed


def test_a_commit_in_place_is_seen_at_once(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write(path, [(b"a", b"1")])
    file = LmdbFile(str(path), MAP)
    copy = tmp_path / "copy"  # LMDB forbids a second opening, so another process's writing is played by a copy
    shutil.copy(path, copy)
    write(copy, [(b"a", b"2")])
    with open(path, "r+b") as target:
        target.write(copy.read_bytes())
    assert file.get(b"a") == b"2"
    assert file.is_current(os.stat(path))
    assert not file.is_current(os.stat(copy))


@pytest.mark.parametrize("content", [b"", b"x" * 20000])
def test_what_is_no_database(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(DatabaseError, match=r"it is empty|MDB_INVALID"):
        LmdbFile(str(tmp_path / "t"), MAP)


def test_a_file_that_was_cut_off_would_kill_its_reader(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write(path, [(b"%d" % number, b"x" * 500) for number in range(500)])
    with open(path, "r+b") as file:
        file.truncate(65536)
    with pytest.raises(DatabaseError, match="cut off: 65536 octets of"):
        LmdbFile(str(path), MAP)


class Transaction:
    """Of a file that somebody writes to all the time."""

    count = 0

    def __init__(self, step: int) -> None:
        Transaction.count += step
        self._id = Transaction.count

    def id(self) -> int:
        return self._id

    def get(self, key: bytes) -> bytes:
        return b"%d" % self._id

    def cursor(self) -> list[tuple[bytes, bytes]]:
        return [(b"a", b"1")]


class Environment:
    """What LmdbFile asks of py-lmdb's."""

    def __init__(self, *steps: int) -> None:
        self._steps = list(steps)

    def begin(self) -> Transaction:
        return Transaction(self._steps.pop(0) if len(self._steps) > 1 else self._steps[0])

    def set_mapsize(self, size: int) -> None:
        self.size = size


def faked(tmp_path: Path, environment: Any) -> LmdbFile:
    write(tmp_path / "t", [(b"a", b"1")])
    file = LmdbFile(str(tmp_path / "t"), MAP)
    file._environment = environment
    return file


def test_an_answer_from_pages_that_may_have_been_reused_is_asked_for_again(tmp_path: Path) -> None:
    Transaction.count = 0
    # Two commits during the first lookup, one during the second.
    assert faked(tmp_path, Environment(1, 2, 0, 1)).get(b"a") == b"3"
    with pytest.raises(DatabaseError, match="written faster"):
        faked(tmp_path, Environment(2)).get(b"a")
    with pytest.raises(DatabaseError, match="rewritten meanwhile"):
        list(faked(tmp_path, Environment(2)).items())


class Grown(Environment):
    def begin(self) -> Transaction:
        import lmdb as driver

        raise driver.MapResizedError("MDB_MAP_RESIZED: x")


def test_a_file_that_outgrew_its_address_space_gets_more(tmp_path: Path) -> None:
    environment = Grown(1)
    with pytest.raises(Changed):
        faked(tmp_path, environment).get(b"a")
    assert environment.size == lmdb.SPACE_FACTOR * (tmp_path / "t").stat().st_size


def test_without_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.lmdb").touch()
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    with pytest.raises(Exception, match=r"table lmdb:t: needs lmdb; install postgate\[lmdb\]"):
        LmdbTable("lmdb:t", "t", surroundings(directory=str(tmp_path)))
