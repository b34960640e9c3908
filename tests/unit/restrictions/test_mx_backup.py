"""permit_mx_backup: whose mail we relay because DNS says so."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config import Config
from gateway.maps import Tables
from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.session import Session
from gateway.restrictions import RestrictionEngine, mx_backup
from gateway.testing.fake_dns import FakeDns

DNS = FakeDns(
    mail_exchangers={
        "backup.example": [(10, "main.example"), (20, "us.example")],
        "byname.example": [(10, "main.example"), (20, "mx.local.example")],
        "primary.example": [(10, "us.example"), (20, "main.example")],
        "equal.example": [(10, "main.example"), (10, "us.example")],
        "single.example": [(10, "us.example")],
        "foreign.example": [(10, "main.example"), (20, "other.example")],
        "unknown.example": [(10, "down.example"), (20, "us.example")],
        "gone.example": [(10, "main.example"), (20, "nowhere.example")],
        "late.example": [(10, "main.example"), (20, "down.example"), (30, "us.example")],
    },
    hosts={
        "main.example": ["198.51.100.1", "198.51.100.2"],
        "other.example": ["203.0.113.1"],
        "us.example": ["192.0.2.25"],
    },
    failing=["down.example", "failing.example"],
)


def said_to(recipient: str, networks: str = "") -> str:
    config = Config.from_settings(
        {
            "compatibility_level": "3.6",
            "mydestination": "mx.local.example",
            "local_recipient_maps": "",
            "relay_domains": "relayed.example",
            "inet_interfaces": "192.0.2.25",
            "permit_mx_backup_networks": networks,
            "smtpd_relay_restrictions": "permit_mx_backup, reject_unauth_destination",
        }
    )
    engine = RestrictionEngine(config, Tables(config), DNS)
    session = Session(Client("203.0.113.9"))
    session.sender, session.recipient = Address.of("s@a.example"), Address.of(recipient)
    verdict = asyncio.run(engine.at_rcpt(session))
    return f"{verdict.code} {verdict.enhanced} {verdict.text}" if verdict else ""


@pytest.mark.parametrize(
    "recipient",
    ["r@backup.example", "r@byname.example", "r@late.example", "r@relayed.example", "r@mx.local.example"],
)
def test_permitted(recipient: str) -> None:
    assert said_to(recipient) == ""


@pytest.mark.parametrize(
    "recipient",
    ["r@primary.example", "r@equal.example", "r@single.example", "r@foreign.example", "r@nosuch.example",
     "r@[192.0.2.99]", "r%x@backup.example"],
)  # fmt: skip
def test_denied(recipient: str) -> None:
    assert said_to(recipient) == f"554 5.7.1 <{recipient}>: Relay access denied"


@pytest.mark.parametrize(
    ("domain", "why"),
    [
        ("failing.example", "Unable to look up mail exchanger information: Host not found, try again"),
        (
            "unknown.example",
            "Unable to look up mail exchanger host down.example: Temporary failure in name resolution",
        ),
        ("gone.example", "Unable to look up mail exchanger host nowhere.example: Name or service not known"),
    ],
)
def test_what_dns_does_not_tell_now_is_asked_for_later(domain: str, why: str) -> None:
    assert said_to(f"r@{domain}") == f"450 4.4.4 <r@{domain}>: Recipient address rejected: {why}"


def test_a_walk_that_takes_too_long_does_not_permit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mx_backup, "WALK_LIMIT_S", -1.0)
    assert said_to("r@backup.example").startswith("450 4.4.4 ")


@pytest.mark.parametrize(
    ("networks", "is_permitted"),
    [("198.51.100.0/24", True), ("198.51.100.1", False), ("203.0.113.0/24", False), ("main.example", True)],
)
def test_networks_must_have_all_addresses_of_the_best(networks: str, *, is_permitted: bool) -> None:
    assert (said_to("r@backup.example", networks) == "") is is_permitted
