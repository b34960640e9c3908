"""The orders in which addresses are looked up; that they are Postfix's is tests/scenarios/tables/test_lookup_order.py's."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.address_lookup import (
    AddressLookup,
    Extensions,
    Forms,
    Found,
    Key,
    alias_keys,
    part_keys,
    propagates_extension,
    whole_keys,
)
from gateway.maps.match_list import Subdomains
from gateway.maps.table_list import TableList
from gateway.model.errors import TableError

PLUS = Extensions("+")


@pytest.mark.parametrize(
    ("local", "delimiters", "user", "extension"),
    [
        ("u+x", "+", "u", "+x"),
        ("u+", "+", "u", "+"),
        ("u-x+y", "+-", "u", "-x+y"),
        ("u+x+y", "+", "u", "+x+y"),
        ("+x", "+", "+x", ""),
        ("-u+x", "+-", "-u+x", ""),
        ("u", "+", "u", ""),
        ("u+x", "", "u+x", ""),
        ("owner-list", "-", "owner-list", ""),
        ("list-request", "-", "list-request", ""),
        ("-request", "-", "-request", ""),
        ("Mailer-Daemon", "-", "Mailer-Daemon", ""),
        ("double-BOUNCE", "-", "double-BOUNCE", ""),
        ("owner-list+x", "+", "owner-list", "+x"),
        ("owner-list+x", "+-", "owner-list+x", ""),
    ],
)
def test_extensions(local: str, delimiters: str, user: str, extension: str) -> None:
    config = Config.from_settings({"recipient_delimiter": delimiters})
    assert Extensions.of(config).split(local) == (user, extension)


def test_lists_are_spared_only_when_they_are_special() -> None:
    config = Config.from_settings({"recipient_delimiter": "-", "owner_request_special": "no"})
    assert Extensions.of(config).split("owner-list") == ("owner", "-list")
    renamed = Config.from_settings({"recipient_delimiter": "-", "double_bounce_sender": "null-sender"})
    assert Extensions.of(renamed).split("null-sender") == ("null-sender", "")


def whole(address: str) -> list[Key]:
    return list(whole_keys(address, PLUS))


def test_whole_addresses() -> None:
    assert whole("u@d") == [Key("u@d")]
    assert whole("u+x@d") == [Key("u+x@d"), Key("u@d", True, "+x")]
    assert whole("u") == [Key("u")]
    assert whole("a@b@d") == [Key('"a@b"@d'), Key("a@b@d")]
    assert whole("a b+c d@d") == [
        Key('"a b+c d"@d'), Key("a b+c d@d"), Key('"a b"@d', True, "+c d"), Key("a b@d", True, "+c d"),
    ]  # fmt: skip


def parts(address: str, forms: Forms, *, is_local: bool = False, style: Subdomains = Subdomains.NONE) -> list[str]:
    found = list(part_keys(address, PLUS, forms, is_local=is_local, style=style))
    assert all(key.is_part for key in found)
    return [key.text for key in found]


def test_parts_of_addresses() -> None:
    assert parts("u+x@a.b", Forms.ADDRESS) == ["@a.b"]
    assert parts("u+x@a.b", Forms.ADDRESS, is_local=True) == ["u+x", "u", "@a.b"]
    assert parts("a b@c", Forms.ADDRESS, is_local=True) == ['"a b"', "a b", "@c"]
    assert parts("@c", Forms.ADDRESS, is_local=True) == ["@c"]
    assert parts("root", Forms.ADDRESS, is_local=True) == []


def test_parts_for_access_and_transport() -> None:
    assert parts("u+x@a.b", Forms.ACCESS, style=Subdomains.PARENT) == ["a.b", "b", "u+x@", "u@"]
    assert parts("u@a.b", Forms.ACCESS, style=Subdomains.DOT) == ["a.b", ".b", "u@"]
    assert parts("u@a.b", Forms.TRANSPORT, style=Subdomains.DOT) == ["a.b", ".b"]
    assert parts("u@[1.2]", Forms.TRANSPORT, style=Subdomains.DOT) == ["[1.2]", ".2]"]
    assert parts("u@a.", Forms.TRANSPORT, style=Subdomains.PARENT) == ["a."]


def test_rewriting_tables_have_external_forms_only() -> None:
    assert parts("a b+x@c", Forms.REWRITING, is_local=True) == ['"a b+x"', '"a b"', "@c"]
    assert [key.text for key in whole_keys("a b@c", PLUS, Forms.REWRITING)] == ['"a b"@c']


def test_aliases() -> None:
    assert list(alias_keys("u+x", PLUS)) == [Key("u+x"), Key("u", True, "+x")]
    assert list(alias_keys("u", PLUS)) == [Key("u")]


def lookup(spec: str, address: str, *, local: str = "local.example") -> Found | None:
    asked: list[str] = []

    async def is_local(domain: str) -> bool:
        asked.append(domain)
        if domain == "down.example":
            raise TableError("t:x", "down")
        return domain == local

    opened = Tables(Config.from_settings({}))
    tables = TableList([opened.open(each) for each in spec.split("; ")])
    found = asyncio.run(AddressLookup(tables, PLUS, is_local=is_local).find(address))
    assert asked == [] or found is None or found.key.startswith("@") or "@" not in found.key
    return found


def test_the_first_key_that_any_table_has_answers() -> None:
    two = "inline:{@d=domain}; inline:{u@d=bare}"
    assert lookup(two, "u+x@d") == Found("bare", "u@d", "+x")
    assert lookup(two, "v@d") == Found("domain", "@d", "")
    assert lookup(two, "v@e") is None


def test_local_parts_are_looked_up_in_local_domains() -> None:
    names = "inline:{u=name,@local.example=domain}"
    assert lookup(names, "u+x@local.example") == Found("name", "u", "+x")
    assert lookup(names, "v@local.example") == Found("domain", "@local.example", "")
    assert lookup(names, "u@other.example") is None


def test_what_says_which_domains_are_local_may_fail() -> None:
    with pytest.raises(TableError, match="t:x"):
        lookup("inline:{u=name}", "u@down.example")
    assert lookup("inline:{u@down.example=x}", "u@down.example") == Found("x", "u@down.example", "")


def test_patterns_see_the_whole_address_in_both_forms() -> None:
    assert lookup('regexp:{{/^"a b"@d$/\tquoted}}', "a b@d") == Found("quoted", '"a b"@d', "")
    assert lookup("regexp:{{/^a b@d$/\tplain}}", "a b@d") == Found("plain", "a b@d", "")
    assert lookup("regexp:{{/^u@d$/\tbare}}", "u+x@d") is None
    assert lookup("regexp:{{/^@d$/\tdomain}}", "u@d") is None


def test_which_lookups_carry_extensions_over() -> None:
    config = Config.from_settings({})
    uses = ("canonical", "virtual", "alias", "forward", "include", "generic")
    assert [use for use in uses if propagates_extension(config, use)] == ["canonical", "virtual"]
    assert propagates_extension(Config.from_settings({"propagate_unmatched_extensions": "generic"}), "generic")
