from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.config import Config
from gateway.maps import Table, Tables
from gateway.model.errors import TableError
from gateway.net.eager import start


class PluginTable(Table):
    """A table with a plugin's own idea of a lookup."""

    def __init__(self, answer: Callable[[str], Any]) -> None:
        super().__init__("ours:x")
        self.answer = answer

    def find(self, key: str) -> Any:
        return self.answer(key)


def opened(answer: Callable[[str], Any]) -> Table:
    config = Config.from_settings({"plugin_timeout": "1s"})
    return Tables(config, types={"ours": lambda name, config: PluginTable(answer)}).open("ours:x")


async def with_timeout(key: str) -> str:
    async with asyncio.timeout(5):
        await asyncio.sleep(0)
    return key.upper()


async def hang(key: str) -> None:
    await asyncio.get_running_loop().create_future()


async def fail(key: str) -> None:
    raise OSError("server has gone away")


async def cancel(key: str) -> None:
    raise asyncio.CancelledError


async def number(key: str) -> int:
    return 550


def no_coroutine(key: str) -> str:
    return key


@pytest.mark.parametrize("answer", [hang, fail, cancel, number, no_coroutine])
def test_a_table_that_misbehaves_has_no_answer_now(answer: Callable[[str], Any]) -> None:
    async def run() -> None:
        with pytest.raises(TableError, match="table ours:x: "):
            await opened(answer).find("key")

    asyncio.run(run())


def test_a_lookup_before_there_is_a_task_may_use_timeouts() -> None:
    """Policy starts without a task; what a library does in a lookup must not notice."""

    async def run() -> None:
        outcome: list[object] = []
        task = start(opened(with_timeout).find("key"), outcome.append, outcome.append, asyncio.get_running_loop())
        assert task is not None
        await task
        await asyncio.sleep(0)
        assert outcome == ["KEY"]

    asyncio.run(run())


def test_failure_and_recovery_are_logged() -> None:
    is_down = [True]

    async def sometimes(key: str) -> str:
        if is_down[0]:
            raise OSError("server has gone away")
        return key

    async def run() -> list[str]:
        tables = Tables(
            Config.from_settings({"plugin_timeout": "1s"}), types={"ours": lambda name, config: PluginTable(sometimes)}
        )
        table = tables.open("ours:x")
        for _ in range(2):
            with pytest.raises(TableError):
                await table.find("a")
        is_down[0] = False
        for _ in range(2):
            assert await table.find("a") == "a"
        return tables.warnings

    assert asyncio.run(run()) == [
        'table ours:x: OSError: server has gone away; it was asked for "a"',
        "table ours:x: answers again, after 2 failed lookup(s)",
    ]
