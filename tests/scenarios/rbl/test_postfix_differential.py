"""DNS lists as Debian's Postfix asks them: the same clients, the same name server, the same replies and log lines."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from peers.dns_list_cases import REPLIES, RESTRICTIONS, Case, Cases
from peers.dns_server import DnsServer, Fault, Zone
from peers.gateway import GatewayInstance
from peers.instance import MailInstance
from peers.ports import LOOPBACK, free_port
from peers.postfix_dns import PostfixWithDns, name_server

SETTINGS = {
    "mydestination": "regexp:{dir}/conf/local",
    "local_recipient_maps": "",
    "mynetworks": "",
    "myhostname": "mx.local.example",
    "inet_protocols": "all",
    "smtpd_authorized_xclient_hosts": LOOPBACK,
    "smtpd_relay_restrictions": "reject_unauth_destination",
    "smtpd_error_sleep_time": "0",
    "in_flow_delay": "0",  # Postfix would slow down for messages that are begun and not finished
}
FILES = {"replies": REPLIES, "local": "/^[de][0-9]+\\.local\\.example$/ yes\n"}
DIFFERENT_ZONES: dict[str, Zone | Fault] = {
    "1.2.0.192.a.example": {"A": ["127.0.0.2"], "TXT": ['"one, " "two"']},
    "2.2.0.192.a.example": {"A": ["127.0.0.2"], "TXT": ['"' + 240 * "x" + '"', '"' + 240 * "y" + '"']},
    "dotted.example.n.example": {"A": ["127.0.0.2"]},
    "upper.example.n.example": {"A": ["127.0.0.2"]},
}
_CLIENT = Case("client", "192.0.2.1", "c.example", "c.example", "h.example", "s@s.example", ("r@d0.local.example",))
_BLOCKED = "554 5.7.1 Service unavailable; {} blocked using {}.example"
DIFFERENT = {
    # All strings of a TXT record are one text; Postfix takes the first.
    _CLIENT: (
        _BLOCKED.format("Client host [192.0.2.1]", "a") + "; one, ",
        _BLOCKED.format("Client host [192.0.2.1]", "a") + "; one, two",
    ),
    # A reply line has no more than 512 octets (RFC 5321 section 4.5.3.1.5).
    replace(_CLIENT, address="192.0.2.2"): (
        _BLOCKED.format("Client host [192.0.2.2]", "a") + "; " + 240 * "x" + " / " + 240 * "y",
        (_BLOCKED.format("Client host [192.0.2.2]", "a") + "; " + 240 * "x" + " / " + 240 * "y")[: 10 + 480],
    ),
    # Nobody leaves a list by a dot.
    replace(_CLIENT, service="helo", helo="dotted.example."): (
        "250 2.1.5 Ok", _BLOCKED.format("Helo command [dotted.example.]", "n"),
    ),
    # Domains of envelope addresses are lower-case here.
    replace(_CLIENT, service="sender", sender="S@Upper.Example"): (
        _BLOCKED.format("Sender address [S@Upper.Example]", "n"),
        _BLOCKED.format("Sender address [S@upper.example]", "n"),
    ),
}  # fmt: skip
"""Cases with different replies: Postfix's and the gateway's."""
_RAW = ("default_rbl_reply", "smtpd_expansion_filter")


@dataclass
class Played:
    """What a server did: the replies of each case, its log, and the names of lists that it asked for."""

    replies: dict[Case, list[str]]
    different: dict[Case, str]
    rejects: list[str]
    asked: set[str]


def service_lines(ports: dict[str, int]) -> list[str]:
    """A row of master.cf for each service."""
    lines = []
    for service, settings in RESTRICTIONS.items():
        options = " ".join(
            f"-o {{ {name} = {value if name in _RAW else value.replace('$', '$$')} }}"
            for name, value in settings.items()
        )
        lines.append(f"{LOOPBACK}:{ports[service]} inet n - n - 1 smtpd {options}")
    return lines


def spoken(case: Case, port: int) -> list[str]:
    """The replies to one case's RCPT commands."""
    with socket.create_connection((LOOPBACK, port), 20) as connection, connection.makefile("rb") as stream:

        def reply() -> str:
            while True:
                line = stream.readline(2048).decode(errors="replace").rstrip("\r\n")
                if line[3:4] != "-":
                    return line

        def ask(command: str) -> str:
            connection.sendall(command.encode() + b"\r\n")
            return reply()

        assert reply().startswith("220")
        assert ask(case.xclient).startswith("220")
        assert ask(f"EHLO {case.helo}").startswith("250")
        assert ask(f"MAIL FROM:<{case.sender}>").startswith("250")
        replies: list[str] = []
        for recipient in case.recipients:
            replies.append(ask(f"RCPT TO:<{recipient}>"))
            if replies[-1].startswith("521"):
                assert stream.read() == b""
                break
        return replies


