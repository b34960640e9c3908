"""inline: entries in main.cf."""

from __future__ import annotations

import pytest
from peers.tables import surroundings

from gateway.maps.inline import InlineTable
from gateway.model.errors import ConfigError


def test_entries() -> None:
    table = InlineTable("inline:x", "{ a=b, { C = d e, f }, g=1, g=2 }", surroundings())
    assert [table.get(key) for key in ("a", "A", "c", "g", "x")] == ["b", "b", "d e, f", "2", None]


def test_quotes_and_braces() -> None:
    table = InlineTable("inline:x", '{ { "d =" = { e }, f }, g= }', surroundings())
    assert dict(table.items()) == {'"d ="': "{ e }, f", "g": ""}


def test_case_can_be_kept() -> None:
    table = InlineTable("inline:x", "{ A=b, a=c }", surroundings())
    assert list(table.items()) == [("a", "c")]
    table.keep_case()
    assert list(table.items()) == [("A", "b"), ("a", "c")]


@pytest.mark.parametrize(
    "name", ["", "x", "{}", "{ , }", "{a}", "{=b}", "{ {a} }", "{a=b", "{a=b}}", "{{a=b}c}", '{"a, b"=c}']
)
def test_nonsense(name: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        InlineTable("inline:" + name, name, surroundings())
