"""ldap: against a real slapd that is down, slow, killed, restarted; TLS, SASL, referrals; servers that talk nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop
from peers.ports import LOOPBACK, free_port
from peers.slapd import SUFFIX, Slapd
from peers.slapd_tree import LOGIN_DN, LOGIN_NAME, LOGIN_PASSWORD, PEOPLE, entry, tree, unit
from peers.tables import surroundings

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.ldap import LdapTable
from gateway.maps.source import Surroundings
from gateway.model.errors import TableError

pytestmark = pytest.mark.peer("slapd", "python-ldap")

KEY, VALUE = "user0@example.test", "box0,copy0@archive.example"
Ask = Callable[[str], Coroutine[Any, Any, str | None]]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with Slapd(tmp_path_factory.mktemp("ldap") / "slapd", tree()) as slapd:
        yield slapd


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Slapd]:
    """A slapd that a test may kill."""
    with Slapd(tmp_path / "own", tree()) as slapd:
        yield slapd


def table(path: Path, server: str, around: Surroundings | None = None, **settings: str) -> LdapTable:
    told = {"server_host": server, "search_base": SUFFIX, "query_filter": "(mail=%s)", "timeout": "1"} | settings
    name = path / f"{len(list(path.iterdir()))}.cf"
    name.write_text("".join(f"{key} = {value}\n" for key, value in told.items()))
    return LdapTable(f"ldap:{name}", str(name), around or surroundings())


async def error_of(table: LdapTable, key: str = KEY) -> str:
    """The TableError of a lookup; it names the table."""
    with pytest.raises(TableError) as caught:
        await table.find(key)
    assert str(caught.value).startswith(f"table {table.spec}: ")
    return caught.value.message


def connections(port: int) -> int:
    """Connections of this process to the port."""
    return sum(
        bool(c.raddr) and c.raddr.port == port
        for c in psutil.Process().net_connections("tcp")
        if c.status == "ESTABLISHED"
    )


# servers in trouble


def test_a_server_that_is_down(tmp_path: Path) -> None:
    async def ask() -> str:
        return await error_of(table(tmp_path, f"ldap://{LOOPBACK}:{free_port()}"))

    started = time.monotonic()
    assert "Connection refused" in asyncio.run(ask())
    assert time.monotonic() - started < 1


def test_a_restart_between_two_lookups_is_not_seen(own: Slapd, tmp_path: Path) -> None:
    async def ask() -> list[str | None]:
        asked = table(tmp_path, own.uri)
        before = await asked.find(KEY)
        own.stop()
        down = await error_of(asked)
        own.start()
        after = await asked.find(KEY)
        own.kill()
        own.start()
        again = await asked.find(KEY)
        await asked.close()
        return [before, down and None, after, again]

    assert asyncio.run(ask()) == [VALUE, None, VALUE, VALUE]


def test_a_server_that_hangs(own: Slapd, tmp_path: Path) -> None:
    async def hang(asked: LdapTable) -> None:
        for _ in range(2):  # over the connection there was, and over a new one
            started = time.monotonic()
            assert "no answer in time" in await error_of(asked)
            assert 0.9 < time.monotonic() - started < 2

    async def ask() -> None:
        tables = [table(tmp_path, own.uri, bind=bind) for bind in ("yes", "no")]
        for asked in tables:
            assert await asked.find(KEY) == VALUE
        own.suspend()
        ticks = asyncio.ensure_future(_count())
        processor = time.process_time()
        await asyncio.gather(*map(hang, tables))
        assert time.process_time() - processor < 0.5, "waiting must not cost processor time"
        ticks.cancel()
        assert await ticks > 100, "the loop must not stand still"
        own.resume()
        for asked in tables:
            assert await asked.find(KEY) == VALUE
            await asked.close()

    asyncio.run(ask())


async def _count() -> int:
    count = 0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(0.01)
            count += 1
    return count


def test_a_server_killed_in_the_middle_of_a_search_is_replaced_by_the_next(
    own: Slapd, shared: Slapd, tmp_path: Path
) -> None:
    async def ask() -> list[str | None]:
        asked = table(tmp_path, f"{own.uri} {shared.uri}", timeout="10")
        assert await asked.find(KEY) == VALUE
        assert connections(shared.port) == 0
        own.suspend()
        lookups = [asyncio.ensure_future(asked.find(KEY)) for _ in range(20)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        own.kill(signal.SIGKILL)
        found = await asyncio.gather(*lookups)
        await asked.close()
        return list(found)

    assert asyncio.run(ask()) == [VALUE] * 20


def test_a_search_killed_with_no_other_server_is_temporary(own: Slapd, tmp_path: Path) -> None:
    async def ask() -> str:
        asked = table(tmp_path, own.uri, timeout="10")
        assert await asked.find(KEY) == VALUE
        own.suspend()
        lookup = asyncio.ensure_future(error_of(asked))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        own.kill(signal.SIGKILL)
        return await lookup

    assert "Connection refused" in asyncio.run(ask())


def test_the_first_server_hangs_from_the_start_and_is_avoided_then(own: Slapd, shared: Slapd, tmp_path: Path) -> None:
    async def ask() -> float:
        own.suspend()
        asked = table(tmp_path, f"{own.uri} {shared.uri}")
        assert await asked.find(KEY) == VALUE
        await asked.close()
        started = time.monotonic()
        assert await asked.find(KEY) == VALUE
        await asked.close()
        return time.monotonic() - started

    assert asyncio.run(ask()) < 0.5


# nonsense


class Nonsense:
    """A server that takes connections and answers each with the same octets, whatever it is told."""

    def __init__(self, octets: bytes, *, hangs_up: bool = False) -> None:
        self._octets, self._hangs_up = octets, hangs_up
        self._listener = socket.create_server((LOOPBACK, 0))
        self._open: list[socket.socket] = []
        self.heard = b""
        self._thread = threading.Thread(target=self._serve)

    @property
    def uri(self) -> str:
        return f"ldap://{LOOPBACK}:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self._listener.accept()
                self._open.append(stream)
                self.heard += stream.recv(65536)
                stream.sendall(self._octets)
                if self._hangs_up:
                    stream.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Nonsense:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for stream in self._open:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        for stream in self._open:
            stream.close()
        assert not self._thread.is_alive()


BIND_OK = bytes.fromhex("300c02010161070a010004000400")
NONSENSE = {
    "text": (b"220 mail.example.test ESMTP\r\n" * 100, False),
    "nothing": (b"", True),
    "half a message": (BIND_OK[:6], False),
    "half a message, then the end": (BIND_OK[:6], True),
    "a very long message": (b"\x30\x84\x7f\xff\xff\xff", False),
    "an endless length": (b"\x30\xff" + b"\xff" * 200, False),
    "zeros": (b"\0" * 10000, False),
    "nobody's message": (bytes.fromhex("300c02017761070a010004000400") * 50, False),
    "another answer": (bytes.fromhex("300c0201016f070a010004000400"), False),
    "an odd code": (bytes.fromhex("300c02010161070a017b04000400"), False),
    "a disconnection": (
        bytes.fromhex(
            "302402010078 1f0a01340400040 08a16312e332e362e312e342e312e313436362e3230303336".replace(" ", "")
        ),
        False,
    ),
    "not UTF-8": (bytes.fromhex("301002010161 0b0a0131 0402fffe 0402fffe".replace(" ", "")), False),
}


STARTS = {
    "simple": {"bind": "yes"},
    "none": {"bind": "no"},
    "sasl": {"bind": "sasl", "sasl_mechs": "DIGEST-MD5"},
    "external": {"bind": "sasl", "sasl_mechs": "EXTERNAL"},
    "tls": {"start_tls": "yes"},
    "ldaps": {},
}


def test_nonsense_is_a_temporary_error(tmp_path: Path) -> None:
    async def ask(asked: LdapTable) -> str:
        text = await error_of(asked)
        await asked.close()
        return text

    async def ask_all() -> dict[tuple[str, str], str]:
        tables = {
            (name, start): table(
                tmp_path, server.uri.replace("ldap:", "ldaps:" if start == "ldaps" else "ldap:"), **settings
            )
            for name, server in servers.items()
            for start, settings in STARTS.items()
        }
        texts = await asyncio.gather(*map(ask, tables.values()))
        return dict(zip(tables, texts, strict=True))

    with contextlib.ExitStack() as stack:
        servers = {
            name: stack.enter_context(Nonsense(octets, hangs_up=ends)) for name, (octets, ends) in NONSENSE.items()
        }
        started = time.monotonic()
        texts = asyncio.run(ask_all())
        assert time.monotonic() - started < 10
    assert len(texts) == len(NONSENSE) * len(STARTS)
    assert all("ldap" in text for text in texts.values())


def test_an_answer_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch, shared: Slapd, tmp_path: Path) -> None:
    monkeypatch.setattr("gateway.maps.ldap_connection.OCTETS_LIMIT", 500)

    async def ask() -> tuple[str, str | None]:
        asked = table(tmp_path, shared.uri)
        text = await error_of(asked, "many@example.test")
        found = await asked.find(KEY)  # over the same connection
        assert connections(shared.port) == 1
        await asked.close()
        return text, found

    text, found = asyncio.run(ask())
    assert "octets" in text
    assert found == VALUE


def test_all_that_one_lookup_collects_is_bounded(
    monkeypatch: pytest.MonkeyPatch, shared: Slapd, tmp_path: Path
) -> None:
    monkeypatch.setattr("gateway.maps.ldap_expansion.OCTETS_LIMIT", 50)
    settings = {"query_filter": "(mailacceptinggeneralid=%s)", "special_result_attribute": "memberdn"}

    async def ask() -> str:
        asked = table(tmp_path, shared.uri, **settings)
        text = await error_of(asked, "nested@lists.example.test")
        await asked.close()
        return text

    assert "more than 50 octets" in asyncio.run(ask())


# one connection for all


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_many_lookups_share_one_connection(
    loop: Callable[[], asyncio.AbstractEventLoop], shared: Slapd, tmp_path: Path
) -> None:
    async def ask() -> None:
        around = surroundings()
        tables = [table(tmp_path, shared.uri, around, result_attribute=name) for name in ("maildrop", "cn")]
        other = table(tmp_path, shared.uri, around, bind="no")
        found = await asyncio.gather(
            *(one.find(f"user{number}@example.test") for number in range(0, 40, 4) for one in tables * 20)
        )
        assert found[:2] == [VALUE, "user0"]
        assert found.count("user8") == 20
        assert connections(shared.port) == 1
        assert await other.find(KEY) == VALUE
        assert connections(shared.port) == 2
        await tables[0].close()
        assert connections(shared.port) == 2
        await tables[1].close()
        await other.close()
        assert connections(shared.port) == 0

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(ask())


def test_too_many_lookups_are_refused_at_once(own: Slapd, tmp_path: Path) -> None:
    async def ask() -> tuple[int, int]:
        asked = table(tmp_path, own.uri)
        own.suspend()
        found = await asyncio.gather(*(asked.find(KEY) for _ in range(1200)), return_exceptions=True)
        texts = [str(error) for error in found if isinstance(error, TableError)]
        await asked.close()
        return len(texts), sum("waiting already" in text for text in texts)

    failed, refused = asyncio.run(ask())
    assert failed == 1200
    assert refused == 1200 - 1064


def test_a_lookup_given_up_leaves_the_others_alone(shared: Slapd, tmp_path: Path) -> None:
    async def ask() -> None:
        asked = table(tmp_path, shared.uri)
        assert await asked.find(KEY) == VALUE
        lookups = [asyncio.ensure_future(asked.find(KEY)) for _ in range(20)]
        await asyncio.sleep(0)
        for lookup in lookups[::2]:
            lookup.cancel()
        found = await asyncio.gather(*lookups, return_exceptions=True)
        assert found[1::2] == [VALUE] * 10
        assert all(isinstance(one, asyncio.CancelledError) for one in found[::2])
        assert await asked.find(KEY) == VALUE
        await asked.close()

    asyncio.run(ask())


def test_a_table_outlives_its_loop(shared: Slapd, tmp_path: Path) -> None:
    asked = table(tmp_path, shared.uri)
    assert [asyncio.run(asked.find(KEY)) for _ in range(3)] == [VALUE] * 3
    asyncio.run(asked.close())


def test_tables_puts_a_deadline_and_a_name_around_it(shared: Slapd, tmp_path: Path) -> None:
    """As the gateway opens it, with the parameters in main.cf."""
    settings = {
        "people_server_host": shared.uri,
        "base": SUFFIX,
        "people_search_base": "$base",
        "people_query_filter": "(mail=%s)",
    }

    async def ask() -> str | None:
        tables = Tables(Config.from_settings(settings))
        found = await tables.open("proxy:ldap:people").find(KEY)
        await tables.close()
        return found

    assert asyncio.run(ask()) == VALUE


# TLS and SASL


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, and a certificate for 127.0.0.1: server.pem, server.key."""
    directory = tmp_path_factory.mktemp("certificates")
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    for name, more in (
        ("ca", ["-subj", "/CN=Test CA"]),
        ("other", ["-subj", "/CN=Other CA"]),
        (
            "server",
            [
                "-subj",
                "/CN=ldap.example.test",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
            ],
        ),
    ):
        files = ["-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run([*new, *files, *more], cwd=directory, check=True, capture_output=True)
    return directory


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Slapd]:
    options = f"TLSCertificateFile {certificates}/server.pem\nTLSCertificateKeyFile {certificates}/server.key\n"
    with Slapd(tmp_path_factory.mktemp("secure") / "slapd", tree(), options=options, is_tls=True) as slapd:
        yield slapd


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("bind", ["yes", "no", "sasl", "wrong"])
@pytest.mark.parametrize("way", ["ldaps", "start_tls"])
def test_tls(way: str, bind: str, secure: Slapd, certificates: Path, tmp_path: Path) -> None:
    server = secure.tls_uri if way == "ldaps" else secure.uri
    as_whom = {
        "yes": {"bind": "yes", "bind_dn": LOGIN_DN, "bind_pw": LOGIN_PASSWORD},
        "no": {"bind": "no"},
        "sasl": {"bind": "sasl", "bind_dn": LOGIN_NAME, "bind_pw": LOGIN_PASSWORD, "sasl_mechs": "DIGEST-MD5"},
        "wrong": {"bind": "yes", "bind_dn": LOGIN_DN, "bind_pw": "guess"},
    }[bind]
    common = {"start_tls": "yes" if way == "start_tls" else "no", **as_whom}

    async def ask(**tls: str) -> str | None:
        asked = table(tmp_path, server, **common, **tls)
        try:
            return await asked.find(KEY)
        except TableError as error:
            return error.message
        finally:
            await asked.close()

    async def all_of_them() -> list[str | None]:
        trusted = await ask(tls_require_cert="yes", tls_ca_cert_file=f"{certificates}/ca.pem")
        blind = await ask(tls_require_cert="no", tls_ca_cert_file=f"{certificates}/other.pem")
        strange = await ask(tls_require_cert="yes", tls_ca_cert_file=f"{certificates}/other.pem")
        return [trusted, blind, strange]

    trusted, blind, strange = asyncio.run(all_of_them())
    if bind == "wrong":
        assert "Invalid credentials" in str(trusted)
        assert "Invalid credentials" in str(blind)
    else:
        assert (trusted, blind) == (VALUE, VALUE)
    assert "certificate" in str(strange) or "Can't contact" in str(strange) or "Connect error" in str(strange)


