"""unionmap: all that the tables have, or a temporary error."""

from __future__ import annotations

import asyncio

import pytest
from peers.tables import surroundings

from gateway.maps import MemoryTable, Table
from gateway.maps.unionmap import open_unionmap
from gateway.model.errors import TableError


def opened(name: str) -> Table:
    return open_unionmap(f"unionmap:{name}", name, surroundings())


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("{inline:{a=1 b=2} inline:{a=3}}", "a", "1,3"),
        ("{inline:{a=1 b=2} inline:{a=3}}", "B", "2"),
        ("{inline:{a=1 b=2} inline:{a=3}}", "c", None),
        ("{static:{x y}, static:z}", "", "x y,z"),
        ("{static:x,unix:passwd.byname}", "no-such-name", "x"),
        ("{unionmap:{static:a,static:b},static:c}", "k", "a,b,c"),
        ("{environ:x,static:y}", "an_empty_variable", "y"),
        ("{static:y,environ:x,static:z}", "an_empty_variable", "y,,z"),
    ],
)
def test_values(name: str, key: str, value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("an_empty_variable", "")
    table = opened(name)
    assert asyncio.run(table.find(key)) == value
    assert isinstance(table, MemoryTable) == ("unix" not in name)


@pytest.mark.parametrize("name", ["{static:x,fail:y}", "{fail:y,static:x}", "{unix:passwd.byname,static:x,fail:y}"])
def test_half_an_answer_is_none(name: str) -> None:
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
