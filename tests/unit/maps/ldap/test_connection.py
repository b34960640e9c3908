from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

ldap = pytest.importorskip("ldap", reason="python-ldap is not installed")

from gateway.maps.ldap.connection import LdapConnection, Lost, Referred, Refused  # noqa: E402
from gateway.maps.ldap.expansion import Search  # noqa: E402
from gateway.maps.ldap.text import SUBTREE  # noqa: E402

SEARCH = Search("dc=x", SUBTREE, "(a=b)", ("mail",))


class Handle:
    """In libldap's place: counts messages, and gives the results a test has laid out."""

    def __init__(self, guard: socket.socket) -> None:
        self.results: list[Any] = []
        self.sent: list[tuple[Any, ...]] = []
        self.abandoned: list[int] = []
        self.is_closed = False
        self.refusal: Exception | None = None
        self._guard = guard

    def search_ext(self, *arguments: Any) -> int:
        if self.refusal is not None:
            raise self.refusal
        self.sent.append(arguments)
        return len(self.sent)

    simple_bind = search_ext

    def result3(self, *_: Any) -> Any:
        with contextlib.suppress(BlockingIOError):
            self._guard.recv(100, socket.MSG_DONTWAIT)
        if not self.results:
            return None, None, None, None
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    def abandon_ext(self, number: int) -> None:
        self.abandoned.append(number)

    def unbind_ext(self) -> None:
        self.is_closed = True


def entry(number: int, name: str = "cn=x", **values: list[bytes]) -> Any:
    return ldap.RES_SEARCH_ENTRY, [(name, values)], number, []


def end(number: int) -> Any:
    return ldap.RES_SEARCH_RESULT, [], number, []


def failure(number: int, code: int, kind: int = 101, **more: object) -> Exception:
    error: Exception = ldap.LDAPError({"result": code, "desc": "no", "msgid": number, "msgtype": kind, **more})
    return error


def play(test: Callable[[LdapConnection, Handle, socket.socket], Awaitable[None]]) -> Handle:
    """Run ``test`` with a connection, its handle, and the server's end of the socket."""

    async def run() -> Handle:
        server, guard = socket.socketpair()
        with server:
            handle = Handle(guard)
            connection = LdapConnection(handle, guard, "ldap://here")
            await test(connection, handle, server)
            connection.close()
        return handle

    handle = asyncio.run(run())
    assert handle.is_closed
    return handle


async def started(*lookups: Awaitable[Any]) -> list[asyncio.Future[Any]]:
    futures = [asyncio.ensure_future(lookup) for lookup in lookups]
    await asyncio.sleep(0)
    return futures


def test_results_find_their_searches() -> None:
    async def test(connection: LdapConnection, handle: Handle, server: socket.socket) -> None:
        one, two = await started(connection.search(SEARCH, 5, 3), connection.search(SEARCH, 5, 0))
        handle.results = [
            entry(2, mail=[b"2"]),
            entry(1, mail=[b"1"]),
            (ldap.RES_SEARCH_REFERENCE, [(None, ["ldap://b", "ldap://c"])], 2, []),
            end(2),
            end(77),
            end(1),
        ]
        server.send(b"x")
        assert (await one).entries == [{"mail": [b"1"]}]
        found = await two
        assert (found.entries, found.referrals) == ([{"mail": [b"2"]}], [["ldap://b", "ldap://c"]])

    handle = play(test)
    assert handle.sent[0] == ("dc=x", SUBTREE, "(a=b)", ["mail"], 0, None, None, 5, 3)


def test_a_missing_base_is_no_entries_at_all() -> None:
    async def test(connection: LdapConnection, handle: Handle, server: socket.socket) -> None:
        (search,) = await started(connection.search(SEARCH, 5, 0))
        handle.results = [failure(1, 32)]
        server.send(b"x")
        assert (await search).entries is None

    play(test)


@pytest.mark.parametrize(("code", "kind"), [(4, 101), (50, 101), (32, 97), (123, 101)])
def test_refusals(code: int, kind: int) -> None:
    async def test(connection: LdapConnection, handle: Handle, server: socket.socket) -> None:
        (search,) = await started(connection.search(SEARCH, 5, 0))
        handle.results = [failure(1, code, kind, info="because\n of it")]
        server.send(b"x")
        with pytest.raises(Refused, match="ldap://here: no: because of it") as caught:
            await search
        assert caught.value.code == code
        assert connection.is_open

    play(test)


def test_a_bind_to_what_does_not_exist_is_refused() -> None:
    async def test(connection: LdapConnection, handle: Handle, server: socket.socket) -> None:
        (bind,) = await started(connection.bind("cn=x", "p", 5))
        handle.results = [failure(1, 32, 97)]
        server.send(b"x")
        with pytest.raises(Refused):
            await bind

    play(test)


