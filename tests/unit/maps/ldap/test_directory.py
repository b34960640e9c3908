from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

pytest.importorskip("ldap", reason="python-ldap is not installed")

from gateway.config import Config
from gateway.maps.ldap.connection import Found, Lost, Referred, Refused
from gateway.maps.ldap.directory import AVOIDED_S, LdapDirectory, shared_directory
from gateway.maps.ldap.expansion import Entry, Search
from gateway.maps.ldap.settings import Access, Bind
from gateway.maps.ldap.text import BASE, SUBTREE, LdapUrl

A, B, C = (LdapUrl("ldap", name, 389) for name in "abc")
SEARCH = Search("dc=x", SUBTREE, "(a=b)", ("mail",))
Step = Found | Exception


def found(name: str, *referrals: list[str]) -> Found:
    return Found([{"from": [name.encode()]}], list(referrals))


class Connection:
    def __init__(self, world: World, server: LdapUrl) -> None:
        self._world, self._server, self.is_open = world, server, True

    async def search(self, search: Search, _timeout_s: float, _size_limit: int) -> Found:
        self._world.asked.append((self._server.host, search))
        await asyncio.sleep(0)
        answer = self._world.answers[self._server.host].pop(0)
        if isinstance(answer, Lost | TimeoutError):
            self.is_open = False
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self, _reason: str = "") -> None:
        self.is_open = False


