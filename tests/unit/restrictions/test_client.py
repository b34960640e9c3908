"""Client and HELO restrictions that ask DNS; the rest is in tests/scenarios/policy."""

from __future__ import annotations

import asyncio

import pytest

from gateway.config import Config
from gateway.maps import Tables
from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.errors import ConfigError
from gateway.model.session import Session
from gateway.net.resolver import DnsNotFound, DnsTemporary
from gateway.restrictions import RestrictionEngine


class FakeDns:
    """``good.example`` has an address, ``mail.example`` an MX, ``slow.example`` gives no answer now."""

    async def mx(self, domain: str) -> list[tuple[int, str]]:
        await asyncio.sleep(0)
        if domain == "mail.example":
            return [(10, "mx.mail.example")]
        raise DnsNotFound(domain, "MX", "Host not found")

    async def addresses(self, host: str) -> list[str]:
        await asyncio.sleep(0)
        if host == "good.example":
            return ["192.0.2.1"]
        if host == "slow.example":
            raise DnsTemporary(host, "A", "Host not found, try again")
        raise DnsNotFound(host, "A", "Host not found")


def reply(helo: str, restriction: str, **settings: str) -> str:
    config = Config.from_settings(
        {"compatibility_level": "3.6", "mydestination": "local.example", "local_recipient_maps": ""}
        | {"smtpd_helo_restrictions": restriction}
        | settings
    )
    engine = RestrictionEngine(config, Tables(config), FakeDns())
    session = Session(Client("203.0.113.9", reverse_name="x.example", reverse_code=int((settings and "5") or "4")))
    session.helo, session.sender, session.recipient = helo, Address("s", "a.example"), Address("r", "local.example")
    verdict = asyncio.run(engine.at_rcpt(session))
    return f"{verdict.code} {verdict.enhanced} {verdict.text}" if verdict else "ok"


UNKNOWN = "reject_unknown_helo_hostname"


@pytest.mark.parametrize(
    ("helo", "expected"),
    [
        ("good.example", "ok"),
        ("mail.example", "ok"),
        ("[192.0.2.1]", "ok"),
        ("", "ok"),
        ("none.example", "450 4.7.1 <none.example>: Helo command rejected: Host not found"),
        ("slow.example", "450 4.7.1 <slow.example>: Helo command rejected: Host not found"),
        ("[nonsense]", "501 5.5.2 <[nonsense]>: Helo command rejected: invalid ip address"),
    ],
)
def test_unknown_helo(helo: str, expected: str) -> None:
    assert reply(helo, UNKNOWN) == expected


def test_code_and_temporary_errors_are_configurable() -> None:
    assert reply("none.example", UNKNOWN, unknown_hostname_reject_code="550").startswith("550 5.7.1 ")
    later = f"{UNKNOWN}, reject"
    assert reply("slow.example", later).startswith("554 5.7.1 <slow.example>: Helo command rejected: Access denied")
    assert reply("slow.example", later, unknown_helo_hostname_tempfail_action="defer").startswith("450 4.7.1")


def test_reverse_name() -> None:
    text = "Client host rejected: cannot find your reverse hostname, [203.0.113.9]"
    assert reply("h", "reject_unknown_reverse_client_hostname") == f"450 4.7.1 {text}"
    assert reply("h", "reject_unknown_reverse_client_hostname", unknown_client_reject_code="550") == f"550 5.7.1 {text}"


def test_a_bad_tempfail_action_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="defer_if_permit"):
        reply("h", UNKNOWN, unknown_helo_hostname_tempfail_action="whatever")
