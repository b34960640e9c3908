"""Pools of connections: who is asked in which order, who is left alone, what is kept and closed. No server, no driver."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.maps.sql import pool as sql_pool
from gateway.maps.sql.pool import (
    Connection,
    Host,
    HostError,
    Lost,
    Pool,
    QueryError,
    Server,
    SharedPools,
    Unanswered,
    checked_port,
    decoded_values,
)

ONE, TWO, LOCAL = Host("one", "1"), Host("two", "2"), Host("unix:three", "3", is_local=True)


class FakeConnection(Connection):
    """Answers with its number, or does what the server's script says."""

    def __init__(self, server: FakeServer, host: Host, number: int) -> None:
        self.server, self.host, self.number = server, host, number
        self.is_closed = self.was_ended = False

    @property
    def is_broken(self) -> bool:
        return self.was_ended

    def quote(self, part: str) -> str:
        return part

    async def run(self, query: str) -> list[str | None]:
        assert not self.is_closed
        for script in self.server.scripts:
            await script(self, query)
        return [f"{self.host.name} {self.number}"]

    def close(self) -> None:
        self.is_closed = True


Script = Callable[[FakeConnection, str], Awaitable[None]]


class FakeServer(Server, frozen=True):
    """Keeps what was connected; ``down`` names hosts that refuse."""

    made: list[FakeConnection]
    down: set[str]
    scripts: list[Script]

    async def connect(self, host: Host) -> Connection:
        if host.name in self.down:
            raise HostError("refused")
        self.made.append(FakeConnection(self, host, len(self.made)))
        return self.made[-1]


class Setting:
    """A pool with its server, its clock and what it complained of."""

    def __init__(self, *hosts: Host, limit: int = 8) -> None:
        self.now = 0.0
        self.server = FakeServer(hosts, 60, 30, made=[], down=set(), scripts=[])
        self.pool = Pool(self.server, lambda: self.now, limit)
        self.failed: list[str] = []

    async def answer(self, query: str = "q") -> str:
        (found,) = await self.pool.ask(lambda _connection: query, self.failed.append)
        return str(found)

    def ask(self, query: str = "q") -> str:
        return asyncio.run(self.answer(query))

    def on_query(self, script: Script | None) -> None:
        self.server.scripts[:] = [script] if script else []

    def fail_with(self, error: BaseException, *hosts: Host) -> None:
        async def fail(connection: FakeConnection, _query: str) -> None:
            if not hosts or connection.host in hosts:
                raise error

        self.on_query(fail)


def test_a_connection_is_used_again() -> None:
    setting = Setting(ONE)
    assert [setting.ask() for _ in range(3)] == ["one 0"] * 3


def test_local_hosts_are_first_and_the_others_in_random_order() -> None:
    assert {Setting(ONE, LOCAL, TWO).ask() for _ in range(20)} == {"unix:three 0"}
    assert {Setting(ONE, TWO).ask() for _ in range(64)} == {"one 0", "two 0"}


def test_idle_local_connections_are_first() -> None:
    setting = Setting(LOCAL, ONE)
    setting.server.down.add("unix:three")
    assert setting.ask() == "one 0"
    setting.server.down.clear()
    setting.fail_with(QueryError("no"), ONE)
    setting.now = 30.0
    assert setting.ask() == "unix:three 1"
    setting.on_query(None)
    assert setting.ask() == "unix:three 1"


def test_a_host_that_failed_is_left_alone_for_a_while() -> None:
    setting = Setting(LOCAL)
    setting.server.down.add("unix:three")
    for now, expected in ((0.0, "asked again in 30 s"), (10.0, "asked again in 20 s"), (30.0, "asked again in 30 s")):
        setting.now = now
        with pytest.raises(Unanswered, match=rf"^unix:three: refused \({expected}\)$"):
            setting.ask()
    assert setting.failed == ["unix:three: refused"] * 2
    setting.server.down.clear()
    setting.now = 60.0
    assert setting.ask() == "unix:three 0"


def test_another_host_answers_meanwhile() -> None:
    setting = Setting(ONE, LOCAL)
    setting.server.down.add("unix:three")
    assert setting.ask() == "one 0"
    assert setting.failed == ["unix:three: refused"]
    setting.fail_with(QueryError("no"))
    with pytest.raises(Unanswered, match=r"^one: no; unix:three: refused \(asked again in 30 s\)$"):
        setting.ask()


def test_a_refused_query_goes_to_the_next_host_and_spoils_nothing() -> None:
    setting = Setting(ONE, TWO)
    setting.fail_with(QueryError("no such table"), ONE)
    assert {setting.ask() for _ in range(20)} <= {"two 0", "two 1"}
    assert setting.failed == []
    assert not any(connection.is_closed for connection in setting.server.made)
    assert len(setting.server.made) <= 2


def test_a_query_that_all_refuse_is_not_answered() -> None:
    setting = Setting(ONE, TWO)
    setting.fail_with(QueryError("no"))
    with pytest.raises(Unanswered, match=r"^one: no; two: no$"):
        setting.ask()


def test_a_spent_connection_is_closed_and_its_host_stays_good() -> None:
    setting = Setting(ONE)
    setting.fail_with(QueryError("too slow", is_spent=True))
    with pytest.raises(Unanswered, match=r"^one: too slow$"):
        setting.ask()
    assert setting.server.made[0].is_closed
    setting.on_query(None)
    assert setting.ask() == "one 1"
    assert setting.failed == []


