"""mysql: against a real MariaDB, each lookup as Debian's ``postmap -q`` has it; and a server that fails in every way."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from peers.mariadb import MariaDB
from peers.ports import free_port, wait_for
from peers.sql_comparison import CASES, COLUMNS, Oracle, ask, keys, rows, write_old
from peers.tables import surroundings

from gateway.maps.sql.mysql import MysqlTable
from gateway.model.errors import ConfigError, TableError

pytestmark = pytest.mark.peer("mariadbd")

SETUP = (
    f"CREATE TABLE aliases ({', '.join(f'{name} VARCHAR(200)' for name in COLUMNS)})",
    "CREATE USER reader IDENTIFIED BY 'secret '' word'",
    "GRANT SELECT, EXECUTE ON mail.* TO reader",
    "CREATE PROCEDURE find(IN k VARCHAR(200)) SELECT goto FROM aliases WHERE address = k ORDER BY goto",
    "CREATE PROCEDURE maybe(IN k VARCHAR(200)) BEGIN IF k = 'k' THEN SELECT 'yes'; END IF; END",
    "CREATE PROCEDURE twice(IN k VARCHAR(200)) BEGIN SELECT 1; SELECT 2; END",
)


def fill(server: MariaDB) -> None:
    server.execute(*SETUP)
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO aliases VALUES (%s, %s, %s, %s, %s)", rows())


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDB]:
    with MariaDB() as started:
        fill(started)
        yield started


def written(directory: Path, server: MariaDB, text: str, name: str = "t.cf", *, access: str = "") -> str:
    """A table over TCP as ``reader``, unless ``access`` says otherwise."""
    access = access or f"hosts = 127.0.0.1:{server.port}\nuser = reader\npassword = secret ' word\ndbname = mail"
    write_old(directory / name, f"{access}\noption_group =\n{text}\n")
    return f"mysql:{directory}/{name}"


def reason(spec: str, key: str = "user@example.com") -> str:
    """Why the table has no answer."""
    error = ask(spec, [key])[key]
    assert isinstance(error, TableError)
    assert str(error).startswith(f"table {spec}: ")
    return str(error)


MORE_CASES = {
    "procedure": "query = CALL find('%s')",
    "no result set": "query = CALL maybe('%u')\nrequire_result_set = no",
    "double quotes": 'query = SELECT goto FROM aliases WHERE address = "%s"',
    "itself in double quotes": 'query = SELECT "%s"',
}


@pytest.mark.peer("postmap")
def test_what_postmap_finds(server: MariaDB, tmp_path: Path) -> None:
    oracle, wanted = Oracle(tmp_path), keys()
    compared = found = 0
    for name, text in (CASES | MORE_CASES).items():
        spec = written(tmp_path, server, text)
        expected = oracle.answers(spec, wanted)
        assert ask(spec, wanted) == expected, name
        compared, found = compared + len(wanted), found + len(expected)
    assert compared >= 2000
    assert found >= 1000


@pytest.mark.peer("postmap")
@pytest.mark.parametrize(
    "query",
    [
        "SELECT '%s', 1.50, true, now() IS NULL, NULL, '', x'41', DATE '2020-02-29', 1e20, JSON_ARRAY(1, 'é'), TIME '1:2:3'",
        "SELECT 'it\\'s', \"it's\", `address`, '%s' FROM aliases /* comment */ LIMIT 1 # and another",
        "SELECT '%s' FROM aliases WHERE false",
        "SELECT '%s' UNION SELECT '%u' -- comment",
    ],
)
def test_forms_of_queries(server: MariaDB, tmp_path: Path, query: str) -> None:
    spec = written(tmp_path, server, f"query = {query}")
    wanted = ["k", "it's", "a\\"]
    assert ask(spec, wanted) == Oracle(tmp_path).answers(spec, wanted)


@pytest.mark.peer("postmap")
@pytest.mark.parametrize(
    "access",
    [
        "hosts = inet:127.0.0.1:{port}\nuser = reader\npassword = secret ' word",
        "hosts = unix:{socket}\nuser = root",
        "hosts = localhost\nuser = root\noption_file = {dir}/my.cnf",
        "hosts = 127.0.0.1\npassword = secret ' word\noption_file = {dir}/my.cnf",
        "hosts = localhost\npassword = secret ' word\noption_file = {dir}/my.cnf\noption_group = elsewhere",
        "option_file = {dir}/my.cnf\nuser = root",
    ],
)
def test_ways_to_a_server(server: MariaDB, tmp_path: Path, access: str) -> None:
    write_old(
        tmp_path / "my.cnf",
        f"# of clients\n[client]\nsocket = '{server.socket}'\nport={server.port}\n[client-mariadb]\nuser = reader\n"
        '; another\'s\n[mysqld]\nsocket=/nonexistent\n[elsewhere]\nhost = "127.0.0.1"\n',
    )
    access = access.format(port=server.port, socket=server.socket, dir=tmp_path)
    write_old(tmp_path / "t.cf", f"{access}\ndbname = mail\nquery = SELECT '%s', user()\n")
    spec = f"mysql:{tmp_path}/t.cf"
    expected = Oracle(tmp_path).answers(spec, ["k"])
    assert "k,r" in expected["k"]
    assert ask(spec, ["k"]) == expected


def test_a_password_from_an_option_file(server: MariaDB, tmp_path: Path) -> None:
    write_old(tmp_path / "my.cnf", f'[client]\nuser = reader\npassword = "secret \' word"\nport = {server.port}\n')
    write_old(
        tmp_path / "t.cf",
        f"hosts = 127.0.0.1\noption_file = {tmp_path}/my.cnf\ndbname = mail\nquery = SELECT user(), '%s'\n",
    )
    assert ask(f"mysql:{tmp_path}/t.cf", ["k"]) == {"k": "reader@127.0.0.1,k"}


SQL_MODES = {
    "": ("'%s'", '"%s"'),
    "ANSI_QUOTES": ("'%s'",),
    "NO_BACKSLASH_ESCAPES": ("'%s'",),
    "ANSI_QUOTES,NO_BACKSLASH_ESCAPES": ("'%s'",),
}


@pytest.mark.parametrize("mode", SQL_MODES)
def test_a_key_never_changes_the_query(mode: str, server: MariaDB, tmp_path: Path) -> None:
    """What comes back is the key, or there is no answer: never anything else, whatever the server's settings are."""
    wanted = keys(200)
    server.execute(f"SET GLOBAL sql_mode = '{mode}'")
    try:
        for charset in ("utf8mb4", "latin1", "gbk", "big5", "sjis"):
            for quoted in ("'%s'", '"%s"'):
                spec = written(tmp_path, server, f"query = SELECT {quoted} COLLATE {charset}_bin\ncharset = {charset}")
                answers = ask(spec, wanted)
                for key in wanted:
                    if quoted not in SQL_MODES[mode]:
                        assert "must do without them" in str(answers[key])
                    elif isinstance(answers[key], TableError):
                        assert "cannot be said" in str(answers[key])
                        assert charset != "utf8mb4"
                    else:
                        assert answers[key] == key.casefold()
    finally:
        server.execute("SET GLOBAL sql_mode = ''")


