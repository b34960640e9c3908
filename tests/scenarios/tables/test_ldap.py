"""ldap: against a real slapd that is down, slow, killed, restarted; TLS, SASL, referrals; servers that talk nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop
from peers.ldap_tables import KEY, VALUE, Nonsense, error_of, table
from peers.ports import LOOPBACK, free_port
from peers.slapd import SUFFIX, Slapd
from peers.slapd_tree import tree
from peers.tables import surroundings

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.ldap.table import LdapTable
from gateway.model.errors import TableError

pytestmark = pytest.mark.peer("slapd", "python-ldap")

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
    monkeypatch.setattr("gateway.maps.ldap.connection.OCTETS_LIMIT", 500)

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
    monkeypatch.setattr("gateway.maps.ldap.expansion.OCTETS_LIMIT", 50)
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