def test_idle_connections_that_broke_are_replaced_at_once() -> None:
    setting = Setting(ONE)

    async def lost(connection: FakeConnection, _query: str) -> None:
        if connection.number < 3:
            raise Lost("gone")

    async def ask() -> None:
        assert set(await three_at_once(setting)) == {"one 0", "one 1", "one 2"}
        setting.on_query(lost)
        assert await setting.answer() == "one 3"

    asyncio.run(ask())
    assert [connection.is_closed for connection in setting.server.made] == [True] * 3 + [False]
    assert setting.failed == []


async def three_at_once(setting: Setting) -> list[str]:
    """Three lookups that are under way at the same time."""
    entered, leave = asyncio.Semaphore(0), asyncio.Event()

    async def hold(_connection: FakeConnection, _query: str) -> None:
        entered.release()
        await leave.wait()

    setting.on_query(hold)
    asked = [asyncio.ensure_future(setting.answer()) for _ in range(3)]
    for _ in asked:
        await entered.acquire()
    leave.set()
    setting.on_query(None)
    return await asyncio.gather(*asked)


def test_connections_seen_to_be_broken_are_not_used() -> None:
    setting = Setting(ONE)
    asyncio.run(three_at_once(setting))
    setting.server.made[2].was_ended = True
    assert setting.ask() == "one 3"
    assert [connection.is_closed for connection in setting.server.made] == [True] * 3 + [False]


def test_a_new_connection_that_breaks_is_a_host_that_failed() -> None:
    setting = Setting(ONE)
    setting.fail_with(Lost("gone"))
    with pytest.raises(Unanswered, match=r"^one: gone \(asked again in 30 s\)$"):
        setting.ask()
    assert setting.failed == ["one: gone"]


@pytest.mark.parametrize("error", [ZeroDivisionError(), asyncio.CancelledError()])
def test_what_else_goes_wrong_gives_the_connection_up(error: BaseException) -> None:
    setting = Setting(ONE, limit=1)
    setting.fail_with(error)
    with pytest.raises(type(error)):
        setting.ask()
    assert setting.server.made[0].is_closed
    setting.on_query(None)
    assert setting.ask() == "one 1"


def test_no_more_connections_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(ONE, limit=2)

    async def ask() -> None:
        leave = asyncio.Event()

        async def hold(_connection: FakeConnection, _query: str) -> None:
            await leave.wait()

        setting.on_query(hold)
        asked = [asyncio.ensure_future(setting.answer()) for _ in range(2)]
        waiting = asyncio.ensure_future(setting.answer())
        await asyncio.wait([waiting], timeout=0)
        with monkeypatch.context() as patched:
            patched.setattr(sql_pool, "GIVE_UP_S", 0.001)
            with pytest.raises(Unanswered, match="all 2 connections are in use"):
                await setting.answer()
            patched.setattr(sql_pool, "WAITING_LIMIT", 1)
            with pytest.raises(Unanswered, match="1 lookups are waiting already"):
                await setting.answer()
        leave.set()
        assert set(await asyncio.gather(*asked, waiting)) == {"one 0", "one 1"}

    asyncio.run(ask())


def test_no_more_idle_connections_than_the_limit() -> None:
    setting = Setting(ONE, TWO, limit=1)

    async def only_one(connection: FakeConnection, query: str) -> None:
        if connection.host.name != query:
            raise QueryError("no")

    setting.on_query(only_one)
    for wanted in ("one", "two", "one"):
        assert setting.ask(wanted).startswith(wanted)
    assert sum(not connection.is_closed for connection in setting.server.made) == 1


def test_no_other_try_is_begun_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_pool, "GIVE_UP_S", 0.0)
    setting = Setting(ONE, TWO)
    with pytest.raises(Unanswered, match="one: no time left to ask it; two: no time left"):
        setting.ask()
    assert setting.server.made == []


def test_idle_connections_are_closed() -> None:
    setting = Setting(ONE)
    assert not setting.pool.tend()
    setting.ask()
    setting.now = 59.9
    assert setting.pool.tend()
    setting.ask()
    setting.now = 119.8
    assert setting.pool.tend()
    setting.now = 119.9
    assert not setting.pool.tend()
    assert setting.server.made[0].is_closed
    assert setting.ask() == "one 1"


def test_a_closed_pool_keeps_nothing() -> None:
    setting = Setting(ONE)
    setting.ask()
    setting.pool.close()
    assert setting.server.made[0].is_closed
    assert setting.ask() == "one 1"  # a lookup that was under way
    assert setting.server.made[1].is_closed


def test_tables_on_the_same_servers_share_a_pool() -> None:
    def clock() -> float:
        return 0.0

    shared = SharedPools()
    mine, other = Server((ONE,), 60, 60), Server((TWO,), 60, 60)
    pool = shared.join("loop", mine, clock)
    assert shared.join("loop", Server((ONE,), 60, 60), clock) is pool
    assert shared.join("loop", other, clock) is not pool
    assert shared.join("another loop", mine, clock) is not pool
    shared.leave("loop", mine, clock)
    assert shared.join("loop", mine, clock) is pool
    shared.leave("loop", mine, clock)
    shared.leave("loop", mine, clock)
    assert shared.join("loop", mine, clock) is not pool


def test_the_base_classes_do_nothing() -> None:
    with pytest.raises(NotImplementedError):
        asyncio.run(Server((), 1, 1).connect(ONE))


def test_ports() -> None:
    assert [checked_port(text) for text in ("", "1", "65535")] == ["", "1", "65535"]
    for text in ("0", "65536", "-1", "x", "1.5", "²"):
        with pytest.raises(ValueError, match="is no port number"):
            checked_port(text)


def test_values() -> None:
    assert decoded_values([b"a", None, "ü".encode()]) == ["a", None, "ü"]
    assert decoded_values([b"\xfc"], "latin1") == ["ü"]
    with pytest.raises(QueryError, match="not utf-8"):
        decoded_values([b"\xff"])
