"""inline: entries in main.cf."""

from __future__ import annotations

import pytest
from peers.tables import surroundings

from gateway.maps.inline import InlineTable
from gateway.model.errors import ConfigError


def test_entries() -> None:
    table = InlineTable("inline:x", "{ a=b, { C = d e, f }, g=1, g=2 }", surroundings())
    assert [table.get(key) for key in ("a", "A", "c", "g", "x")] == ["b", "b", "d e, f", "2", None]


@pytest.mark.parametrize("name", ["", "x", "{}", "{a}", "{=b}", "{a=}", "{ {a} }"])
def test_nonsense(name: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        InlineTable("inline:" + name, name, surroundings())
