"""socketmap: what is sent, and what each reply means."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from peers.scripted import CLOSE, HANG, ScriptedServer
from peers.tables import surroundings

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.socketmap import SocketmapTable
from gateway.model.errors import ConfigError, TableError


def netstring(text: bytes) -> bytes:
    return b"%d:%s," % (len(text), text)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda _: netstring(b"NOTFOUND ")) as server:
        yield server


def ask(
    server: ScriptedServer, key: str = "x", name: str = "name", settings: dict[str, str] | None = None
) -> str | None:
    where = f"unix:{server.path}" if server.path else f"inet:127.0.0.1:{server.port}"

    async def run() -> str | None:
        table = SocketmapTable(
            "socketmap:x", f"{where}:{name}", surroundings({"smtputf8_enable": "yes"} | (settings or {}))
        )
        try:
            return await table.find(key)
        finally:
            await table.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        ("User@A.Example", b"19:name User@A.Example,"),
        ("a é\n:,", "12:name a é\n:,,".encode()),
        ("", b"5:name ,"),
        ("k" * 9000, b"9005:name " + b"k" * 9000 + b","),
    ],
)
def test_keys_keep_their_case(server: ScriptedServer, key: str, sent: bytes) -> None:
    assert ask(server, key) is None
    assert b"".join(server.requests) == sent


@pytest.mark.parametrize("key", ["a\0b", "\udcff"])
def test_what_is_in_no_table_is_not_asked_for(server: ScriptedServer, key: str) -> None:
    assert ask(server, key) is None
    assert server.requests == []


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (netstring(b"OK hello"), "hello"),
        (netstring("OK w é\n".encode()), "w é\n"),
        (netstring(b"OK  a "), " a "),
        (b"007:OK abcd,", "abcd"),
        (netstring(b"OK " + b"v" * 99_997), "v" * 99_997),
        (netstring(b"NOTFOUND "), None),
        (netstring(b"NOTFOUND"), None),
        (netstring(b"NOTFOUND for a reason"), None),
    ],
)
def test_values(server: ScriptedServer, reply: bytes, value: str | None) -> None:
    server.answer = lambda _: reply
    assert ask(server) == value


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (netstring(b"TEMP later"), "the server says: TEMP later"),
        (netstring(b"TIMEOUT t"), "the server says: TIMEOUT t"),
        (netstring(b"PERM p\xff"), "the server says: PERM p"),
        (netstring(b"PERM"), "the server says: PERM"),
        (netstring(b""), "the server says: "),
        (netstring(b"OK"), "the server says: OK"),
        (netstring(b"OK\tx"), "the server says: OK\tx"),
        (netstring(b"ok x"), "the server says: ok x"),
        (netstring(b" OK x"), "the server says:  OK x"),
        (netstring(b"notfound "), "the server says: notfound"),
        (netstring(b"OK "), "empty"),
        (netstring(b"OK a\0b"), "NUL"),
        (netstring(b"OK caf\xe9"), "not UTF-8"),
        *[
            (reply, "bad reply: no netstring")
            for reply in (
                b"OK x\n",
                b"7:OK abcdX",
                b" 7:OK abcd,",
                b"7 :OK abcd,",
                b"-1:OK,",
                b":OK,",
                b"1" * 21,
                b"\0",
            )
        ],
        (b"100001:OK", "bad reply: longer than 100000 octets"),
        (b"99999999999999999999:OK", "bad reply: longer than 100000 octets"),
        (netstring(b"OK " + b"v" * 99_998), "bad reply: longer than 100000 octets"),
    ],
)
def test_all_else_is_a_temporary_error(server: ScriptedServer, reply: bytes, cause: str) -> None:
    server.answer = lambda _: reply
    with pytest.raises(TableError) as caught:
        ask(server)
    assert str(caught.value).startswith("table socketmap:x: ")
    assert cause in str(caught.value)


@pytest.mark.parametrize("then", [CLOSE, (b"", CLOSE), (b"7", CLOSE), (b"7:OK ab", CLOSE)])
def test_a_server_that_hangs_up(server: ScriptedServer, then: object) -> None:
    server.answer = lambda _: then
    with pytest.raises(TableError, match=r"the server closed the connection$"):
        ask(server)


def test_a_server_that_is_down(server: ScriptedServer) -> None:
    server.stop()
    with pytest.raises(TableError, match=rf"^table socketmap:x: 127\.0\.0\.1:{server.port}: Connection refused$"):
        ask(server)


@pytest.mark.parametrize("then", [HANG, (b"7:OK ab", HANG)])
def test_a_server_that_hangs(server: ScriptedServer, then: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SocketmapTable, "deadline_s", 0.1)
    server.answer = lambda _: then
    spec = f"socketmap:inet:127.0.0.1:{server.port}:n"

    async def run() -> None:
        tables = Tables(Config.from_settings({}))
        with pytest.raises(TableError, match=rf"^table {spec}: .*no answer within 0\.1s$"):
            await tables.open(spec).find("x")
        await tables.close()

    asyncio.run(run())


def test_sockets_are_found_from_the_queue_directory(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: netstring(b"OK yes"), path=str(tmp_path / "so:cket")) as server:
        assert ask(server) == "yes"
        server.path = "so:cket"
        assert ask(server, settings={"queue_directory": str(tmp_path)}) == "yes"
        assert server.requests == [b"6:name x,"] * 2
        server.path = str(tmp_path / "so:cket")


@pytest.mark.parametrize(
    "name", ["x", "inet:x", "unix:/x", "inet::x", "inet:127.0.0.1:x", "unix::x", "foo:/x:name", "inet:127.0.0.1:25:"]
)
def test_no_endpoint_stops_the_start(name: str) -> None:
    with pytest.raises(ConfigError, match=r"expected (socketmap:inet:host:port:name or|host:port)"):
        SocketmapTable(f"socketmap:{name}", name, surroundings())


def test_partial_keys_are_not_asked_for() -> None:
    table = SocketmapTable("socketmap:x", "inet:127.0.0.1:1:n", surroundings())
    assert table.is_pattern
    asyncio.run(table.close())
