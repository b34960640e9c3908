"""The registry of tables: types, one object a table, warnings."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config import Config
from gateway.maps import MemoryTable, Table, Tables
from gateway.model.errors import ConfigError, TableError

CONFIG = Config.from_settings({})


class Slow(Table):
    closed = 0

    async def find(self, key: str) -> str | None:
        await asyncio.sleep(0)
        return key * 2

    async def close(self) -> None:
        self.closed += 1


def test_each_table_is_opened_once() -> None:
    tables = Tables(CONFIG)
    assert tables.open("static:OK") is tables.open("static:OK")
    assert tables.opened("static:OK") is tables.open("static:OK")
    assert tables.opened("static:other") is None


def test_proxy_is_the_same_table_here() -> None:
    tables = Tables(CONFIG)
    table = tables.open("proxy:static:OK")
    assert isinstance(table, MemoryTable)
    assert table.get("x") == "OK"
    assert table is tables.open("static:OK") is tables.opened("proxy:static:OK")


def test_an_unknown_type_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r'unknown type "nosuch"; known: .*cidr, .*fail, .*texthash'):
        Tables(CONFIG).open("nosuch:/x")


@pytest.mark.parametrize("spec", ["access", ":x", "static:", "proxy:x"])
def test_not_a_table(spec: str) -> None:
    with pytest.raises(ConfigError):
        Tables(CONFIG).open(spec)


def test_types_of_plugins() -> None:
    slow = Slow("slow:x")
    tables = Tables(CONFIG, {"slow": lambda name, config: slow})
    table = tables.open("slow:x")
    assert table is tables.open("slow:x")
    assert asyncio.run(table.find("ab")) == "abab"
    assert tables.has_type("proxy:slow:x")
    assert not tables.has_type("nosuch:x")
    asyncio.run(tables.close())
    assert slow.closed == 1
    assert tables.opened("slow:x") is None


def test_warnings_are_bounded_and_told_once() -> None:
    tables = Tables(CONFIG)
    for _ in range(3):
        tables.warn_once("same")
    for n in range(1000):
        tables.warn_once(f"w{n}")
    assert tables.warnings.count("same") == 1
    assert len(tables.warnings) == 100


def test_failures_of_tables_in_memory_are_told() -> None:
    tables = Tables(CONFIG)
    for _ in range(2):
        with pytest.raises(TableError):
            asyncio.run(tables.open("fail:x").find("a"))
    assert tables.warnings == ['table fail:x: fails by its type; it was asked for "a"']


def test_a_table_that_cannot_close_keeps_no_other_open() -> None:
    class Broken(Slow):
        async def close(self) -> None:
            raise OSError("connection reset")

    slow = Slow("slow:x")
    tables = Tables(CONFIG, {"broken": lambda name, config: Broken("broken:x"), "slow": lambda name, config: slow})
    tables.open("broken:x")
    tables.open("slow:x")
    asyncio.run(tables.close())
    assert slow.closed == 1
    assert tables.warnings == ["table broken:x: closing: OSError: connection reset"]


def test_a_default_that_cannot_be_opened_warns_and_fails() -> None:
    tables = Tables(CONFIG)
    for spec in ("proxy:texthash:/nonexistent/x", "texthash:/nonexistent/x", "nosuch:x"):
        with pytest.raises(TableError, match=r"/nonexistent/x|unknown type"):
            asyncio.run(tables.open_default(spec).find("a"))
    assert tables.open_default("static:OK") is tables.open("static:OK")
    assert len(tables.warnings) == 4  # of opening each, and of asking each
