"""What SQL tables share, over a server that is none: keys left out, several statements' quoting, warnings, idle time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from peers.tables import surroundings

from gateway.maps.client_file import ClientFile
from gateway.maps.sql import table as sql
from gateway.maps.sql.pool import Connection, Host, HostError, Server
from gateway.maps.sql.query import Dialect
from gateway.maps.sql.table import SqlTable
from gateway.model.errors import TableError

GOOD, BAD = Host("good", "good"), Host("bad", "bad", is_local=True)


class Echo(Connection):
    """Answers with the query."""

    def __init__(self, server: EchoServer) -> None:
        self.host, self._server = GOOD, server
        self.is_ordinary = server.is_ordinary

    def quote(self, part: str) -> str:
        return part.replace("'", "''")

    async def run(self, query: str) -> list[str | None]:
        self._server.queries.append(query)
        return [query, None, ""]

    def close(self) -> None:
        self._server.queries.append("closed")
        self._server.closed.set()


class EchoServer(Server, frozen=True):
    """One host that answers, one that refuses."""

    queries: list[str]
    closed: asyncio.Event
    is_ordinary: bool = True

    async def connect(self, host: Host) -> Connection:
        if host is BAD:
            raise HostError("refused")
        return Echo(self)

    def __hash__(self) -> int:
        return id(self)


def opened(
    directory: Path, text: str, *, is_ordinary: bool = True, warnings: list[str] | None = None
) -> tuple[SqlTable, EchoServer]:
    (directory / "t.cf").write_text(text)
    around = surroundings(warnings=warnings)
    server = EchoServer((GOOD, BAD), 60, 60, queries=[], closed=asyncio.Event(), is_ordinary=is_ordinary)
    file = ClientFile.open("sql:t", f"{directory}/t.cf", around)
    return SqlTable("sql:t", file, Dialect.MYSQL, around, server), server


def test_keys_that_are_not_asked_for(tmp_path: Path) -> None:
    table, server = opened(tmp_path, "query = SELECT '%u'\nresult_format = %s %2\ndomain = d.example\n")

    async def look_up() -> None:
        for key in ("", "u", "@d.example", "u@", "u@other.example", "u@example", "\udc80@d.example", "u\0@d.example"):
            assert await table.find(key) is None
        await table.close()
        assert server.queries == []
        assert await table.find("O'U@D.Example") == "SELECT 'o''u' d"
        await table.close()

    asyncio.run(look_up())
    assert server.queries == ["SELECT 'o''u'", "closed"]


def test_a_host_that_fails_is_warned_of_once(tmp_path: Path) -> None:
    warnings: list[str] = []
    table, _ = opened(tmp_path, "query = SELECT '%s'\n", warnings=warnings)

    async def look_up() -> None:
        assert await table.find("a") == "SELECT 'a'"
        assert await table.find("b") == "SELECT 'b'"
        await table.close()

    asyncio.run(look_up())
    assert warnings == ["table sql:t: bad: refused"]


@pytest.mark.parametrize(
    ("query", "is_answered"), [("SELECT '%s'", True), ('SELECT "%s"', False), (r"SELECT '\_%s'", False)]
)
def test_a_server_with_other_rules_is_asked_only_what_is_plain(tmp_path: Path, query: str, is_answered: bool) -> None:
    table, _ = opened(tmp_path, f"query = {query}\n", is_ordinary=False)

    async def look_up() -> None:
        if is_answered:
            assert await table.find("k") == "SELECT 'k'"
        else:
            with pytest.raises(TableError, match="table sql:t: good: backslashes or double quotes"):
                await table.find("k")
        await table.close()

    asyncio.run(look_up())


def test_idle_connections_are_looked_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "TEND_S", 0.001)
    now = [0.0]
    (tmp_path / "t.cf").write_text("query = SELECT '%s'\n")
    around = surroundings(clock=lambda: now[0])
    server = EchoServer((GOOD,), 60, 60, queries=[], closed=asyncio.Event())
    table = SqlTable("sql:t", ClientFile.open("sql:t", f"{tmp_path}/t.cf", around), Dialect.MYSQL, around, server)

    async def look_up() -> None:
        for _ in range(2):
            assert await table.find("k") == "SELECT 'k'"
            now[0] += 60.0
            await server.closed.wait()
            server.closed.clear()
        await table.close()

    asyncio.run(asyncio.wait_for(look_up(), 10))
    assert server.queries == ["SELECT 'k'", "closed"] * 2
