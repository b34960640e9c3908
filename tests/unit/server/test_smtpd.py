"""The shell and its conversation: a whole smtpd in process, over real sockets."""

from __future__ import annotations

import select
import smtplib
import socket
from collections.abc import Callable
from contextlib import suppress

import pytest
from peers.wire import MESSAGE, send, wait_for_log, wire

from gateway.model.errors import SpoolError, SpoolFull, SpoolUnavailable
from gateway.proto import smtp_events
from gateway.server.conversation import _ANSWERS
from gateway.testing import FakeDns, InProcessGateway

Start = Callable[..., InProcessGateway]


def test_a_message_is_queued_with_its_octets(postgate: Start) -> None:
    gateway = postgate()
    send(gateway, "r@d.example", "s@d.example")
    [queued] = gateway.queued
    assert queued.as_bytes().endswith(MESSAGE.replace(b"Message-ID", b"Message-ID").split(b"\r\n\r\n")[1])
    assert [str(r.address) for r in queued.envelope.recipients] == ["r@d.example", "s@d.example"]
    assert queued.envelope.message_id == "<1@x>"
    text = queued.as_bytes().decode()
    assert text.startswith(
        "Received: from c.example (localhost [127.0.0.1])\r\n\tby gateway.test (Postfix) with ESMTP id "
    )
    assert "\r\n\tfor <" not in text, "two recipients: neither is shown to the other"
    log = wait_for_log(gateway, "disconnect from localhost[127.0.0.1] ehlo=1 mail=1 rcpt=2 data=1 quit=1 commands=6")
    assert f"{queued.envelope.queue_id}: client=localhost[127.0.0.1]" in log
    assert f"{queued.envelope.queue_id}: message-id=<1@x>" in log


def test_whole_pipelined_session_in_one_write(postgate: Start) -> None:
    gateway = postgate()
    with wire(gateway) as client:
        assert client.ask("EHLO c.example").startswith("250-gateway.test")
        client.send(
            b"MAIL FROM:<a@s.example>\r\nRCPT TO:<r@d.example>\r\nDATA\r\n",
        )
        assert [client.read()[:3] for _ in range(3)] == ["250", "250", "354"]
        client.send(MESSAGE + b".\r\nMAIL FROM:<b@s.example>\r\nRCPT TO:<r@d.example>\r\nRSET\r\nQUIT\r\n")
        assert [client.read()[:3] for _ in range(5)] == ["250", "250", "250", "250", "221"]
        assert client.read() == ""
    assert len(gateway.queued) == 1


def test_stranger_cannot_relay(postgate: Start) -> None:
    gateway = postgate({"mynetworks": "192.0.2.0/24", "relay_domains": "mine.example"})
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(gateway, "r@d.example")
    assert refused.value.recipients["r@d.example"] == (454, b"4.7.1 <r@d.example>: Relay access denied")
    assert (
        "NOQUEUE: reject: RCPT from localhost[127.0.0.1]: 454 4.7.1 <r@d.example>: Relay access denied; " in gateway.log
    )
    assert "from=<a@s.example> to=<r@d.example> proto=ESMTP helo=<c.example>" in gateway.log
    send(gateway, "r@mine.example")
    assert len(gateway.queued) == 1


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (SpoolFull("disk is full"), (452, b"4.3.1 Insufficient system storage")),
        (SpoolError("I/O error"), (451, b"4.3.0 Error: queue file write error")),
        (SpoolUnavailable("nobody there"), (451, b"4.3.0 Error: queue file write error")),
    ],
)
def test_spool_failures_are_temporary_and_the_session_goes_on(
    postgate: Start, error: SpoolError, reply: tuple[int, bytes]
) -> None:
    gateway = postgate()
    gateway.spool_error = error
    with smtplib.SMTP("127.0.0.1", gateway.port, timeout=10) as client:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("a@s.example", ["r@d.example"], MESSAGE)
        assert (refused.value.smtp_code, refused.value.smtp_error) == reply
        assert client.docmd("DATA")[0] == 503, "nothing of the refused transaction remains"
        gateway.spool_error = None
        client.sendmail("a@s.example", ["r@d.example"], MESSAGE)
    assert len(gateway.queued) == 1


def test_client_name_from_dns_comes_before_the_banner(postgate: Start) -> None:
    dns = FakeDns(pointers={"127.0.0.2": "two.example"}, hosts={"two.example": ["127.0.0.2"]})
    gateway = postgate(dns=dns)
    for source, label in (("127.0.0.2", "two.example[127.0.0.2]"), ("127.0.0.3", "unknown[127.0.0.3]")):
        with socket.create_connection(("127.0.0.1", gateway.port), 10, (source, 0)) as client:
            file = client.makefile("rb")
            assert file.readline().startswith(b"220 ")
            client.sendall(b"QUIT\r\n")
            assert file.readline().startswith(b"221 ")
            file.close()
        assert f"connect from {label}" in wait_for_log(gateway, f"disconnect from {label}")


def test_a_client_that_asks_and_never_reads_is_not_answered_without_end(postgate: Start) -> None:
    gateway = postgate()
    with wire(gateway) as client:
        client.socket.setblocking(False)
        sent = 0
        while sent < 48 << 20 and select.select([], [client.socket], [], 0.5)[1]:
            with suppress(BlockingIOError):
                sent += client.socket.send(b"EHLO a\r\n" * 8000)
        assert sent < 48 << 20, "the gateway stops reading, and the kernel's buffers fill"