@pytest.mark.peer("openssl")
def test_a_certificate_for_another_name_is_refused(secure: Slapd, certificates: Path, tmp_path: Path) -> None:
    async def ask(server: str, **settings: str) -> str:
        asked = table(tmp_path, server, tls_require_cert="yes", tls_ca_cert_file=f"{certificates}/ca.pem", **settings)
        return await error_of(asked)

    assert asyncio.run(ask(f"ldaps://localhost:{secure.tls_port}"))
    assert asyncio.run(ask(f"ldap://localhost:{secure.port}", start_tls="yes"))


def test_start_tls_that_the_server_does_not_know_is_no_plain_connection(shared: Slapd, tmp_path: Path) -> None:
    async def ask() -> str:
        return await error_of(table(tmp_path, shared.uri, start_tls="yes"))

    assert "ldap://" in asyncio.run(ask())


def test_a_security_layer_that_cannot_be_had_is_a_temporary_error(shared: Slapd, tmp_path: Path) -> None:
    """Postfix says "not found" here."""
    login = {"bind": "sasl", "bind_dn": LOGIN_NAME, "bind_pw": LOGIN_PASSWORD, "sasl_mechs": "DIGEST-MD5"}

    async def ask() -> str:
        return await error_of(table(tmp_path, shared.uri, **login, sasl_minssf="4000"))

    assert asyncio.run(ask())


