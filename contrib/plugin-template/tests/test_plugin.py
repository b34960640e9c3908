"""The plugin in a real gateway, started by Postgate's own test kit: no root, no network, no fixed port."""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from email.message import EmailMessage

import pytest

from gateway.testing import InProcessGateway

Start = Callable[..., InProcessGateway]


def message(subject: str | None = "hello") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"] = "a@friend.example", "b@here.example"
    if subject is not None:
        mail["Subject"] = subject
    mail.set_content("text\n")
    return mail


def test_header_is_added(postgate: Start) -> None:
    gateway = postgate({"plugins": "template", "template_stamp": "seen"})
    with smtplib.SMTP("127.0.0.1", gateway.port) as client:
        client.send_message(message())
    assert b"\r\nX-Template: seen\r\n" in gateway.queued[0].as_bytes()


def test_missing_subject_is_refused(postgate: Start) -> None:
    gateway = postgate({"plugins": "template"})
    with smtplib.SMTP("127.0.0.1", gateway.port) as client, pytest.raises(smtplib.SMTPDataError) as refusal:
        client.send_message(message(subject=None))
    assert (refusal.value.smtp_code, refusal.value.smtp_error) == (550, b"5.6.0 A subject is required")
    assert gateway.queued == []


def test_blocked_domain_is_refused(postgate: Start) -> None:
    gateway = postgate({"plugins": "template", "template_blocked_domains": "friend.example"})
    with smtplib.SMTP("127.0.0.1", gateway.port) as client, pytest.raises(smtplib.SMTPRecipientsRefused) as refusal:
        client.send_message(message())
    assert refusal.value.recipients["b@here.example"] == (554, b"5.7.1 Sender domain is not welcome here")
    assert "NOQUEUE: reject: RCPT" in gateway.log


def test_restriction_by_name(postgate: Start) -> None:
    gateway = postgate({"plugins": "template", "smtpd_helo_restrictions": "reject_numeric_helo"})
    with (
        smtplib.SMTP("127.0.0.1", gateway.port, local_hostname="192.0.2.1") as client,
        pytest.raises(smtplib.SMTPRecipientsRefused) as refusal,
    ):
        client.send_message(message())
    assert refusal.value.recipients["b@here.example"][0] == 504
