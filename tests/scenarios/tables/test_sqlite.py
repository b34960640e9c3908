"""sqlite: each lookup as Debian's ``postmap -q`` has it with the same file; what becomes of a database that changes."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from peers.sql_comparison import CASES, COLUMNS, Oracle, ask, keys, rows, write_old
from peers.tables import surroundings

from gateway.maps.sql.sqlite import SqliteTable
from gateway.model.errors import TableError


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "it's 100%?.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE aliases ({', '.join(COLUMNS)})")
        connection.executemany("INSERT INTO aliases VALUES (?, ?, ?, ?, ?)", rows())
        connection.execute("CREATE TABLE types (key, value)")
        values = [1, -7, 1.5, 0.1 + 0.2, 1e20, 1e15, -1e-7, 100.0, 9e999, -9e999, b"blob", "text", 2**62, None]
        connection.executemany("INSERT INTO types VALUES (?, ?)", [(f"k{at}", v) for at, v in enumerate(values)])
    return path


def written(directory: Path, database: Path, text: str, name: str = "t.cf") -> str:
    write_old(directory / name, f"dbpath = {database}\n{text}\n")
    return f"sqlite:{directory}/{name}"


@pytest.mark.peer("postmap")
def test_what_postmap_finds(database: Path, tmp_path: Path) -> None:
    oracle, wanted = Oracle(tmp_path), keys()
    compared = found = 0
    for name, text in CASES.items():
        spec = written(tmp_path, database, text)
        expected = oracle.answers(spec, wanted)
        assert ask(spec, wanted) == expected, name
        compared, found = compared + len(wanted), found + len(expected)
    assert compared >= 2000
    assert found >= 1000


@pytest.mark.peer("postmap")
def test_values_of_all_types(database: Path, tmp_path: Path) -> None:
    spec = written(tmp_path, database, "query = SELECT value FROM types WHERE key = '%s'")
    wanted = [f"k{number}" for number in range(14)]
    assert ask(spec, wanted) == Oracle(tmp_path).answers(spec, wanted)


@pytest.mark.peer("postmap")
def test_what_stands_behind_the_first_statement_is_left_out(database: Path, tmp_path: Path) -> None:
    spec = written(tmp_path, database, "query = SELECT ';%s'; SELECT 'second'; nonsense")
    wanted = ["a", "';", ";';"]
    assert ask(spec, wanted) == Oracle(tmp_path).answers(spec, wanted) == {"a": ";a", "';": ";';", ";';": ";;';"}


NO_ANSWERS = {
    "query = SELECT absent FROM aliases": ("no such column", "no such column"),
    "query = SELEKT '%s'": ("syntax error", "syntax error"),
    "query = SELECT goto FROM aliases WHERE domain = '%d'\nexpansion_limit = 3": (
        "limit exceeded",
        "more than 3 results",
    ),
    "query = SELECT x'ff'": ("non-UTF-8 value", "a value that is not"),
}


@pytest.mark.peer("postmap")
def test_no_answer(database: Path, tmp_path: Path) -> None:
    specs = [written(tmp_path, database, query, f"{number}.cf") for number, query in enumerate(NO_ANSWERS)]
    complaints = Oracle(tmp_path).says(specs, "user@example.com")
    for spec, complaint, (theirs, ours) in zip(specs, complaints, NO_ANSWERS.values(), strict=True):
        assert theirs in complaint
        error = ask(spec, ["user@example.com"])["user@example.com"]
        assert isinstance(error, TableError)
        assert str(error).startswith(f"table {spec}: ")
        assert ours in str(error)


def test_a_database_that_is_replaced_is_opened_anew(tmp_path: Path) -> None:
    now = [0.0]
    path = tmp_path / "a.db"

    def write(value: str) -> None:
        with closing(sqlite3.connect(tmp_path / "new.db")) as connection, connection:
            connection.execute("CREATE TABLE t (v)")
            connection.execute("INSERT INTO t VALUES (?)", (value,))
        (tmp_path / "new.db").rename(path)

    async def look_up() -> None:
        table = SqliteTable("sqlite:x", str(tmp_path / "t.cf"), surroundings(clock=lambda: now[0]))
        table.threads = 1
        assert await table.find("k") == "one"
        write("two")
        assert await table.find("k") == "one"
        now[0] = 1.0
        assert await table.find("k") == "two"
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE t SET v = 'three'")
        assert await table.find("k") == "three"
        await table.close()

    write("one")
    (tmp_path / "t.cf").write_text(f"dbpath = {path}\nquery = SELECT v FROM t WHERE '%s' = 'k'\n")
    asyncio.run(look_up())


def test_a_database_in_use_is_waited_for_and_then_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.maps.sql.sqlite.BUSY_TIMEOUT_S", 0.05)
    path = tmp_path / "a.db"
    (tmp_path / "t.cf").write_text(f"dbpath = {path}\nquery = SELECT v FROM t WHERE '%s' = 'k'\n")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("CREATE TABLE t (v)")
        writer.execute("INSERT INTO t VALUES ('x')")
        writer.execute("BEGIN EXCLUSIVE")
        error = ask(f"sqlite:{tmp_path}/t.cf", ["k"])["k"]
        assert isinstance(error, TableError)
        assert "database is locked" in str(error)
        writer.execute("COMMIT")
        assert ask(f"sqlite:{tmp_path}/t.cf", ["k"]) == {"k": "x"}


def test_a_query_that_takes_too_long_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.maps.sql.sqlite.QUERY_TIMEOUT_S", 0.05)
    path = tmp_path / "a.db"
    sqlite3.connect(path).close()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n WHERE i <> '%s'"
    (tmp_path / "t.cf").write_text(f"dbpath = {path}\nquery = {endless}\n")
    error = ask(f"sqlite:{tmp_path}/t.cf", ["k"])["k"]
    assert isinstance(error, TableError)
    assert "no answer within" in str(error)


def test_an_answer_without_end_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    sqlite3.connect(path).close()
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT hex(zeroblob(9999)) || '%s' FROM n"
    )
    (tmp_path / "t.cf").write_text(f"dbpath = {path}\nquery = {endless}\n")
    error = ask(f"sqlite:{tmp_path}/t.cf", ["k"])["k"]
    assert isinstance(error, TableError)
    assert "the answer is larger than" in str(error)


@pytest.mark.parametrize(
    "statement", ["DELETE FROM t WHERE v = '%s'", "CREATE TABLE u (v)", "ATTACH '/nonexistent%s' AS y"]
)
def test_nothing_is_written(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (v)")
        connection.execute("INSERT INTO t VALUES ('k')")
    before = path.read_bytes()
    (tmp_path / "t.cf").write_text(f"dbpath = {path}\nquery = {statement}\n")
    assert isinstance(ask(f"sqlite:{tmp_path}/t.cf", ["k"])["k"], TableError)
    assert path.read_bytes() == before
