from __future__ import annotations

import asyncio

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.address_lookup import AddressLookup, Extensions
from gateway.maps.match_list import Subdomains
from gateway.maps.table_list import TableList
from gateway.model.address import Address
from gateway.scheduler.transport_map import SenderMap, TransportMap


def tables(spec: str) -> TableList:
    config = Config.from_settings({"myhostname": "mx.example", "transport_maps": spec})
    return TableList.of(config, "transport_maps", Tables(config))


def test_addresses_with_and_without_extension() -> None:
    found = TransportMap(tables("inline:{ {u+x@a.example=whole}, {u@a.example=bare} }"), Extensions("+-"))

    async def look(local: str) -> str | None:
        return await found.of_address(Address(local, "a.example"))

    async def all_of_them() -> list[str | None]:
        return [await look(local) for local in ("u+x", "U+y", "u-z", "u", "v+x")]

    assert asyncio.run(all_of_them()) == ["whole", "bare", "bare", "bare", None]


def test_patterns_see_whole_addresses_only() -> None:
    found = TransportMap(tables("static:any"), Extensions("+"))
    assert asyncio.run(found.of_address(Address("u", "a.example"))) == "any"
    assert found.is_in_memory


def test_domains_then_parents_then_the_wildcard() -> None:
    found = TransportMap(tables("inline:{ {a.example=own}, {.example=parent}, {*=rest} }"), Extensions())

    async def look() -> list[str | None]:
        return [await found.of_domain(domain) for domain in ("a.example", "b.example", "example", "c.test")]

    assert asyncio.run(look()) == ["own", "parent", "rest", "rest"]


def test_parents_without_the_dot() -> None:
    found = TransportMap(tables("inline:{ {.a.example=dot}, {a.example=parent} }"), Extensions(), Subdomains.PARENT)
    assert asyncio.run(found.of_domain("b.a.example")) == "parent"
    assert asyncio.run(found.of_domain("b.example")) is None


def sender_map(spec: str) -> SenderMap:
    async def is_local(domain: str) -> bool:
        return domain == "local.example"

    return SenderMap(AddressLookup(tables(spec), Extensions("+"), is_local=is_local), null_key="<>")


def test_senders() -> None:
    found = sender_map(
        "inline:{ {<>=null}, {u@a.example=own}, {@a.example=domain}, {@b.example=dunno}, {root=name}, {u=name} }"
    )

    async def look() -> list[str | None]:
        senders = ("", "u+x@a.example", "v@a.example", "w@b.example", "u@c.example", "root", "u+x@local.example")
        return [await found.of(Address.of(sender)) for sender in senders]

    assert asyncio.run(look()) == ["null", "own", "domain", None, None, "name", "name"]
    assert not sender_map("")
    assert asyncio.run(sender_map("").of(Address.NULL)) is None


def test_patterns_are_asked_for_the_wildcard_too() -> None:
    found = TransportMap(tables("regexp:{{/^[*]/\tslow:}}"), Extensions())
    assert asyncio.run(found.of_domain("a.example")) == "slow:"
