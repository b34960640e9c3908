"""What Postfix does not document any more, and still does."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config import Config
from gateway.maps import Tables
from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.session import Session
from gateway.restrictions import RestrictionEngine
from gateway.testing.fake_dns import FakeDns


def played(restrictions: str, recipient: str, helo: str = "h.example") -> tuple[str, Tables]:
    config = Config.from_settings(
        {
            "compatibility_level": "3.6",
            "mydestination": "local.example",
            "local_recipient_maps": "",
            "smtpd_relay_restrictions": restrictions,
        }
    )
    tables = Tables(config)
    engine = RestrictionEngine(config, tables, FakeDns())
    session = Session(Client("203.0.113.9"))
    session.helo, session.sender, session.recipient = helo, Address.of("s@a.example"), Address.of(recipient)
    verdict = asyncio.run(engine.at_rcpt(session))
    return f"{verdict.code} {verdict.text}" if verdict else "", tables


@pytest.mark.parametrize(
    ("helo", "reply"),
    [
        ("192.0.2.1", ""),
        ("2001::1", ""),
        ("2001:db8::1", "554 <r@else.example>: Relay access denied"),
        ("1.2.3", "501 <1.2.3>: Helo command rejected: invalid ip address"),
        ("[192.0.2.1]", "554 <r@else.example>: Relay access denied"),
        ("h.example", "554 <r@else.example>: Relay access denied"),
        ("", "554 <r@else.example>: Relay access denied"),
    ],
)
def test_permit_naked_ip_address(helo: str, reply: str) -> None:
    said, tables = played("permit_naked_ip_address, reject_unauth_destination", "r@else.example", helo)
    assert said == reply
    assert "deprecated" in tables.warnings[0]


@pytest.mark.parametrize(
    ("recipient", "reply"),
    [
        ("r@local.example", ""),
        ("r@else.example", "554 <r@else.example>: Recipient address rejected: Relay access denied"),
        ("r%x@local.example", "554 <r%x@local.example>: Recipient address rejected: Relay access denied"),
    ],
)
def test_check_relay_domains(recipient: str, reply: str) -> None:
    said, tables = played("check_relay_domains", recipient)
    assert said == reply
    assert tables.warnings == [
        "smtpd_relay_restrictions: check_relay_domains is deprecated: use reject_unauth_destination"
    ]
