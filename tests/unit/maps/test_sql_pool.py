"""Pools of connections: who is asked in which order, who is left alone, what is kept and closed. No server, no driver."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.maps.sql_pool import (
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
        self.is_closed = False

    def quote(self, part: str) -> str:
        return part

    def run(self, query: str) -> list[str | None]:
        self.server.script(self, query)
        return [f"{self.host.name} {self.number}"]

    def close(self) -> None:
        self.is_closed = True


class FakeServer(Server, frozen=True):
    """Keeps what was connected; ``down`` names hosts that refuse."""

    made: list[FakeConnection]
    down: set[str]
    scripts: list[Callable[[FakeConnection, str], None]]

    def connect(self, host: Host) -> Connection:
        if host.name in self.down:
            raise HostError("refused")
        self.made.append(FakeConnection(self, host, len(self.made)))
        return self.made[-1]

    def script(self, connection: FakeConnection, query: str) -> None:
        if self.scripts:
            self.scripts[0](connection, query)


class Setting:
    """A pool with its server, its clock and what it complained of."""

    def __init__(self, *hosts: Host, limit: int = 8) -> None:
        self.now = 0.0
        self.server = FakeServer(hosts, 60, 30, made=[], down=set(), scripts=[])
        self.pool = Pool(self.server, lambda: self.now, limit)
        self.failed: list[str] = []

    def ask(self, query: str = "q", seconds: float = 10.0) -> str:
        (found,) = self.pool.ask(lambda _connection: query, self.now + seconds, self.failed.append)
        return str(found)

    def on_query(self, script: Callable[[FakeConnection, str], None] | None) -> None:
        self.server.scripts[:] = [script] if script else []


def test_a_connection_is_used_again() -> None:
    setting = Setting(ONE)
    assert [setting.ask() for _ in range(3)] == ["one 0"] * 3


def test_local_hosts_are_first_and_the_others_in_random_order() -> None:
    assert {Setting(ONE, LOCAL, TWO).ask() for _ in range(20)} == {"unix:three 0"}
    first = {Setting(ONE, TWO).ask() for _ in range(64)}
    assert first == {"one 0", "two 0"}


def test_a_host_that_failed_is_left_alone_for_a_while() -> None:
    setting = Setting(ONE, LOCAL)
    setting.server.down.add("unix:three")
    assert setting.ask() == "one 0"
    assert setting.failed == ["unix:three: refused"]
    setting.server.down.clear()
    setting.server.made[0].host = TWO  # so that its connection is not used again

    def refuse(_connection: FakeConnection, _query: str) -> None:
        raise QueryError("no")

    setting.on_query(refuse)
    setting.now = 29.9
    with pytest.raises(Unanswered, match=r"one: no; unix:three: refused \(asked again in 0 s\)"):
        setting.ask()
    setting.on_query(None)
    setting.pool.close()
    fresh = Setting(LOCAL)
    fresh.server.down.add("unix:three")
    for now, expected in ((0.0, "asked again in 30 s"), (10.0, "asked again in 20 s"), (30.0, "asked again in 30 s")):
        fresh.now = now
        with pytest.raises(Unanswered, match=expected):
            fresh.ask()
    assert fresh.failed == ["unix:three: refused"] * 2
    fresh.server.down.clear()
    fresh.now = 60.0
    assert fresh.ask() == "unix:three 0"


def test_a_refused_query_goes_to_the_next_host_and_spoils_nothing() -> None:
    setting = Setting(ONE, TWO)

    def only_two(connection: FakeConnection, _query: str) -> None:
        if connection.host is ONE:
            raise QueryError("no such table")

    setting.on_query(only_two)
    assert {setting.ask() for _ in range(20)} <= {"two 0", "two 1"}
    assert setting.failed == []
    assert not any(connection.is_closed for connection in setting.server.made)
    assert len(setting.server.made) <= 2


def test_a_query_that_all_refuse_is_not_answered() -> None:
    setting = Setting(ONE, TWO)

    def refuse(connection: FakeConnection, _query: str) -> None:
        raise QueryError(f"no, says {connection.host.name}")

    setting.on_query(refuse)
    with pytest.raises(Unanswered, match=r"^one: no, says one; two: no, says two$"):
        setting.ask()


def test_a_spent_connection_is_closed_and_its_host_stays_good() -> None:
    setting = Setting(ONE)

    def too_slow(_connection: FakeConnection, _query: str) -> None:
        raise QueryError("too slow", is_spent=True)

    setting.on_query(too_slow)
    with pytest.raises(Unanswered, match=r"^one: too slow$"):
        setting.ask()
    assert setting.server.made[0].is_closed
    setting.on_query(None)
    assert setting.ask() == "one 1"
    assert setting.failed == []


def test_idle_connections_that_broke_are_replaced_at_once() -> None:
    setting = Setting(ONE)
    barrier = threading.Barrier(3)
    setting.on_query(lambda _connection, _query: barrier.wait(10) and None)
    with ThreadPoolExecutor(3) as threads:
        assert set(threads.map(lambda _: setting.ask(), range(3))) == {"one 0", "one 1", "one 2"}

    def lost(connection: FakeConnection, _query: str) -> None:
        if connection.number < 3:
            raise Lost("gone")

    setting.on_query(lost)
    assert setting.ask() == "one 3"
    assert [connection.is_closed for connection in setting.server.made] == [True] * 3 + [False]
    assert setting.failed == []


def test_a_new_connection_that_breaks_is_a_host_that_failed() -> None:
    setting = Setting(ONE)

    def lost(_connection: FakeConnection, _query: str) -> None:
        raise Lost("gone")

    setting.on_query(lost)
    with pytest.raises(Unanswered, match=r"one: gone \(asked again in 30 s\)"):
        setting.ask()
    assert setting.failed == ["one: gone"]


def test_what_goes_wrong_in_our_own_code_gives_the_connection_up() -> None:
    setting = Setting(ONE, limit=1)

    def bug(_connection: FakeConnection, _query: str) -> None:
        raise ZeroDivisionError

    setting.on_query(bug)
    with pytest.raises(ZeroDivisionError):
        setting.ask()
    setting.on_query(None)
    assert setting.ask() == "one 1"


def test_no_more_connections_than_the_limit() -> None:
    setting = Setting(ONE, limit=2)
    entered, leave = threading.Semaphore(0), threading.Event()

    def hold(_connection: FakeConnection, _query: str) -> None:
        entered.release()
        leave.wait(10)

    setting.on_query(hold)
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(setting.ask) for _ in range(2)]
        assert entered.acquire(timeout=10)
        assert entered.acquire(timeout=10)
        with pytest.raises(Unanswered, match="all 2 connections are in use"):
            setting.ask(seconds=0.01)
        waiting = threads.submit(setting.ask)
        leave.set()
        assert {future.result(10) for future in (*asked, waiting)} == {"one 0", "one 1"}


def test_a_connection_to_a_host_that_refused_makes_room() -> None:
    setting = Setting(ONE, TWO, limit=1)

    def only_one(connection: FakeConnection, query: str) -> None:
        if connection.host.name != query:
            raise QueryError("no")

    setting.on_query(only_one)
    for wanted in ("one", "two", "one"):
        assert setting.ask(wanted).startswith(wanted)
    assert sum(not connection.is_closed for connection in setting.server.made) == 1


def test_no_other_try_is_begun_when_the_time_is_over() -> None:
    setting = Setting(ONE, TWO)
    with pytest.raises(Unanswered, match="one: no time left to ask it; two: no time left"):
        setting.ask(seconds=0.0)
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


def test_tables_on_the_same_servers_share_a_pool(clock: Callable[[], float]) -> None:
    shared = SharedPools()
    mine, other = Server((ONE,), 60, 60), Server((TWO,), 60, 60)
    pool = shared.join(mine, clock)
    assert shared.join(Server((ONE,), 60, 60), clock) is pool
    assert shared.join(other, clock) is not pool
    shared.leave(mine, clock)
    assert shared.join(mine, clock) is pool
    shared.leave(mine, clock)
    shared.leave(mine, clock)
    assert shared.join(mine, clock) is not pool


@pytest.fixture
def clock() -> Iterator[Callable[[], float]]:
    yield lambda: 0.0


def test_the_base_class_connects_to_nothing() -> None:
    with pytest.raises(NotImplementedError):
        Server((), 1, 1).connect(ONE)


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
