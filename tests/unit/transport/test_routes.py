"""Which addresses are tried, in which order, and when this host must not try."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from peers.dns_server import SERVFAIL, DnsServer

from gateway.config import Config
from gateway.model.delivery import Outcome
from gateway.net.resolver import Resolver
from gateway.transport.nexthop import Destination
from gateway.transport.routes import NoRoute, Route, Routes, is_local_address
from gateway.transport.settings import ClientSettings

V4 = [f"192.0.2.{at}" for at in range(1, 9)]
V6 = [f"2001:db8::{at}" for at in range(1, 9)]


def find(
    destination: Destination,
    zones: Mapping[str, Any] | None = None,
    settings: dict[str, str] | None = None,
    *,
    own: frozenset[str] = frozenset(),
    shuffle: Callable[[list[str]], None] = list.reverse,
) -> Route:
    async def go(address: str) -> Route:
        config = Config.from_settings({"myhostname": "me.example", "resolver_nameservers": address, **(settings or {})})
        resolver = Resolver(config, deadline_s=1)
        routes = Routes(resolver, ClientSettings.read(config), shuffle=shuffle, is_local=own.__contains__)
        try:
            return await routes.find(destination)
        finally:
            await resolver.close()

    with DnsServer(zones or {}) as dns:
        return asyncio.run(go(dns.address))


def labels(route: Route) -> list[str]:
    return [f"{endpoint.host}[{endpoint.address}]:{endpoint.port}" for endpoint in route.endpoints]


def addresses(route: Route) -> list[str]:
    return [endpoint.address for endpoint in route.endpoints]


def test_preference_then_shuffle() -> None:
    zones = {
        "x.example": {"MX": ["20 c.example", "10 a.example", "10 b.example"]},
        "a.example": {"A": V4[:2]},
        "b.example": {"A": V4[2:3]},
        "c.example": {"A": V4[3:4]},
    }
    destination = Destination("x.example", 26, wants_mx=True)
    assert labels(find(destination, zones, {"smtp_randomize_addresses": "no"})) == [
        "a.example[192.0.2.1]:26", "a.example[192.0.2.2]:26", "b.example[192.0.2.3]:26", "c.example[192.0.2.4]:26",
    ]  # fmt: skip
    assert labels(find(destination, zones)) == [
        "b.example[192.0.2.3]:26", "a.example[192.0.2.2]:26", "a.example[192.0.2.1]:26", "c.example[192.0.2.4]:26",
    ]  # fmt: skip


def test_host_without_mx() -> None:
    zones = {"x.example": {"A": V4[:1]}}
    assert labels(find(Destination("x.example", 25, wants_mx=True), zones)) == ["x.example[192.0.2.1]:25"]


def test_brackets_look_at_no_mx() -> None:
    zones = {"x.example": {"MX": ["10 a.example"], "A": V4[:1]}, "a.example": {"A": V4[1:2]}}
    assert labels(find(Destination("x.example", 25), zones)) == ["x.example[192.0.2.1]:25"]


def test_literal_and_socket() -> None:
    assert labels(find(Destination("192.0.2.7", 2525))) == ["192.0.2.7[192.0.2.7]:2525"]
    route = find(Destination("private/lmtp", 0), settings={"queue_directory": "/var/spool/x"})
    assert route.endpoints[0].relay == "me.example[/var/spool/x/private/lmtp]"
    assert find(Destination("/run/lmtp", 0)).endpoints[0].address == "/run/lmtp"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [*V4[:4], V6[0]]),
        ({"smtp_balance_inet_protocols": "no"}, V4[:5]),
        ({"smtp_address_preference": "ipv6"}, [*V6[:4], V4[0]]),
        ({"inet_protocols": "ipv6"}, V6[:5]),
        ({"inet_protocols": "ipv4"}, V4[:5]),
        ({"smtp_mx_address_limit": "1"}, V4[:1]),
        ({"smtp_mx_address_limit": "0"}, V4 + V6),
    ],
)
def test_ip_versions(settings: dict[str, str], expected: list[str]) -> None:
    zones = {"x.example": {"A": V4, "AAAA": V6}}
    route = find(Destination("x.example", 26, wants_mx=True), zones, settings, shuffle=lambda _: None)
    assert addresses(route) == expected


LOOP = {
    "x.example": {"MX": ["10 a.example", "20 b.example", "20 c.example", "30 d.example"]},
    **{f"{name}.example": {"A": [address]} for name, address in zip("abcd", V4, strict=False)},
}


@pytest.mark.parametrize(
    ("own", "settings", "expected"),
    [
        (frozenset(), {}, 4),
        (frozenset({V4[3]}), {}, 3),
        (frozenset({V4[1]}), {}, 1),
        (frozenset({V4[0]}), {}, 0),
        (frozenset(), {"myhostname": "c.example"}, 1),
        (frozenset(), {"proxy_interfaces": V4[0]}, 0),
        (frozenset({V4[0]}), {"inet_interfaces": "loopback-only"}, 4),
        (frozenset(), {"inet_interfaces": f"{V4[0]}"}, 0),
    ],
)
def test_loop(own: frozenset[str], settings: dict[str, str], expected: int) -> None:
    """Only exchangers that are better than this host may be tried, and no fall-back relay then."""
    destination = Destination("x.example", 25, wants_mx=True)
    if expected == 0:
        with pytest.raises(NoRoute) as caught:
            find(destination, LOOP, settings, own=own)
        assert caught.value.status.dsn == "5.4.6"
        assert caught.value.status.outcome is Outcome.BOUNCED
        assert caught.value.status.text == "mail for x.example loops back to myself"
        assert not caught.value.may_fall_back
    else:
        route = find(destination, LOOP, settings, own=own, shuffle=lambda _: None)
        assert addresses(route) == V4[:expected]
        assert route.may_fall_back is (expected == 4)
        assert [bool(endpoint.best_mx_of) for endpoint in route.endpoints] == [True, *[False] * (expected - 1)]


def test_other_ports_are_no_loop() -> None:
    route = find(Destination("x.example", 2525, wants_mx=True), LOOP, own=frozenset(V4), shuffle=lambda _: None)
    assert len(route.endpoints) == 4
    assert not any(endpoint.best_mx_of for endpoint in route.endpoints)


def test_exchangers_that_do_not_resolve() -> None:
    zones = {
        "x.example": {"MX": ["10 gone.example", "20 b.example"]},
        "b.example": {"A": V4[:1]},
        "half.example": {"MX": ["10 gone.example", "20 later.example"]},
        "later.example": SERVFAIL,
        "none.example": {"MX": ["10 gone.example"]},
    }

    def status(domain: str, **settings: str) -> tuple[Outcome, str]:
        with pytest.raises(NoRoute) as caught:
            find(Destination(domain, 25, wants_mx=True), zones, settings)
        return caught.value.status.outcome, caught.value.status.dsn

    assert addresses(find(Destination("x.example", 25, wants_mx=True), zones)) == V4[:1]
    assert status("half.example") == (Outcome.DEFERRED, "4.4.3")
    assert status("none.example") == (Outcome.BOUNCED, "5.4.4")
    assert status("none.example", smtp_defer_if_no_mx_address_found="yes") == (Outcome.DEFERRED, "4.4.3")


def test_native_lookup() -> None:
    route = find(Destination("localhost", 26), {}, {"smtp_host_lookup": "dns, native", "inet_protocols": "ipv4"})
    assert labels(route) == ["localhost[127.0.0.1]:26"]
    route = find(
        Destination("localhost", 26, wants_mx=True), {}, {"smtp_host_lookup": "native", "inet_protocols": "ipv4"}
    )
    assert labels(route) == ["localhost[127.0.0.1]:26"]


def test_local_addresses() -> None:
    assert is_local_address("127.0.0.1")
    assert not is_local_address("192.0.2.1")
    assert not is_local_address("2001:db8::1")
