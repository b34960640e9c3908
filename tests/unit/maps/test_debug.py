"""debug: a table, and what it was asked."""

from __future__ import annotations

import asyncio

import pytest
from peers.tables import surroundings

from gateway.config import Config
from gateway.maps import MemoryTable, Tables
from gateway.maps.debug import open_debug
from gateway.model.errors import ConfigError, TableError


@pytest.mark.parametrize("inner", ["inline:{{a = b c}}", "unionmap:{inline:{{a = b c}},unix:group.byname}"])
def test_each_lookup_is_a_line_in_the_log(inner: str) -> None:
    lines: list[str] = []
    table = open_debug(f"debug:{inner}", inner, surroundings(lines=lines))
    assert asyncio.run(table.find("a")) == "b c"
    assert asyncio.run(table.find("no-such-key")) is None
    assert lines == [f'debug:{inner} lookup: "a" = "b c"', f'debug:{inner} lookup: "no-such-key" = not found']
    assert isinstance(table, MemoryTable) == ("unix" not in inner)


@pytest.mark.parametrize("inner", ["fail:x", "unionmap:{fail:x,unix:group.byname}"])
def test_errors_stay_errors(inner: str) -> None:
    lines: list[str] = []
    with pytest.raises(TableError):
        asyncio.run(open_debug(f"debug:{inner}", inner, surroundings(lines=lines)).find("a"))
    assert lines == [f'debug:{inner} lookup: "a" = error: table fail:x: fails by its type']


def test_long_keys_and_values_are_cut() -> None:
    lines: list[str] = []
    table = open_debug("debug:static:y", f"static:{'y' * 1000}", surroundings(lines=lines))
    assert asyncio.run(table.find("x" * 1000)) == "y" * 1000
    assert lines == [f'debug:static:y lookup: "{"x" * 500}" = "{"y" * 500}"']


def test_it_is_the_table_it_is_about() -> None:
    around = surroundings()
    assert open_debug("debug:x", "regexp:{{/a/ b}}", around).is_pattern
    with pytest.raises(ConfigError, match="unknown type"):
        open_debug("debug:x", "nosuch:x", around)


def test_lines_reach_whoever_listens() -> None:
    tables, lines = Tables(Config.from_settings({})), list[str]()
    table = tables.open("debug:static:x")
    assert asyncio.run(table.find("unheard")) == "x"
    tables.on_info = lines.append
    assert asyncio.run(table.find("heard")) == "x"
    assert lines == ['debug:static:x lookup: "heard" = "x"']
