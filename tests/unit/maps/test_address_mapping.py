"""Results of canonical, virtual and generic tables: users kept, addresses completed, extensions carried over."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.address_class import AddressClasses
from gateway.maps.address_lookup import AddressLookup, Extensions, Forms, propagates_extension
from gateway.maps.address_mapping import AddressMapping
from gateway.maps.rewriting import Rewriting
from gateway.maps.table_list import TableList
from gateway.model.errors import TableError

SETTINGS = {
    "myorigin": "o.example",
    "mydestination": "here.example",
    "recipient_delimiter": "+",
    "mydomain": "d.example",
}


def mapping(entries: str, **settings: str) -> AddressMapping:
    config = Config.from_settings({**SETTINGS, "canonical_maps": entries, **settings})
    tables = Tables(config)
    lookup = AddressLookup(
        TableList.of(config, "canonical_maps", tables),
        Extensions.of(config),
        Forms.REWRITING,
        is_local=AddressClasses(config, tables).has_local_names,
    )
    return AddressMapping(lookup, Rewriting(config), propagates=propagates_extension(config, "canonical"))


def find(entries: str, address: str, **settings: str) -> list[str] | None:
    return asyncio.run(mapping(entries, **settings).find(address))


@pytest.mark.parametrize(
    ("entries", "address", "expected"),
    [
        ("inline:{ { a@b.example = c@d.example } }", "a@b.example", ["c@d.example"]),
        ("inline:{ { a@b.example = c@d.example } }", "x@b.example", None),
        ("inline:{ { a@b.example = c@d.example } }", "a+x@b.example", ["c+x@d.example"]),
        ("inline:{ { a@b.example = c@d.example, \"d e\"@f.example } }", "a+x@b.example", ["c+x@d.example", "d e+x@f.example"]),
        ("inline:{ { a@b.example = c } }", "a@b.example", ["c@o.example"]),
        ("inline:{ { a@b.example = c@d } }", "a@b.example", ["c@d.d.example"]),
        ("inline:{ { @b.example = @d.example } }", "a@b.example", ["a@d.example"]),
        ("inline:{ { @b.example = @d.example } }", "a+x@b.example", ["a+x@d.example"]),
        ("inline:{ { a@b.example = @d.example } }", "a+x@b.example", ["a+x@d.example"]),
        ("inline:{ { @b.example = @d.example } }", "a b@b.example", ["a b@d.example"]),
        ("inline:{ { a = c@d.example } }", "a@here.example", ["c@d.example"]),
        ("inline:{ { a = c@d.example } }", "a@b.example", None),
        ("inline:{ { a@b.example = C D <c@d.example> } }", "a@b.example", ["c@d.example"]),
        ("inline:{ { a@b.example = <> } }", "a@b.example", [""]),
        ("inline:{ { a@b.example = <> } }", "a+x@b.example", ["+x"]),
    ],
)  # fmt: skip
def test_results(entries: str, address: str, expected: list[str] | None) -> None:
    assert find(entries, address, append_dot_mydomain="yes") == expected


def test_extensions_stay_where_they_are_not_propagated() -> None:
    entries = "inline:{ { a@b.example = c@d.example } }"
    assert find(entries, "a+x@b.example", propagate_unmatched_extensions="virtual") == ["c@d.example"]
    entries = "inline:{ { a@b.example = @d.example } }"
    assert find(entries, "a+x@b.example", propagate_unmatched_extensions="virtual") == ["a@d.example"]


def test_no_answer_is_not_no() -> None:
    with pytest.raises(TableError):
        find("fail:broken", "a@b.example")


@pytest.mark.parametrize("text", ["()", ",", "g:;"])
def test_a_text_without_address_is_a_broken_table(text: str) -> None:
    with pytest.raises(TableError, match="no address in"):
        find(f"inline:{{ {{ a@b.example = {text} }} }}", "a@b.example")


def test_without_tables_there_is_nothing_to_ask() -> None:
    assert not mapping("")
    assert mapping("static:a@b.example")
