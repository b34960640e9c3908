"""Real next hops receive: Debian's Postfix, and a server that refuses one of two recipients."""

from __future__ import annotations

import email
import email.policy
import smtplib

import pytest
from peers.gateway import GatewayInstance
from peers.postfix import PostfixInstance
from peers.sinks import RecordingSink


@pytest.mark.peer("postfix")
def test_debians_postfix_receives() -> None:
    body = b"x" * 70 + b"\r\n.\r\n" + b"..two dots\r\n" + b"y" * 900 + b"\r\n"
    with (
        RecordingSink() as sink,
        PostfixInstance({"relayhost": f"[127.0.0.1]:{sink.port}"}) as postfix,
        GatewayInstance({"relayhost": f"[127.0.0.1]:{postfix.port}"}) as gateway,
    ):
        with smtplib.SMTP("127.0.0.1", gateway.port, timeout=10) as client:
            for number in range(20):
                client.sendmail(
                    "s@a.example",
                    [f"r{number}@b.example"],
                    b"Subject: %d\r\nMessage-ID: <%d@a>\r\n\r\n" % (number, number) + body,
                )
        messages = sink.wait_for(20)
        gateway.wait_until_empty()
        log = gateway.log_text()
    assert all(message.content.endswith(b"\r\n\r\n" + body) for message in messages)
    assert log.count("status=sent (250 2.0.0 Ok: queued as ") == 20
    assert log.count(f"relay=127.0.0.1[127.0.0.1]:{postfix.port}") == 20


def test_one_of_two_recipients_is_refused_and_the_sender_is_told() -> None:
    refuse = {"nobody@b.example": "550 5.1.1 <nobody@b.example>: User unknown"}
    with (
        RecordingSink(refuse=refuse) as sink,
        GatewayInstance({"relayhost": f"[127.0.0.1]:{sink.port}"}) as gateway,
    ):
        with smtplib.SMTP("127.0.0.1", gateway.port, timeout=10) as client:
            client.sendmail(
                "sender@a.example", ["nobody@b.example", "somebody@b.example"],
                b"Subject: two\r\nMessage-ID: <two@a.example>\r\n\r\nsecret body\r\n",
            )  # fmt: skip
        messages = sink.wait_for(2)
        gateway.wait_until_empty()
        log = gateway.log_text()
    delivered = next(message for message in messages if message.sender == "sender@a.example")
    report = next(message for message in messages if message.sender in {"", "<>"})
    assert delivered.recipients == ("somebody@b.example",)
    assert report.recipients == ("sender@a.example",)
    parsed = email.message_from_bytes(report.content, policy=email.policy.default)
    assert parsed.get_content_type() == "multipart/report"
    assert parsed.get_param("report-type") == "delivery-status"
    human, status, original = parsed.iter_parts()
    assert "nobody@b.example" in human.get_content()
    fields = status.as_bytes()
    assert b"Final-Recipient: rfc822; nobody@b.example" in fields
    assert b"Action: failed" in fields
    assert b"Status: 5.1.1" in fields
    assert b"somebody@b.example" not in fields
    assert b"Message-ID: <two@a.example>" in original.as_bytes()
    assert "to=<nobody@b.example>" in log
    assert log.count("status=bounced") == 1
    assert log.count("status=sent") == 2


def test_a_refused_bounce_is_not_bounced_again() -> None:
    refuse = {name: f"550 5.1.1 <{name}>: User unknown" for name in ("nobody@b.example", "sender@a.example")}
    with (
        RecordingSink(refuse=refuse) as sink,
        GatewayInstance({"relayhost": f"[127.0.0.1]:{sink.port}"}) as gateway,
    ):
        with smtplib.SMTP("127.0.0.1", gateway.port, timeout=10) as client:
            client.sendmail("sender@a.example", ["nobody@b.example"], b"Subject: x\r\n\r\nx\r\n")
        gateway.wait_for_log("to=<sender@a.example>")
        gateway.wait_until_empty()
        log = gateway.log_text()
    assert sink.messages == []
    assert log.count("status=bounced") == 2
