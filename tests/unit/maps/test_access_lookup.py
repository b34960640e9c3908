"""Lookup orders of access(5)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from peers.tables import surroundings

from gateway.maps.access_lookup import address_keys, domain_keys, first_found, network_keys
from gateway.maps.address_lookup import Extensions, Key
from gateway.maps.fail import FailTable
from gateway.maps.inline import InlineTable
from gateway.maps.match_list import Subdomains
from gateway.maps.pattern.regexp import RegexpTable
from gateway.model.errors import TableError

PARENT = Subdomains.PARENT


def texts(keys: Iterable[Key]) -> list[str]:
    return [key.text for key in keys]


def test_domains() -> None:
    assert list(domain_keys("a.b.c", PARENT)) == [Key("a.b.c"), Key("b.c", is_part=True), Key("c", is_part=True)]
    assert texts(domain_keys("a.b.c", Subdomains.DOT)) == ["a.b.c", ".b.c", ".c"]
    assert texts(domain_keys("a.b.", PARENT)) == ["a.b.", "b."]
    assert texts(domain_keys("1.2.3.4", PARENT)) == ["1.2.3.4"]
    assert texts(domain_keys("1.2.3.example", PARENT)) == ["1.2.3.example", "2.3.example", "3.example", "example"]
    assert texts(domain_keys("", PARENT)) == []


def test_networks() -> None:
    assert texts(network_keys("1.2.3.4")) == ["1.2.3.4", "1.2.3", "1.2", "1"]
    assert texts(network_keys("2001:db8::9")) == ["2001:db8::9", "2001:db8:", "2001:db8", "2001"]
    assert texts(network_keys("::1"))[0] == "::1"
    assert texts(network_keys("unknown")) == ["unknown"]


def test_addresses() -> None:
    plus = Extensions("+")
    assert texts(address_keys("u@a.b", PARENT, plus)) == ["u@a.b", "a.b", "b", "u@"]
    assert texts(address_keys("u+x@a.b", PARENT, plus)) == ["u+x@a.b", "u@a.b", "a.b", "b", "u+x@", "u@"]
    assert texts(address_keys("u+x@b", PARENT, Extensions())) == ["u+x@b", "b", "u+x@"]
    quoted = ['"u v"@a', "u v@a", "a", '"u v"@', "u v@"]
    assert texts(address_keys("u v@a", Subdomains.DOT, plus)) == quoted
    assert sum(not key.is_part for key in address_keys("u v+x@a", PARENT, plus)) == 2


def test_first_found() -> None:
    table = InlineTable("inline:x", "{b=2, c=3}", surroundings())
    assert asyncio.run(first_found(table, map(Key, "abc"))) == ("b", "2")
    assert asyncio.run(first_found(table, [Key("a")])) is None
    pattern = RegexpTable("regexp:x", "{ {/^b/ x} }", surroundings())
    assert asyncio.run(first_found(pattern, [Key("a"), Key("b", is_part=True)])) is None
    assert asyncio.run(first_found(pattern, [Key("a"), Key("b")])) == ("b", "x")
    with pytest.raises(TableError):
        asyncio.run(first_found(FailTable("fail:x", "x", surroundings()), [Key("a")]))
