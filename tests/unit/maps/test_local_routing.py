"""Local routing undone. Expected values: trivial-rewrite(8)'s, which tests/scenarios/test_addresses.py asks for more."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.config import Config
from gateway.maps.local_routing import LocalRouting, literal
from gateway.maps.rewriting import Rewriting
from gateway.model.address import Address

SETTINGS = {
    "compatibility_level": "3.6",
    "myhostname": "mx.here.example",
    "myorigin": "origin.example",
    "smtputf8_enable": "yes",
}


def routing(**settings: str) -> LocalRouting:
    config = Config.from_settings(SETTINGS | settings)
    return LocalRouting(config, Rewriting(config))


def undone(text: str, **settings: str) -> str:
    async def is_local(domain: str) -> bool:
        return domain in ("here.example", "[192.0.2.1]")

    address = asyncio.run(routing(**settings).undone(text, is_local))
    return f"{address.local}@{address.domain}"


UNDONE = {
    "u@here.example": "u@here.example",
    "u@far.example": "u@far.example",
    "u@FAR.Example": "u@far.example",
    "u@far.example.": "u@far.example",
    "u@far.example..": "u@far.example..",
    "u": "u@mx.here.example",
    "u%far.example@here.example": "u@far.example",
    "u%far.example@HERE.example": "u@far.example",
    "u%far.example": "u@far.example",
    "far.example!u@here.example": "u@far.example",
    "a!b!u@here.example": "b!u@a",
    "u%a%b@here.example": "u%a@b",
    "u@far.example@here.example": "u@far.example",
    "u%far.example@other.example": "u%far.example@other.example",
    "u%here.example@here.example": "u@here.example",
    "u%far.example@[192.0.2.1]": "u@far.example",
    "u@here.example@[192.0.2.1]": "u@here.example",
    "a b%far.example@here.example": "a b@far.example",
    "a b!c@here.example": "c@a b",
    'a"b%c@here.example': 'a"b@c',
    "a\\@b@here.example": "a\\@b",
    "a b%c!d@here.example": "a b@c!d",
    "u%@here.example": "u@",
    "!u@here.example": "u@",
    "u@": "u@",
    "@": "MAILER-DAEMON@",
    "": "MAILER-DAEMON@mx.here.example",
    "@here.example": "MAILER-DAEMON@here.example",
    "@far.example": "@far.example",
    "@r:u@far.example": "@r:u@far.example",
    "@r:u@here.example": "u@origin.example",
    "a b": "a b@mx.here.example",
}


@pytest.mark.parametrize("text", UNDONE)
def test_undone(text: str) -> None:
    assert undone(text) == UNDONE[text]


def test_switches() -> None:
    strict = {"resolve_dequoted_address": "no"}
    assert undone("a b%c@here.example", **strict) == "a b%c@here.example"
    assert undone("u@far.example@here.example", **strict) == "u@far.example@here.example"
    assert undone("u%c@here.example", **strict) == "u@c"
    off = {"allow_percent_hack": "no", "swap_bangpath": "no"}
    assert undone("u%c@here.example", **off) == "u%c@here.example"
    assert undone("c!u@here.example", **off) == "c!u@here.example"
    assert undone("u@c@here.example", **off) == "u@c"
    assert undone("u@", resolve_null_domain="yes") == "u@mx.here.example"
    assert undone("u%c@", resolve_null_domain="yes") == "u@c"
    assert undone("u@1.2.3.4", resolve_numeric_domain="yes") == "u@[1.2.3.4]"
    assert undone("u@::1", resolve_numeric_domain="yes") == "u@[ipv6:::1]"
    assert undone("u@1.2.3", resolve_numeric_domain="yes") == "u@1.2.3"
    assert undone("", empty_address_recipient="nobody") == "nobody@mx.here.example"


VALID = {
    Address("u", "far.example"): True,
    Address("u", "x_y.example"): True,
    Address("u", "1.example"): True,
    Address("u", "xn--9ca.example"): True,
    Address("u", "ö.example"): True,
    Address("u", "a" * 63): True,
    Address("u", "[192.0.2.9]"): True,
    Address("u", "[ipv6:2001:db8::1]"): True,
    Address("", "far.example"): True,
    Address("u", ""): False,
    Address("u", "-x"): False,
    Address("u", "x-"): False,
    Address("u", "ö-.example"): False,
    Address("u", "\udcff.example"): False,
    Address("u", "a..b"): False,
    Address("u", ".a"): False,
    Address("u", "a."): False,
    Address("u", "a b"): False,
    Address("u", "a*b"): False,
    Address("u", "a" * 64): False,
    Address("u", ".".join(["abcdefghi"] * 26)): False,
    Address("u", "1.2.3.4"): False,
    Address("u", "123"): False,
    Address("u", "[2001:db8::1]"): False,
    Address("u", "[ipv6:192.0.2.1]"): False,
    Address("u", "[192.0.2.9"): False,
    Address("u", "[192.0.2.9].x"): False,
    Address("u", "[x]"): False,
    Address("-u", "far.example"): False,
    Address("ä", "far.example"): True,
    Address("\udcff", "far.example"): False,
    Address("u", "ä."): False,
}


@pytest.mark.parametrize("address", VALID, ids=str)
def test_valid(address: Address) -> None:
    assert routing().is_valid(address) is VALID[address]


def test_validity_follows_the_configuration() -> None:
    assert routing(allow_min_user="yes").is_valid(Address("-u", "far.example"))
    assert not routing(smtputf8_enable="no").is_valid(Address("u", "ö.example"))
    assert routing(smtputf8_enable="no").is_valid(Address("\udcff", "far.example"))


def test_literals() -> None:
    assert literal("[192.0.2.1]") == (4, 0xC0000201)
    assert literal("[ipv6:::1]") == (6, 1)
    assert literal("[::1]") is None


@pytest.mark.parametrize("piece", ["%", "!", "@", "%here.example", "here.example!", "@here.example", 'a"%', "\\!", "("])
def test_an_address_that_goes_round_and_round_costs_little_and_stays_here(piece: str) -> None:
    """What is left after as many rounds as anybody needs is a local part with operators: nobody may be let relay by it."""
    text = (piece * 512)[:512] + "u@here.example"
    begin = time.process_time()
    address = undone(text)
    assert time.process_time() - begin < 0.5
    local, _, domain = address.rpartition("@")
    assert domain in ("here.example", "") or set(local) & set("@!%") or domain == "mx.here.example"
