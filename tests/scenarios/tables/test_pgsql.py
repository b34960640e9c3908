"""pgsql: against a real PostgreSQL, each lookup as Debian's ``postmap -q`` has it; and a server that fails in every way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from peers.ports import free_port, wait_for
from peers.postgresql import PostgreSQL
from peers.sql_comparison import CASES, COLUMNS, Oracle, ask, keys, rows, write_old
from peers.tables import surroundings

from gateway.maps.sql.pgsql import PgsqlTable
from gateway.model.errors import TableError

pytestmark = pytest.mark.peer("postgres")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as started:
        started.execute(
            f"CREATE TABLE aliases ({', '.join(f'{name} text' for name in COLUMNS)})",
            "CREATE ROLE reader LOGIN PASSWORD 'secret '' word'",
            "GRANT SELECT ON aliases TO reader",
            "CREATE FUNCTION find(text) RETURNS SETOF text LANGUAGE sql AS 'SELECT goto FROM aliases WHERE address = $1'",
            "CREATE DATABASE backslashes",
            "ALTER DATABASE backslashes SET standard_conforming_strings = off",
        )  # fmt: skip
        with started.connect() as connection, connection.cursor() as cursor:
            cursor.executemany("INSERT INTO aliases VALUES (%s, %s, %s, %s, %s)", rows())
        yield started


def written(directory: Path, server: PostgreSQL, text: str, name: str = "t.cf", *, access: str = "") -> str:
    """A table over TCP as ``reader``, unless ``access`` says otherwise."""
    access = access or f"hosts = 127.0.0.1:{server.port}\nuser = reader\npassword = secret ' word\ndbname = postgres"
    write_old(directory / name, f"{access}\n{text}\n")
    return f"pgsql:{directory}/{name}"


def reason(spec: str, key: str = "user@example.com") -> str:
    """Why the table has no answer."""
    error = ask(spec, [key])[key]
    assert isinstance(error, TableError)
    assert str(error).startswith(f"table {spec}: ")
    return str(error)


@pytest.mark.peer("postmap")
def test_what_postmap_finds(server: PostgreSQL, tmp_path: Path) -> None:
    oracle, wanted = Oracle(tmp_path), keys()
    compared = found = 0
    for name, text in {**CASES, "function": "select_function = find"}.items():
        # Postfix 3.7 knows no other encoding, and no parameter for it.
        spec = written(tmp_path, server, f"{text}\nencoding = LATIN1")
        expected = oracle.answers(spec, wanted)
        assert ask(spec, wanted) == expected, name
        compared, found = compared + len(wanted), found + len(expected)
    assert compared >= 2000
    assert found >= 1000


@pytest.mark.peer("postmap")
@pytest.mark.parametrize(
    "query",
    [
        "SELECT '%s', 1.50, true, now() IS NULL, ARRAY[1,2], NULL, '', 'é'::bytea, DATE '2020-02-29', 1e20::float8",
        "SELECT 'first'; SELECT '%s', 'last'",
        "SELECT 'first'; SET work_mem = '1MB'",
        "SET work_mem = '1MB'",
        "SELECT generate_series(1, 5) || '%s'",
        "SELECT '%s' WHERE false",
        "SELECT E'it\\'s', $$%%$$, \"address\", '%s' FROM aliases /* a /* nested */ comment */ LIMIT 1 -- and another",
    ],
)
def test_forms_of_queries(server: PostgreSQL, tmp_path: Path, query: str) -> None:
    spec = written(tmp_path, server, f"query = {query}\nencoding = LATIN1")
    wanted = ["k", "it's", "a\\"]
    assert ask(spec, wanted) == Oracle(tmp_path).answers(spec, wanted)


@pytest.mark.peer("postmap")
@pytest.mark.parametrize(
    "access",
    [
        "hosts = inet:127.0.0.1:{port}\nuser = reader\npassword = secret ' word\ndbname = postgres",
        "hosts = postgresql://reader:secret%20'%20word@127.0.0.1:{port}/postgres?sslmode=prefer\ndbname = not-used",
        "hosts = postgresql:///postgres?host={directory}&port={port}&user=postgres\ndbname = not-used",
        "hosts = localhost:{port}\nuser = reader\npassword = secret ' word\ndbname = postgres",
    ],
)
def test_ways_to_a_server(server: PostgreSQL, tmp_path: Path, access: str) -> None:
    access = access.replace("{port}", str(server.port)).replace("{directory}", str(server.directory))
    spec = written(tmp_path, server, "query = SELECT '%s'", access=access)
    assert ask(spec, ["k"]) == Oracle(tmp_path).answers(spec, ["k"]) == {"k": "k"}


def test_a_socket_is_named_by_its_directory(
    server: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", str(server.port))
    access = f"hosts = unix:{server.directory}\nuser = postgres\ndbname = postgres"
    spec = written(
        tmp_path, server, "query = SELECT current_user || coalesce(inet_client_addr()::text, '%s')", access=access
    )
    assert ask(spec, [" local"]) == {" local": "postgres local"}


def test_keys_and_values_are_utf8(server: PostgreSQL, tmp_path: Path) -> None:
    spec = written(tmp_path, server, "query = SELECT '%s' || U&'\\0436\\20AC' || char_length('%u')")
    assert ask(spec, ["Ü@x", "😀@x"]) == {"Ü@x": "ü@xж€1", "😀@x": "😀@xж€1"}


@pytest.mark.parametrize("database", ["postgres", "backslashes"])
@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1", "SJIS", "BIG5", "GBK", "SQL_ASCII"])
def test_a_key_never_changes_the_query(server: PostgreSQL, tmp_path: Path, database: str, encoding: str) -> None:
    """What comes back is the key, or there is no answer: never anything else, whatever the server's settings are."""
    access = f"hosts = postgresql:///{database}?host={server.directory}&port={server.port}&user=postgres"
    query = "query = SELECT '%s' || '|' || '%u'\nencoding = " + encoding
    wanted = [key for key in keys(200) if not key.startswith("@")]
    answers = ask(written(tmp_path, server, query, access=access), wanted)
    for key in wanted:
        folded, found = key.casefold(), answers[key]
        if isinstance(found, TableError):
            assert not key.isascii(), found
        else:
            assert found == f"{folded}|{folded.rpartition('@')[0] if '@' in folded else folded}"


