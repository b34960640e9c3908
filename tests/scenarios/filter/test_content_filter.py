"""Mail through filters behind the queue: client, gateway, filter, gateway, next hop; the same with Debian's Postfix."""

from __future__ import annotations

import re
import smtplib
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import dkim
import pytest
from peers.after_queue_filter import HEADER, AddingFilter
from peers.amavis import Amavis
from peers.gateway import GatewayInstance
from peers.instance import MailInstance
from peers.ports import LOOPBACK, free_port
from peers.postfix import PostfixInstance
from peers.sinks import Received, RecordingSink
from peers.throwaway import throwaway

pytestmark = pytest.mark.peer("postfix")

OPTIONS = """
    -o content_filter=
    -o receive_override_options=no_unknown_recipient_checks,no_header_body_checks,no_milters,no_address_mappings
    -o smtpd_helo_restrictions= -o smtpd_client_restrictions= -o smtpd_sender_restrictions=
    -o smtpd_relay_restrictions=permit_mynetworks,reject -o smtpd_recipient_restrictions=permit_mynetworks,reject
    -o mynetworks=127.0.0.0/8 -o smtpd_authorized_xforward_hosts=127.0.0.0/8
"""
TO_FILTER = "- - n - 2 smtp -o smtp_data_done_timeout=1200 -o smtp_send_xforward_command=yes -o disable_dns_lookups=yes"
TRACE = re.compile(rb"(?:\A|(?<=\n))Received: (?:.*\r\n)(?:[ \t].*\r\n)*")
BODY = b"Subject:  two  spaces\r\n\tand a fold\r\nMIME-Version: 1.0\r\n\r\nbody \r\n\r\n.dot\r\n\xc3\xbc\r\n\r\n"
FROM = b"From: A <a@a.example>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@a.example>\r\n"


class Way(NamedTuple):
    """A mail system, the filter behind it, and what is behind both."""

    system: MailInstance
    filter: AddingFilter
    sink: RecordingSink
    back: int

    def send(self, content: bytes, *to: str, sender: str = "a@a.example", port: int = 0) -> None:
        with smtplib.SMTP(LOOPBACK, port or self.system.port, local_hostname="client.example", timeout=20) as client:
            client.sendmail(sender, to or ("r@b.example",), content, ["BODY=8BITMIME"])

    def post(self, content: bytes, to: str = "r@b.example") -> None:
        """With sendmail."""
        subprocess.run(
            [self.system.program("sendmail"), "-C", str(self.system.config_directory), "-f", "a@a.example", to],
            input=content, check=True, timeout=20,
            env={"MAIL_CONFIG": str(self.system.config_directory), "PATH": "/usr/sbin:/usr/bin"},
        )  # fmt: skip

    def arrived(self) -> list[Received]:
        """What came to the next hop since this was last asked; waits until the queue is empty."""
        self.system.wait_until_empty()
        messages = self.sink.messages[:]
        self.sink.messages.clear()
        return messages


@contextmanager
def way(kind: type[MailInstance], settings: dict[str, str] | None = None, *rows: str) -> Iterator[Way]:
    """A system with ``content_filter``; rows and settings may name ports as %(filter)d and %(sink)d."""
    back = free_port()
    with ExitStack() as stack:
        adding = stack.enter_context(AddingFilter(back))
        sink = stack.enter_context(RecordingSink(refuse={"no@b.example": "550 5.1.1 No such user"}))
        ports = {"filter": adding.port, "sink": sink.port}
        main = {
            "content_filter": "filter:[127.0.0.1]:%(filter)d",
            "default_transport": "smtp:[127.0.0.1]:%(sink)d",
            "relay_transport": "smtp:[127.0.0.1]:%(sink)d",
            "relay_domains": "relay.example",
            "relay_recipient_maps": "inline:{ { known@relay.example = x } }",
            "smtpd_peername_lookup": "no",
            "smtpd_client_message_rate_limit": "0",
            **(settings or {}),
        }
        services = [
            f"filter unix {TO_FILTER}",
            f"127.0.0.1:{back} inet n - n - - smtpd {' '.join(OPTIONS.split())}",
            *rows,
        ]
        system = kind({name: value % ports for name, value in main.items()}, services=[row % ports for row in services])
        yield Way(stack.enter_context(throwaway(system)), adding, sink, back)


