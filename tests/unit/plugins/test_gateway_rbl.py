"""DNS lists through the restriction engine: who is asked what, and what becomes of the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import gateway_rbl
import pytest
from gateway_rbl.dns_list import ANSWERS_LIMIT, NOTES, address_key, domain_key, joined

from gateway.config import Config
from gateway.hooks.manager import PluginManager
from gateway.maps import Tables
from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.errors import ConfigError
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.net.resolver import Kind
from gateway.restrictions import RestrictionEngine
from gateway.restrictions.names import NOT_YET, OF_PLUGINS
from gateway.testing.fake_dns import FakeDns

LISTED = {
    "9.113.0.203.bl.example": ["127.0.0.2"],
    "9.113.0.203.many.example": ["127.0.0.9", "127.0.0.4"],
    "8.b.d.0.1.0.0.2.ip6.example": ["127.0.0.2"],
    "mail.client.example.names.example": ["127.0.0.2"],
    "ptr.client.example.names.example": ["127.0.0.2"],
    "helo.example.names.example": ["127.0.0.2"],
    "sender.example.names.example": ["127.0.0.2"],
    "local.example.names.example": ["127.0.0.2"],
    "user.names.example": ["127.0.0.2"],
    "xn--bcher-kva.example.names.example": ["127.0.0.2"],
}
TEXTS = {"9.113.0.203.bl.example": ["see https://bl.example/9"]}


class Dns(FakeDns):
    """Remembers what it was asked."""

    def __init__(self, **records: Any) -> None:
        super().__init__(**({"hosts": LISTED, "texts": TEXTS} | records))
        self.asked: list[str] = []

    async def lookup(self, name: str, kind: Kind) -> tuple[str, ...]:
        self.asked.append(f"{name} {kind}")
        await asyncio.sleep(0)
        return await super().lookup(name, kind)


class House:
    """An engine and a session."""

    def __init__(self, restrictions: str, dns: Dns | None = None, **settings: str) -> None:
        config = Config.from_settings(
            {"compatibility_level": "3.6", "mydestination": "local.example", "local_recipient_maps": ""}
            | {"smtpd_recipient_restrictions": restrictions, "smtpd_relay_restrictions": "reject_unauth_destination"}
            | {"myhostname": "mx.local.example"}
            | settings
        )
        self.dns = dns or Dns()
        self.tables = Tables(config)
        registered = PluginManager(config.words("plugins")).registered("restrictions")
        self.engine = RestrictionEngine(config, self.tables, self.dns, registered)
        self.session = self.new_session()

    def new_session(self, **client: Any) -> Session:
        known = {"name": "mail.client.example", "reverse_name": "ptr.client.example", "name_code": 2, "reverse_code": 2}
        session = Session(Client("203.0.113.9", **(known | client)))
        session.helo, session.sender = "helo.example", Address("s", "sender.example")
        return session

    def ask(self, recipient: str = "r@local.example") -> Verdict | None:
        self.session.recipient = Address.of(recipient)
        return asyncio.run(self.engine.at_rcpt(self.session))


def text(verdict: Verdict | None) -> str:
    return "ok" if verdict is None else f"{verdict.code} {verdict.enhanced} {verdict.text}"


BLOCKED = "554 5.7.1 Service unavailable; {} blocked using {}"


@pytest.mark.parametrize(
    ("restriction", "what"),
    [
        ("reject_rbl_client bl.example", "Client host [203.0.113.9]"),
        ("reject_rbl bl.example", "Client host [203.0.113.9]"),
        ("reject_rhsbl_client names.example", "Client host [mail.client.example]"),
        ("reject_rhsbl_reverse_client names.example", "Unverified Client host [ptr.client.example]"),
        ("reject_rhsbl_helo names.example", "Helo command [helo.example]"),
        ("reject_rhsbl_sender names.example", "Sender address [s@sender.example]"),
        ("reject_rhsbl_recipient names.example", "Recipient address [r@local.example]"),
    ],
)
def test_what_each_asks_for(restriction: str, what: str) -> None:
    house = House(restriction)
    name = restriction.split()[1]
    reason = "; see https://bl.example/9" if name == "bl.example" else ""
    verdict = house.ask()
    assert text(verdict) == BLOCKED.format(what, name) + reason
    assert verdict is not None
    assert verdict.action is Action.REJECT
    assert verdict.reason == f"{restriction}: {house.dns.asked[0].split()[0]}"
    assert house.session.ledger[-1].author == restriction.split(maxsplit=1)[0]


def test_every_restriction_of_the_plugin_is_known_to_be() -> None:
    registered: dict[str, object] = {}
    gateway_rbl.restrictions(registered.__setitem__)
    assert frozenset(registered) == OF_PLUGINS["rbl"]
    assert NOT_YET.isdisjoint(registered)
    with pytest.raises(
        ConfigError, match=r"reject_rbl_client is of the plugin rbl, which is not in main\.cf's plugins"
    ):
        House("reject_rbl_client bl.example", plugins="access")


@pytest.mark.parametrize(
    ("argument", "is_blocked"),
    [
        ("many.example", True),
        ("many.example=127.0.0.4", True),
        ("many.example=127.0.0.[3;9..10]", True),
        ("many.example=127.0.0.[5..8]", False),
        ("none.example=127.0.0.4", False),
        ("MANY.example.", True),
    ],
)
def test_all_addresses_of_an_answer_count(argument: str, is_blocked: bool) -> None:
    assert (text(House(f"reject_rbl_client {argument}").ask()) != "ok") is is_blocked


def test_one_question_for_a_list_and_a_connection() -> None:
    restrictions = ", ".join((
        "reject_rbl_client none.example", "reject_rbl_client down.example", "reject_rbl_client none.example",
        "reject_rbl_client down.example=127.0.0.3", "permit_dnswl_client down.example=127.0.0.4",
        "reject_rbl_client bl.example=127.0.0.[3;4]",
    ))  # fmt: skip
    house = House(restrictions, Dns(failing=["9.113.0.203.down.example"]))
    for _ in range(2):
        for recipient in ("a@local.example", "b@local.example"):
            assert house.ask(recipient) is None
        house.session.reset()
        house.session.sender = Address("t", "sender.example")
    assert house.dns.asked == [f"9.113.0.203.{name}.example A" for name in ("none", "down", "bl")]


def test_answers_that_a_connection_keeps_are_bounded() -> None:
    house = House("reject_rhsbl_recipient names.example", mydestination="static:all")
    for number in range(ANSWERS_LIMIT + 5):
        assert house.ask(f"r@d{number}.example") is None
    assert len(house.session.notes[NOTES]) == ANSWERS_LIMIT
    assert f"d{ANSWERS_LIMIT + 4}.example.names.example" in house.session.notes[NOTES]


def test_the_reason_is_asked_for_when_it_is_told() -> None:
    house = House("reject_rbl_client bl.example", default_rbl_reply="$rbl_code listed in $rbl_domain")
    assert text(house.ask()) == "554 5.7.1 listed in bl.example"
    assert house.dns.asked == ["9.113.0.203.bl.example A"]
    house = House("reject_rbl_client bl.example")
    assert text(house.ask()) == text(house.ask())
    assert house.dns.asked == ["9.113.0.203.bl.example A", "9.113.0.203.bl.example TXT"]


class SilentTexts(Dns):
    async def lookup(self, name: str, kind: Kind) -> tuple[str, ...]:
        if kind == "TXT":
            self.failing.add(name)
        return await super().lookup(name, kind)


def test_a_reason_that_cannot_be_had_is_left_out() -> None:
    house = House("reject_rbl_client bl.example", SilentTexts())
    assert text(house.ask()) == BLOCKED.format("Client host [203.0.113.9]", "bl.example")
    assert house.tables.warnings == []


def test_a_block_list_that_is_down_blocks_nobody_and_is_logged() -> None:
    house = House("reject_rbl_client down.example", Dns(failing=["9.113.0.203.down.example"]))
    assert house.ask() is None
    house.session = house.new_session()
    assert house.ask() is None
    assert house.tables.warnings == [
        "9.113.0.203.down.example: RBL lookup error: Host or domain name not found. "
        "Name service error for name=9.113.0.203.down.example type=A: Host not found, try again"
    ]


@pytest.mark.parametrize(
    ("restrictions", "reply"),
    [
        ("permit_dnswl_client bl.example, reject", "ok"),
        ("permit_dnswl_client bl.example=127.0.0.3, reject", "554 5.7.1 <r@local.example>: Recipient address rejected: Access denied"),
        ("permit_rhswl_client names.example, reject", "ok"),
        ("permit_dnswl_client down.example, permit", "ok"),
        ("permit_dnswl_client down.example, reject", "450 4.7.1 <203.0.113.9>: Client host rejected: Service unavailable"),
        ("permit_rhswl_client down.example, reject", "450 4.7.1 <mail.client.example>: Client host rejected: Service unavailable"),
        ("permit_dnswl_client down.example, reject_rbl_client bl.example", "450 4.7.1 <203.0.113.9>: Client host rejected: Service unavailable"),
        ("warn_if_reject permit_dnswl_client down.example, reject", "450 4.7.1 <203.0.113.9>: Client host rejected: Service unavailable"),
        ("permit_dnswl_client down.example, defer", "450 4.3.2 <r@local.example>: Recipient address rejected: Try again later"),
        ("warn_if_reject reject_rbl_client bl.example", "ok"),
    ],
)  # fmt: skip
def test_allow_lists(restrictions: str, reply: str) -> None:
    dns = Dns(failing=["9.113.0.203.down.example", "mail.client.example.down.example"])
    assert text(House(restrictions, dns).ask()) == reply


def test_no_allow_list_opens_a_relay() -> None:
    house = House("permit_dnswl_client bl.example, reject_unauth_destination", smtpd_relay_restrictions="")
    assert text(house.ask("r@far.example")) == "554 5.7.1 <r@far.example>: Relay access denied"
    assert house.dns.asked == []
    assert house.ask("r@local.example") is None
    after = House("", smtpd_data_restrictions="permit_dnswl_client bl.example, reject")
    after.session.recipients = []
    assert asyncio.run(after.engine.at_data(after.session)) is None


@pytest.mark.parametrize(
    ("restriction", "client", "helo", "sender"),
    [
        ("reject_rbl_client", {"address": "unknown"}, "h", "s@x.example"),
        ("reject_rhsbl_client", {"name": "unknown"}, "h", "s@x.example"),
        ("permit_rhswl_client", {"name": "Unknown"}, "h", "s@x.example"),
        ("reject_rhsbl_reverse_client", {"reverse_name": "unknown"}, "h", "s@x.example"),
        ("reject_rhsbl_helo", {}, "", "s@x.example"),
        ("reject_rhsbl_helo", {}, "[192.0.2.1]", "s@x.example"),
        ("reject_rhsbl_helo", {}, "192.0.2.1", "s@x.example"),
        ("reject_rhsbl_helo", {}, "-x.example", "s@x.example"),
        ("reject_rhsbl_sender", {}, "h", ""),
        ("reject_rhsbl_sender", {}, "h", "s@[192.0.2.1]"),
        ("reject_rhsbl_sender", {}, "h", "s@a b.example"),
    ],
)
def test_what_no_list_can_have_is_not_asked_for(
    restriction: str, client: Mapping[str, str], helo: str, sender: str
) -> None:
    house = House(f"{restriction} names.example")
    address = client.get("address", "203.0.113.9")
    known = {"name": "mail.client.example", "reverse_name": "x.example"} | {
        key: value for key, value in client.items() if key != "address"
    }
    house.session = Session(Client(address, **known))
    house.session.helo, house.session.sender = helo, Address.of(sender)
    assert house.ask() is None
    assert house.dns.asked == []


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Mail.Example", "mail.example"),
        ("mail.example.", "mail.example"),
        ("a.b@c@Sender.Example", "sender.example"),
        ("user", "user"),
        ("x@bücher.example", "xn--bcher-kva.example"),
        ("a_b.example", "a_b.example"),
        ("x" * 64 + ".example", ""),
        ("x@", ""),
    ],
)
def test_keys_of_domains(name: str, key: str) -> None:
    assert domain_key(name) == key


def test_keys_of_addresses() -> None:
    assert address_key("203.0.113.9") == "9.113.0.203"
    assert address_key("2001:db8::1") == "1." + "0." * 23 + "8.b.d.0.1.0.0.2"
    assert address_key("unknown") == ""


@pytest.mark.parametrize(
    ("texts", "whole"),
    [
        (["one", "two"], "one / two"),
        (["tab\tand \udc80\udcff", "é"], "tab and    /  "),
        (["a" * 600], "a" * 500),
        (["a" * 199, "b" * 199, "c" * 95, "dd"], "a" * 199 + " / " + "b" * 199 + " / " + "c" * 95 + "d"),
        ([], ""),
    ],
)
def test_reasons(texts: Sequence[str], whole: str) -> None:
    assert joined(tuple(texts)) == whole


def test_the_lists_of_old_configurations() -> None:
    house = House("reject_maps_rbl", maps_rbl_domains="none.example, many.example=127.0.0.9 bl.example")
    assert text(house.ask()) == BLOCKED.format("Client host [203.0.113.9]", "many.example")
    assert house.dns.asked[0] == "9.113.0.203.none.example A"
    assert "reject_maps_rbl is obsolete" in house.tables.warnings[0]
    assert House("reject_maps_rbl").ask() is None


def test_a_list_named_by_a_table() -> None:
    house = House(
        "check_client_access inline:{{203.0.113.9 = reject_rbl_client bl.example}}",
        rbl_reply_maps="inline:{{bl.example=550 5.7.1 no}}",
    )
    assert text(house.ask()) == "550 5.7.1 no"


def test_before_the_banner_and_at_helo() -> None:
    house = House(
        "",
        smtpd_client_restrictions="reject_rbl_client bl.example",
        smtpd_helo_restrictions="reject_rhsbl_helo names.example",
        smtpd_delay_reject="no",
        default_rbl_reply="$rbl_code $rbl_what <$sender> <$recipient>",
    )
    session = house.new_session()
    session.sender = None
    assert text(asyncio.run(house.engine.at_connect(session))) == "554 5.7.1 203.0.113.9 <> <>"
    assert text(asyncio.run(house.engine.at_helo(session))) == "554 5.7.1 helo.example <> <>"


@pytest.mark.parametrize(
    ("restriction", "problem"),
    [
        ("reject_rbl_client", "needs 1 argument"),
        ("reject_rbl_client bl.example=", r"expected d\.d\.d\.d"),
        ("reject_rbl_client bl.example=127.0.0.300", "300 is more than"),
        ("reject_rhsbl_sender -bad-", "not the domain name of a DNS list"),
        ("permit_dnswl_client =127.0.0.2", "not the domain name of a DNS list"),
        ("permit_rhswl_client x.example=127", r"expected d\.d\.d\.d"),
    ],
)
def test_mistakes_stop_the_start(restriction: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        House(restriction)
    assert caught.value.parameter == "smtpd_recipient_restrictions"


def test_a_restriction_taken_for_a_list_is_warned_of() -> None:
    house = House("reject_rbl_client permit_mynetworks")
    assert 'reject_rbl_client takes "permit_mynetworks" for the domain name' in house.tables.warnings[0]
    with pytest.raises(ConfigError, match='maps_rbl_domains: "-" is not the domain name'):
        House("reject_maps_rbl", maps_rbl_domains="bl.example, -")