# referrals


@pytest.fixture(scope="module")
def referring(tmp_path_factory: pytest.TempPathFactory, shared: Slapd) -> Iterator[Slapd]:
    def referral(name: str, *urls: str) -> str:
        return unit(f"{name} parent") + entry(
            f"ou={name},ou={name} parent,{SUFFIX}", "referral extensibleObject", *(("ref", url) for url in urls)
        )

    dead = f"ldap://{LOOPBACK}:{free_port()}/{PEOPLE}"
    away = f"{shared.uri}/{PEOPLE}"
    more = [referral("away", away), referral("dead", dead), referral("dead or away", dead, away)]
    directory = tmp_path_factory.mktemp("referring") / "slapd"
    with Slapd(directory, tree(*more)) as slapd:
        yield slapd


@pytest.mark.parametrize(
    ("base", "chases", "expected"),
    [
        ("ou=away,ou=away parent", "yes", VALUE),
        ("ou=away parent", "yes", VALUE),
        ("ou=dead or away parent", "yes", VALUE),
        ("ou=dead parent", "yes", TableError),
        ("ou=dead,ou=dead parent", "yes", TableError),
        ("ou=away,ou=away parent", "no", TableError),
        ("ou=away parent", "no", None),
        ("ou=dead parent", "no", None),
    ],
)
def test_referrals(base: str, chases: str, expected: object, referring: Slapd, tmp_path: Path) -> None:
    async def ask() -> str | None:
        asked = table(tmp_path, referring.uri, search_base=f"{base},{SUFFIX}", chase_referrals=chases)
        try:
            return await asked.find(KEY)
        finally:
            await asked.close()

    if expected is TableError:
        with pytest.raises(TableError):
            asyncio.run(ask())
    else:
        assert asyncio.run(ask()) == expected