def test_a_referral_of_the_whole_search() -> None:
    async def test(connection: LdapConnection, handle: Handle, server: socket.socket) -> None:
        (search,) = await started(connection.search(SEARCH, 5, 0))
        handle.results = [failure(1, 10, info="Referral:\nldap://there/dc=y")]
        server.send(b"x")
        with pytest.raises(Referred) as caught:
            await search
        assert caught.value.url == "ldap://there/dc=y"

    play(test)


@pytest.mark.parametrize(
    "result",
    [
        failure(1, -1),
        failure(99, 50),
        ldap.LDAPError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        KeyError("a control"),
        (97, [], 1, []),
        (101, [], 2, []),
    ],
)
def test_what_makes_no_sense_ends_the_connection(result: object) -> None:
    async def test(connection: LdapConnection, handle: Handle, server: socket.socket) -> None:
        search, bind = await started(connection.search(SEARCH, 5, 0), connection.bind("", "", 5))
        handle.results = [result]
        server.send(b"x")
        for one in (search, bind):
            with pytest.raises(Lost, match="ldap://here"):
                await one
        assert not connection.is_open
        with pytest.raises(Lost):
            await connection.search(SEARCH, 5, 0)

    play(test)


def test_a_server_that_hangs_up_is_noticed_while_nobody_asks() -> None:
    async def test(connection: LdapConnection, _handle: Handle, server: socket.socket) -> None:
        server.close()
        async with asyncio.timeout(5):
            while connection.is_open:
                await asyncio.sleep(0)
        with pytest.raises(Lost):
            await connection.search(SEARCH, 5, 0)

    play(test)


def test_silence_closes_the_connection_and_slowness_does_not() -> None:
    async def test(connection: LdapConnection, handle: Handle, server: socket.socket) -> None:
        slow, other = await started(connection.search(SEARCH, 0.05, 0), connection.search(SEARCH, 5, 0))
        handle.results = [end(2)]
        server.send(b"x")
        await other
        with pytest.raises(TimeoutError):
            await slow
        assert connection.is_open
        assert handle.abandoned == [1]
        (silent,) = await started(connection.search(SEARCH, 0.01, 0))
        with pytest.raises(TimeoutError):
            await silent
        assert not connection.is_open

    play(test)


def test_a_lookup_given_up_is_abandoned() -> None:
    async def test(connection: LdapConnection, handle: Handle, _server: socket.socket) -> None:
        (search,) = await started(connection.search(SEARCH, 5, 0))
        search.cancel()
        with pytest.raises(asyncio.CancelledError):
            await search
        assert handle.abandoned == [1]

    play(test)


def test_many_messages_do_not_hold_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.maps.ldap.connection.MESSAGES_A_TURN", 10)

    async def test(connection: LdapConnection, handle: Handle, server: socket.socket) -> None:
        (search,) = await started(connection.search(SEARCH, 5, 0))
        handle.results = [entry(1, mail=[b"v"])] * 95 + [end(1)]
        server.send(b"x")
        left = []
        async with asyncio.timeout(5):
            while not search.done():
                await asyncio.sleep(0)
                left.append(len(handle.results))
        assert len(set(left)) >= 9
        assert len((await search).entries or ()) == 95

    play(test)


def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.maps.ldap.connection.OCTETS_LIMIT", 100)

    async def test(connection: LdapConnection, handle: Handle, server: socket.socket) -> None:
        (search,) = await started(connection.search(SEARCH, 5, 0))
        handle.results = [entry(1, mail=[b"12345678"])] * 100
        server.send(b"x")
        with pytest.raises(Refused, match="100 octets"):
            await search
        assert handle.abandoned == [1]

    play(test)


@pytest.mark.parametrize(
    ("error", "raised", "stays"),
    [
        (ldap.LDAPError({"result": -7, "desc": "Bad search filter"}), Refused, True),
        (ValueError("embedded null character"), Refused, True),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates"), Refused, True),
        (ldap.LDAPError({"result": -1, "desc": "Can't contact LDAP server"}), Lost, False),
    ],
)
def test_requests_that_cannot_be_sent(error: Exception, raised: type[Exception], stays: bool) -> None:
    async def test(connection: LdapConnection, handle: Handle, _server: socket.socket) -> None:
        handle.refusal = error
        with pytest.raises(raised):
            await connection.search(SEARCH, 5, 0)
        assert connection.is_open is stays

    play(test)


def test_closing_after_its_loop() -> None:
    async def open_one() -> tuple[LdapConnection, Handle, socket.socket]:
        server, guard = socket.socketpair()
        handle = Handle(guard)
        return LdapConnection(handle, guard, "ldap://here"), handle, server

    connection, handle, server = asyncio.run(open_one())
    connection.close()
    connection.close()
    server.close()
    assert handle.is_closed
