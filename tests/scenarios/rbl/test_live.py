"""Postgate asks DNS lists: mail of listed clients is refused, the rest arrives, whoever does not answer."""

from __future__ import annotations

import asyncio
import re
import smtplib
from collections.abc import Iterator

import pytest
from peers.dns_server import GARBAGE, REFUSED, SERVFAIL, TIMEOUT, TRUNCATED, DnsServer, Fault, Zone
from peers.gateway import GatewayInstance
from peers.instance import MailInstance
from peers.ports import LOOPBACK, NotReady
from peers.sinks import RecordingSink

from gateway.config import Config
from gateway.hooks.manager import PluginManager
from gateway.maps import Tables
from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.session import Session
from gateway.net.resolver import Resolver
from gateway.restrictions import RestrictionEngine

ZONES: dict[str, Zone | Fault] = {
    "9.113.0.203.bl.example": {"A": ["127.0.0.4", "127.0.0.9"], "TXT": ['"see https://bl.example/9"']},
    "10.113.0.203.bl.example": {"A": ["127.0.0.9"]},
    "8.113.0.203.wl.example": {"A": ["127.0.0.1"]},
    "8.113.0.203.bl.example": {"A": ["127.0.0.4"]},
    "spam.example.dbl.example": {"A": ["127.0.1.2"]},
    "9.113.0.203.down.example": SERVFAIL,
    "10.113.0.203.down.example": REFUSED,
    "11.113.0.203.down.example": SERVFAIL,
    "12.113.0.203.down.example": SERVFAIL,
}
RESTRICTIONS = (
    "reject_rbl_client down.example, permit_dnswl_client wl.example, reject_rbl_client bl.example=127.0.0.[2..4],"
    " reject_rhsbl_sender dbl.example"
)


@pytest.fixture(scope="module")
def dns() -> Iterator[DnsServer]:
    with DnsServer(ZONES) as server:
        yield server


@pytest.fixture(scope="module")
def sink() -> Iterator[RecordingSink]:
    with RecordingSink() as sink:
        yield sink


def settings(dns: DnsServer) -> dict[str, str]:
    return {
        "resolver_nameservers": dns.address,
        "relay_domains": "b.example",
        "mynetworks": "",
        "smtpd_recipient_restrictions": RESTRICTIONS,
        "smtpd_relay_restrictions": "reject_unauth_destination",
        "smtpd_authorized_xclient_hosts": LOOPBACK,
        "smtpd_workers": "1",
    }


@pytest.fixture(scope="module")
def gateway(dns: DnsServer, sink: RecordingSink) -> Iterator[GatewayInstance]:
    with GatewayInstance(settings(dns) | {"relayhost": f"[{LOOPBACK}]:{sink.port}"}) as gateway:
        yield gateway


def send(gateway: MailInstance, client: str, sender: str = "s@a.example") -> str:
    """The reply to a message of this client to two recipients: to the second RCPT, or to its end."""
    with smtplib.SMTP(LOOPBACK, gateway.port, timeout=10) as smtp:
        assert smtp.docmd(f"XCLIENT ADDR={client} NAME=[UNAVAILABLE] REVERSE_NAME=[UNAVAILABLE]")[0] == 220
        smtp.ehlo("h.example")
        assert smtp.mail(sender)[0] == 250
        first, reply = smtp.rcpt("one@b.example"), smtp.rcpt("two@b.example")
        assert first == reply
        if reply[0] == 250:
            reply = smtp.data(f"Subject: from {client}\r\n\r\nhello\r\n")
        return f"{reply[0]} {reply[1].decode()}"


def test_a_listed_client_is_refused(gateway: GatewayInstance) -> None:
    reply = (
        "554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using bl.example; see https://bl.example/9"
    )
    assert send(gateway, "203.0.113.9") == reply
    gateway.wait_for_log(
        f"NOQUEUE: reject: RCPT from unknown[203.0.113.9]: {reply}; from=<s@a.example> to=<two@b.example> proto=ESMTP"
        " helo=<h.example>"
    )


