"""randmap: one of several values."""

from __future__ import annotations

from collections import Counter

import pytest
from peers.tables import surroundings

from gateway.maps.randmap import RandmapTable
from gateway.model.errors import ConfigError


def test_each_value_comes_and_nothing_else() -> None:
    table = RandmapTable("randmap:x", "{a, b {c d} a}", surroundings())
    seen = Counter(table.get(str(n)) for n in range(2000))
    assert set(seen) == {"a", "b", "{c d}"}
    assert seen["a"] > seen["b"]


def test_the_choice_is_an_argument() -> None:
    last = RandmapTable("randmap:x", "{a,b}", surroundings(), choose=lambda values: values[-1])
    assert last.get("key") == "b"
    assert not last.is_pattern


@pytest.mark.parametrize("name", ["{}", "x", "{x"])
def test_no_values_stop_the_start(name: str) -> None:
    with pytest.raises(ConfigError, match="expected randmap:"):
        RandmapTable(f"randmap:{name}", name, surroundings())