@pytest.fixture(scope="module", params=[GatewayInstance, PostfixInstance], ids=["postgate", "postfix"])
def one(request: pytest.FixtureRequest) -> Iterator[Way]:
    """The way with access rules that send some senders' mail elsewhere."""
    rules = {
        "other@a.example": "FILTER other:[127.0.0.1]:%(sink)d",
        "twice@a.example": "FILTER nosuch:nowhere",
        "bare@a.example": "FILTER other:",
    }
    listed = ", ".join(f"{{ {sender} = {action} }}" for sender, action in rules.items())
    settings = {
        "smtpd_sender_restrictions": f"check_sender_access inline:{{ {listed} }}",
        "smtpd_recipient_restrictions": "check_sender_access inline:"
        "{ { twice@a.example = FILTER other:[127.0.0.1]:%(sink)d } }, permit_mynetworks, reject",
        "default_filter_nexthop": "[127.0.0.1]:%(sink)d",
        "internal_mail_filter_classes": "bounce, notify",
        "virtual_alias_maps": "inline:{ { alias@b.example = r@b.example } }",
        "soft_bounce": "no",
    }
    with way(request.param, settings, "other unix - - n - - smtp") as made:
        yield made


def is_filtered(message: Received) -> bool:
    return HEADER in message.content


@pytest.fixture(scope="module")
def key() -> tuple[bytes, bytes]:
    """An RSA key: private PEM, and the TXT record with the public one."""
    private = subprocess.run(["openssl", "genrsa", "-traditional", "2048"], check=True, capture_output=True).stdout
    done = subprocess.run(["openssl", "rsa", "-pubout"], check=True, capture_output=True, input=private)
    public = b"".join(line for line in done.stdout.splitlines() if not line.startswith(b"-"))
    return private, b"v=DKIM1; k=rsa; p=" + public


@pytest.mark.peer("dkimpy", "openssl")
def test_octets_are_kept_and_signatures_hold(one: Way, key: tuple[bytes, bytes]) -> None:
    private, record = key
    content = FROM + BODY + b"\xff lines of an attachment that does not stay in memory \xe4\r\n" * 6000
    signed = dkim.sign(content, b"sel", b"a.example", private, canonicalize=(b"simple", b"simple")) + content
    one.send(signed)
    (message,) = one.arrived()
    second, _, rest = message.content.partition(HEADER)
    first = TRACE.match(rest)
    assert TRACE.fullmatch(second)
    assert first is not None
    assert rest[first.end() :] == signed
    assert (message.sender, message.recipients) == ("a@a.example", ("r@b.example",))
    assert dkim.verify(message.content, dnsfunc=lambda name, timeout=5: record)
    assert not dkim.verify(message.content.replace(b"body ", b"bodY "), dnsfunc=lambda name, timeout=5: record)


def test_everybody_knows_the_client(one: Way) -> None:
    one.filter.seen.clear()
    one.send(FROM + BODY, "r@b.example", "s@b.example")
    (message,) = one.arrived()
    ((sender, recipients, told),) = one.filter.seen
    assert (sender, sorted(recipients)) == ("a@a.example", ["r@b.example", "s@b.example"])
    client, rest = told
    assert re.fullmatch(r"ADDR=127\.0\.0\.1 PORT=\d+", client)
    ident = re.fullmatch(r"PROTO=ESMTP HELO=client\.example IDENT=(\w+) SOURCE=LOCAL", rest)
    assert ident is not None
    assert f"orig_queue_id={ident[1]}, orig_client=unknown[127.0.0.1]" in one.system.log_text()
    traces = TRACE.findall(message.content)
    assert [b"from filter.peer.example" in trace for trace in traces] == [True, False]


def test_mail_from_sendmail_is_filtered(one: Way) -> None:
    one.filter.seen.clear()
    one.post(FROM.replace(b"\r\n", b"\n") + b"\nx\n")
    (message,) = one.arrived()
    assert is_filtered(message)
    assert [told for _, _, told in one.filter.seen] == [["SOURCE=LOCAL"]]


@pytest.mark.parametrize("sender", ["other@a.example", "bare@a.example", "twice@a.example"])
def test_an_access_rule_overrides_it_and_the_last_rule_wins(one: Way, sender: str) -> None:
    one.send(FROM + BODY, sender=sender)
    (message,) = one.arrived()
    assert not is_filtered(message)
    assert "relay=127.0.0.1[127.0.0.1]" in one.system.log_text()


def test_unknown_recipients_are_refused_in_front_only(one: Way) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused, match="User unknown"):
        one.send(FROM + BODY, "unknown@relay.example")
    one.send(FROM + BODY, "known@relay.example")
    (message,) = one.arrived()
    assert is_filtered(message)
    one.send(FROM + BODY, "unknown@relay.example", port=one.back)
    (message,) = one.arrived()
    assert message.recipients == ("unknown@relay.example",)


