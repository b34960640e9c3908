"""Canonical form. Expected values: trivial-rewrite(8)'s, which tests/scenarios/test_addresses.py asks for more."""

from __future__ import annotations

import pytest

from gateway.config import Config
from gateway.maps.rewriting import Rewriting
from gateway.model.address import Address
from gateway.rfc.address.tokens import scan

SETTINGS = {
    "compatibility_level": "3.6",
    "myhostname": "mx.dom.example",
    "mydomain": "dom.example",
    "myorigin": "Origin.example",
    "remote_header_rewrite_domain": "remote.invalid",
}


def rewriting(*, is_remote: bool = False, **settings: str) -> Rewriting:
    return Rewriting(Config.from_settings(SETTINGS | settings), is_remote=is_remote)


LOCAL = {
    "a": "a@Origin.example",
    "a b": '"a b"@Origin.example',
    "a@b": "a@b",
    "a@b.c": "a@b.c",
    "a@b.c.": "a@b.c",
    "a@b..": "a@b..",
    "a@.": "a@.",
    "a@": "a@",
    "@": '""',
    '""': '""',
    "": "",
    " ": " ",
    "@b": '""@b',
    "a!b": "b@a",
    "a!b!c": "b!c@a",
    "a!": '""@a',
    "!a": "a@",
    "a%b": "a@b",
    "a%b%c": "a%b@c",
    "a!b%c": "b%c@a",
    "%a": '""@a',
    "a!b@c": "a!b@c",
    "a%b@c": "a%b@c",
    '"a!b"': "a!b@Origin.example",
    '"a b!c"': '"a b!c"@Origin.example',
    "a@b@c": '"a@b"@c',
    "@r1,@r2:a@b": "a@b",
    "@r:a": "a@Origin.example",
    "@r:": '@r:""',
    "a.b.": '"a.b."@Origin.example',
    "a@[1.2.3.4]": "a@[1.2.3.4]",
}


@pytest.mark.parametrize("text", LOCAL)
def test_local_rules(text: str) -> None:
    assert rewriting().external(text) == LOCAL[text]


def test_domains_are_completed() -> None:
    rules = rewriting(append_dot_mydomain="yes")
    assert rules.external("a@b") == "a@b.dom.example"
    assert rules.external("a@b.") == "a@b"
    assert rules.external("a%b") == "a@b.dom.example"
    assert rules.external("a@[1.2.3.4]") == "a@[1.2.3.4]"
    assert rules.external("a@b.c") == "a@b.c"
    assert rules.external("a@") == "a@"


def test_remote_rules_name_nobody_of_ours() -> None:
    rules = rewriting(is_remote=True, append_dot_mydomain="yes")
    assert rules.external("a") == "a@remote.invalid"
    assert rules.external("a@b") == "a@b.remote.invalid"
    assert rules.external("a!b") == "b@a.remote.invalid"


def test_switches() -> None:
    rules = rewriting(swap_bangpath="no", allow_percent_hack="no", append_at_myorigin="no")
    assert [rules.external(text) for text in ("a!b", "a%b", "a", "@r:a")] == ["a!b", "a%b", "a", "a"]
    assert rules.operators == "@"
    assert rewriting(swap_bangpath="no").external("a!b%c") == "a!b@c"
    assert rewriting(allow_percent_hack="no").operators == "@!"
    assert rewriting(append_at_myorigin="no").address(Address("a b")) == Address("a b")


ENVELOPE = {
    Address.NULL: Address.NULL,
    Address("a"): Address("a", "origin.example"),
    Address("a b"): Address("a b", "origin.example"),
    Address("a.b+c"): Address("a.b+c", "origin.example"),
    Address("a%b.c"): Address("a", "b.c"),
    Address("b.c!a"): Address("a", "b.c"),
    Address("a%b"): Address("a", "b"),
    Address("a%"): Address("a@"),
    Address("a%b..c"): Address("a%b..c", "origin.example"),
    Address("a%B.C"): Address("a", "b.c"),
    Address("", "b"): Address("", "b"),
    Address("a@b"): Address("a", "b"),
    Address("@r:a", "b.c"): Address("a", "b.c"),
    Address("@r:a@d", "b.c"): Address("a@d", "b.c"),
}


@pytest.mark.parametrize("address", ENVELOPE, ids=str)
def test_envelope_addresses(address: Address) -> None:
    assert rewriting().address(address) == ENVELOPE[address]


@pytest.mark.parametrize(
    "address",
    [Address.NULL, Address("a", "b.c"), Address("a%x", "b.c"), Address("a", "b"), Address("a@"), Address("", "b.c")],
)
def test_what_is_canonical_is_given_back(address: Address) -> None:
    assert rewriting().address(address) is address


def test_undotted_domains_of_envelope_addresses() -> None:
    rules = rewriting(append_dot_mydomain="yes")
    assert rules.address(Address("a", "b")) == Address("a", "b.dom.example")
    assert rules.address(Address("a", "[1.2.3.4]")) == Address("a", "[1.2.3.4]")
    canonical = Address("a", "b.c")
    assert rules.address(canonical) is canonical


def test_no_tokens_stay_none() -> None:
    tokens = scan("")
    rewriting().rewrite(tokens)
    assert tokens == []
