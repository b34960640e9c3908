from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ldap = pytest.importorskip("ldap", reason="python-ldap is not installed")

from gateway.maps.ldap.connection import LdapConnection, Lost, Refused  # noqa: E402
from gateway.maps.ldap.opening import SASL_STEP_S, open_connection  # noqa: E402
from gateway.maps.ldap.settings import Access, Bind  # noqa: E402
from gateway.maps.ldap.text import LdapUrl, parse_ldap_url  # noqa: E402


class Handle:
    """In libldap's place: notes what it is told; StartTLS waits for the socket, as libldap does."""

    def __init__(self, uri: str, descriptor: int) -> None:
        self.uri = uri
        self.socket = socket.socket(fileno=descriptor)
        self.options: dict[int, object] = {}
        self.calls: list[str] = []
        self.failures: dict[str, Exception] = {}
        self.answer = ldap.RES_SEARCH_RESULT
        self.hangs = False
        self.closed = threading.Event()

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failures:
            raise self.failures[name]

    def set_option(self, option: int, value: object) -> None:
        self._call("set_option")
        self.options[option] = value

    def start_tls_s(self) -> None:
        self._call("start_tls_s")
        if self.hangs:
            self.socket.setblocking(True)
            self.socket.recv(1)
            raise ldap.LDAPError({"result": -1, "desc": "ended"})

    def search_ext(self, *_: object) -> int:
        self._call("search_ext")
        return 1

    def result3(self, *_: object) -> tuple[object, ...]:
        self._call("result3")
        return self.answer, [], 1, []

    def sasl_bind_s(self, *arguments: object) -> None:
        self._call(f"sasl_bind_s{arguments}")

    def sasl_interactive_bind_s(self, dn: str, auth: Any) -> None:
        self._call("sasl_interactive_bind_s")
        self.options[-1] = (
            dn,
            auth.mech,
            [auth.callback(number, "", "", "") for number in (0x4001, 0x4002, 0x4004, 0x4008)],
        )

    def unbind_ext(self) -> None:
        self.socket.close()
        self.closed.set()


