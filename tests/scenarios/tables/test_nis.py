"""nis: against rpcbind, ypserv and ypbind of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from peers.ports import wait_for
from peers.postmap_oracle import PostmapOracle
from peers.ypserv import PROGRAMS, Ypserv

from gateway.config import Config
from gateway.maps import Table, Tables
from gateway.maps.nis import NisTable
from gateway.model.errors import TableError

pytestmark = pytest.mark.peer(*PROGRAMS)

ALIASES = {f"user{n}": f"box{n}@a.example, Other.{n}" for n in range(30)} | {"é": "wé", "a.b+c": "value with blanks"}
KEYS = [*ALIASES, "USER1", "User2", "É", "nosuch", "user", "user1x", "x" * 1024, "x" * 1000, "a b", "box1@a.example"]


@pytest.fixture(scope="module")
def nis() -> Iterator[Ypserv]:
    with Ypserv({"mail.aliases": ALIASES, "with.nul": ALIASES}, with_nul=frozenset({"with.nul"})) as nis:
        yield nis


def run(nis: Ypserv, story: Coroutine[Any, Any, None]) -> None:
    """Play it on an event loop inside the domain."""
    nis.inside(lambda: asyncio.run(story))


def opened() -> Tables:
    return Tables(Config.from_settings({"smtputf8_enable": "yes"}))


async def find_all(table: Table, keys: list[str]) -> list[tuple[str, str]]:
    answers = await asyncio.gather(*(table.find(key) for key in keys))
    return [(key, value) for key, value in zip(keys, answers, strict=True) if value is not None]


@pytest.mark.peer("postmap")
@pytest.mark.parametrize("name", ["mail.aliases", "with.nul"])
def test_postmap_finds_the_same(name: str, nis: Ypserv, tmp_path: Path) -> None:
    oracle = PostmapOracle(tmp_path)

    async def compare() -> None:
        tables = opened()
        found = await find_all(tables.open(f"nis:{name}"), KEYS)
        assert found == oracle.ask(f"nis:{name}", KEYS)
        assert len(found) == 35
        assert ("USER1", "box1@a.example, Other.1") in found
        await tables.close()

    run(nis, compare())


@pytest.mark.peer("postmap")
def test_a_map_that_is_not_there_is_a_temporary_error(nis: Ypserv, tmp_path: Path) -> None:
    async def compare() -> None:
        tables = opened()
        with pytest.raises(TableError, match=r"^table nis:no\.such: .*NIS domain test\.nis: No such map in"):
            await tables.open("nis:no.such").find("a")
        await tables.close()
        assert "query error" in PostmapOracle(tmp_path).complaint("nis:no.such")

    run(nis, compare())


def test_down_and_up_again(nis: Ypserv) -> None:
    async def play() -> None:
        tables = opened()
        table = tables.open("nis:mail.aliases")
        assert await table.find("user1") == "box1@a.example, Other.1"
        nis.stop()
        for _ in range(3):
            with pytest.raises(TableError, match=r"^table nis:mail\.aliases: .*NIS domain test\.nis: "):
                await table.find("user1")
        nis.start()
        wait_for(lambda: nis.command("ypmatch user1 mail.aliases"), "ypbind bound again", pause_s=0.1)
        assert await find_all(table, ["user1", "nosuch"]) == [("user1", "box1@a.example, Other.1")]
        await tables.close()

    run(nis, play())


def test_a_server_that_hangs(nis: Ypserv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NisTable, "deadline_s", 0.3)

    async def play() -> None:
        tables = opened()
        table = tables.open("nis:mail.aliases")
        assert await table.find("user1") == "box1@a.example, Other.1"
        nis.pause()
        with pytest.raises(TableError, match=r"^table nis:mail\.aliases: .*no answer within 0\.3s$"):
            await table.find("user1")
        nis.resume()
        assert await table.find("user2") == "box2@a.example, Other.2"
        await tables.close()

    run(nis, play())