def test_a_stranger_is_not_told_the_password(tmp_path: Path) -> None:
    with Nonsense(b"") as stranger:
        more = entry(f"ou=trap,{SUFFIX}", "referral extensibleObject", ("ref", f"{stranger.uri}/{PEOPLE}"))
        with Slapd(tmp_path / "slapd", tree(more)) as slapd:

            async def ask() -> str:
                login = {"bind_dn": LOGIN_DN, "bind_pw": LOGIN_PASSWORD, "chase_referrals": "yes"}
                asked = table(tmp_path, slapd.uri, search_base=f"ou=trap,{SUFFIX}", **login)
                text = await error_of(asked)
                await asked.close()
                return text

            assert "no answer in time" in asyncio.run(ask())
    assert stranger.heard
    assert LOGIN_PASSWORD.encode() not in stranger.heard
    assert LOGIN_DN.encode() not in stranger.heard


def test_referrals_in_a_circle_end(tmp_path: Path) -> None:
    port = free_port()
    with Nonsense(b"") as unused:
        slapd = Slapd(tmp_path / "slapd", "")
        slapd.port = port
        more = entry(
            f"ou=circle,{SUFFIX}", "referral extensibleObject", ("ref", f"ldap://{LOOPBACK}:{port}/ou=circle,{SUFFIX}")
        )
        slapd._ldif = tree(more)
        assert unused.uri

        async def ask() -> str:
            asked = table(tmp_path, slapd.uri, search_base=f"ou=circle,{SUFFIX}", chase_referrals="yes")
            text = await error_of(asked)
            await asked.close()
            return text

        with slapd:
            assert "referrals in a row" in asyncio.run(ask())


def test_no_descriptor_is_left(own: Slapd, tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def ask(number: int) -> None:
        asked = table(tmp_path, own.uri, bind_dn="" if number % 2 else "nobody")
        with contextlib.suppress(TableError):
            await asked.find(KEY)
        await asked.close()

    asyncio.run(ask(0))
    before = descriptors()
    for number in range(20):
        asyncio.run(ask(number))
    own.stop()
    asyncio.run(ask(1))
    assert descriptors() == before
