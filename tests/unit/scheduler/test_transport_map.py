from __future__ import annotations

import asyncio

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.table_list import TableList
from gateway.model.address import Address
from gateway.scheduler.transport_map import SenderMap, TransportMap, domain_keys


def tables(spec: str) -> TableList:
    config = Config.from_settings({"myhostname": "mx.example", "transport_maps": spec})
    return TableList.of(config, "transport_maps", Tables(config))


def test_domain_keys() -> None:
    assert list(domain_keys("a.b.example", has_dot=True)) == ["a.b.example", ".b.example", ".example", "*"]
    assert list(domain_keys("a.example", has_dot=False)) == ["a.example", "example", "*"]


def test_addresses_with_and_without_extension() -> None:
    found = TransportMap(tables("inline:{ {u+x@a.example=whole}, {u@a.example=bare} }"), delimiters="+-")

    async def look(local: str) -> str | None:
        return await found.of_address(Address(local, "a.example"))

    async def all_of_them() -> list[str | None]:
        return [await look(local) for local in ("u+x", "U+y", "u-z", "u", "v+x")]

    assert asyncio.run(all_of_them()) == ["whole", "bare", "bare", "bare", None]


def test_patterns_see_whole_addresses_only() -> None:
    found = TransportMap(tables("static:any"), delimiters="+")
    assert asyncio.run(found.of_address(Address("u", "a.example"))) == "any"
    assert found.is_in_memory


def test_domains_then_parents_then_the_wildcard() -> None:
    found = TransportMap(tables("inline:{ {a.example=own}, {.example=parent}, {*=rest} }"))

    async def look() -> list[str | None]:
        return [await found.of_domain(domain) for domain in ("a.example", "b.example", "example", "c.test")]

    assert asyncio.run(look()) == ["own", "parent", "rest", "rest"]


def test_senders() -> None:
    found = SenderMap(
        tables("inline:{ {<>=null}, {u@a.example=own}, {@a.example=domain}, {@b.example=dunno} }"),
        null_key="<>",
        delimiters="+",
    )

    async def look() -> list[str | None]:
        senders = ("", "u+x@a.example", "v@a.example", "w@b.example", "w@c.example", "root")
        return [await found.of(Address.of(sender)) for sender in senders]

    assert asyncio.run(look()) == ["null", "own", "domain", None, None, None]
    assert not SenderMap(tables(""), null_key="<>")
    assert asyncio.run(SenderMap(tables(""), null_key="<>").of(Address.NULL)) is None
