"""tcp: against postsrsd, and beside Debian's postmap on replies of every kind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from peers.ports import wait_for
from peers.postmap_oracle import PostmapOracle
from peers.postsrsd import PostSrsd
from peers.scripted import HANG, ScriptedServer

from gateway.config import Config
from gateway.maps import Table, Tables
from gateway.maps.tcp import TcpTable
from gateway.model.errors import TableError


@pytest.fixture(scope="module")
def srs() -> Iterator[PostSrsd]:
    with PostSrsd() as srs:
        yield srs


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> PostmapOracle:
    return PostmapOracle(tmp_path_factory.mktemp("postmap"))


def opened() -> Tables:
    return Tables(Config.from_settings({"smtputf8_enable": "yes"}))


async def find_all(table: Table, keys: list[str]) -> list[tuple[str, str]]:
    answers = await asyncio.gather(*(table.find(key) for key in keys))
    return [(key, value) for key, value in zip(keys, answers, strict=True) if value is not None]


@pytest.mark.peer("postsrsd")
def test_there_and_back(srs: PostSrsd) -> None:
    async def run() -> None:
        tables = opened()
        forward, back = (tables.open(f"tcp:127.0.0.1:{port}") for port in (srs.port, srs.reverse_port))
        rewritten = await forward.find("User+ext@A.Example")
        assert rewritten is not None
        assert rewritten.endswith("=A.Example=User+ext@srs.example")
        assert await back.find(rewritten) == "User+ext@A.Example"
        assert await back.find(rewritten.replace("SRS0=", "SRS0=x")) is None
        assert await forward.find("no address") is None
        assert await forward.find("user@srs.example") == "user@srs.example"
        await tables.close()

    asyncio.run(run())
    wait_for(lambda: not srs.conversations(), "closed connections")


@pytest.mark.peer("postsrsd", "postmap")
def test_postmap_finds_the_same(srs: PostSrsd, oracle: PostmapOracle) -> None:
    draw = random.Random("srs")
    keys = ["".join(draw.choices("aB1+=%é .", k=6)).strip() or "a" for _ in range(100)]
    keys += [f"{key}@{draw.choice(['a.example', 'B.Example', 'srs.example'])}" for key in keys]

    async def run(spec: str, keys: list[str]) -> list[tuple[str, str]]:
        tables = opened()
        try:
            return await find_all(tables.open(spec), keys)
        finally:
            await tables.close()

    forward, back = f"tcp:127.0.0.1:{srs.port}", f"tcp:127.0.0.1:{srs.reverse_port}"
    found = asyncio.run(run(forward, keys))
    assert found == oracle.ask(forward, keys)
    assert 50 < len(found) < 200
    rewritten = [value for _, value in found]
    assert asyncio.run(run(back, rewritten)) == oracle.ask(back, rewritten)


@pytest.mark.peer("postsrsd")
def test_down_and_up_again() -> None:
    async def run(srs: PostSrsd) -> None:
        tables = opened()
        table, keys = tables.open(f"tcp:127.0.0.1:{srs.port}"), [f"user{n}@a.example" for n in range(30)]
        assert len(await find_all(table, keys)) == 30
        assert len(srs.conversations()) <= 10
        srs.kill()
        for key in keys[:3]:
            with pytest.raises(TableError, match=rf"^table tcp:127\.0\.0\.1:{srs.port}: .*Connection refused$"):
                await table.find(key)
        srs.start()
        assert len(await find_all(table, keys)) == 30
        await tables.close()

    with PostSrsd() as srs:
        asyncio.run(run(srs))


@pytest.mark.peer("postsrsd")
def test_connections_that_the_server_closed_cost_no_lookup() -> None:
    async def run(srs: PostSrsd) -> None:
        tables = opened()
        table, keys = tables.open(f"tcp:127.0.0.1:{srs.port}"), [f"user{n}@a.example" for n in range(30)]
        assert len(await find_all(table, keys)) == 30
        for conversation in srs.conversations():
            conversation.kill()
        wait_for(lambda: not srs.conversations(), "connections closed by postsrsd")
        assert len(await find_all(table, keys)) == 30
        await tables.close()

    with PostSrsd() as srs:
        asyncio.run(run(srs))


@pytest.mark.peer("postsrsd")
def test_a_server_that_stops_answering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TcpTable, "deadline_s", 0.3)

    async def run(srs: PostSrsd) -> None:
        tables = opened()
        table = tables.open(f"tcp:127.0.0.1:{srs.port}")
        assert await table.find("user@a.example") is not None
        srs.pause()
        with pytest.raises(TableError, match=rf"^table tcp:127\.0\.0\.1:{srs.port}: .*no answer within 0\.3s$"):
            await table.find("user@a.example")
        srs.resume()
        assert str(await table.find("other@a.example")).endswith("=a.example=other@srs.example")
        await tables.close()

    with PostSrsd() as srs:
        asyncio.run(run(srs))


REPLIES = [
    b"200 hello\n", b"200 hello%20w%c3%A9rld\n", b"200 a b  c \n", b"200  a\n", b"200\ta\n", b"250 a\n", b"200 a\r\n",
    b"200 " + b"v" * 4091 + b"\n", b"500 no\n", b"599 no\n", b"200 a\n200 b\n",
    b"400 later\n", b"\n", b"garbage\n", b" 200 x\n", b"200\n", b"500\n", b"400\n", b"20 x\n", b"2000 x\n", b"2xx x\n",
    b"300 x\n", b"5zz\n", b"200 a%zz\n", b"200 a%2\n", b"200 caf\xe9\n",
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
        specs = [f"tcp:127.0.0.1:{server.port}" for server in servers]
        found = asyncio.run(ours(specs))
        assert found == oracle.each(theirs, specs)
        assert [server.requests for server in servers] == [[b"get a\n"] * 2] * len(servers)


def test_a_hanging_server_does_not_keep_others_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of another server answers while every connection to the first one hangs."""
    monkeypatch.setattr(TcpTable, "deadline_s", 1.5)

    async def run(hanging: ScriptedServer, other: ScriptedServer) -> None:
        tables = opened()
        slow, fast = (tables.open(f"tcp:127.0.0.1:{server.port}") for server in (hanging, other))
        lost = [asyncio.ensure_future(slow.find(str(n))) for n in range(50)]
        assert await find_all(fast, ["a", "b"]) == [("a", "yes"), ("b", "yes")]
        await asyncio.to_thread(wait_for, lambda: len(hanging.requests) == 10, "ten lookups under way")
        assert not any(task.done() for task in lost)
        # Only now: when time is up, those who waited may open theirs before the server has seen the others close.
        assert hanging.most == 10
        answers = await asyncio.gather(*lost, return_exceptions=True)
        assert {type(answer) for answer in answers} == {TableError}
        await tables.close()

    with ScriptedServer(lambda _: HANG) as hanging, ScriptedServer(lambda _: b"200 yes\n") as other:
        asyncio.run(run(hanging, other))
