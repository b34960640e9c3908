"""The lookup contract."""

from __future__ import annotations

import asyncio

import pytest

from gateway.maps import MemoryTable, Table


class Doubling(MemoryTable):
    def get(self, key: str) -> str | None:
        return key * 2


def test_a_memory_table_never_suspends() -> None:
    search = Doubling("doubling:x").find("a")
    with pytest.raises(StopIteration) as caught:
        search.send(None)
    assert caught.value.value == "aa"


def test_closing_a_table_that_holds_nothing() -> None:
    table: Table = Doubling("doubling:x")
    asyncio.run(table.close())
    assert table.spec == "doubling:x"
    assert not table.is_pattern
