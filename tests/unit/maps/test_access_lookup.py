"""Lookup orders of access(5)."""

from __future__ import annotations

import asyncio

import pytest
from peers.tables import surroundings

from gateway.maps.access_lookup import address_keys, domain_keys, first_found, network_keys, without_extension
from gateway.maps.fail import FailTable
from gateway.maps.inline import InlineTable
from gateway.maps.match_list import Subdomains
from gateway.maps.regexp import RegexpTable
from gateway.model.errors import TableError

PARENT = Subdomains.PARENT


def test_domains() -> None:
    assert domain_keys("a.b.c", PARENT) == ["a.b.c", "b.c", "c"]
    assert domain_keys("a.b.c", Subdomains.DOT) == ["a.b.c", ".b.c", ".c"]
    assert domain_keys("a.b.", PARENT) == ["a.b.", "b."]
    assert domain_keys("1.2.3.4", PARENT) == ["1.2.3.4"]
    assert domain_keys("1.2.3.example", PARENT) == ["1.2.3.example", "2.3.example", "3.example", "example"]
    assert domain_keys("", PARENT) == []


def test_networks() -> None:
    assert network_keys("1.2.3.4") == ["1.2.3.4", "1.2.3", "1.2", "1"]
    assert network_keys("2001:db8::9") == ["2001:db8::9", "2001:db8:", "2001:db8", "2001"]
    assert network_keys("::1")[0] == "::1"
    assert network_keys("unknown") == ["unknown"]


def test_addresses() -> None:
    assert address_keys("u@a.b", PARENT, "+") == ["u@a.b", "a.b", "b", "u@"]
    assert address_keys("u+x@a.b", PARENT, "+") == ["u+x@a.b", "u@a.b", "a.b", "b", "u+x@", "u@"]
    assert address_keys("u+x@b", PARENT, "") == ["u+x@b", "b", "u+x@"]


@pytest.mark.parametrize(
    ("local", "delimiters", "bare"),
    [
        ("u+x", "+", "u"),
        ("u-x+y", "+-", "u"),
        ("+x", "+", ""),
        ("u", "+", ""),
        ("owner-list", "-", ""),
        ("list-request", "-", ""),
        ("mailer-daemon", "-", ""),
        ("double-bounce", "-", ""),
        ("owner-list+x", "+", "owner-list"),
    ],
)
def test_extensions(local: str, delimiters: str, bare: str) -> None:
    assert without_extension(local, delimiters) == bare


def test_first_found() -> None:
    table = InlineTable("inline:x", "{b=2, c=3}", surroundings())
    assert asyncio.run(first_found(table, ["a", "b", "c"])) == ("b", "2")
    assert asyncio.run(first_found(table, ["a"])) is None
    pattern = RegexpTable("regexp:x", "{ {/^b/ x} }", surroundings())
    assert asyncio.run(first_found(pattern, ["a", "b"])) is None
    with pytest.raises(TableError):
        asyncio.run(first_found(FailTable("fail:x", "x", surroundings()), ["a"]))
