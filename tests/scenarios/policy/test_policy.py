"""Plays the golden policy scripts against the restriction engine, the live gateway and real Postfix. See README.md."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import gateway_access
import pytest
from peers.gateway import GatewayInstance
from peers.ports import LOOPBACK
from peers.postfix import PostfixInstance

from gateway.config import Config
from gateway.maps import Tables
from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.envelope import Recipient
from gateway.model.restriction import RestrictionKind
from gateway.model.session import Session
from gateway.model.verdict import Verdict
from gateway.restrictions import RestrictionEngine

HERE = Path(__file__).parent
# What trivial-rewrite knows must be the same for all scenarios: it has one main.cf.
BASE = {
    "compatibility_level": "3.6",
    "myhostname": "mx.local.example",
    "myorigin": "local.example",
    "mydestination": "local.example",
    "relay_domains": "relay.example",
    "virtual_alias_domains": "valias.example",
    "virtual_mailbox_domains": "vmail.example",
    "mynetworks": "127.0.0.0/8, 192.0.2.0/24, [2001:db8::]/120",
    "inet_interfaces": "127.0.0.1",
    "local_recipient_maps": "inline:{known=x, full@local.example=x}",
    "relay_recipient_maps": "inline:{known@relay.example=x, known@sub.relay.example=x, @open.relay.example=x}",
    "virtual_alias_maps": "inline:{known@valias.example=known@relay.example}",
    "virtual_mailbox_maps": "inline:{known@vmail.example=x}",
    "recipient_delimiter": "+",
}
PEER = {
    "smtpd_authorized_xclient_hosts": "127.0.0.1",
    "inet_protocols": "all",
    "smtpd_error_sleep_time": "0",
    "smtpd_soft_error_limit": "1000",
    "smtpd_hard_error_limit": "1000",
    "smtpd_junk_command_limit": "1000",
    "local_transport": "discard:",
    "relay_transport": "discard:",
    "virtual_transport": "discard:",
    "default_transport": "discard:",
}
NAME_CODES = {"unknown": 5, "temporary": 4}


@dataclass
class Line:
    number: int
    verb: str
    argument: str
    expected: str
    postfix: str
    gateway: str


@dataclass
class Scenario:
    title: str
    index: int
    settings: dict[str, str] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)

    def file(self, name: str) -> str:
        return f"{name}.{self.index}"

    def settings_in(self, directory: str) -> dict[str, str]:
        def located(text: str) -> str:
            for name in self.tables:
                text = text.replace("{dir}/" + name, f"{directory}/{self.file(name)}")
            return text

        return {key: located(value) for key, value in self.settings.items()}


def parse(path: Path, first: int) -> list[Scenario]:
    scenarios: list[Scenario] = []
    table = ""
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = raw.strip()
        if text.startswith("=== "):
            scenarios.append(Scenario(f"{path.stem}: {text[4:]}", first + len(scenarios)))
            table = ""
        elif text and not text.startswith("#"):
            scenario = scenarios[-1]
            name, equals, value = text.partition(" =")
            if text.startswith("postfix: "):
                scenario.lines[-1].postfix = text[9:].partition(" | ")[0]
            elif text.startswith("gateway: "):
                scenario.lines[-1].gateway = text[9:].partition(" | ")[0]
            elif raw[0] == " " and table:
                scenario.tables[table] += text + "\n"
            elif text.startswith("table "):
                table = text[6:]
                scenario.tables[table] = ""
            elif equals and " " not in name:
                scenario.settings[name] = value.strip()
            else:
                command, _, expected = text.partition(" -> ")
                verb, _, argument = command.partition(" ")
                expected = expected or "ok"
                scenario.lines.append(Line(number, verb, argument, expected, expected, expected))
    return scenarios


def all_scenarios() -> list[Scenario]:
    found: list[Scenario] = []
    for path in sorted(HERE.glob("*.policy")):
        found += parse(path, len(found))
    return found


SCENARIOS = all_scenarios()


class EnginePlayer:
    """Does with a session what the smtpd shell does."""

    def __init__(self, scenario: Scenario, directory: Path) -> None:
        for name, text in scenario.tables.items():
            (directory / scenario.file(name)).write_text(text, encoding="utf-8")
        registered: dict[str, RestrictionKind] = {}
        gateway_access.restrictions(registered.__setitem__)
        self.config = Config.from_settings(BASE | scenario.settings_in(str(directory)))
        self.engine = RestrictionEngine(self.config, Tables(self.config), NoDns(), registered)
        self.session = Session(Client("unknown"))

    async def play(self, line: Line) -> str:
        session, engine = self.session, self.engine
        if line.verb == "noted":
            noted = [*session.connection_actions, *session.actions]
            return " ".join(verdict.action.value for verdict in noted)
        verdict: Verdict | None = None
        match line.verb:
            case "client":
                address, name = line.argument.split()
                code = NAME_CODES.get(name, 2)
                shown = name if code == 2 else "unknown"
                self.session = session = Session(
                    Client(address, name=shown, reverse_name=shown, name_code=code, reverse_code=code)
                )
                verdict = await engine.at_connect(session)
            case "helo":
                session.reset()
                before, session.helo = session.helo, line.argument
                verdict = await engine.at_helo(session)
                session.helo = before if verdict else session.helo
            case "mail":
                session.sender = Address.of(line.argument)
                verdict = await engine.at_mail(session)
                if verdict:
                    session.reset()
            case "rcpt":
                session.recipient = address_of(line.argument)
                verdict = await engine.at_rcpt(session)
                if not verdict:
                    session.recipients.append(Recipient(session.recipient))
                    session.rcpt_count += 1
                session.recipient = None
            case "data":
                verdict = await engine.at_data(session)
            case "end":
                verdict = await engine.at_end_of_data(session)
                session.reset()
            case "rset":
                session.reset()
            case _:
                raise AssertionError(f"line {line.number}: unknown verb {line.verb}")
        return f"{verdict.code} {verdict.enhanced} {verdict.text}" if verdict else "ok"


def address_of(text: str) -> Address:
    local, at, domain = text.rpartition("@")
    if not at:
        return Address(text)
    return Address(local[1:-1] if local.startswith('"') else local, domain)


class NoDns:
    async def mx(self, domain: str) -> list[tuple[int, str]]:
        raise AssertionError("scripts need no DNS")

    async def addresses(self, host: str) -> list[str]:
        raise AssertionError("scripts need no DNS")


class SmtpPlayer:
    """Speaks SMTP with one smtpd."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection: socket.socket | None = None

    def ask(self, command: str) -> str:
        assert self.connection is not None
        self.connection.sendall(command.encode() + b"\r\n")
        return self._reply()

    def _reply(self) -> str:
        while True:
            line = self.stream.readline(2048).decode(errors="replace").rstrip("\r\n")
            if line[3:4] != "-":
                return line

    def close(self) -> None:
        if self.connection is not None:
            self.stream.close()
            self.connection.close()
            self.connection = None

    def play(self, line: Line) -> str:
        match line.verb:
            case "client":
                self.close()
                self.connection = socket.create_connection((LOOPBACK, self.port), 20)
                self.stream = self.connection.makefile("rb")
                self._reply()
                address, name = line.argument.split()
                shown = {"unknown": "[UNAVAILABLE]", "temporary": "[TEMPUNAVAIL]"}.get(name, name)
                prefix = "IPV6:" if ":" in address else ""
                reply = self.ask(f"XCLIENT ADDR={prefix}{address} NAME={shown}")
            case "helo":
                reply = self.ask(f"EHLO {line.argument}")
            case "mail":
                reply = self.ask(f"MAIL FROM:<{line.argument}>")
            case "rcpt":
                reply = self.ask(f"RCPT TO:<{line.argument}>")
            case "end":
                reply = self.ask("Subject: policy\r\n\r\nhello\r\n.")
            case "noted":
                return "ok"
            case _:
                reply = self.ask(line.verb.upper())
        return "ok" if reply[:1] in ("2", "3") else reply


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_engine(scenario: Scenario, tmp_path: Path) -> None:
    async def play() -> list[str]:
        player = EnginePlayer(scenario, tmp_path)
        return [f"{line.number}: {await player.play(line)}" for line in scenario.lines]

    expected = [f"{line.number}: {line.expected if line.verb != 'noted' else line.argument}" for line in scenario.lines]
    assert asyncio.run(play()) == expected


