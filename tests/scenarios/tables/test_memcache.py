"""memcache: against memcached, and beside Debian's postmap on replies of every kind."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from peers.memcached import Memcached
from peers.postmap_oracle import LONG_AGO, PostmapOracle
from peers.scripted import CLOSE, ScriptedServer

from gateway.config import Config
from gateway.maps import Table, Tables
from gateway.model.errors import TableError

pytestmark = pytest.mark.peer("memcached")


@pytest.fixture(scope="module", params=["inet", "unix"])
def server(request: pytest.FixtureRequest) -> Iterator[Memcached]:
    with Memcached(is_unix=request.param == "unix") as server:
        yield server


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> PostmapOracle:
    return PostmapOracle(tmp_path_factory.mktemp("postmap"))


def opened() -> Tables:
    return Tables(Config.from_settings({"smtputf8_enable": "yes"}))


def written(path: Path, where: str, text: str = "") -> str:
    """A table's file."""
    path.write_text(f"memcache = {where}\n{text}")
    os.utime(path, (LONG_AGO, LONG_AGO))
    return f"memcache:{path}"


async def find_all(table: Table, keys: list[str]) -> list[tuple[str, str]]:
    answers = await asyncio.gather(*(table.find(key) for key in keys))
    return [(key, value) for key, value in zip(keys, answers, strict=True) if value is not None]


@pytest.mark.peer("postmap")
@pytest.mark.parametrize(
    "text",
    ["", "key_format = p:%s\n", "key_format = %d:%u\n", "key_format = x%1.%2%%\n", "domain = a.example, b.example\n"],
)
def test_postmap_finds_the_same(text: str, server: Memcached, oracle: PostmapOracle, tmp_path: Path) -> None:
    draw = random.Random(text)
    users = [draw.choice(["a", "B", "é", "a b", "x+y", "", "long" * 70]) for _ in range(60)]
    domains = [draw.choice(["A.example", "b.example", "c.example", "example", "", "x.a.example"]) for _ in users]
    keys = [f"{user}@{domain}" for user, domain in zip(users, domains, strict=True)] + ["a", "b", "a.example", "nosuch"]
    keys = [key for key in keys if len(key) < 240]
    server.told(b"flush_all\r\n")
    for key in draw.sample(keys, 40):
        folded = key.lower()
        user, _, domain = folded.rpartition("@")
        labels = domain.split(".")
        for name in (folded, f"p:{folded}", f"{domain}:{user}", f"x{'.'.join([*labels[::-1], ''][:2])}%"):
            if " " not in name:
                server.store(name, f"value of {name}")
    spec = written(tmp_path / "cache.cf", server.where, text)

    async def run() -> list[tuple[str, str]]:
        tables = opened()
        try:
            return await find_all(tables.open(spec), keys)
        finally:
            await tables.close()

    found = asyncio.run(run())
    assert found == oracle.ask(spec, keys)
    assert len(found) > 5


@pytest.mark.peer("postmap")
def test_the_backup_is_written_back_as_postmap_does(server: Memcached, oracle: PostmapOracle, tmp_path: Path) -> None:
    text = "backup = inline:{{ Key@a.example = of the backup, é }}\nflags = 5\nttl = 0\n"
    stored: list[bytes] = []
    for who in ("we", "postmap"):
        server.told(b"flush_all\r\n")
        spec = written(tmp_path / f"{who}.cf", server.where, text)
        if who == "we":
            tables = opened()

            async def run(tables: Tables = tables, spec: str = spec) -> list[tuple[str, str]]:
                try:
                    return await find_all(tables.open(spec), ["KEY@A.example", "other"])
                finally:
                    await tables.close()

            found = asyncio.run(run())
        else:
            found = oracle.ask(spec, ["KEY@A.example", "other"])
        assert found == [("KEY@A.example", "of the backup, é")]
        stored.append(server.stored("key@a.example") + server.stored("other"))
    assert stored[0] == stored[1] == "VALUE key@a.example 5 17\r\nof the backup, é\r\nEND\r\nEND\r\n".encode()


def test_hanging_and_down_and_up_again(tmp_path: Path) -> None:
    async def run(server: Memcached) -> None:
        spec = written(tmp_path / "cache.cf", server.where, "timeout = 1\nmax_try = 1\n")
        tables = opened()
        table = tables.open(spec)
        server.store("k", "v")
        assert await find_all(table, ["k", "x", "k"]) == [("k", "v"), ("k", "v")]
        server.pause()
        with pytest.raises(TableError, match=rf"^table {spec}: .*no answer within 1s$"):
            await table.find("k")
        server.resume()
        assert await table.find("k") == "v"
        server.kill()
        with pytest.raises(TableError, match=rf"^table {spec}: .*Connection refused$"):
            await table.find("k")
        server.start()
        assert await table.find("k") is None  # it came back empty
        server.store("k", "v2")
        assert await table.find("k") == "v2"
        await tables.close()

    with Memcached() as server:
        asyncio.run(run(server))


def test_with_a_backup_nobody_notices(tmp_path: Path) -> None:
    async def run(server: Memcached) -> None:
        spec = written(tmp_path / "cache.cf", server.where, "backup = inline:{k=b}\nmax_try = 1\n")
        tables = opened()
        table = tables.open(spec)
        server.store("k", "v")
        assert await table.find("k") == "v"
        server.kill()
        assert await find_all(table, ["k", "x"]) == [("k", "b")]
        server.start()
        assert await table.find("k") == "b"
        assert server.stored("k") == b"VALUE k 0 1\r\nb\r\nEND\r\n"
        await tables.close()

    with Memcached() as server:
        asyncio.run(run(server))


REPLIES = [
    b"END\r\n", b"VALUE a 0 5\r\nhello\r\nEND\r\n", b"VALUE a 9 1 7\r\nx\r\nEND\r\n", b"VALUE a 0 4\r\na\r\nb\r\nEND\r\n",
    b"VALUE a 0 10240\r\n" + b"x" * 10240 + b"\r\nEND\r\n", b"VALUE a 0 10241\r\n" + b"x" * 10241 + b"\r\nEND\r\n",
    b"ERROR\r\n", b"SERVER_ERROR oops\r\n", b"CLIENT_ERROR bad\r\n", b"garbage\r\n", b"VALUE a 0 -1\r\n", b"VALUE a 0\r\n",
    b"VALUE a 0 4\r\ncaf\xe9\r\nEND\r\n", b"VALUE a 0 1" + b" " * 1030 + b"\r\nx\r\nEND\r\n", b"STORED\r\n",
]  # fmt: skip


@pytest.mark.peer("postmap")
def test_postmap_takes_each_reply_for_the_same(oracle: PostmapOracle, tmp_path: Path) -> None:
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
        specs = []
        for number, reply in enumerate(REPLIES):
            server = stack.enter_context(ScriptedServer(lambda _, reply=reply: (reply, CLOSE)))
            specs.append(written(tmp_path / f"{number}.cf", f"inet:127.0.0.1:{server.port}", "max_try = 1\n"))
        found = asyncio.run(ours(specs))
        assert found == oracle.each(theirs, specs)
