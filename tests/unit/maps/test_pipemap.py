"""pipemap: the value of one table is the key of the next."""

from __future__ import annotations

import asyncio

import pytest
from peers.tables import surroundings

from gateway.maps import MemoryTable, Table
from gateway.maps.pipemap import open_pipemap
from gateway.model.errors import TableError


def opened(name: str) -> Table:
    return open_pipemap(f"pipemap:{name}", name, surroundings())


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("{inline:{a=B},inline:{b=C}}", "A", "C"),
        ("{inline:{a=b},inline:{b=c}}", "b", None),
        ("{inline:{a=b},inline:{c=d}}", "a", None),
        ("{inline:{a=b},fail:x}", "z", None),
        ("{inline:{a=b}}", "a", "b"),
        ("{unix:passwd.byname,regexp:{{/^([^:]*):[^:]*:([^:]*)/ ${1}=${2}}}}", "root", "root=0"),
        ("{unix:passwd.byname,static:x}", "no-such-name", None),
    ],
)
def test_values(name: str, key: str, value: str | None) -> None:
    table = opened(name)
    assert asyncio.run(table.find(key)) == value
    assert isinstance(table, MemoryTable) == ("unix" not in name)


@pytest.mark.parametrize("name", ["{static:x,fail:y}", "{fail:y,static:x}", "{unix:passwd.byname,static:x,fail:y}"])
def test_a_broken_member_breaks_the_lookup(name: str) -> None:
    with pytest.raises(TableError, match="table fail:y: "):
        asyncio.run(opened(name).find("root"))


@pytest.mark.parametrize(
    ("name", "is_pattern"),
    [
        ("{regexp:{{/a/ b}},static:x}", True),
        ("{static:x,regexp:{{/a/ b}}}", False),
        ("{unix:passwd.byname,regexp:{{/a/ b}}}", False),
        ("{regexp:{{/a/ b}},unix:passwd.byname}", True),
    ],
)
def test_the_first_says_whether_partial_keys_are_asked_for(name: str, is_pattern: bool) -> None:
    assert opened(name).is_pattern is is_pattern
