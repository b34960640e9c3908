"""Real clients deliver through the gateway: swaks, smtp-source, Python's smtplib, Debian's Postfix."""

from __future__ import annotations

import smtplib
import subprocess
from collections.abc import Iterator

import pytest
from peers.gateway import GatewayInstance
from peers.load import smtp_source
from peers.postfix import PostfixInstance
from peers.sinks import RecordingSink


@pytest.fixture(scope="module")
def sink() -> Iterator[RecordingSink]:
    with RecordingSink(refuse={"refused@b.example": "550 5.1.1 No such user"}) as sink:
        yield sink


@pytest.fixture(scope="module")
def gateway(sink: RecordingSink) -> Iterator[GatewayInstance]:
    settings = {"relayhost": f"[127.0.0.1]:{sink.port}", "transport_maps": "inline:{ closed.example=error:closed }"}
    with GatewayInstance(settings) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def _empty(sink: RecordingSink) -> None:
    sink.messages.clear()


@pytest.mark.peer("swaks")
def test_swaks(gateway: GatewayInstance, sink: RecordingSink) -> None:
    done = subprocess.run(
        [
            "/usr/bin/swaks", "--server", "127.0.0.1", "--port", str(gateway.port), "--ehlo", "swaks.example",
            "--from", "sender@a.example", "--to", "one@b.example,two@b.example", "--header", "Subject: from swaks",
            "--body", ".leading dot\nline two", "--pipeline",
        ],
        check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    [message] = sink.wait_for(1)
    assert message.sender == "sender@a.example"
    assert sorted(message.recipients) == ["one@b.example", "two@b.example"]
    assert b"\r\n\r\n.leading dot\r\nline two\r\n" in message.content
    assert b"helo=swaks.example" in message.content or b"from swaks.example" in message.content


@pytest.mark.peer("smtp-source")
@pytest.mark.parametrize("is_reused", [False, True], ids=["a connection each", "one connection"])
def test_smtp_source(gateway: GatewayInstance, sink: RecordingSink, is_reused: bool) -> None:
    smtp_source(gateway.port, messages=40, sessions=4, is_reused=is_reused)
    messages = sink.wait_for(40)
    gateway.wait_until_empty()
    assert len(messages) == 40
    assert {message.recipients for message in messages} == {("recipient@b.example",)}


def test_smtplib_and_an_eight_bit_body(gateway: GatewayInstance, sink: RecordingSink) -> None:
    text = "Grüße aus Köln ☂".encode()
    with smtplib.SMTP("127.0.0.1", gateway.port, timeout=10) as client:
        client.sendmail(
            "sender@a.example",
            ["recipient@b.example"],
            b"Subject: eight bits\r\n\r\n" + text + b"\r\n",
            ["BODY=8BITMIME"],
        )
    [message] = sink.wait_for(1)
    assert message.content.endswith(b"\r\n\r\n" + text + b"\r\n")
    assert "BODY=8BITMIME" in message.mail_options


def test_a_null_sender_and_notify_never(gateway: GatewayInstance, sink: RecordingSink) -> None:
    with smtplib.SMTP("127.0.0.1", gateway.port, timeout=10) as client:
        client.ehlo("client.example")
        assert client.mail("")[0] == 250
        assert client.rcpt("recipient@b.example", ["NOTIFY=NEVER"])[0] == 250
        assert client.data(b"Subject: bounce\r\n\r\nx\r\n")[0] == 250
    [message] = sink.wait_for(1)
    assert message.sender in {"", "<>"}


@pytest.mark.peer("postfix")
def test_debians_postfix_relays_through_the_gateway(gateway: GatewayInstance, sink: RecordingSink) -> None:
    content = b"From: <s@a.example>\r\nSubject: via Postfix\r\n\r\n" + b"line\r\n" * 2000
    with PostfixInstance({"relayhost": f"[127.0.0.1]:{gateway.port}"}) as postfix:
        with smtplib.SMTP("127.0.0.1", postfix.port, timeout=10) as client:
            for number in range(10):
                client.sendmail("s@a.example", [f"r{number}@b.example", "second@b.example"], content)
        messages = sink.wait_for(10)
        postfix.wait_until_empty()
        log = postfix.log_text()
    assert log.count("status=sent (250 2.0.0 Ok: queued as ") == 20
    assert "warning" not in log
    assert all(message.content.endswith(b"\r\n\r\n" + b"line\r\n" * 2000) for message in messages)
    assert sorted(message.recipients[0] for message in messages) == sorted(
        f"r{number}@b.example" for number in range(10)
    )


def test_nobody_else_may_relay() -> None:
    with (
        GatewayInstance({"mynetworks": "192.0.2.0/24", "relay_domains": "b.example"}) as gateway,
        smtplib.SMTP("127.0.0.1", gateway.port, timeout=10) as client,
    ):
        client.ehlo("client.example")
        client.mail("sender@a.example")
        assert client.rcpt("recipient@elsewhere.example")[0] in {454, 554}
        assert client.rcpt("recipient%elsewhere.example@b.example")[0] in {454, 554}
        assert client.rcpt("recipient@b.example")[0] == 250
