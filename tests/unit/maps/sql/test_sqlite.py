"""sqlite: configuration. What is found is compared with postmap in tests/scenarios/tables/test_sqlite.py."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.maps.sql.sqlite import SqliteTable
from gateway.model.errors import ConfigError, TableError


def opened(directory: Path, text: str, warnings: list[str] | None = None) -> SqliteTable:
    (directory / "t.cf").write_text(text)
    return SqliteTable("sqlite:t", f"{directory}/t.cf", surroundings(directory=str(directory), warnings=warnings))


def find(table: SqliteTable, *keys: str) -> list[str | None]:
    async def look_up() -> list[str | None]:
        found = [await table.find(key) for key in keys]
        await table.close()
        return found

    return asyncio.run(look_up())


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (k, v)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [("k@d", "v"), ("k@d", "w"), ("ü@d", "u")])
    return path


def test_lookups(tmp_path: Path, database: Path) -> None:
    warnings: list[str] = []
    table = opened(tmp_path, "dbpath = a.db\nquery = SELECT v FROM t WHERE k = '%s'\nhosts = x\n", warnings)
    assert warnings == [f"{tmp_path}/t.cf, line 3: hosts: is not used here"]
    assert find(table, "K@D", "Ü@D", "k", "", "x\0", "\udcff@d", "' OR '1'='1") == [
        "v,w",
        "u",
        None,
        None,
        None,
        None,
        None,
    ]
    assert database.exists()


def test_a_closed_table_answers_no_more(tmp_path: Path, database: Path) -> None:
    table = opened(tmp_path, f"dbpath = {database}\nquery = SELECT v FROM t WHERE k = '%s'\n")
    assert find(table, "k@d") == ["v,w"]
    with pytest.raises(TableError, match="table sqlite:t: "):
        find(table, "k@d")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("query = SELECT '%s'\n", "dbpath: must be set"),
        ("dbpath = none.db\nquery = SELECT '%s'\n", "line 1: dbpath: cannot open "),
        ("dbpath = t.cf\nquery = SELECT '%s'\n", "line 1: dbpath: cannot open "),
        ('dbpath = a.db\nquery = SELECT "%s"\n', "line 2: query: %s stands in a quoted name"),
    ],
)
def test_what_stops_the_start(tmp_path: Path, database: Path, text: str, message: str) -> None:
    assert database.exists()
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, text)
    assert message in str(caught.value)
    assert not (tmp_path / "none.db").exists()


def test_a_database_that_somebody_writes_to_does_not_stop_the_start(tmp_path: Path, database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        table = opened(tmp_path, "dbpath = a.db\nquery = SELECT v FROM t WHERE k = '%s'\n")
    assert find(table, "ü@d") == ["u"]