def test_a_query_that_backslashes_make_ambiguous_is_not_asked(server: PostgreSQL, tmp_path: Path) -> None:
    access = f"hosts = postgresql:///backslashes?host={server.directory}&port={server.port}&user=postgres"
    assert "must do without them" in reason(written(tmp_path, server, r"query = SELECT 'a\' || '%s'", access=access))


NO_ANSWERS = {
    "query = SELECT absent FROM aliases": ("absent", "absent"),
    "query = SELEKT '%s'": ("syntax error", "syntax error"),
    "query = SELECT pg_read_file('/etc/passwd')": ("permission denied", "permission denied"),
    "query = SELECT goto FROM aliases WHERE domain = '%d'\nexpansion_limit = 3": (
        "limit exceeded",
        "more than 3 results",
    ),
    "query = COPY aliases TO STDOUT": ("unknown code", "COPY_OUT"),
    "query = SELECT '%d'::int": ("invalid input syntax", "invalid input syntax"),
    "query = SELECT 'first'; SELECT 1/0": ("division by zero", "division by zero"),
    "query = SELECT chr(255)\nencoding = LATIN1": ("non-UTF-8 value", "a value that is not"),
}


@pytest.mark.peer("postmap")
def test_no_answer(server: PostgreSQL, tmp_path: Path) -> None:
    specs = [written(tmp_path, server, query, f"{number}.cf") for number, query in enumerate(NO_ANSWERS)]
    complaints = Oracle(tmp_path).says(specs, "user@example.com")
    for spec, complaint, (theirs, ours) in zip(specs, complaints, NO_ANSWERS.values(), strict=True):
        assert theirs in complaint
        assert ours in reason(spec)


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        ("user = reader\npassword = wrong\ndbname = postgres", "password authentication failed"),
        ("user = nobody\npassword = x\ndbname = postgres", "password authentication failed"),
        ("user = reader\npassword = secret ' word\ndbname = absent", 'database "absent" does not exist'),
        ("user = reader\npassword = secret ' word\ndbname = postgres\nencoding = nonsense", "client_encoding"),
    ],
)
def test_a_login_that_fails_is_no_answer(server: PostgreSQL, tmp_path: Path, access: str, expected: str) -> None:
    access = f"hosts = 127.0.0.1:{server.port}\n{access}"
    text = reason(written(tmp_path, server, "query = SELECT '%s'", access=access))
    assert expected in text
    assert "secret" not in text


def test_the_first_host_that_answers(server: PostgreSQL, tmp_path: Path) -> None:
    dead = free_port()
    access = (
        f"hosts = 127.0.0.1:{dead} 127.0.0.1:{server.port}\nuser = reader\npassword = secret ' word\ndbname = postgres"
    )
    spec = written(tmp_path, server, "query = SELECT '%s'", access=access)
    seen: set[bool] = set()

    def try_once() -> bool:
        warnings: list[str] = []
        assert ask(spec, ["a", "b"], warnings) == {"a": "a", "b": "b"}
        assert all(f"127.0.0.1:{dead}: " in warning and "refused" in warning for warning in warnings)
        seen.add(bool(warnings))
        return len(seen) == 2

    wait_for(try_once, "both hosts to be the first one tried")


def with_table(spec: str, look_up: Callable[[PgsqlTable, list[float], list[str]], Awaitable[None]]) -> None:
    """Run a test with a table, a clock that it moves and a list of warnings."""

    async def run() -> None:
        now, warnings = [0.0], []
        around = surroundings(clock=lambda: now[0], warnings=warnings)
        table = PgsqlTable(spec, spec.removeprefix("pgsql:"), around)
        try:
            await look_up(table, now, warnings)
        finally:
            await table.close()

    asyncio.run(run())


