"""Address classes, and where an address leads."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.address_class import AddressClasses
from gateway.maps.destination import AddressClass
from gateway.model.address import Address

SETTINGS = {
    "compatibility_level": "3.6",
    "myhostname": "mx.local.example",
    "myorigin": "local.example",
    "mydestination": "local.example, .sub.local.example",
    "relay_domains": "relay.example",
    "virtual_alias_domains": "valias.example",
    "virtual_mailbox_domains": "inline:{vmail.example=x}",
    "inet_interfaces": "127.0.0.1, [::1]",
    "proxy_interfaces": "192.0.2.1",
}


def classes(**more: str) -> AddressClasses:
    config = Config.from_settings(SETTINGS | more)
    return AddressClasses(config, Tables(config))


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("local.example", AddressClass.LOCAL),
        ("LOCAL.example.", AddressClass.LOCAL),
        ("a.sub.local.example", AddressClass.DEFAULT),
        ("a.local.example", AddressClass.DEFAULT),
        ("[127.0.0.1]", AddressClass.LOCAL),
        ("[ipv6:::1]", AddressClass.LOCAL),
        ("[192.0.2.1]", AddressClass.LOCAL),
        ("[192.0.2.2]", AddressClass.DEFAULT),
        ("[nonsense]", AddressClass.DEFAULT),
        ("valias.example", AddressClass.VIRTUAL_ALIAS),
        ("a.valias.example", AddressClass.DEFAULT),
        ("vmail.example", AddressClass.VIRTUAL_MAILBOX),
        ("relay.example", AddressClass.RELAY),
        ("a.relay.example", AddressClass.RELAY),
        ("example.com", AddressClass.DEFAULT),
    ],
)
def test_classes(domain: str, expected: AddressClass) -> None:
    answers = classes()

    async def twice() -> list[AddressClass]:
        return [await answers.of(domain), await answers.of(domain)]

    assert asyncio.run(twice()) == [expected, expected]


def test_static_answers_are_kept_and_bounded() -> None:
    answers = classes(virtual_mailbox_domains="vmail.example")

    async def many() -> AddressClass:
        for n in range(10_050):
            await answers.of(f"d{n}.example")
        return await answers.of("local.example")

    assert asyncio.run(many()) is AddressClass.LOCAL
    assert len(answers._cache) <= 10_000


@pytest.mark.parametrize(
    ("address", "leads_to", "is_authorized", "is_routed"),
    [
        ("u@local.example", "u@local.example", True, False),
        ("u", "u@local.example", True, False),
        ("u%relay.example@local.example", "u@relay.example", True, False),
        ("u%o.example@local.example", "u@o.example", False, False),
        ("u@o.example@local.example", "u@o.example", False, False),
        ("o.example!u@local.example", "u@o.example", False, False),
        ("a!b!u@local.example", "b!u@a", False, True),
        ("u%x@relay.example", "u%x@relay.example", False, True),
        ("x!u@vmail.example", "x!u@vmail.example", False, True),
        ("u%x%relay.example@local.example", "u%x@relay.example", False, True),
        ("U@[127.0.0.1]", "u@[127.0.0.1]", True, False),
        ("u@", "u@local.example", True, False),
        ("u@local.example@local.example", "u@local.example", True, False),
    ],
)
def test_resolution(address: str, leads_to: str, is_authorized: bool, is_routed: bool) -> None:
    resolved = asyncio.run(classes().resolve(Address.of(address)))
    assert (resolved.address, resolved.is_authorized, resolved.is_routed) == (leads_to, is_authorized, is_routed)


def test_operators_switched_off() -> None:
    plain = classes(swap_bangpath="no", allow_percent_hack="no")
    assert asyncio.run(plain.resolve(Address("u%o", "local.example"))).address == "u%o@local.example"
    trusting = classes(allow_untrusted_routing="yes")
    assert asyncio.run(trusting.resolve(Address("u%x", "relay.example"))).is_authorized


def test_domains_are_completed() -> None:
    completing = classes(append_dot_mydomain="yes", mydomain="local.example", mydestination="host.local.example")
    assert asyncio.run(completing.resolve(Address("u", "host"))).domain == "host.local.example"
    assert asyncio.run(completing.resolve(Address("u%host"))).is_final


PIECES = st.lists(
    st.sampled_from(["@", "%", "!", ".", "u", "local.example", "relay.example", "o.example", "[127.0.0.1]", " "]),
    max_size=12,
).map("".join)


@settings(max_examples=300, deadline=None)
@given(PIECES, st.sampled_from(["local.example", "relay.example", "o.example", "", "x", "[127.0.0.1]"]))
def test_nothing_authorized_leads_elsewhere(local: str, domain: str) -> None:
    """Whatever is written before the last @: an authorised address ends in a domain of ours and routes no further."""
    answers = CLASSES
    resolved = asyncio.run(answers.resolve(Address(local, domain)))
    if resolved.is_authorized:
        end = resolved.address.rpartition("@")[2]
        assert end.removesuffix(".") in ("local.example", "relay.example", "[127.0.0.1]") or end.endswith(
            (".relay.example", ".sub.local.example")
        )
        assert not set(resolved.address.rpartition("@")[0]) & set("@!%")


CLASSES = classes()