NO_ANSWERS = {
    "query = SELECT absent FROM aliases": ("absent", "Unknown column"),
    "query = SELEKT '%s'": ("error in your SQL syntax", "error in your SQL syntax"),
    "query = SELECT '%s'; SELECT 2": ("error in your SQL syntax", "error in your SQL syntax"),
    "query = SELECT user FROM mysql.user": ("denied", "denied"),
    "query = SELECT goto FROM aliases WHERE domain = '%d'\nexpansion_limit = 3": (
        "limit exceeded",
        "more than 3 results",
    ),
    "query = CALL maybe('%s')": ("no result set", "no result set"),
    "query = SET @x = '%s'": ("no result set", "no result set"),
    "query = CALL twice('%s')": ("multiple result sets", "several result sets"),
    "query = SELECT x'ff'": ("non-UTF-8 value", "a value that is not"),
    "query = LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE aliases": ("", ""),
}


@pytest.mark.peer("postmap")
def test_no_answer(server: MariaDB, tmp_path: Path) -> None:
    specs = [written(tmp_path, server, query, f"{number}.cf") for number, query in enumerate(NO_ANSWERS)]
    complaints = Oracle(tmp_path).says(specs, "user@example.com")
    for spec, complaint, (theirs, ours) in zip(specs, complaints, NO_ANSWERS.values(), strict=True):
        assert theirs in complaint
        assert ours in reason(spec)


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        ("user = reader\npassword = wrong\ndbname = mail", "Access denied"),
        ("user = nobody\npassword = x\ndbname = mail", "Access denied"),
        ("user = reader\npassword = grün\ndbname = mail", "Access denied"),
        ("user = reader\npassword = secret ' word\ndbname = absent", "Access denied"),
        ("user = reader\npassword = secret ' word\ndbname = mail\ntls_CAfile = /etc/ssl/certs/ca-certificates.crt", "SSL is required"),
    ],
)  # fmt: skip
def test_a_login_that_fails_is_no_answer(server: MariaDB, tmp_path: Path, access: str, expected: str) -> None:
    access = f"hosts = 127.0.0.1:{server.port}\n{access}"
    text = reason(written(tmp_path, server, "query = SELECT '%s'", access=access))
    assert expected in text
    assert "secret" not in text


