"""hash and btree: files, what changes them under a reader, and what happens without the driver."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.maps.database.berkeley import BerkeleyFile, BerkeleyWriter, is_alias_table, open_berkeley
from gateway.maps.database.build import Pair, WriterSettings, replacing
from gateway.maps.database.table import Changed, DatabaseError
from gateway.maps.texthash import TexthashTable
from gateway.model.errors import ConfigError, TableError

needs_driver = pytest.mark.peer("berkeleydb")
KINDS = pytest.mark.parametrize("kind", ["hash", "btree"])
CACHE = 131072


def write(path: Path, kind: str, pairs: list[Pair], *, replaces: bool = True) -> list[int]:
    path.touch()
    with BerkeleyWriter(str(path), WriterSettings(kind)) as writer:
        return writer.add(pairs, replaces=replaces)


@needs_driver
@KINDS
def test_records(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "t"
    assert write(path, kind, [(b"b", b"2"), (b"a", b"1"), (b"k" * 5000, b"v" * 90000)]) == []
    file = BerkeleyFile(str(path), kind, CACHE)
    assert [file.get(key) for key in (b"a", b"b", b"c", b"", b"k" * 5000)] == [b"1", b"2", None, None, b"v" * 90000]
    assert sorted(file.items()) == [(b"a", b"1"), (b"b", b"2"), (b"k" * 5000, b"v" * 90000)]
    assert file.is_current(os.stat(path))


@needs_driver
@KINDS
def test_duplicates_and_deleting(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "t"
    assert write(path, kind, [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")], replaces=False) == [2]
    assert write(path, kind, [(b"b", b"4"), (b"c", b"5")], replaces=False) == [0]
    assert write(path, kind, [(b"a", b"6")], replaces=True) == []
    with BerkeleyWriter(str(path), WriterSettings(kind)) as writer:
        assert [writer.delete(key) for key in (b"b", b"x")] == [True, False]
    assert sorted(BerkeleyFile(str(path), kind, CACHE).items()) == [(b"a", b"6"), (b"c", b"5")]


@needs_driver
@pytest.mark.parametrize(("written", "asked"), [("hash", "btree"), ("btree", "hash")])
def test_the_other_kind_is_refused(tmp_path: Path, written: str, asked: str) -> None:
    write(tmp_path / "t", written, [])
    with pytest.raises(DatabaseError, match="unexpected file type"):
        BerkeleyFile(str(tmp_path / "t"), asked, CACHE)
    with pytest.raises(DatabaseError):
        BerkeleyWriter(str(tmp_path / "t"), WriterSettings(asked))


@needs_driver
@pytest.mark.parametrize("content", [b"", b"x" * 8192])
def test_what_is_no_database(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.db").write_bytes(content)
    with pytest.raises(ConfigError, match="run postmap hash:t"):
        open_berkeley("hash:t", "t", surroundings(directory=str(tmp_path)))


@needs_driver
@KINDS
def test_a_damaged_page_is_a_temporary_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "t.db"
    write(path, kind, [(b"k%d" % number, b"v" * 100) for number in range(2000)])
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xee" * (len(data) - 4096))
    table = open_berkeley(f"{kind}:t", "t", surroundings(directory=str(tmp_path)))
    with pytest.raises(TableError, match=f"table {kind}:t: "):
        for number in range(2000):
            table.get(f"k{number}")
    with pytest.raises(TableError):
        list(table.items())


@needs_driver
def test_a_file_that_postfix_rebuilds_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    write(path, "hash", [(b"a\0", b"1\0")])
    table = open_berkeley("hash:t", "t", surroundings(directory=str(tmp_path)))
    with open(path, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert table.get("a") == "1"
        old = file.read()
        file.truncate(0)
        with pytest.raises(TableError, match="it is being rebuilt"):
            table.get("a")
        file.seek(0)
        file.write(old)
        file.flush()
        with pytest.raises(TableError, match="it is being rebuilt"):
            table.get("a")
    assert table.get("a") == "1"


@needs_driver
def test_a_change_in_place_is_noticed_at_each_lookup(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write(path, "hash", [(b"a", b"1")])
    file = BerkeleyFile(str(path), "hash", CACHE)
    os.utime(path, (1e9, 1e9))
    with pytest.raises(Changed):
        file.get(b"a")
    with pytest.raises(Changed):
        list(file.items())
    assert not file.is_current(os.stat(path))


@needs_driver
def test_a_file_that_is_replaced_stays_readable(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write(path, "hash", [(b"a", b"1")])
    file = BerkeleyFile(str(path), "hash", CACHE)
    with (
        replacing(str(path), 0o644) as new,
        BerkeleyWriter(new, WriterSettings("hash")) as writer,
    ):
        writer.add([(b"a", b"2")], replaces=False)
        assert file.get(b"a") == b"1"
    assert file.get(b"a") == b"1"
    assert not file.is_current(os.stat(path))


@needs_driver
def test_nothing_is_written_when_something_fails(tmp_path: Path) -> None:
    path = tmp_path / "t"
    write(path, "hash", [(b"a", b"1")])

    def fail() -> None:
        with (
            replacing(str(path), 0o644, keeps=True) as new,
            BerkeleyWriter(new, WriterSettings("hash")) as writer,
        ):
            writer.add([(b"b", b"2")], replaces=False)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert list(BerkeleyFile(str(path), "hash", CACHE).items()) == [(b"a", b"1")]
    assert os.listdir(tmp_path) == ["t"]


# -- without the driver ------------------------------------------------------------------------------------------------


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "berkeleydb", None)
    monkeypatch.setitem(sys.modules, "berkeleydb.db", None)


@pytest.mark.usefixtures("no_driver")
@KINDS
def test_the_source_file_is_read_instead(tmp_path: Path, kind: str) -> None:
    (tmp_path / "t").write_text("A 1\n")
    warnings: list[str] = []
    table = open_berkeley(f"{kind}:t", "t", surroundings(directory=str(tmp_path), warnings=warnings))
    assert table.get("a") == "1"
    assert warnings == [
        f"table {kind}:t: berkeleydb is missing, the source file {tmp_path}/t is read instead; "
        "install postgate[berkeleydb]"
    ]


@pytest.mark.usefixtures("no_driver")
@pytest.mark.parametrize("parameter", ["alias_maps", "alias_database"])
def test_of_an_alias_table_too(tmp_path: Path, parameter: str) -> None:
    (tmp_path / "aliases").write_text("Root: me, you\n")
    spec = f"hash:{tmp_path}/aliases"
    around = surroundings({parameter: f"proxy:{spec}"})
    assert is_alias_table(spec, around)
    table = open_berkeley(spec, f"{tmp_path}/aliases", around)
    assert isinstance(table, TexthashTable)
    assert table.get("root") == "me, you"


@pytest.mark.usefixtures("no_driver")
def test_without_a_source_file_the_start_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.db").touch()
    with pytest.raises(ConfigError, match=r"table hash:t: needs berkeleydb; install postgate\[berkeleydb\]"):
        open_berkeley("hash:t", "t", surroundings(directory=str(tmp_path)))


@pytest.mark.usefixtures("no_driver")
def test_nothing_is_built(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="needs berkeleydb"):
        BerkeleyWriter(str(tmp_path / "t"), WriterSettings("hash"))
