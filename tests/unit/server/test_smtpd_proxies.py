"""Whom a client speaks for: XCLIENT, XFORWARD, PROXY; a whole smtpd in process, over real sockets."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from peers.wire import MESSAGE, wire

from gateway.testing import InProcessGateway

Start = Callable[..., InProcessGateway]


def test_proxy_protocol(postgate: Start) -> None:
    gateway = postgate({"mynetworks": "192.0.2.0/24"}, overrides={"smtpd_upstream_proxy_protocol": "haproxy"})
    with wire(gateway, greet=False) as client:
        client.send(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n")
        assert client.read().startswith("220 ")
        client.ask("EHLO c.example")
        assert client.ask("MAIL FROM:<a@s.example>").startswith("250 ")
        assert client.ask("RCPT TO:<r@d.example>").startswith("250 "), "mynetworks sees the real client"
    assert "connect from unknown[192.0.2.7]" in gateway.log
    with wire(gateway, greet=False) as client:
        client.send(b"EHLO c.example\r\n")
        assert client.read() == ""
    assert "haproxy read: " in gateway.log


def test_xclient_makes_another_client(postgate: Start) -> None:
    gateway = postgate({"smtpd_authorized_xclient_hosts": "127.0.0.1", "mynetworks": "127.0.0.0/8"})
    with wire(gateway) as client:
        assert "XCLIENT" in client.ask("EHLO c.example")
        assert client.ask("XCLIENT NAME=evil.example ADDR=203.0.113.9").startswith("220 ")
        client.ask("EHLO d.example")
        client.ask("MAIL FROM:<a@s.example>")
        assert client.ask("RCPT TO:<r@d.example>").startswith("454 4.7.1"), "no longer in mynetworks"


def test_xclient_forgets_what_the_last_one_told(postgate: Start) -> None:
    gateway = postgate({"smtpd_authorized_xclient_hosts": "127.0.0.1, 203.0.113.9"})
    with wire(gateway) as client:
        assert client.ask("XCLIENT HELO=told.example PROTO=ESMTP ADDR=203.0.113.9").startswith("220 ")
        client.ask("MAIL FROM:<a@s.example>")
        client.ask("RCPT TO:<r@elsewhere.example>")
        client.ask("RSET")
        assert client.ask("XCLIENT ADDR=203.0.113.8").startswith("220 ")
        client.ask("MAIL FROM:<a@s.example>")
        client.ask("RCPT TO:<r@elsewhere.example>")
    first, second = [line for line in gateway.log.splitlines() if "Relay access denied" in line]
    assert first.endswith("proto=ESMTP helo=<told.example>")
    assert second.endswith("to=<r@elsewhere.example> proto=SMTP")


def test_xclient_is_the_right_of_the_new_client_and_xforward_of_the_old(postgate: Start) -> None:
    gateway = postgate(
        {"smtpd_authorized_xclient_hosts": "127.0.0.1", "smtpd_authorized_xforward_hosts": "127.0.0.1, 203.0.113.8"}
    )
    with wire(gateway) as client:
        assert client.ask("XCLIENT ADDR=203.0.113.9").startswith("220 ")
        keywords = client.ask("EHLO c.example")
        assert "XFORWARD" in keywords and "XCLIENT" not in keywords
        assert client.ask("XFORWARD NAME=x.example") == "250 2.0.0 Ok"
        assert client.ask("XCLIENT ADDR=127.0.0.1") == "550 5.7.0 Error: insufficient authorization"


def test_a_client_that_is_refused_after_xclient_gets_no_further(postgate: Start) -> None:
    gateway = postgate(
        {
            "smtpd_authorized_xclient_hosts": "127.0.0.1",
            "smtpd_delay_reject": "no",
            "smtpd_client_restrictions": "check_client_access inline:{203.0.113.66=REJECT}",
        }
    )
    with wire(gateway) as client:
        assert client.ask("XCLIENT ADDR=203.0.113.66").startswith("554 5.7.1 ")
        assert client.ask("EHLO c.example").startswith("503 5.7.0 Error: access denied")
        assert client.ask("QUIT").startswith("221 ")


def test_ehlo_makes_a_session_esmtp_when_it_is_accepted(postgate: Start) -> None:
    gateway = postgate({"smtpd_delay_reject": "no", "smtpd_helo_restrictions": "check_helo_access inline:{bad=REJECT}"})
    with wire(gateway) as client:
        assert client.ask("EHLO bad").startswith("554 ")
    assert "proto=SMTP helo=<bad>" in gateway.log


def test_xforward_is_kept_with_the_message(postgate: Start) -> None:
    gateway = postgate({"smtpd_authorized_xforward_hosts": "127.0.0.1"})
    with wire(gateway) as client:
        client.ask("EHLO filter.example")
        assert client.ask("XFORWARD NAME=o.example ADDR=203.0.113.9 IDENT=ABC123").startswith("250 ")
        for line in ("MAIL FROM:<a@s.example>", "RCPT TO:<r@d.example>", "DATA"):
            client.ask(line)
        client.send(MESSAGE + b".\r\n")
        assert client.read().startswith("250 2.0.0 Ok: queued as")
        for line in ("MAIL FROM:<a@s.example>", "RCPT TO:<r@d.example>", "DATA"):
            client.ask(line)
        client.send(MESSAGE + b".\r\n")
        assert client.read().startswith("250 2.0.0 Ok: queued as")
    assert gateway.queued[1].envelope.forward is None, "for one transaction only"
    assert gateway.queued[0].envelope.client.name == "localhost", "who sent it here"
    forward = gateway.queued[0].envelope.forward
    assert forward is not None
    assert (forward.name, forward.address, forward.ident) == ("o.example", "203.0.113.9", "ABC123")
    assert "orig_queue_id=ABC123, orig_client=o.example[203.0.113.9]" in gateway.log


@pytest.mark.parametrize(
    ("source", "clients", "expected"),
    [("", "static:all", "LOCAL"), ("", "", "REMOTE"), ("REMOTE", "static:all", "REMOTE"), ("LOCAL", "", "LOCAL")],
)
def test_xforward_says_whose_headers_are_completed(postgate: Start, source: str, clients: str, expected: str) -> None:
    gateway = postgate({"smtpd_authorized_xforward_hosts": "127.0.0.1", "local_header_rewrite_clients": clients})
    with wire(gateway) as client:
        client.ask("EHLO filter.example")
        client.ask(f"XFORWARD SOURCE={source}" if source else "XFORWARD IDENT=ABC")
        for line in ("MAIL FROM:<a@s.example>", "RCPT TO:<r@d.example>", "DATA"):
            client.ask(line)
        client.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
        assert client.read().startswith("250 2.0.0 Ok: queued as")
    (message,) = gateway.queued
    assert (b"Message-Id: " in message.content.head) is (expected == "LOCAL")
    forward = message.envelope.forward
    assert forward is not None
    assert (forward.source or message.envelope.client.source) == expected
    assert "orig_client" not in gateway.log


def test_a_client_named_by_xclient_gives_its_place_back(postgate: Start) -> None:
    settings = {
        "smtpd_authorized_xclient_hosts": "127.0.0.1",
        "smtpd_client_event_limit_exceptions": "",
        "smtpd_client_connection_count_limit": "1",
    }
    gateway = postgate(settings)
    for number in range(3):
        with wire(gateway) as client:
            client.ask("EHLO proxy.example")
            assert client.ask(f"XCLIENT ADDR=192.0.2.{number}").startswith("220")
            assert client.ask("QUIT").startswith("221")
            assert client.read() == ""