def test_sockets_first_then_the_first_host_that_answers(server: MariaDB, tmp_path: Path) -> None:
    dead = free_port()
    hosts = f"127.0.0.1:{dead} 127.0.0.1:{server.port}"
    text = "query = SELECT '%s', user() LIKE 'reader%%'"
    access = f"user = reader\npassword = secret ' word\ndbname = mail\nhosts = {hosts}"
    spec = written(tmp_path, server, text, access=access)
    seen: set[bool] = set()

    def try_once() -> bool:
        warnings: list[str] = []
        assert ask(spec, ["a", "b"], warnings) == {"a": "a,1", "b": "b,1"}
        assert all(f"127.0.0.1:{dead}: " in warning and "refused" in warning for warning in warnings)
        seen.add(bool(warnings))
        return len(seen) == 2

    wait_for(try_once, "both hosts to be the first one tried")
    spec = written(tmp_path, server, text, access=f"{access} unix:{server.socket}")
    warnings: list[str] = []
    assert [ask(spec, ["a"], warnings) for _ in range(10)] == [{"a": "a,1"}] * 10
    assert warnings == []


def with_table(spec: str, look_up: Callable[[MysqlTable, list[float], list[str]], Awaitable[None]]) -> None:
    """Run a test with a table, a clock that it moves and a list of warnings."""

    async def run() -> None:
        now, warnings = [0.0], []
        around = surroundings(clock=lambda: now[0], warnings=warnings)
        table = MysqlTable(spec, spec.removeprefix("mysql:"), around)
        try:
            await look_up(table, now, warnings)
        finally:
            await table.close()

    asyncio.run(run())


def test_a_server_that_is_down_comes_back(tmp_path: Path) -> None:
    async def look_up(table: MysqlTable, now: list[float], warnings: list[str]) -> None:
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
        server.stop()
        server.start()
        assert await table.find("restarted in peace") == "restarted in peace"
        server.kill()
        with pytest.raises(TableError, match="refused"):
            await table.find("killed")
        assert len(warnings) == 2

    with MariaDB() as server:
        fill(server)
        with_table(written(tmp_path, server, "query = SELECT '%s'"), look_up)


