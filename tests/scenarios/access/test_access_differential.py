"""Access checks by servers, reverse names and logins, and who may use which sender: replies beside Debian's Postfix.

Both ask the same name server on loopback; clients are given by XCLIENT. peers/access_cases.py has the cases.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from peers.access_cases import FILES, OPEN_ENDED, SERVICES, SETTINGS, ZONES, Case, cases, has_ipv6
from peers.auth_server import AuthServer
from peers.dns_server import DnsServer
from peers.gateway import GatewayInstance
from peers.ports import LOOPBACK, free_port
from peers.postfix_dns import PostfixWithDns, name_server

pytestmark = pytest.mark.peer("postfix", "unshare")


def reply_to(port: int, case: Case) -> str:
    """What the server says to the recipient of a case, or to whatever it refused before."""
    with smtplib.SMTP(LOOPBACK, port, timeout=20) as client:
        for command in (
            f"XCLIENT {case.attributes}",
            f"EHLO {case.helo}",
            f"MAIL FROM:<{case.sender}>",
            f"RCPT TO:<{case.recipient}>",
        ):
            code, text = client.docmd(command)
            if code >= 400 or command.startswith("RCPT"):
                break
        return f"{code} {text.decode(errors='replace')}"


def services_of(ports: list[int]) -> list[str]:
    rows = []
    for port, service in zip(ports, SERVICES, strict=True):
        given = " ".join(f"-o {{ {name} = {value.replace('$', '$$')} }}" for name, value in service.settings.items())
        rows.append(f"{LOOPBACK}:{port} inet n - n - 1 smtpd {given}")
    return rows


@pytest.fixture(scope="module")
def dns() -> Iterator[DnsServer]:
    with name_server(ZONES) as server:
        yield server


@pytest.fixture(scope="module")
def ports(dns: DnsServer) -> Iterator[tuple[list[int], list[int]]]:
    """Ports of Postfix's smtpds and of ours."""
    theirs, ours = ([free_port() for _ in SERVICES] for _ in range(2))
    with ExitStack() as stack:
        auth = stack.enter_context(AuthServer())
        settings = SETTINGS | {"inet_protocols": "all" if has_ipv6() else "ipv4"}
        sasl = {"smtpd_sasl_type": "dovecot", "smtpd_sasl_path": auth.path}
        stack.enter_context(PostfixWithDns(dns, settings | sasl, services=services_of(theirs), files=FILES))
        own = {"resolver_nameservers": dns.address, "smtpd_workers": "1"}
        stack.enter_context(GatewayInstance(settings | own, services=services_of(ours), files=FILES))
        yield theirs, ours


@pytest.mark.parametrize("index", range(len(SERVICES)), ids=lambda index: f"{index}-{SERVICES[index].kind}")
def test_replies_are_postfix_s(index: int, ports: tuple[list[int], list[int]]) -> None:
    theirs, ours = ports
    replies = [
        (case, reply_to(theirs[index], case), reply_to(ours[index], case)) for case in cases(SERVICES[index], index)
    ]
    assert [each for each in replies if each[1] != each[2]] == []


@pytest.mark.parametrize("domain", ["failing.example", "failinghost.example"])
def test_servers_that_cannot_be_looked_up_now_let_nothing_through(
    domain: str, ports: tuple[list[int], list[int]]
) -> None:
    """Where Postfix differs: it warns, and the mail is taken."""
    index = SERVICES.index(OPEN_ENDED)
    case = Case("PORT=1", "host.example", f"s@{domain}", "r@local.example")
    theirs, ours = (reply_to(side[index], case) for side in ports)
    assert theirs == "250 2.1.5 Ok"
    why = f"Unable to look up mail exchangers of {domain}"
    assert ours == f"450 4.4.3 <s@{domain}>: Sender address rejected: {why}"


def test_there_are_enough_cases() -> None:
    assert sum(len(cases(service, index)) for index, service in enumerate(SERVICES)) > 1000