class World:
    """Servers by name: what connecting to each gives, and what each answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: list[Step]) -> None:
        self.now = 0.0
        self.answers = answers
        self.dead: dict[str, Exception] = {}
        self.opened: list[str] = []
        self.accesses: list[Access] = []
        self.asked: list[tuple[str, Search]] = []
        self.made: list[Connection] = []
        monkeypatch.setattr("gateway.maps.ldap.directory.open_connection", self._open)

    async def _open(self, server: LdapUrl, access: Access) -> Connection:
        self.opened.append(server.host)
        self.accesses.append(access)
        await asyncio.sleep(0)
        if server.host in self.dead:
            raise self.dead[server.host]
        self.made.append(Connection(self, server))
        return self.made[-1]

    def directory(self, *servers: LdapUrl) -> LdapDirectory:
        access = Access(servers, 5, bind_dn="cn=me", bind_password="secret")
        return LdapDirectory(access, lambda: self.now)


def run(directory: LdapDirectory, *, chases: bool = False, times: int = 1) -> list[Entry] | None:
    async def ask() -> list[Entry] | None:
        try:
            for _ in range(times - 1):
                await directory.search(SEARCH, 0, chases=chases)
            return await directory.search(SEARCH, 0, chases=chases)
        finally:
            directory.close()

    return asyncio.run(ask())


def test_the_first_server_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, b=[found("1"), found("2")])
    world.dead = {"a": Lost("a: down")}
    assert run(world.directory(A, B, C), times=2) == [{"from": [b"2"]}]
    assert world.opened == ["a", "b"]
    assert not any(connection.is_open for connection in world.made)


def test_all_down(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.dead = {"a": Lost("a: down"), "b": Refused(52, "b: unavailable")}
    with pytest.raises(Lost, match="a: down; b: unavailable"):
        run(world.directory(A, B))


def test_a_server_that_refuses_us_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.dead = {"a": Refused(49, "wrong password")}
    with pytest.raises(Refused, match="wrong password"):
        run(world.directory(A, B))
    assert world.opened == ["a"]


def test_one_that_failed_is_asked_last_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, a=[found("a")], b=[found("b")] * 2)
    world.dead = {"a": Lost("a: down")}
    directory = world.directory(A, B)
    run(directory)
    world.dead = {}
    run(directory)
    assert world.opened == ["a", "b", "b"]
    world.now += AVOIDED_S
    run(directory)
    assert world.opened[3:] == ["a"]


def test_a_connection_that_breaks_is_made_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, a=[Lost("gone"), found("a")])
    assert run(world.directory(A)) == [{"from": [b"a"]}]
    assert world.opened == ["a", "a"]
    world = World(monkeypatch, a=[Lost("gone")] * 3)
    with pytest.raises(Lost, match="gone"):
        run(world.directory(A))
    assert world.opened == ["a", "a"]


@pytest.mark.parametrize("error", [TimeoutError("silent"), Refused(51, "busy")])
def test_no_answer_is_no_reason_to_ask_twice_but_to_ask_another_next_time(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(monkeypatch, a=[error], b=[found("b")])
    directory = world.directory(A, B)
    with pytest.raises(type(error)):
        run(directory)
    assert run(directory) == [{"from": [b"b"]}]
    assert world.opened == ["a", "b"]


def test_other_refusals_leave_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, a=[Refused(4, "too many"), found("a")])

    async def ask(directory: LdapDirectory) -> None:
        with pytest.raises(Refused):
            await directory.search(SEARCH, 1, chases=False)
        assert await directory.search(SEARCH, 1, chases=False)
        directory.close()

    asyncio.run(ask(world.directory(A)))
    assert world.opened == ["a"]


def test_all_who_wait_share_one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, a=[found("a")] * 50)

    async def ask(directory: LdapDirectory) -> None:
        lookups = [asyncio.ensure_future(directory.search(SEARCH, 0, chases=False)) for _ in range(50)]
        await asyncio.sleep(0)
        lookups[0].cancel()  # not even the one who started it may stop it for the others
        found = await asyncio.gather(*lookups, return_exceptions=True)
        assert sum(isinstance(one, list) for one in found) == 49
        directory.close()

    asyncio.run(ask(world.directory(A)))
    assert world.opened == ["a"]


def test_a_connection_that_comes_when_all_is_closed_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, a=[found("a")])

    async def ask(directory: LdapDirectory) -> None:
        lookup = asyncio.ensure_future(directory.search(SEARCH, 0, chases=False))
        await asyncio.sleep(0)
        directory.close()
        with pytest.raises(asyncio.CancelledError):
            await lookup
        await asyncio.sleep(0)
        assert not any(connection.is_open for connection in world.made)

    asyncio.run(ask(world.directory(A)))


def test_the_number_of_waiting_searches_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.maps.ldap.directory.WAITING_LIMIT", 6)
    world = World(monkeypatch, a=[found("a")] * 100)

    async def ask(directory: LdapDirectory) -> int:
        lookups = [directory.search(SEARCH, 0, chases=False) for _ in range(100)]
        answers = await asyncio.gather(*lookups, return_exceptions=True)
        directory.close()
        return sum(isinstance(answer, Lost) for answer in answers)

    assert asyncio.run(ask(world.directory(A))) == 30


def test_referrals_are_followed_without_our_password(monkeypatch: pytest.MonkeyPatch) -> None:
    references = found("a", ["nonsense", "ldap://c/dc=y??base?(e=f)"], ["ldap://c/"])
    world = World(monkeypatch, a=[references], c=[found("c1"), found("c2")])
    assert run(world.directory(A, B), chases=True) == [{"from": [b"a"]}, {"from": [b"c1"]}, {"from": [b"c2"]}]
    assert [search for host, search in world.asked if host == "c"] == [Search("dc=y", BASE, "(e=f)", ("mail",)), SEARCH]
    assert world.opened == ["a", "c"]
    stranger = world.accesses[1]
    assert (stranger.bind, stranger.bind_dn, stranger.bind_password) == (Bind.SIMPLE, "", "")


@pytest.mark.parametrize(
    ("chases", "expected"), [(True, [{"from": [b"c"]}]), (False, Refused)], ids=["chased", "not chased"]
)
def test_a_search_referred_as_a_whole(chases: bool, expected: object, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, a=[Referred("ldap://c", "elsewhere")], c=[found("c")])
    if expected is Refused:
        with pytest.raises(Refused):
            run(world.directory(A), chases=chases)
    else:
        assert run(world.directory(A), chases=chases) == expected


def test_a_referral_that_leads_nowhere_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, a=[found("a", ["ldap://c"])])
    world.dead = {"c": Lost("c: down")}
    with pytest.raises(Lost, match="c: down"):
        run(world.directory(A), chases=True)
    world = World(monkeypatch, a=[found("a", [])])
    with pytest.raises(Lost, match="nowhere"):
        run(world.directory(A), chases=True)


def test_circles_of_referrals_end(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, a=[Referred("ldap://b", "b")] * 9, b=[Referred("ldap://a", "a")] * 9)
    with pytest.raises(Lost, match="in a row"):
        run(world.directory(A, B), chases=True)
    assert len(world.asked) == 6


def test_connections_to_strangers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = [f"s{number}" for number in range(12)]
    world = World(
        monkeypatch, a=[found("a", *([f"ldap://{host}"] for host in hosts))], **{host: [found(host)] for host in hosts}
    )

    async def ask(directory: LdapDirectory) -> int:
        await directory.search(SEARCH, 0, chases=True)
        count = sum(connection.is_open for connection in world.made)
        directory.close()
        return count

    assert asyncio.run(ask(world.directory(A))) == 9
    assert not any(connection.is_open for connection in world.made)


def test_tables_of_one_configuration_with_the_same_access_share(monkeypatch: pytest.MonkeyPatch) -> None:
    clock: Callable[[], float] = lambda: 0.0  # noqa: E731
    config, other = Config.from_settings({}), Config.from_settings({})
    access = Access((A,), 5)
    shared = shared_directory(access, config, clock)
    assert shared_directory(Access((A,), 5), config, clock) is shared
    assert shared_directory(Access((A,), 5, bind_dn="x"), config, clock) is not shared
    assert shared_directory(access, other, clock) is not shared
    world = World(monkeypatch, a=[found("a")])

    async def ask() -> None:
        shared.join()
        shared.join()
        await shared.search(SEARCH, 0, chases=False)
        shared.leave()
        assert world.made[0].is_open
        shared.leave()
        assert not world.made[0].is_open

    asyncio.run(ask())