class World:
    """A listening socket, and a fake for each connection to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.handles: list[Handle] = []
        self.hangs = False
        self.failures: dict[str, Exception] = {}
        self.answer = ldap.RES_SEARCH_RESULT
        monkeypatch.setattr(ldap, "initialize", self._initialize)

    @property
    def server(self) -> LdapUrl:
        return LdapUrl("ldap", "127.0.0.1", self.listener.getsockname()[1])

    def _initialize(self, uri: str, *, fileno: int) -> Handle:
        handle = Handle(uri, fileno)
        handle.hangs, handle.failures, handle.answer = self.hangs, self.failures, self.answer
        self.handles.append(handle)
        return handle

    def open(self, server: LdapUrl | None = None, **settings: Any) -> Handle:
        """Open a connection and close it again; its handle."""

        async def run() -> None:
            where = server or self.server
            connection = await open_connection(where, Access((where,), settings.pop("timeout_s", 5), **settings))
            assert isinstance(connection, LdapConnection)
            connection.close()

        asyncio.run(run())
        assert self.handles[-1].closed.wait(5)
        return self.handles[-1]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(monkeypatch)
    with contextlib.closing(world.listener):
        yield world


def test_options(world: World) -> None:
    handle = world.open(bind=Bind.NONE, version=2, dereference=3, timeout_s=7)
    assert handle.uri == f"ldap://127.0.0.1:{world.server.port}"
    assert handle.options == {
        ldap.OPT_PROTOCOL_VERSION: 2,
        ldap.OPT_DEREF: 3,
        ldap.OPT_REFERRALS: 0,
        ldap.OPT_NETWORK_TIMEOUT: 7,
        ldap.OPT_TIMEOUT: 7,
    }
    assert set(handle.calls) == {"set_option"}


def test_start_tls(world: World) -> None:
    tls = {
        "tls_ca_file": "/ca",
        "tls_certificate": "/c",
        "tls_key": "/k",
        "tls_ciphers": "NORMAL",
        "tls_verifies": True,
    }
    handle = world.open(bind=Bind.NONE, start_tls=True, **tls)
    assert handle.calls[-1] == "start_tls_s"
    assert handle.options[ldap.OPT_X_TLS_CACERTFILE] == "/ca"
    assert handle.options[ldap.OPT_X_TLS_REQUIRE_CERT] == ldap.OPT_X_TLS_DEMAND
    assert list(handle.options)[-1] == ldap.OPT_X_TLS_NEWCTX
    assert ldap.OPT_X_TLS_CACERTDIR not in handle.options
    handle = world.open(bind=Bind.NONE, start_tls=True)
    assert handle.options[ldap.OPT_X_TLS_REQUIRE_CERT] == ldap.OPT_X_TLS_NEVER


def test_a_step_that_hangs_is_ended(world: World) -> None:
    world.hangs = True
    with pytest.raises(Lost, match="no answer in time"):
        world.open(bind=Bind.NONE, start_tls=True, timeout_s=0.05)
    assert world.handles[0].closed.wait(5)


def test_an_attempt_given_up_leaves_nothing(world: World) -> None:
    world.hangs = True

    async def run() -> None:
        attempt = asyncio.ensure_future(open_connection(world.server, Access((world.server,), 5, start_tls=True)))
        async with asyncio.timeout(5):
            while not (world.handles and "start_tls_s" in world.handles[0].calls):
                await asyncio.sleep(0.001)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt

    asyncio.run(run())
    assert world.handles[0].closed.wait(5)


def test_sasl(world: World) -> None:
    login = {"bind_dn": "joe", "bind_password": "p", "sasl_realm": "r", "sasl_authorization": "u:a"}
    handle = world.open(bind=Bind.SASL, sasl_mechanisms="DIGEST-MD5 SCRAM-SHA-1", sasl_min_ssf=56, **login)
    assert handle.calls[-4:] == ["result3", "set_option", "set_option", "sasl_interactive_bind_s"]
    assert handle.options[-1] == ("", b"DIGEST-MD5 SCRAM-SHA-1", [b"u:a", b"joe", b"p", b"r"])
    assert handle.options[ldap.OPT_X_SASL_SECPROPS] == "minssf=56"
    assert handle.options[ldap.OPT_TIMEOUT] == SASL_STEP_S


def test_sasl_external_does_not_stop_the_interpreter(world: World) -> None:
    handle = world.open(bind=Bind.SASL, sasl_mechanisms="external", sasl_authorization="u:a")
    assert handle.calls[-1] == "sasl_bind_s('', 'EXTERNAL', b'u:a')"


@pytest.mark.parametrize(
    ("failures", "answer", "raised", "text"),
    [
        (
            {"sasl_interactive_bind_s": ldap.LDAPError({"result": 49, "desc": "Invalid credentials"})},
            101,
            Refused,
            "Invalid",
        ),
        ({"sasl_interactive_bind_s": ldap.LDAPError({"result": -1, "desc": "Down"})}, 101, Lost, "Down"),
        ({"result3": ldap.LDAPError({"result": 13, "desc": "Confidential", "msgtype": 101})}, 101, None, ""),
        ({"result3": ldap.LDAPError({"result": -1, "desc": "Down"})}, 101, Lost, "Down"),
        ({}, 97, Lost, "not asked"),
        ({"set_option": ValueError("option error")}, 101, Lost, "option error"),
    ],
)
def test_what_sasl_may_run_into(
    failures: dict[str, Exception], answer: int, raised: type[Exception] | None, text: str, world: World
) -> None:
    world.failures, world.answer = failures, answer
    expectation = pytest.raises(raised, match=text) if raised else contextlib.nullcontext()
    with expectation:
        world.open(bind=Bind.SASL, sasl_mechanisms="DIGEST-MD5")
    assert world.handles[0].closed.wait(5)
    assert "127.0.0.1" in world.handles[0].uri


@pytest.mark.parametrize(
    ("url", "text"),
    [("ldapi://%2Fnone%2Fsocket", "No such file"), ("ldap://127.0.0.1:1", "refused"), ("ldap://[::1]:1", "::1")],
)
def test_what_connecting_may_run_into(url: str, text: str, world: World) -> None:
    with pytest.raises(Lost, match=text):
        world.open(parse_ldap_url(url))
    assert world.handles == []


def test_names_are_looked_up_and_every_address_is_tried(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    async def addresses(_loop: object, host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (("127.0.0.1", 1), ("127.0.0.1", port))
        ]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", addresses)
    handle = world.open(LdapUrl("ldap", "ldap.example.test", world.server.port), bind=Bind.NONE)
    assert asked == ["ldap.example.test"]
    assert handle.uri == f"ldap://ldap.example.test:{world.server.port}"


def test_a_name_without_address(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def addresses(*_: object, **__: object) -> list[tuple[Any, ...]]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", addresses)
    with pytest.raises(Lost, match="ldap://none:389: Name or service not known"):
        world.open(LdapUrl("ldap", "none", 389))


def test_a_unix_socket(world: World, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        handle = world.open(LdapUrl("ldapi", str(path), 0), bind=Bind.NONE)
    assert handle.uri == "ldapi://" + str(path).replace("/", "%2F")
