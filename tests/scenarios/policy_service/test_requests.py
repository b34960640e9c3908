"""What a policy server is asked, octet for octet, and what becomes of its answers, beside Debian's Postfix."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from peers.gateway import GatewayInstance
from peers.policy_dialogues import DIALOGUES, decide
from peers.policy_server import PolicyServer, attributes_of
from peers.ports import LOOPBACK, free_port
from peers.postfix import PostfixInstance

SETTINGS = {
    "compatibility_level": "3.6",
    "myhostname": "mx.local.example",
    "myorigin": "local.example",
    "mydestination": "local.example, localhost.local.example",
    "relay_domains": "relay.example",
    "local_recipient_maps": "",
    "inet_protocols": "all",
    "smtpd_authorized_xclient_hosts": f"{LOOPBACK}, 203.0.113.9",
    "smtpd_error_sleep_time": "0",
    "smtpd_soft_error_limit": "1000",
    "smtpd_hard_error_limit": "1000",
    "smtpd_junk_command_limit": "1000",
    "local_transport": "discard:",
    "relay_transport": "discard:",
    "default_transport": "discard:",
    "strict_rfc821_envelopes": "no",
    "stress": "yes",
}
LISTS = ("client", "helo", "sender", "relay", "recipient", "data", "end_of_data")
MODES = ("delayed", "immediate")
_ID = re.compile(r"[0-9A-Za-z]{6,}")
_INSTANCE = re.compile(r"[0-9a-f]+\.[0-9a-f]+\.[0-9a-f]+\.[0-9a-f]+")
Played = list[tuple[str, str, list[str]]]


class Talk:
    """One SMTP connection: commands out, replies in; what the policy server was asked meanwhile, made comparable."""

    def __init__(self, port: int, server: PolicyServer) -> None:
        self.server = server
        self._names: dict[str, str] = {}
        self._connection = socket.create_connection((LOOPBACK, port), 20)
        self._local, self._remote = str(self._connection.getsockname()[1]), str(port)
        self._stream = self._connection.makefile("rb")

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._connection.close()

    def say(self, command: str) -> tuple[str, str, list[str]]:
        """The command, its reply, and the requests that came before the reply."""
        if command:
            self._connection.sendall(
                command.encode() + b"\r\n" * (not command.startswith("BDAT") or "\r\n" not in command)
            )
        lines = []
        while not lines or lines[-1][3:4] == "-":
            lines.append(self._stream.readline(2048).decode(errors="replace").rstrip("\r\n"))
        asked = [self._comparable(request) for request in self.server.taken()]
        reply = re.sub(r"Ok: (\d+ bytes )?queued as \w+", "Ok: queued as ID", lines[-1])
        return command, reply, asked

    def _comparable(self, request: bytes) -> str:
        attributes = attributes_of(request)
        text = request.decode(errors="surrogateescape")
        for name, form in (("queue_id", _ID), ("instance", _INSTANCE)):
            if value := attributes[name]:
                assert form.fullmatch(value)
                known = self._names.setdefault(value, f"{name}-{len(self._names)}")
                text = text.replace(f"\n{name}={value}\n", f"\n{name}={known}\n")
        text = text.replace(f"\nclient_port={self._local}\n", "\nclient_port=OURS\n")
        return text.replace(f"\nserver_port={self._remote}\n", "\nserver_port=ITS\n")


# What is on purpose otherwise here, as Postfix has it: docs/postfix-differences.md.
DIFFERENT = {
    ("immediate", "a HELO name that is none"): [("helo_name=a<b>c(d)\\e;f@g\n", "helo_name=a?b?c?d??e?f?g\n")],
}


def as_here(key: tuple[str, str], played: Played) -> Played:
    """What Postfix did, with the known differences."""

    def other(text: str) -> str:
        for theirs, ours in DIFFERENT.get(key, ()):
            text = text.replace(theirs, ours)
        return text

    return [(command, other(reply), [other(request) for request in asked]) for command, reply, asked in played]


def all_played(kind: type[PostfixInstance] | type[GatewayInstance]) -> dict[tuple[str, str], Played]:
    with PolicyServer(decide) as server:
        lists = {
            f"smtpd_{name}_restrictions": f"check_policy_service {{ {server.endpoint}, policy_context={name} }}"
            for name in LISTS
        }
        lists["smtpd_relay_restrictions"] += ", reject_unauth_destination"
        ports = dict(zip(MODES, (free_port(), free_port()), strict=True))
        answers = {"delayed": "yes", "immediate": "no"}
        services = [
            f"{LOOPBACK}:{ports[mode]} inet n - n - 1 smtpd -o smtpd_delay_reject={answers[mode]}" for mode in MODES
        ]
        more = {"smtpd_workers": "1"} if kind is GatewayInstance else {}
        with kind(SETTINGS | lists | more, services=services):
            found = {}
            for mode in MODES:
                for title, commands in DIALOGUES.items():
                    server.taken()
                    with Talk(ports[mode], server) as talk:
                        found[mode, title] = [talk.say(command) for command in ("", *commands)]
            return found


@pytest.fixture(scope="module")
def of_gateway() -> Iterator[dict[tuple[str, str], Played]]:
    yield all_played(GatewayInstance)


@pytest.fixture(scope="module")
def of_postfix() -> Iterator[dict[tuple[str, str], Played]]:
    yield all_played(PostfixInstance)


@pytest.mark.peer("postfix")
@pytest.mark.parametrize("title", DIALOGUES)
@pytest.mark.parametrize("mode", MODES)
def test_requests_and_replies_are_those_of_postfix(mode: str, title: str, of_gateway: Any, of_postfix: Any) -> None:
    assert of_gateway[mode, title] == as_here((mode, title), of_postfix[mode, title])


def test_there_are_enough(of_gateway: dict[tuple[str, str], Played]) -> None:
    assert len(DIALOGUES) >= 30
    states = {
        attributes_of(request.encode(errors="surrogateescape"))["protocol_state"]
        for played in of_gateway.values()
        for _, _, asked in played
        for request in asked
    }
    assert states == {"CONNECT", "XCLIENT", "HELO", "EHLO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE", "VRFY"}