def test_a_server_that_is_down_comes_back(tmp_path: Path) -> None:
    async def look_up(table: PgsqlTable, now: list[float], warnings: list[str]) -> None:
        server.stop()
        with pytest.raises(TableError, match="refused"):
            await table.find("down")
        server.start()
        with pytest.raises(TableError, match=r"refused.*asked again in 60 s"):
            await table.find("left alone")
        now[0] = 60.0
        assert await table.find("k") == "k"
        server.kill()
        server.start()
        assert await table.find("restarted meanwhile") == "restarted meanwhile"
        server.kill()
        with pytest.raises(TableError, match="refused"):
            await table.find("killed")
        assert len(warnings) == 2

    with PostgreSQL() as server:
        access = f"hosts = postgresql://127.0.0.1:{server.port}/postgres"
        (server.directory / "data" / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n")
        spec = written(tmp_path, server, "query = SELECT '%s'", access=f"{access}?user=postgres")
        with_table(spec, look_up)


def test_a_server_that_hangs_is_no_answer_and_left_alone(
    server: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.maps.sql.pgsql_connection.QUERY_TIMEOUT_S", 0.2)
    monkeypatch.setattr("gateway.maps.sql.pgsql_connection.CANCEL_TIMEOUT_S", 0.1)
    monkeypatch.setattr("gateway.maps.sql.pgsql_connection.CONNECT_TIMEOUT_S", 1.0)

    async def look_up(table: PgsqlTable, now: list[float], warnings: list[str]) -> None:
        assert await table.find("k") == "k"
        server.pause()
        try:
            with pytest.raises(TableError, match="no answer within"):
                await table.find("k")
            for _ in range(2):
                with pytest.raises(TableError, match=r"timeout.*asked again in 60 s"):
                    await table.find("k")
        finally:
            server.resume()
        now[0] = 60.0
        assert await table.find("k") == "k"
        assert len(warnings) == 1

    with_table(written(tmp_path, server, "query = SELECT '%s'"), look_up)


def test_a_slow_query_is_no_answer_and_is_cancelled(
    server: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.maps.sql.pgsql_connection.QUERY_TIMEOUT_S", 0.1)

    def is_over() -> bool:
        with server.connect() as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%slow one%'"
            row = connection.execute(f"{query} AND pid <> pg_backend_pid()".encode()).fetchone()
            return row == (0,)

    async def look_up(table: PgsqlTable, _now: list[float], _warnings: list[str]) -> None:
        with pytest.raises(TableError, match="no answer within"):
            await table.find("k")
        assert await asyncio.to_thread(wait_for, is_over, "the slow query to be cancelled")

    with_table(written(tmp_path, server, "query = SELECT pg_sleep(30), '%s' /* slow one */"), look_up)


def test_an_answer_without_end_is_no_answer(server: PostgreSQL, tmp_path: Path) -> None:
    query = "query = SELECT repeat('x', 100000) || '%s' FROM generate_series(1, 1000)"
    assert "the answer is larger than" in reason(written(tmp_path, server, query))


def test_a_connection_the_server_ends_is_replaced(server: PostgreSQL, tmp_path: Path) -> None:
    async def look_up(table: PgsqlTable, _now: list[float], warnings: list[str]) -> None:
        before = await table.find("a")
        server.execute(f"SELECT pg_terminate_backend({before})")
        after = await table.find("b")
        assert after != before
        assert warnings == []

    with_table(written(tmp_path, server, "query = SELECT pg_backend_pid() WHERE '%s' <> ''"), look_up)


def test_connections_are_few_shared_and_closed_when_idle(server: PostgreSQL, tmp_path: Path) -> None:
    async def look_up(table: PgsqlTable, now: list[float], _warnings: list[str]) -> None:
        other = PgsqlTable("pgsql:other", str(tmp_path / "other.cf"), table.around)
        found = await asyncio.gather(*(each.find(str(number)) for number in range(50) for each in (table, other)))
        assert len({*found}) <= 8
        assert await other.find("k") in found
        now[0] = 59.0
        assert table.connections.tend()
        assert await table.find("k") in found
        now[0] = 61.0
        assert table.connections.tend()
        now[0] = 119.0
        assert not table.connections.tend()
        assert await table.find("k") not in found
        await other.close()

    written(tmp_path, server, "query = SELECT pg_backend_pid() WHERE '%s' <> ''", "other.cf")
    with_table(
        written(tmp_path, server, "query = SELECT pg_backend_pid() FROM pg_sleep(0.001) WHERE '%s' <> ''"), look_up
    )


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 64, b"E\xff\xff\xff\xff", b""])
def test_a_server_that_talks_nonsense_is_no_answer(tmp_path: Path, greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(greeting)

        async def look_up(table: PgsqlTable, _now: list[float], _warnings: list[str]) -> None:
            talking = asyncio.ensure_future(asyncio.to_thread(talk))
            with pytest.raises(TableError, match=f"127.0.0.1:{port}: "):
                await table.find("k")
            await talking

        write_old(tmp_path / "t.cf", f"hosts = 127.0.0.1:{port}\nuser = x\ndbname = x\nquery = SELECT '%s'\n")
        with_table(f"pgsql:{tmp_path}/t.cf", look_up)
