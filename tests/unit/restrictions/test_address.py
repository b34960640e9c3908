"""Address restrictions that ask DNS; the rest is in tests/scenarios/policy."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config import Config
from gateway.maps import Tables
from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.session import Session
from gateway.net.resolver import DnsNotFound, DnsTemporary, NullMx
from gateway.restrictions import RestrictionEngine


class FakeDns:
    """Names say what they are."""

    async def mx(self, domain: str) -> list[tuple[int, str]]:
        await asyncio.sleep(0)
        if domain.startswith("mx."):
            return [(10, "a.example")]
        if domain.startswith("null."):
            raise NullMx(domain, "MX", "null MX")
        if domain.startswith("slow."):
            raise DnsTemporary(domain, "MX", "try again")
        raise DnsNotFound(domain, "MX", "Host not found")

    async def addresses(self, host: str) -> list[str]:
        if host.startswith("a."):
            return ["192.0.2.1"]
        raise DnsNotFound(host, "A", "Host not found")


def reply(sender: str, recipient: str, restrictions: str, **settings: str) -> str:
    config = Config.from_settings(
        {"compatibility_level": "3.6", "mydestination": "local.example", "mynetworks": "203.0.113.9"}
        | {"local_recipient_maps": "", "smtpd_recipient_restrictions": restrictions}
        | settings
    )
    engine = RestrictionEngine(config, Tables(config), FakeDns())
    session = Session(Client("203.0.113.9"))
    session.sender, session.recipient = Address.of(sender), Address.of(recipient)
    verdict = asyncio.run(engine.at_rcpt(session))
    return f"{verdict.code} {verdict.enhanced} {verdict.text}" if verdict else "ok"


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("", "ok"),
        ("s@mx.example", "ok"),
        ("s@a.example", "ok"),
        ("s@local.example", "ok"),
        ("s@[192.0.2.1]", "ok"),
        ("s@none.example", "450 4.1.8 <s@none.example>: Sender address rejected: Domain not found"),
        ("s@slow.example", "450 4.1.8 <s@slow.example>: Sender address rejected: Domain not found"),
        (
            "s@null.example",
            "550 5.7.27 <s@null.example>: Sender address rejected: Domain null.example does not accept mail (nullMX)",
        ),
    ],
)
def test_unknown_sender_domain(sender: str, expected: str) -> None:
    assert reply(sender, "r@local.example", "reject_unknown_sender_domain") == expected


@pytest.mark.parametrize(
    ("recipient", "expected"),
    [
        ("r@mx.example", "ok"),
        ("r@none.example", "550 5.1.2 <r@none.example>: Recipient address rejected: Domain not found"),
        (
            "r@null.example",
            "556 5.1.10 <r@null.example>: Recipient address rejected: Domain null.example does not accept mail (nullMX)",
        ),
    ],
)
def test_unknown_recipient_domain(recipient: str, expected: str) -> None:
    answer = reply("", recipient, "reject_unknown_recipient_domain", unknown_address_reject_code="550")
    assert answer == expected


def test_a_temporary_error_waits_for_what_the_others_say() -> None:
    restrictions = "reject_unknown_sender_domain, reject"
    rejected = "554 5.7.1 <r@local.example>: Recipient address rejected: Access denied"
    assert reply("s@slow.example", "r@local.example", restrictions) == rejected
    deferred = reply("s@slow.example", "r@local.example", restrictions, reject_tempfail_action="defer")
    assert deferred.startswith("450 4.1.8")