def test_mail_of_who_is_not_listed_arrives(gateway: GatewayInstance, sink: RecordingSink, dns: DnsServer) -> None:
    dns.queries.clear()
    assert send(gateway, "203.0.113.10").startswith("250 2.0.0 Ok: queued as ")
    # Allowed by one list, and so not asked for in the next.
    assert send(gateway, "203.0.113.8").startswith("250 2.0.0 Ok: queued as ")
    messages = sink.wait_for(2)
    assert sorted(re.findall(rb"Subject: from (\S+)", b"".join(message.content for message in messages))) == [
        b"203.0.113.10", b"203.0.113.8",
    ]  # fmt: skip
    asked = [name for name, _ in dns.queries]
    assert "8.113.0.203.bl.example" not in asked
    assert asked.count("10.113.0.203.bl.example") == 1


def test_a_listed_sender_is_refused(gateway: GatewayInstance) -> None:
    assert send(gateway, "203.0.113.20", "x@spam.example") == (
        "554 5.7.1 Service unavailable; Sender address [x@spam.example] blocked using dbl.example"
    )


def test_a_list_that_is_down_is_in_the_log_and_mail_goes_on(gateway: GatewayInstance) -> None:
    for client in ("203.0.113.11", "203.0.113.12"):
        assert send(gateway, client).startswith("250 2.0.0 Ok: queued as ")
    log = gateway.wait_for_log("RBL lookup error")
    lines = [line for line in log.splitlines() if "RBL lookup error" in line]
    # Once a minute, whatever was asked first.
    assert len(lines) == 1
    assert re.search(
        r"warning: (\S+\.down\.example): RBL lookup error: Host or domain name not found\. Name service error for"
        r" name=\1 type=A: Host not found, try again$",
        lines[0],
    )


def test_a_mistake_is_told_before_the_start(dns: DnsServer) -> None:
    broken = settings(dns) | {"smtpd_recipient_restrictions": "reject_rbl_client bl.example=127.0.0.[8..4]"}
    gateway = GatewayInstance(broken)
    try:
        with pytest.raises(NotReady, match=r"reject_rbl_client: \"127\.0\.0\.\[8\.\.4\]\": the range 8\.\.4 is empty"):
            gateway.start()
    finally:
        gateway.stop()
        gateway.remove()


@pytest.mark.parametrize("fault", [TIMEOUT, GARBAGE, SERVFAIL, REFUSED])
def test_no_answer_blocks_nobody_and_permits_nobody(fault: Fault) -> None:
    answers = asyncio.run(asked({"1.2.0.192.bl.example": fault}))
    assert answers == ["ok", "450 4.7.1 <192.0.2.1>: Client host rejected: Service unavailable"]


def test_an_answer_over_tcp() -> None:
    records = {f"127.0.{number}.2": None for number in range(64)}
    zones: dict[str, Zone | Fault] = {"1.2.0.192.bl.example": {"A": list(records), "TRUNCATED": TRUNCATED}}
    blocked, permitted = asyncio.run(asked(zones))
    assert blocked == "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using bl.example"
    assert permitted == "ok"


async def asked(zones: dict[str, Zone | Fault]) -> list[str]:
    """What becomes of a client under a block list, and under an allow list before ``reject``; 0.3 s for a question."""
    replies = []
    for restrictions in ("reject_rbl_client bl.example", "permit_dnswl_client bl.example=127.0.[0..40].2, reject"):
        with DnsServer(zones) as dns:
            config = Config.from_settings({
                "compatibility_level": "3.6", "mydestination": "local.example", "local_recipient_maps": "",
                "smtpd_recipient_restrictions": restrictions, "resolver_nameservers": dns.address,
            })  # fmt: skip
            resolver = Resolver(config, deadline_s=0.3)
            registered = PluginManager(config.words("plugins")).registered("restrictions")
            engine = RestrictionEngine(config, Tables(config), resolver, registered)
            session = Session(Client("192.0.2.1"))
            session.sender, session.recipient = Address("s", "a.example"), Address("r", "local.example")
            verdict = await engine.at_rcpt(session)
            replies.append(f"{verdict.code} {verdict.enhanced} {verdict.text}" if verdict else "ok")
            await resolver.close()
    return replies
