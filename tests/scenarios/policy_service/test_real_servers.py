"""The policy servers that Debian packages, asked by a live gateway."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest
from peers.gateway import GatewayInstance
from peers.policy_daemons import Postfwd, Postgrey, RateLimit, SpfPolicy
from peers.ports import LOOPBACK, wait_for
from peers.postfix_dns import name_server
from peers.sinks import RecordingSink

SETTINGS = {
    "mydestination": "",
    "relay_domains": "local.example",
    "smtpd_relay_restrictions": "reject_unauth_destination",
    "smtpd_authorized_xclient_hosts": LOOPBACK,
    "smtpd_workers": "1",
    "smtpd_error_sleep_time": "0",
}


@pytest.fixture
def sink() -> Iterator[RecordingSink]:
    with RecordingSink() as sink:
        yield sink


class Started:
    """Gateways and their clients, all ended with the test."""

    def __init__(self, relay_port: int) -> None:
        self.stack, self._relay_port = ExitStack(), relay_port

    def __call__(self, restrictions: str, **more: str) -> GatewayInstance:
        settings = SETTINGS | {
            "relayhost": f"[{LOOPBACK}]:{self._relay_port}",
            "smtpd_recipient_restrictions": restrictions,
        }
        return self.stack.enter_context(GatewayInstance(settings | more))

    def client(self, gateway: GatewayInstance, *who: str) -> Client:
        return self.stack.enter_context(Client(gateway, *who))


@pytest.fixture
def start(sink: RecordingSink) -> Iterator[Started]:
    started = Started(sink.port)
    with started.stack:
        yield started


def received(sink: RecordingSink, count: int) -> list[bytes]:
    """Contents, when there are so many."""
    wait_for(lambda: len(sink.messages) >= count, f"{count} messages at the sink")
    return [message.content for message in sink.messages]


class Client(AbstractContextManager["Client"]):
    """A client that is somebody else."""

    def __init__(
        self, gateway: GatewayInstance, address: str = "203.0.113.9", name: str = "mail.client.example"
    ) -> None:
        self.smtp = smtplib.SMTP(LOOPBACK, gateway.port, "h.client.example", timeout=20)
        self.smtp.docmd("XCLIENT", f"ADDR={address} NAME={name}")
        self.smtp.ehlo()

    def __exit__(self, *_: object) -> None:
        self.smtp.close()

    def rcpt(self, sender: str = "s@sender.example", recipient: str = "u@local.example") -> str:
        """MAIL and RCPT in a new transaction; the reply to RCPT."""
        self.smtp.rset()
        self.smtp.mail(sender)
        code, text = self.smtp.rcpt(recipient)
        return f"{code} {text.decode()}"

    def data(self) -> str:
        code, text = self.smtp.data(b"Subject: policy\r\n\r\nhello\r\n")
        return f"{code} {text.decode()}"


@pytest.mark.peer("postgrey")
def test_postgrey(start: Started, sink: RecordingSink) -> None:
    with Postgrey() as grey:
        gateway = start(f"check_policy_service unix:{grey.path}")
        client = start.client(gateway)
        first = client.rcpt()
        assert first.startswith("450 4.2.0 <u@local.example>: Recipient address rejected: Greylisted")
        wait_for(lambda: client.rcpt().startswith("250"), "the end of greylisting", 10, pause_s=0.3)
        assert client.data().startswith("250")
        (message,) = received(sink, 1)
        assert b"X-Greylist: delayed " in message
        grey.kill()  # restarted, as an upgrade does: nothing is refused
        grey.start()
        assert client.rcpt().startswith("250")
        assert "problem talking" not in gateway.log_text()


@pytest.mark.peer("postfwd1")
def test_postfwd(start: Started, sink: RecordingSink) -> None:
    rules = (
        "id=BAD; sender=bad@sender.example; action=REJECT not you",
        "id=MANY; recipient_count=2; protocol_state==DATA; action=450 4.5.3 one at a time",
        "id=BIG; size>=1000; action=DEFER_IF_PERMIT too big",
        "id=HELO; helo_name=h.client.example; protocol_state==RCPT; action=PREPEND X-Firewall: seen",
    )
    with Postfwd(*rules) as firewall:
        check = f"check_policy_service {firewall.endpoint}"
        gateway = start(check, smtpd_data_restrictions=check)
        client = start.client(gateway)
        assert client.rcpt("bad@sender.example").endswith("Recipient address rejected: not you")
        client.smtp.rset()
        client.smtp.mail("s@sender.example", ["SIZE=5000"])
        assert client.smtp.rcpt("u@local.example") == (
            450,
            b"4.7.1 <u@local.example>: Recipient address rejected: too big",
        )
        assert client.rcpt().startswith("250")
        client.smtp.rcpt("v@local.example")
        assert client.smtp.docmd("DATA") == (450, b"4.5.3 <DATA>: Data command rejected: one at a time")
        assert client.rcpt().startswith("250")
        assert client.data().startswith("250")
        (message,) = received(sink, 1)
        assert b"X-Firewall: seen\r\n" in message


@pytest.mark.peer("policyd-rate-limit", "root")
def test_policyd_rate_limit(start: Started) -> None:
    with RateLimit(2) as limiter:
        gateway = start(f"check_policy_service {{ {limiter.endpoint}, policy_context=rate }}")
        client, other = start.client(gateway), start.client(gateway, "198.51.100.7", "other.example")
        replies = [client.rcpt() for _ in range(4)]
        assert [reply[:3] for reply in replies] == ["250", "250", "450", "450"]
        assert replies[-1].endswith("Recipient address rejected: Rate limit reach, retry later")
        assert other.rcpt().startswith("250")


@pytest.mark.peer("policyd-spf", "root")
def test_policyd_spf(start: Started, sink: RecordingSink) -> None:
    zones = {
        "sender.example": {"TXT": ['"v=spf1 ip4:203.0.113.9 -all"']},
        "soft.example": {"TXT": ['"v=spf1 ~all"']},
        "h.client.example": {"TXT": ['"v=spf1 +all"']},
    }
    with name_server(zones) as dns, SpfPolicy(dns) as spf:
        gateway = start(f"check_policy_service {spf.endpoint}")
        good, forger = start.client(gateway), start.client(gateway, "198.51.100.66", "forger.example")
        assert good.rcpt().startswith("250")
        refused = forger.rcpt()
        assert refused.startswith(
            "550 5.7.23 <u@local.example>: Recipient address rejected: Message rejected due to: SPF fail"
        )
        assert forger.rcpt("s@soft.example").startswith("250")
        # Interleaved, and still each message has its header once: the server keeps what it knows by instance.
        good.smtp.rcpt("v@local.example")
        forger.smtp.rcpt("v@local.example")
        assert good.data().startswith("250")
        assert forger.data().startswith("250")
        messages = received(sink, 2)
        for message in messages:
            assert message.count(b"\nReceived-SPF: ") + message.startswith(b"Received-SPF: ") == 1
        assert ("sender.example", "TXT") in [(name.rstrip("."), kind) for name, kind in dns.queries]
        assert len(spf.processes) == 2
