"""socketmap: against postfix-mta-sts-resolver, and beside Debian's postmap on replies of every kind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from peers.mta_sts import MtaSts
from peers.postmap_oracle import PostmapOracle
from peers.scripted import ScriptedServer

from gateway.config import Config
from gateway.maps import Table, Tables
from gateway.maps.socketmap import SocketmapTable
from gateway.model.errors import TableError

POLICIES = {f"d{n}.example": f"mx{n}.example" if n % 3 else "" for n in range(60)}


@pytest.fixture(scope="module", params=["inet", "unix"])
def resolver(request: pytest.FixtureRequest) -> Iterator[MtaSts]:
    with MtaSts(POLICIES, is_unix=request.param == "unix") as resolver:
        yield resolver


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> PostmapOracle:
    return PostmapOracle(tmp_path_factory.mktemp("postmap"))


def opened() -> Tables:
    return Tables(Config.from_settings({"smtputf8_enable": "yes"}))


def spec_of(resolver: MtaSts) -> str:
    return f"socketmap:{f'unix:{resolver.path}' if resolver.path else f'inet:127.0.0.1:{resolver.port}'}:postfix"


async def find_all(table: Table, keys: list[str]) -> list[tuple[str, str]]:
    answers = await asyncio.gather(*(table.find(key) for key in keys))
    return [(key, value) for key, value in zip(keys, answers, strict=True) if value is not None]


@pytest.mark.peer("mta-sts-daemon", "postmap")
def test_postmap_finds_the_same(resolver: MtaSts, oracle: PostmapOracle) -> None:
    keys = [*POLICIES, *(domain.upper() for domain in POLICIES), ".d1.example", "192.0.2.1", "2001:db8::1"]

    async def run() -> list[tuple[str, str]]:
        tables = opened()
        try:
            return await find_all(tables.open(spec_of(resolver)), keys)
        finally:
            await tables.close()

    found = asyncio.run(run())
    assert found == oracle.ask(spec_of(resolver), keys)
    assert len(found) == 80
    assert ("D1.EXAMPLE", "secure match=mx1.example") in found


@pytest.mark.peer("mta-sts-daemon")
def test_hanging_and_down_and_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SocketmapTable, "deadline_s", 0.5)

    async def run(resolver: MtaSts) -> None:
        tables = opened()
        table, spec = tables.open(spec_of(resolver)), spec_of(resolver)
        assert len(await find_all(table, list(POLICIES))) == 40
        resolver.pause()
        with pytest.raises(TableError, match=rf"^table {spec}: .*no answer within 0\.5s$"):
            await table.find("d1.example")
        resolver.resume()
        assert await table.find("d2.example") == "secure match=mx2.example"
        resolver.kill()
        for key in list(POLICIES)[:3]:
            with pytest.raises(TableError, match=rf"^table {spec}: .*Connection refused$"):
                await table.find(key)
        resolver.start()
        assert len(await find_all(table, list(POLICIES))) == 40
        await tables.close()

    with MtaSts(POLICIES) as resolver:
        asyncio.run(run(resolver))


@pytest.mark.peer("mta-sts-daemon")
def test_a_key_that_the_server_chokes_on(resolver: MtaSts) -> None:
    """It wants ASCII, and hangs up at anything else: that says nothing about the key."""

    async def run() -> None:
        tables = opened()
        table = tables.open(spec_of(resolver))
        with pytest.raises(TableError, match=r"the server closed the connection$"):
            await table.find("é.example")
        assert await table.find("d2.example") == "secure match=mx2.example"
        await tables.close()

    asyncio.run(run())


def netstring(text: bytes) -> bytes:
    return b"%d:%s," % (len(text), text)


REPLIES = [
    *map(netstring, [
        b"OK hello", b"OK  a ", b"OK a\nb", b"OK " + b"v" * 99_997, b"NOTFOUND ", b"NOTFOUND", b"NOTFOUND why",
        b"TEMP later", b"TIMEOUT t", b"PERM p", b"PERM", b"", b"ok x", b"FOO x", b"OK\tx", b" OK x", b"notfound ",
        b"OK caf\xe9", b"OK " + b"v" * 99_998,
    ]),
    b"07:OK abcd,", b"0000000000007:OK abcd,", b"7:OK abcdX", b"x7:OK abcd,", b"-1:OK,", b"99999999999999999999:OK",
    b"100001:OK", b" 7:OK abcd,", b"7 :OK abcd,", b"OK x\n", netstring(b"OK a") + netstring(b"OK b"),
]  # fmt: skip


@pytest.mark.peer("postmap")
def test_postmap_takes_each_reply_for_the_same(oracle: PostmapOracle) -> None:
    async def ours(specs: list[str]) -> dict[str, str]:
        tables, found = opened(), {}
        for spec in specs:
            try:
                value = await tables.open(spec).find("a")
                found[spec] = "not found" if value is None else f"value {value}"
            except TableError:
                found[spec] = "error"
        await tables.close()
        return found

    def theirs(spec: str) -> str:
        done = oracle.run(spec, "a")
        if b"query error" in done.stderr:
            return "error"
        return f"value {done.stdout.decode()[:-1]}" if done.returncode == 0 else "not found"

    with ExitStack() as stack:
        servers = [stack.enter_context(ScriptedServer(lambda _, reply=reply: reply)) for reply in REPLIES]
        specs = [f"socketmap:inet:127.0.0.1:{server.port}:name" for server in servers]
        found = asyncio.run(ours(specs))
        assert found == oracle.each(theirs, specs)
        assert [server.requests for server in servers] == [[b"6:name a,"] * 2] * len(servers)
