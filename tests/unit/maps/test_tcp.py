"""tcp: what is sent, and what each reply means."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from peers.scripted import CLOSE, HANG, ScriptedServer
from peers.tables import surroundings

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.tcp import TcpTable
from gateway.model.errors import ConfigError, TableError


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda _: b"500 no\n") as server:
        yield server


def ask(server: ScriptedServer, key: str = "x", settings: dict[str, str] | None = None) -> str | None:
    async def run() -> str | None:
        table = TcpTable(
            "tcp:x", f"127.0.0.1:{server.port}", surroundings({"smtputf8_enable": "yes"} | (settings or {}))
        )
        try:
            return await table.find(key)
        finally:
            await table.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        ("User@A.Example", b"get User@A.Example\n"),
        ("a B%é\t~\x7f", b"get a%20B%25%C3%A9%09~%7F\n"),
        ("a\nget b", b"get a%0Aget%20b\n"),
        ("", b"get \n"),
        ("k" * 9000, b"get " + b"k" * 9000 + b"\n"),
    ],
)
def test_keys_keep_their_case_and_are_encoded(server: ScriptedServer, key: str, sent: bytes) -> None:
    assert ask(server, key) is None
    assert b"".join(server.requests) == sent


@pytest.mark.parametrize("key", ["a\0b", "\udcff"])
def test_what_is_in_no_table_is_not_asked_for(server: ScriptedServer, key: str) -> None:
    assert ask(server, key) is None
    assert server.requests == []


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (b"200 hello\n", "hello"),
        (b"200 hello%20w%C3%a9%0Arld\n", "hello wé\nrld"),
        (b"200 a b  c \n", "a b  c "),
        (b"200  a\n", " a"),
        (b"200\ta\n", "a"),
        (b"200 a\r\n", "a\r"),
        (b"250 a\n", "a"),
        (b"200 " + b"v" * 4091 + b"\n", "v" * 4091),
        (b"500 no\n", None),
        (b"599 %zz\n", None),
    ],
)
def test_values(server: ScriptedServer, reply: bytes, value: str | None) -> None:
    server.answer = lambda _: reply
    assert ask(server) == value


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (b"400 later\n", "the server says: 400 later"),
        (b"400 later%\xff\n", "the server says: 400 later%"),
        *[
            (reply, "malformed reply")
            for reply in (
                b"\n", b"garbage\n", b" 200 x\n", b"200\n", b"500\n", b"400\n", b"20 x\n", b"2000 x\n", b"2xx x\n",
                b"300 x\n", b"5zz\n", b"200 a%zz\n", b"200 a%2\n", b"200 %\n", b"GET / HTTP/1.0\r\n", b"\0\n",
            )
        ],
        (b"200 \n", "empty"),
        (b"200 a%00b\n", "NUL"),
        (b"200 a\0b\n", "NUL"),
        (b"200 caf\xe9\n", "not UTF-8"),
        (b"200 " + b"v" * 4092 + b"\n", "bad reply: longer than 4096 octets"),
        (b"2" * 1_000_000, "bad reply: longer than 4096 octets"),
    ],
)  # fmt: skip
def test_all_else_is_a_temporary_error(server: ScriptedServer, reply: bytes, cause: str) -> None:
    server.answer = lambda _: reply
    with pytest.raises(TableError) as caught:
        ask(server)
    assert str(caught.value).startswith("table tcp:x: ")
    assert cause in str(caught.value)


def test_octets_are_octets_where_smtputf8_is_off(server: ScriptedServer) -> None:
    server.answer = lambda _: b"200 caf%E9\n"
    assert ask(server, "\udcff", {"smtputf8_enable": "no"}) == "caf\udce9"
    assert server.requests == [b"get %FF\n"]


@pytest.mark.parametrize("then", [CLOSE, (b"200 half", CLOSE)])
def test_a_server_that_hangs_up(server: ScriptedServer, then: object) -> None:
    server.answer = lambda _: then
    with pytest.raises(
        TableError, match=rf"^table tcp:x: 127\.0\.0\.1:{server.port}: the server closed the connection$"
    ):
        ask(server)


def test_a_server_that_is_down(server: ScriptedServer) -> None:
    server.stop()
    with pytest.raises(TableError, match=rf"^table tcp:x: 127\.0\.0\.1:{server.port}: Connection refused$"):
        ask(server)


@pytest.mark.parametrize("then", [HANG, (b"200 half", HANG)])
def test_a_server_that_hangs(server: ScriptedServer, then: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TcpTable, "deadline_s", 0.1)
    server.answer = lambda _: then

    async def run() -> None:
        tables = Tables(Config.from_settings({}))
        with pytest.raises(TableError, match=rf"^table tcp:127\.0\.0\.1:{server.port}: .*no answer within 0\.1s$"):
            await tables.open(f"tcp:127.0.0.1:{server.port}").find("x")
        await tables.close()

    asyncio.run(run())


@pytest.mark.parametrize("name", ["127.0.0.1", "127.0.0.1:0", "a.example:nosuchservice"])
def test_no_endpoint_stops_the_start(name: str) -> None:
    with pytest.raises(ConfigError, match="expected host:port"):
        TcpTable(f"tcp:{name}", name, surroundings())


def test_partial_keys_are_not_asked_for() -> None:
    table = TcpTable("tcp:x", "127.0.0.1:1", surroundings())
    assert table.is_pattern
    asyncio.run(table.close())
    asyncio.run(table.close())