def test_a_server_that_hangs_is_no_answer_and_left_alone(
    server: MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.maps.sql.mysql_connection.QUERY_TIMEOUT_S", 0.2)
    monkeypatch.setattr("gateway.maps.sql.mysql_connection.CONNECT_TIMEOUT_S", 0.2)
    monkeypatch.setattr("gateway.maps.sql.mysql_connection.KILL_TIMEOUT_S", 0.1)

    async def look_up(table: MysqlTable, now: list[float], warnings: list[str]) -> None:
        assert await table.find("k") == "k"
        server.pause()
        try:
            with pytest.raises(TableError, match=r"no answer within 0\.2 s$"):
                await table.find("k")
            for _ in range(2):
                with pytest.raises(TableError, match=r"no answer within 0\.2 s \(asked again in 60 s\)"):
                    await table.find("k")
        finally:
            server.resume()
        now[0] = 60.0
        assert await table.find("k") == "k"
        assert len(warnings) == 1

    with_table(written(tmp_path, server, "query = SELECT '%s'"), look_up)


def test_a_slow_query_is_no_answer_and_is_ended(
    server: MariaDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.maps.sql.mysql_connection.QUERY_TIMEOUT_S", 0.1)

    def is_over() -> bool:
        with server.connect() as connection, connection.cursor() as cursor:
            query = "SELECT count(*) FROM information_schema.processlist WHERE info LIKE '%slow%'"
            cursor.execute(f"{query} AND id <> connection_id()")
            return cursor.fetchone() == (0,)

    async def look_up(table: MysqlTable, _now: list[float], _warnings: list[str]) -> None:
        with pytest.raises(TableError, match="no answer within"):
            await table.find("k")
        assert await asyncio.to_thread(wait_for, is_over, "the slow query to be ended")

    with_table(
        written(tmp_path, server, "query = SELECT BENCHMARK(1000000000, SHA2('%s', 512)) /* slow one */"), look_up
    )


def test_an_answer_without_end_is_no_answer(server: MariaDB, tmp_path: Path) -> None:
    query = "query = SELECT REPEAT('x', 100000), '%s' FROM seq_1_to_1000"
    assert "the answer is larger than" in reason(written(tmp_path, server, query))


def test_a_connection_the_server_ends_is_replaced(server: MariaDB, tmp_path: Path) -> None:
    async def look_up(table: MysqlTable, _now: list[float], warnings: list[str]) -> None:
        before = await table.find("a")
        server.execute(f"KILL {before}")
        after = await table.find("b")
        assert after != before
        assert warnings == []

    with_table(written(tmp_path, server, "query = SELECT connection_id() WHERE '%s' <> ''"), look_up)


def test_connections_are_few_shared_and_closed_when_idle(server: MariaDB, tmp_path: Path) -> None:
    async def look_up(table: MysqlTable, now: list[float], _warnings: list[str]) -> None:
        other = MysqlTable("mysql:other", str(tmp_path / "other.cf"), table.around)
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

    written(tmp_path, server, "query = SELECT connection_id() WHERE '%s' <> ''", "other.cf")
    with_table(
        written(tmp_path, server, "query = SELECT connection_id() WHERE SLEEP(0.001) = 0 AND '%s' <> ''"), look_up
    )


# A greeting of protocol 10 that is whole; what follows it is not.
_GREETING = (
    b"\x0a5.5.5-10.11.0-MariaDB\0" + b"\1\0\0\0" + b"a" * 8 + b"\0" + b"\xff\xf7" + b"\x2d" + b"\2\0" + b"\xff\x81\x15"
    + b"\0" * 10 + b"a" * 12 + b"\0mysql_native_password\0"
)  # fmt: skip
_HELLO = len(_GREETING).to_bytes(3, "little") + b"\0" + _GREETING


@pytest.mark.parametrize(
    "greeting",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 64, b"\xff\xff\xff\0" + b"x" * 64, b"", _HELLO[:40], _HELLO, _HELLO + b"\1\0\0\2\xfb",
     _HELLO + b"\xff\xff\xff\2" * 9, _HELLO + b"\7\0\0\2\0\0\0\2\0\0\0" + b"\x05\0\0\1\xfb/etc"],
)  # fmt: skip
def test_a_server_that_talks_nonsense_is_no_answer(tmp_path: Path, greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(greeting)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1000):
                    pass

        async def look_up(table: MysqlTable, _now: list[float], _warnings: list[str]) -> None:
            talking = asyncio.ensure_future(asyncio.to_thread(talk))
            with pytest.raises(TableError, match=f"127.0.0.1:{port}: "):
                await table.find("k")
            await talking

        write_old(tmp_path / "t.cf", f"hosts = 127.0.0.1:{port}\nuser = x\ndbname = x\nquery = SELECT '%s'\n")
        with_table(f"mysql:{tmp_path}/t.cf", look_up)


@pytest.mark.peer("openssl")
def test_tls(tmp_path: Path) -> None:
    def certificate(name: str, subject: str) -> None:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9",
             "-subj", f"/CN={subject}", "-addext", f"subjectAltName=DNS:{subject}", "-keyout", tmp_path / f"{name}.key",
             "-out", tmp_path / f"{name}.pem"], check=True, capture_output=True,
        )  # fmt: skip
        (tmp_path / f"{name}.key").chmod(0o644)

    certificate("server", "localhost")
    certificate("other", "localhost")
    tmp_path.chmod(0o755)
    with MariaDB() as server:
        for name in ("server.pem", "server.key", "other.pem"):
            (server.directory / name).write_bytes((tmp_path / name).read_bytes())
        server.stop()
        server.options = (
            f"--ssl-cert={server.directory}/server.pem",
            f"--ssl-key={server.directory}/server.key",
            f"--ssl-ca={server.directory}/other.pem",
        )
        server.start()
        fill(server)
        query = "query = SELECT variable_value <> '', '%s' FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'"
        results = {
            "": "0,k",
            f"tls_CAfile = {tmp_path}/server.pem": "1,k",
            f"tls_CAfile = {tmp_path}/other.pem": "CERTIFICATE_VERIFY_FAILED",
            f"tls_CAfile = {tmp_path}/server.pem\ntls_verify_cert = yes": "IP address mismatch",
            "tls_verify_cert = yes": "CERTIFICATE_VERIFY_FAILED",
            f"tls_cert_file = {tmp_path}/other.pem\ntls_key_file = {tmp_path}/other.key": "1,k",
            "tls_ciphers = ECDHE-ECDSA-AES256-GCM-SHA384": "1,k",
        }
        for settings, expected in results.items():
            found = ask(written(tmp_path, server, f"{query}\n{settings}"), ["k"])["k"]
            assert expected in str(found), settings
        with pytest.raises(ConfigError, match="cannot set up TLS"):
            ask(written(tmp_path, server, f"{query}\ntls_CAfile = /nonexistent"), ["k"])
