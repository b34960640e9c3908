"""Which keys restrictions ask tables for, beside real Postfix: the same keys, in the same order, the same replies.

Postfix's tables are a server that writes down what it is asked (:mod:`peers.key_recorder`), ours write it down
themselves; both have the same content (:mod:`peers.lookup_cases`).
"""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Iterator

import gateway_access
import pytest
from peers.key_recorder import KeyRecorder
from peers.lookup_cases import (
    CASES_EACH,
    Case,
    Recorded,
    Setup,
    as_options,
    cases,
    filled,
    free_ports,
    is_there,
    setups,
    their_tables,
)  # fmt: skip
from peers.ports import LOOPBACK
from peers.postfix import PostfixInstance

from gateway.maps.table import folded
from gateway.model.client import Client
from gateway.model.restriction import RestrictionKind
from gateway.model.session import Session
from gateway.restrictions import RestrictionEngine
from gateway.rfc.rfc5321 import parse_path

pytestmark = pytest.mark.peer("postfix")

# One address resolver serves all smtpd: what it knows is the same for all configurations.
BASE = {
    "compatibility_level": "3.6",
    "myhostname": "mx.local.example",
    "mydestination": "local.example, straße.example",
    "myorigin": "origin.example",
    "relay_domains": "relay.example, origin.example",
    "virtual_alias_domains": "valias.example",
    "virtual_mailbox_domains": "vmail.example",
    "mynetworks": "0.0.0.0/0, [::]/0",
    "inet_interfaces": "127.0.0.1",
}
CHECKED = {
    "smtpd_recipient_restrictions": "check_client_access {client}, check_helo_access {helo},"
    " check_sender_access {sender}, check_recipient_access {recipient}, reject_unlisted_sender,"
    " reject_unlisted_recipient",
    "recipient_canonical_maps": "{rcanon}",
    "sender_canonical_maps": "{scanon}",
    "canonical_maps": "{canon} {canon2}",
    "virtual_alias_maps": "{virtual}",
    "local_recipient_maps": "{local}",
    "relay_recipient_maps": "{relay}",
    "virtual_mailbox_maps": "{vmailbox}",
}
ACCESS_TABLES = ("client", "helo", "sender", "recipient")
TABLES = (*ACCESS_TABLES, "rcanon", "scanon", "canon", "canon2", "virtual", "local", "relay", "vmailbox")
SETUPS = setups(
    (
        {},
        {"recipient_delimiter": "+"},
        {"recipient_delimiter": "+-", "parent_domain_matches_subdomains": "relay_domains"},
        {"recipient_delimiter": "-", "owner_request_special": "no", "smtpd_null_access_lookup_key": "null@"},
        {"recipient_delimiter": "=_", "smtpd_null_access_lookup_key": "null@domain"},
    ),
    density=12,
)


def answer(name: str, key: str) -> str | None:
    index, _, table = name.partition(".")
    if not is_there(SETUPS[int(index)], table, key):
        return None
    return f"REJECT {table} has it" if table in ACCESS_TABLES else "someone@far.example"


class NoDns:
    async def mx(self, domain: str) -> list[tuple[int, str]]:
        raise AssertionError("needs no DNS")

    async def addresses(self, host: str) -> list[str]:
        raise AssertionError("needs no DNS")


class OurSide:
    """The restriction engine with recording tables."""

    def __init__(self, setup: Setup) -> None:
        self.recorded = Recorded(setup, BASE | CHECKED, TABLES, answer)
        registered: dict[str, RestrictionKind] = {}
        gateway_access.restrictions(registered.__setitem__)
        self.engine = RestrictionEngine(self.recorded.config, self.recorded.tables, NoDns(), registered)

    async def judge(self, case: Case) -> tuple[str, list[tuple[str, str]]]:
        address, name = case.client
        session = Session(Client(address, name=name, reverse_name=name, name_code=2, reverse_code=2))
        session.helo = case.helo
        session.sender = parse_path(f"<{case.sender}>".encode())
        session.recipient = parse_path(f"<{case.recipient}>".encode())
        self.recorded.asked.clear()
        verdict = await self.engine.at_rcpt(session)
        reply = f"{verdict.code} {verdict.enhanced} {verdict.text}" if verdict else "ok"
        return reply, list(self.recorded.asked)


class TheirSide:
    """One smtpd of the private Postfix."""

    def __init__(self, port: int, recorder: KeyRecorder) -> None:
        self.smtp, self.recorder = smtplib.SMTP(LOOPBACK, port, timeout=20), recorder
        self.smtp.command_encoding = "utf-8"

    def judge(self, case: Case) -> tuple[str, list[tuple[str, str]]]:
        smtp, (address, name) = self.smtp, case.client
        prefix = "IPV6:" if ":" in address else ""
        shown = "[UNAVAILABLE]" if name == "unknown" else name
        for command in ("RSET", f"XCLIENT ADDR={prefix}{address} NAME={shown}", f"EHLO {case.helo}"):
            code, text = smtp.docmd(command)
            assert code in (220, 250), (command, text)
        code, text = smtp.docmd(f"MAIL FROM:<{case.sender}> SMTPUTF8")
        if code == 250:
            self.recorder.take()
            code, text = smtp.docmd(f"RCPT TO:<{case.recipient}>")
        return "ok" if code == 250 else f"{code} {text.decode()}", self.recorder.take()

    def close(self) -> None:
        self.smtp.close()


@pytest.fixture(scope="module")
def recorder() -> Iterator[KeyRecorder]:
    with KeyRecorder(answer) as made:
        yield made


@pytest.fixture(scope="module")
def ports(recorder: KeyRecorder) -> Iterator[list[int]]:
    ports = free_ports(len(SETUPS))
    services, files = [], {}
    for setup, port in zip(SETUPS, ports, strict=True):
        spec, named = their_tables(setup, TABLES, recorder)
        files.update(named)
        options = as_options(setup.settings | filled(CHECKED, spec))
        services.append(f"{LOOPBACK}:{port} inet n - n - 1 smtpd {options}")
    settings = BASE | {
        "smtpd_authorized_xclient_hosts": "0.0.0.0/0, [::]/0",
        "inet_protocols": "all",
        "smtpd_error_sleep_time": "0",
        "smtpd_soft_error_limit": "10000",
        "smtpd_hard_error_limit": "10000",
        "in_flow_delay": "0",  # nothing that is begun here is ever delivered
    }
    with PostfixInstance(settings, services=services, files=files):
        yield ports


def shown(reply: str, asked: list[tuple[str, str]]) -> tuple[str, list[str]]:
    """What is compared: replies by their letters, since Postfix names an address in the case it came in."""
    return folded(reply), [f"{table.partition('.')[2]}: {key}" for table, key in asked]


@pytest.mark.parametrize("setup", SETUPS, ids=str)
def test_same_keys_same_order_same_reply(setup: Setup, ports: list[int], recorder: KeyRecorder) -> None:
    theirs, ours = TheirSide(ports[setup.index], recorder), OurSide(setup)
    try:
        for case in cases(setup):
            expected = shown(*theirs.judge(case))
            assert shown(*asyncio.run(ours.judge(case))) == expected, (setup, case)
    finally:
        theirs.close()


def test_there_are_enough_cases() -> None:
    assert len(SETUPS) * CASES_EACH >= 500