def play(instance: MailInstance, ports: dict[str, int], cases: Cases, dns: DnsServer) -> Played:
    """Every case, one after the other; the instance runs."""
    dns.queries.clear()
    replies = {case: spoken(case, ports[case.service]) for case in cases.cases}
    asked = {name for name, kind in dns.queries if kind == "A" and re.search(r"\.[abn]\.example$", name)}
    different = {case: spoken(case, ports[case.service])[0] for case in DIFFERENT}
    instance.stop()
    rejects = re.findall(r"NOQUEUE: (reject(?:_warning)?: RCPT from (?!c\.example).*)", instance.log_text())
    return Played(replies, different, rejects, asked)


@pytest.fixture(scope="module")
def cases() -> Cases:
    return Cases(seed=20, each=12)


@pytest.fixture(scope="module")
def dns(cases: Cases) -> Iterator[DnsServer]:
    with name_server(cases.zones | DIFFERENT_ZONES) as server:
        yield server


def ports() -> dict[str, int]:
    return {service: free_port() for service in RESTRICTIONS}


@pytest.fixture(scope="module")
def postfix(cases: Cases, dns: DnsServer) -> Played:
    at = ports()
    with PostfixWithDns(dns, SETTINGS, services=service_lines(at), files=FILES) as instance:
        return play(instance, at, cases, dns)


@pytest.fixture(scope="module")
def gateway(cases: Cases, dns: DnsServer) -> Played:
    at = ports()
    settings = SETTINGS | {"resolver_nameservers": dns.address, "smtpd_workers": "1"}
    with GatewayInstance(settings, services=service_lines(at), files=FILES) as instance:
        return play(instance, at, cases, dns)


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("service", RESTRICTIONS)
def test_replies(service: str, cases: Cases, postfix: Played, gateway: Played) -> None:
    of_service = list(cases.of(service))
    assert [(case, gateway.replies[case]) for case in of_service] == [
        (case, postfix.replies[case]) for case in of_service
    ]
    assert len(of_service) == 12


@pytest.mark.peer("postfix")
def test_log_lines(postfix: Played, gateway: Played) -> None:
    assert gateway.rejects == postfix.rejects
    assert any(line.startswith("reject_warning") for line in gateway.rejects)


@pytest.mark.peer("postfix")
def test_the_same_questions(postfix: Played, gateway: Played) -> None:
    assert gateway.asked == postfix.asked


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("case", DIFFERENT, ids=lambda case: f"{case.service} {case.address}")
def test_what_differs(case: Case, postfix: Played, gateway: Played) -> None:
    assert (postfix.different[case], gateway.different[case]) == DIFFERENT[case]


@pytest.mark.peer("postfix")
def test_the_cases_are_not_all_alike(cases: Cases, postfix: Played) -> None:
    replies = [reply for lines in postfix.replies.values() for reply in lines]
    assert len(replies) > 450
    for sort in ("250 ", "554 5.7.1 Service", "450 4.7.1 <", "450 4.1.1", "450 4.0.0", "521 ", "554 5.7.1 <far@"):
        assert any(reply.startswith(sort) for reply in replies), sort
