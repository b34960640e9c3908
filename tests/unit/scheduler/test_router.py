from __future__ import annotations

import asyncio

import pytest

from gateway.config import Config
from gateway.maps import Tables
from gateway.model.address import Address
from gateway.model.errors import TableError
from gateway.scheduler.router import CACHE_S, Route, Router

SETTINGS = {
    "myhostname": "mx.here.example",
    "mydestination": "here.example",
    "virtual_alias_domains": "alias.example",
    "virtual_mailbox_domains": "box.example",
    "relay_domains": "relay.example",
}
SENDER = Address("me", "there.example")


def routes(settings: dict[str, str], *recipients: str, sender: Address = SENDER) -> list[tuple[str, str]]:
    config = Config.from_settings(SETTINGS | settings)
    router = Router(config, Tables(config))

    async def resolve() -> list[Route]:
        return [await router.resolve(Address.of(recipient), sender) for recipient in recipients]

    return [(route.transport, route.nexthop) for route in asyncio.run(resolve())]


def test_address_classes() -> None:
    recipients = ("u@here.example", "u@alias.example", "u@box.example", "u@a.relay.example", "u@far.example")
    assert routes({}, *recipients) == [
        ("local", "mx.here.example"),
        ("error", "5.1.1 User unknown in virtual alias table"),
        ("virtual", "box.example"),
        ("relay", "a.relay.example"),
        ("smtp", "far.example"),
    ]


def test_addresses_without_a_domain_are_our_own() -> None:
    settings = {"mydestination": "$myhostname"}
    assert routes(settings, "root", "") == [("local", "mx.here.example")] * 2


def test_relayhost_serves_what_is_not_ours() -> None:
    settings = {"relayhost": "[hub.example]:26"}
    assert routes(settings, "u@far.example", "u@relay.example", "u@box.example") == [
        ("smtp", "[hub.example]:26"), ("relay", "[hub.example]:26"), ("virtual", "box.example"),
    ]  # fmt: skip


def test_nexthop_in_the_transport_parameter_overrides_relayhost() -> None:
    settings = {"relayhost": "hub.example", "default_transport": "smtp:[direct.example]", "relay_transport": "relay:"}
    assert routes(settings, "u@far.example", "u@relay.example") == [
        ("smtp", "[direct.example]"), ("relay", "hub.example"),
    ]  # fmt: skip


def test_transport_maps_and_their_empty_halves() -> None:
    entries = "{one@far.example=slow:[s.example]}, {far.example=slow:}, {.far.example=:[n.example]}, {keep.example=:}"
    settings = {"transport_maps": f"inline:{{ {entries} }}", "relayhost": "hub.example"}
    assert routes(settings, "one@far.example", "two@far.example", "u@a.far.example", "u@keep.example", "u@x.example") == [
        ("slow", "[s.example]"), ("slow", "far.example"), ("smtp", "[n.example]"), ("smtp", "hub.example"),
        ("smtp", "hub.example"),
    ]  # fmt: skip


def test_error_transport_keeps_its_text() -> None:
    settings = {"transport_maps": "inline:{ {no.example=error:5.1.2 mail for no.example: gone} }"}
    assert routes(settings, "u@no.example") == [("error", "5.1.2 mail for no.example: gone")]


def test_sender_dependent_tables() -> None:
    settings = {
        "sender_dependent_default_transport_maps": "inline:{ {@there.example=slow} }",
        "sender_dependent_relayhost_maps": "inline:{ {me@there.example=[mine.example]}, {<>=[null.example]} }",
    }
    assert routes(settings, "u@far.example", "u@relay.example") == [
        ("slow", "[mine.example]"), ("relay", "[mine.example]"),
    ]  # fmt: skip
    assert routes(settings, "u@far.example", sender=Address.NULL) == [("smtp", "[null.example]")]


def test_numeric_domains_are_no_addresses() -> None:
    assert routes({}, "u@192.0.2.1", "u@[192.0.2.1]") == [
        ("error", "5.1.3 bad address syntax"),
        ("smtp", "[192.0.2.1]"),
    ]
    assert routes({"resolve_numeric_domain": "yes"}, "u@192.0.2.1") == [("smtp", "[192.0.2.1]")]


def test_filters_override_everything() -> None:
    config = Config.from_settings(SETTINGS | {"transport_maps": "static:slow:x"})
    router = Router(config, Tables(config))
    recipient = Address("u", "far.example")
    assert router.filtered("scan:[127.0.0.1]:10025", recipient) == Route("scan", "[127.0.0.1]:10025")
    assert router.filtered("scan:", recipient) == Route("scan", "far.example")
    config = Config.from_settings(SETTINGS | {"default_filter_nexthop": "[f.example]"})
    assert Router(config, Tables(config)).filtered("scan", recipient) == Route("scan", "[f.example]")


def test_routes_of_a_domain_are_remembered_for_a_while() -> None:
    now = [0.0]
    config = Config.from_settings(SETTINGS)
    router = Router(config, Tables(config), clock=lambda: now[0])
    recipient = Address("u", "far.example")
    assert router.resolve_now(recipient, SENDER) is None
    route = asyncio.run(router.resolve(recipient, SENDER))
    assert router.resolve_now(Address("other", "far.example"), SENDER) is route
    now[0] += CACHE_S + 1
    assert router.resolve_now(recipient, SENDER) is None


@pytest.mark.parametrize(
    "settings", [{"transport_maps": "inline:{ {a=b:} }"}, {"sender_dependent_relayhost_maps": "inline:{ {a=b:} }"}]
)
def test_tables_of_addresses_are_asked_each_time(settings: dict[str, str]) -> None:
    config = Config.from_settings(SETTINGS | settings)
    router = Router(config, Tables(config))
    asyncio.run(router.resolve(Address("u", "far.example"), SENDER))
    assert router.resolve_now(Address("u", "far.example"), SENDER) is None


def test_a_table_that_fails_is_a_temporary_error() -> None:
    with pytest.raises(TableError):
        routes({"transport_maps": "fail:broken"}, "u@far.example")
