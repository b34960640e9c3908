"""Octets survive the relay: a 5 MB attachment, odd but legal headers, a DKIM signature."""

from __future__ import annotations

import email.message
import email.policy
import hashlib
import random
import re
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dkim
import pytest
from peers.gateway import GatewayInstance
from peers.sinks import RecordingSink

# With these present nothing has to be added but Received.
_HEAD = b"Date: Sun, 01 Nov 2026 10:00:00 +0000\r\nFrom: S <s@a.example>\r\nTo: <r@b.example>\r\nMessage-ID: <1@a.example>\r\n"


@pytest.fixture(scope="module")
def sink() -> Iterator[RecordingSink]:
    with RecordingSink() as sink:
        yield sink


@pytest.fixture(scope="module")
def gateway(sink: RecordingSink) -> Iterator[GatewayInstance]:
    with GatewayInstance({"relayhost": f"[127.0.0.1]:{sink.port}"}) as gateway:
        yield gateway


def _relay(gateway: GatewayInstance, sink: RecordingSink, content: bytes) -> bytes:
    """Send with every octet as it is (smtplib's sendmail would mend line ends), return what arrived."""
    sink.messages.clear()
    with smtplib.SMTP("127.0.0.1", gateway.port, timeout=20) as client:
        client.ehlo("client.example")
        client.mail("s@a.example", ["BODY=8BITMIME", f"SIZE={len(content)}"])
        client.rcpt("r@b.example")
        assert client.docmd("DATA")[0] == 354
        client.send(re.sub(rb"(?m)^\.", b"..", content) + b".\r\n")
        assert client.getreply()[0] == 250
    [message] = sink.wait_for(1)
    return message.content


def _without_trace(content: bytes) -> bytes:
    """Take off the one Received header that the gateway put on top."""
    trace = re.match(rb"Received: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)+", content)
    assert trace, content[:300]
    assert b"by gateway.peer.example" in trace[0]
    return content[trace.end() :]


def test_a_five_megabyte_attachment_byte_for_byte(gateway: GatewayInstance, sink: RecordingSink) -> None:
    attachment = random.Random(5).randbytes(5_000_000)
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["Subject"] = "five megabytes"
    message.set_content("see attachment\n")
    message.add_attachment(attachment, maintype="application", subtype="octet-stream", filename="five.bin")
    content = _HEAD + message.as_bytes()
    arrived = _without_trace(_relay(gateway, sink, content))
    assert hashlib.sha256(arrived).digest() == hashlib.sha256(content).digest()
    assert not list((gateway.queue_directory).rglob("*five*"))


@pytest.mark.parametrize(
    "content",
    [
        _HEAD
        + b"subject:no space\r\nX-Folded: a\r\n\tb\r\n   c\r\nX-Trailing: space \r\n\r\n.\r\n..\r\n.dot\r\n\r\n\r\n",
        _HEAD + b"Subject: =?utf-8?q?x?=\r\nSUBJECT: twice\r\nX-Raw: \xe4\xf6\xfc\r\n\r\n\xe4 raw latin-1\r\n",
        _HEAD + b"X-Long: " + b"x" * 900 + b"\r\n\r\n" + b"y" * 998 + b"\r\n",
        _HEAD + b"\r\n",
        _HEAD + b"\r\n" + b"z" * 300_000 + b"\r\n",
    ],
    ids=["spaces and dots", "eight bits", "long lines", "no body", "one endless line"],
)
def test_octets_and_order_are_kept(gateway: GatewayInstance, sink: RecordingSink, content: bytes) -> None:
    arrived = _without_trace(_relay(gateway, sink, content))
    if b"z" * 2000 in content:  # Postfix too folds what RFC 5321 §4.5.3.1.6 forbids (smtp_line_length_limit)
        assert arrived.replace(b"\r\n ", b"") == content
    else:
        assert arrived == content


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A new RSA key: private PEM, and the TXT record with the public one."""
    path: Path = tmp_path_factory.mktemp("dkim") / "key.pem"
    subprocess.run(["openssl", "genrsa", "-traditional", "-out", str(path), "2048"], check=True, capture_output=True)
    done = subprocess.run(["openssl", "rsa", "-in", str(path), "-pubout"], check=True, capture_output=True)
    public = b"".join(line for line in done.stdout.splitlines() if not line.startswith(b"-"))
    return path.read_bytes(), b"v=DKIM1; k=rsa; p=" + public


@pytest.mark.peer("dkimpy", "openssl")
@pytest.mark.parametrize("canonicalize", [(b"simple", b"simple"), (b"relaxed", b"relaxed")], ids=["simple", "relaxed"])
def test_a_dkim_signature_still_verifies(
    gateway: GatewayInstance, sink: RecordingSink, key: tuple[bytes, bytes], canonicalize: tuple[bytes, bytes]
) -> None:
    private, record = key
    content = (
        _HEAD
        + b"Subject:  two  spaces\r\n\tand a fold\r\nMIME-Version: 1.0\r\n\r\nbody \r\n\r\n.dot\r\n\xc3\xbc\r\n\r\n"
    )
    signature = dkim.sign(content, b"sel", b"a.example", private, canonicalize=canonicalize)
    arrived = _relay(gateway, sink, signature + content)
    asked: list[bytes] = []

    def dns(name: bytes, timeout: int = 5) -> bytes:
        asked.append(name)
        return record

    assert dkim.verify(arrived, dnsfunc=dns)
    assert not dkim.verify(arrived.replace(b"body ", b"bodY "), dnsfunc=dns)
    assert asked[0] == b"sel._domainkey.a.example."