def test_addresses_are_mapped_in_front_only(one: Way) -> None:
    one.filter.seen.clear()
    one.send(FROM + BODY, "alias@b.example")
    (message,) = one.arrived()
    assert message.recipients == ("r@b.example",)
    assert [recipients for _, recipients, _ in one.filter.seen] == [["r@b.example"]]
    one.send(FROM + BODY, "alias@b.example", port=one.back)
    (message,) = one.arrived()
    assert message.recipients == ("alias@b.example",)


def test_own_notices_are_not_filtered(one: Way) -> None:
    one.filter.seen.clear()
    one.send(FROM + BODY, "no@b.example")
    (notice,) = one.arrived()
    assert notice.sender == "<>"
    assert notice.recipients == ("a@a.example",)
    assert b"multipart/report" in notice.content
    assert [sender for sender, _, _ in one.filter.seen] == ["a@a.example"]


def test_a_filter_that_is_down_defers_the_mail(one: Way) -> None:
    one.filter.stop()
    try:
        one.send(FROM + BODY)
        log = one.system.wait_for_log("status=deferred")
        assert "Connection refused" in log
        assert one.sink.messages == []
        assert one.system.queue_size() == 1
    finally:
        one.filter.start()
    one.system.command("postqueue", "-f")
    (message,) = one.arrived()
    assert is_filtered(message)


def test_the_row_says_how_many_deliveries_there_are_at_a_time(one: Way) -> None:
    one.filter.most, one.filter.delay_s = 0, 0.02
    try:
        for number in range(12):
            one.send(FROM + BODY, f"r{number}@b.example")
        assert len(one.arrived()) == 12
    finally:
        one.filter.delay_s = 0.0
    assert one.filter.most == 2


def test_pickup_has_a_filter_of_its_own() -> None:
    rows = ["pickup unix n - n 60 1 pickup -o content_filter="]
    with way(GatewayInstance, None, *rows) as made:
        made.post(FROM.replace(b"\r\n", b"\n") + b"\nx\n")
        made.send(FROM + BODY)
        assert sorted(map(is_filtered, made.arrived())) == [False, True]


def comparable(message: Received) -> tuple[str, list[str], bytes]:
    """A message without times, names and queue IDs."""
    content = re.sub(rb"\b(?:gateway|postfix)\.peer\.example\b", b"HERE", message.content)
    content = re.sub(rb"\bid [0-9A-Za-z_-]{8,20}\b", b"id X", content)
    content = re.sub(rb"<\d{14}\.\w+@HERE>", b"<id@HERE>", content)
    content = re.sub(rb"\w{3}, {1,2}\d+ \w{3} \d{4} \d\d:\d\d:\d\d \+0000 \(\w+\)", b"DATE", content)
    return message.sender, sorted(message.recipients), re.sub(rb"port \d+", b"port N", content)


MESSAGES = [
    FROM + BODY,
    b"Subject: no other header\r\n\r\nx\r\n",
    b"\r\nno header\r\n",
    b"From: local\r\nTo: b, c@d\r\n\r\nlong " + b"y" * 900 + b"\r\n",
]


@pytest.mark.peer("amavisd")
def test_amavis_beside_postfix() -> None:
    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(through_amavis, (GatewayInstance, PostfixInstance))
    assert ours == theirs
    assert all(b"\r\n by localhost (amavis.peer.example " in content for _, _, content in ours)
    assert ours[0][2].endswith(FROM + BODY)


def through_amavis(kind: type[MailInstance]) -> list[tuple[str, list[str], bytes]]:
    """What comes to the next hop of one system with amavisd behind it, over LMTP."""
    back = free_port()
    with RecordingSink() as sink, Amavis(back) as amavis:
        main = {
            "content_filter": f"filter:[{LOOPBACK}]:{amavis.port}",
            "default_transport": f"smtp:[{LOOPBACK}]:{sink.port}",
            "smtpd_peername_lookup": "no",
            "local_header_rewrite_clients": "static:all",
        }
        to_filter = "- - n - 2 lmtp -o lmtp_data_done_timeout=1200 -o lmtp_send_xforward_command=yes"
        rows = [f"filter unix {to_filter}", f"{LOOPBACK}:{back} inet n - n - - smtpd {' '.join(OPTIONS.split())}"]
        with throwaway(kind(main, services=rows)) as system:
            with smtplib.SMTP(LOOPBACK, system.port, local_hostname="client.example", timeout=20) as client:
                for number, content in enumerate(MESSAGES):
                    client.sendmail("a@a.example", [f"r{number}@b.example", f"s{number}@b.example"], content)
            received = sink.wait_for(len(MESSAGES))
            system.wait_until_empty()
        assert "Passed CLEAN {RelayedInbound}, [127.0.0.1]" in amavis.log_text()
    assert len(received) == len(MESSAGES)
    return sorted(map(comparable, received), key=lambda item: item[1])