def test_session_limit(postgate: Start) -> None:
    from gateway.server import registry

    gateway = postgate()
    assert registry.SessionRegistry(1).limit == 1
    with wire(gateway), wire(gateway) as second:
        assert second.ask("NOOP").startswith("250 ")


def test_connections_of_one_client_are_bounded(postgate: Start) -> None:
    gateway = postgate(
        {"smtpd_client_connection_count_limit": "2", "smtpd_client_event_limit_exceptions": "", "smtpd_workers": "1"}
    )
    with wire(gateway), wire(gateway):
        with wire(gateway, greet=False) as third:
            assert third.read() == "421 4.7.0 gateway.test Error: too many connections from 127.0.0.1"
            assert third.read() == ""
        assert "warning: Connection concurrency limit exceeded: 3 from localhost[127.0.0.1] for service" in gateway.log


def test_idle_client_is_sent_away(postgate: Start) -> None:
    gateway = postgate({"smtpd_timeout": "1s"})
    with wire(gateway) as client:
        assert client.read() == "421 4.4.2 gateway.test Error: timeout exceeded"
        assert client.read() == ""
    assert "timeout after CONNECT from localhost[127.0.0.1]" in gateway.log


def test_error_limit_ends_the_session(postgate: Start) -> None:
    gateway = postgate({"smtpd_soft_error_limit": "100", "smtpd_hard_error_limit": "3"})
    with wire(gateway) as client:
        for _ in range(2):
            assert client.ask("NONSENSE").startswith("500 5.5.2")
        client.send(b"NONSENSE\r\nNONSENSE\r\n")
        assert client.read().startswith("500 5.5.2")
        assert client.read().startswith("421 4.7.0 gateway.test Error: too many errors")
        assert client.read() == ""


def test_soft_errors_slow_the_client_down_and_lose_nothing(postgate: Start) -> None:
    gateway = postgate({"smtpd_soft_error_limit": "1", "smtpd_error_sleep_time": "1s"})
    with wire(gateway) as client:
        client.send(b"NONSENSE\r\nNONSENSE\r\nNOOP\r\nQUIT\r\n")
        assert [client.read()[:3] for _ in range(4)] == ["500", "500", "250", "221"]


def test_large_message_goes_through_a_file(postgate: Start) -> None:
    gateway = postgate({"content_memory_limit": "10000"})
    body = b"".join(b"%06d %s\r\n" % (n, b"x" * 60) for n in range(5000))
    send(gateway, message=b"Subject: big\r\n\r\n" + body)
    [queued] = gateway.queued
    assert not isinstance(queued.content.body, bytes)
    assert queued.as_bytes().endswith(b"\r\n\r\n" + body)


def test_headers_that_must_not_travel_are_dropped(postgate: Start) -> None:
    gateway = postgate()
    send(gateway, message=b"Bcc: secret@d.example,\r\n more@d.example\r\nReturn-Path: <x@y>\r\n" + MESSAGE)
    head = gateway.queued[0].content.head
    assert (
        b"secret" not in head
        and b"more@" not in head
        and b"Return-Path" not in head
        and b"\r\nSubject: test\r\n" in head
    )


def test_hop_limit(postgate: Start) -> None:
    gateway = postgate({"hopcount_limit": "5"})
    with pytest.raises(smtplib.SMTPDataError) as refused:
        send(gateway, message=b"Received: x\r\n" * 5 + MESSAGE)
    assert (refused.value.smtp_code, refused.value.smtp_error) == (554, b"5.4.6 Error: too many hops")


def test_soft_bounce_turns_5xx_into_4xx(postgate: Start) -> None:
    gateway = postgate({"soft_bounce": "yes", "smtpd_recipient_restrictions": "reject", "smtpd_relay_restrictions": ""})
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(gateway)
    assert refused.value.recipients["r@d.example"][0] == 454


def test_a_connection_that_dies_in_the_middle_leaves_nothing(postgate: Start) -> None:
    gateway = postgate()
    with wire(gateway) as client:
        client.ask("EHLO c.example")
        client.ask("MAIL FROM:<a@s.example>")
        client.ask("RCPT TO:<r@d.example>")
        client.ask("DATA")
        client.send(b"Subject: half\r\n")
    assert "lost connection after DATA" in wait_for_log(gateway, "lost connection after DATA")
    assert gateway.queued == []


def test_replies_that_are_owed_come_before_the_421_of_a_bug(postgate: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    async def explode(*_: object) -> None:
        raise RuntimeError("bug")

    gateway = postgate()
    with wire(gateway) as client:
        client.ask("EHLO c.example")
        monkeypatch.setitem(_ANSWERS, smtp_events.Rcpt, explode)
        client.send(b"MAIL FROM:<a@s.example>\r\nRCPT TO:<r@d.example>\r\n")
        assert client.read().startswith("250 2.1.0")
        assert client.read().startswith("421 4.3.0")


def test_a_helo_name_cannot_pass_for_more_in_log_and_received(postgate: Start) -> None:
    gateway = postgate()
    with wire(gateway) as client:
        client.ask('HELO a> from=<b@c> (x [192.0.2.9])\tby "mx"; \x1b\\')
        client.ask("MAIL FROM:<a@s.example>")
        client.ask("RCPT TO:<r@d.example>")
        client.ask("DATA")
        client.send(MESSAGE + b".\r\n")
        assert client.read().startswith("250")
    head = gateway.queued[0].as_bytes()
    assert head.startswith(b"Received: from a??from=?b?c???x?[192.0.2.9]??by??mx????? (localhost [127.0.0.1])\r\n")
