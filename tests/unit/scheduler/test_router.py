from __future__ import annotations

import asyncio

import hypothesis
import pytest
from hypothesis import strategies as st

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.address_class import AddressClasses
from gateway.maps.rewriting import Rewriting
from gateway.model.address import Address
from gateway.model.errors import ConfigError, TableError
from gateway.scheduler.route import Route
from gateway.scheduler.router import CACHE_S, Router

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


def _resolved(settings: dict[str, str], recipient: Address) -> Route:
    config = Config.from_settings(SETTINGS | settings)
    return asyncio.run(Router(config, Tables(config)).resolve(recipient, SENDER))


def test_local_routing_is_followed() -> None:
    assert _resolved({}, Address("u%far.example", "here.example")) == Route(
        "smtp", "far.example", Address("u", "far.example")
    )
    assert _resolved({}, Address("box.example!u", "here.example")) == Route(
        "virtual", "box.example", Address("u", "box.example")
    )
    assert _resolved({}, Address("u%x", "far.example")) == Route("smtp", "far.example")
    assert _resolved({}, Address("u")) == Route("smtp", "mx.here.example", Address("u", "mx.here.example"))
    assert _resolved({}, Address.NULL).recipient == Address("MAILER-DAEMON", "mx.here.example")


def test_local_routing_is_not_hidden_by_what_is_known_of_the_domain() -> None:
    config = Config.from_settings(SETTINGS)
    router = Router(config, Tables(config))

    async def ask() -> list[Route | None]:
        await router.resolve(Address("u", "here.example"), SENDER)
        routed = Address("u%far.example", "here.example")
        return [
            router.resolve_now(Address("u", "here.example"), SENDER),
            router.resolve_now(routed, SENDER),
            await router.resolve(routed, SENDER),
            router.resolve_now(Address("-u", "here.example"), SENDER),
        ]

    assert asyncio.run(ask()) == [
        Route("local", "mx.here.example"), None, Route("smtp", "far.example", Address("u", "far.example")), None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "recipient",
    [
        Address("u", "a..b"), Address("u", "-x"), Address("u@"), Address("u%.x", "here.example"), Address("-u", "far.example"),
        Address("u", "a b"), Address("u", "[x]"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_address_is_undeliverable(recipient: Address) -> None:
    assert _resolved({}, recipient) == Route("error", "5.1.3 bad address syntax")


def test_transport_maps_say_nothing_of_virtual_alias_domains() -> None:
    entries = "{alias.example=slow:}, {u@alias.example=slow:}, {*=slow:}"
    assert routes({"transport_maps": f"inline:{{ {entries} }}"}, "u@alias.example", "u@far.example") == [
        ("error", "5.1.1 User unknown in virtual alias table"), ("slow", "far.example"),
    ]  # fmt: skip


def test_transport_maps_see_where_a_routed_address_leads() -> None:
    settings = {"transport_maps": "inline:{ {u@far.example=slow:} }"}
    assert _resolved(settings, Address("u%far.example", "here.example")).transport == "slow"


def test_error_transport_without_text() -> None:
    settings = {"transport_maps": "inline:{ {no.example=error:}, {later.example=retry:} }"}
    assert routes(settings, "u@no.example", "u@later.example") == [
        ("error", "Address is undeliverable"), ("retry", "Address is undeliverable"),
    ]  # fmt: skip


def test_relocated_maps() -> None:
    entries = "{gone@far.example=new@x.example}, {u=room 5}, {@moved.example=elsewhere}"
    settings = {"relocated_maps": f"inline:{{ {entries} }}", "transport_maps": "inline:{ {*=slow:} }"}
    assert routes(settings, "gone@far.example", "u@here.example", "u@far.example", "x@moved.example") == [
        ("error", "5.1.6 User has moved to new@x.example"), ("error", "5.1.6 User has moved to room 5"),
        ("slow", "far.example"), ("error", "5.1.6 User has moved to elsewhere"),
    ]  # fmt: skip
    config = Config.from_settings(SETTINGS | settings)
    assert Router(config, Tables(config)).resolve_now(Address("u", "here.example"), SENDER) is None


def test_a_sender_dependent_transport_is_needed_whole() -> None:
    settings = {"sender_dependent_default_transport_maps": "inline:{ {@there.example=:[hub]} }"}
    with pytest.raises(TableError, match="null transport"):
        routes(settings, "u@far.example")
    assert routes(settings, "u@here.example") == [("local", "mx.here.example")]


@pytest.mark.parametrize("parameter", ["local_transport", "virtual_transport", "relay_transport", "default_transport"])
def test_a_class_needs_a_transport(parameter: str) -> None:
    config = Config.from_settings(SETTINGS | {parameter: ":[hub]"})
    with pytest.raises(ConfigError, match="null transport"):
        Router(config, Tables(config))


def test_dunno_keeps_what_holds_for_everybody() -> None:
    settings = {
        "sender_dependent_default_transport_maps": "inline:{ {@there.example=dunno} }",
        "sender_dependent_relayhost_maps": "inline:{ {@there.example=DUNNO} }",
        "relayhost": "[hub]",
    }
    assert routes(settings, "u@far.example") == [("smtp", "[hub]")]


_PIECES = st.lists(
    st.sampled_from(
        [
            "@",
            "%",
            "!",
            ".",
            ":",
            '"',
            "u",
            " ",
            "here.example",
            "relay.example",
            "box.example",
            "far.example",
            "[127.0.0.1]",
        ]
    ),
    max_size=12,
).map("".join)
_DOMAINS = st.sampled_from(["here.example", "relay.example", "box.example", "far.example", "", "x", "[127.0.0.1]"])


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(_PIECES, _DOMAINS)
def test_what_strangers_may_send_to_is_never_routed_elsewhere(local: str, domain: str) -> None:
    """Policy judges an address as it came; cleanup stores it in canonical form; the router sees that. All must agree."""
    address = Address(local, domain)

    async def ask() -> tuple[bool, Route]:
        resolved = await CLASSES.resolve(address)
        return resolved.is_authorized, await ROUTER.resolve(Rewriting(CONFIG).address(address), SENDER)

    is_authorized, route = asyncio.run(ask())
    assert not is_authorized or route.transport in ("local", "relay", "virtual"), route
    if is_authorized and route.transport == "relay":
        assert route.nexthop.endswith("relay.example")


CONFIG = Config.from_settings(SETTINGS | {"inet_interfaces": "127.0.0.1"})
ROUTER = Router(CONFIG, Tables(CONFIG))
CLASSES = AddressClasses(CONFIG, Tables(CONFIG))