def free_ports(count: int) -> list[int]:
    """As many different ports: each is held until all are known."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in held]
    finally:
        for each in held:
            each.close()


def services_for(ports: list[int]) -> tuple[list[str], dict[str, str]]:
    """One smtpd for each scenario with its settings as ``-o``, and the files they name."""
    services, files = [], {}
    for port, scenario in zip(ports, SCENARIOS, strict=True):
        options = scenario.settings_in("{dir}/conf")
        given = " ".join(f"-o {{ {name} = {value.replace('$', '$$')} }}" for name, value in options.items())
        services.append(f"{LOOPBACK}:{port} inet n - n - 1 smtpd {given}")
        files.update({scenario.file(name): text for name, text in scenario.tables.items()})
    return services, files


@pytest.fixture(scope="module")
def postfix_ports() -> Iterator[list[int]]:
    ports = free_ports(len(SCENARIOS))
    services, files = services_for(ports)
    with PostfixInstance(BASE | PEER, services=services, files=files):
        yield ports


@pytest.fixture(scope="module")
def gateway_ports() -> Iterator[list[int]]:
    ports = free_ports(len(SCENARIOS))
    services, files = services_for(ports)
    with GatewayInstance(BASE | PEER | {"smtpd_workers": "1"}, services=services, files=files):
        yield ports


def spoken(scenario: Scenario, port: int) -> list[str]:
    player = SmtpPlayer(port)
    try:
        return [player.play(line) for line in scenario.lines]
    finally:
        player.close()


def numbered(scenario: Scenario, replies: list[str]) -> list[str]:
    return [f"{line.number}: {reply}" for line, reply in zip(scenario.lines, replies, strict=True)]


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_postfix(scenario: Scenario, postfix_ports: list[int]) -> None:
    replies = spoken(scenario, postfix_ports[scenario.index])
    assert numbered(scenario, replies) == numbered(scenario, [line.postfix for line in scenario.lines])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_gateway(scenario: Scenario, gateway_ports: list[int]) -> None:
    replies = spoken(scenario, gateway_ports[scenario.index])
    expected = [
        reply if line.gateway == "*" else line.gateway for line, reply in zip(scenario.lines, replies, strict=True)
    ]
    assert numbered(scenario, replies) == numbered(scenario, expected)


def test_there_are_enough_cases() -> None:
    assert sum(line.verb not in ("client", "noted") for scenario in SCENARIOS for line in scenario.lines) > 200
