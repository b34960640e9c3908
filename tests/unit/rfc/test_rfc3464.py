from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage

import pytest

from gateway.rfc.rfc3464 import (
    RecipientReport,
    Report,
    ReportAction,
    Returned,
    delivery_status,
    multipart_report,
    recipient_text,
)

RECIPIENT = RecipientReport(
    "u@b.example",
    ReportAction.FAILED,
    "5.1.1",
    original="rfc822;alias@b.example",
    remote_mta="mx.b.example",
    diagnostic="550 5.1.1 <u@b.example>: no such user",
    is_remote=True,
)
REPORT = Report(
    "mx.here.example", "Sun, 22 Nov 2026 13:29:36 +0000 (UTC)", (RECIPIENT,), "env 1", "A1", "me@here.example"
)
ORIGINAL = b"Subject: hello\r\nMessage-ID: <x@y>\r\n\r\nbody\r\n"


def parse(
    returned: Returned | None,
    *,
    report: Report = REPORT,
    text: str = "Words.\r\n",
    boundary: str = "B",
    is_utf8: bool = False,
) -> tuple[EmailMessage, bytes]:
    head, body = multipart_report(text, report, returned, boundary=boundary, is_utf8=is_utf8)
    raw = head + b"\r\n" + body
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message, raw


def test_the_fields_of_the_status_part() -> None:
    assert delivery_status(REPORT, is_utf8=False) == (
        b"Reporting-MTA: dns; mx.here.example\r\n"
        b"Original-Envelope-Id: env 1\r\n"
        b"X-Postgate-Queue-ID: A1\r\n"
        b"X-Postgate-Sender: rfc822; me@here.example\r\n"
        b"Arrival-Date: Sun, 22 Nov 2026 13:29:36 +0000 (UTC)\r\n"
        b"\r\n"
        b"Final-Recipient: rfc822; u@b.example\r\n"
        b"Original-Recipient: rfc822;alias@b.example\r\n"
        b"Action: failed\r\n"
        b"Status: 5.1.1\r\n"
        b"Remote-MTA: dns; mx.b.example\r\n"
        b"Diagnostic-Code: smtp; 550 5.1.1 <u@b.example>: no such user\r\n"
    )


def test_optional_fields_are_left_out() -> None:
    delayed = RecipientReport(
        "u@b.example", ReportAction.DELAYED, "4.4.1", diagnostic="timed out", will_retry_until="Mon"
    )
    status = delivery_status(Report("mx", "Sun", (delayed, delayed)), is_utf8=False)
    assert status == b"Reporting-MTA: dns; mx\r\nArrival-Date: Sun\r\n" + 2 * (
        b"\r\nFinal-Recipient: rfc822; u@b.example\r\nAction: delayed\r\nStatus: 4.4.1\r\n"
        b"Diagnostic-Code: X-Postgate; timed out\r\nWill-Retry-Until: Mon\r\n"
    )


def test_a_parser_finds_three_parts_and_the_message() -> None:
    message, raw = parse(Returned(ORIGINAL))
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    text, status, original = message.iter_parts()
    assert [part.get_content_type() for part in (text, status, original)] == [
        "text/plain", "message/delivery-status", "message/rfc822",
    ]  # fmt: skip
    assert text.get_content().strip() == "Words."
    groups = status.get_payload()
    assert isinstance(groups, list)
    assert groups[1]["Final-Recipient"] == "rfc822; u@b.example"
    assert original.get_content()["Subject"] == "hello"
    assert ORIGINAL in raw
    assert raw.isascii()
    assert message["Content-Transfer-Encoding"] == "7bit"


def test_headers_alone() -> None:
    message, _ = parse(Returned(b"Subject: hello\r\n", is_headers_only=True))
    part = list(message.iter_parts())[2]
    assert part.get_content_type() == "text/rfc822-headers"


def test_without_the_message_there_are_two_parts() -> None:
    message, _ = parse(None)
    assert len(list(message.iter_parts())) == 2


def test_eight_bit_octets_are_kept_and_declared() -> None:
    message, raw = parse(Returned(b"Subject: caf\xe9\r\n\r\n\xff\r\n"))
    assert message["Content-Transfer-Encoding"] == "8bit"
    assert b"Subject: caf\xe9\r\n\r\n\xff\r\n" in raw


def test_a_boundary_in_the_message_is_avoided() -> None:
    message, _ = parse(Returned(b"Subject: x\r\n\r\n--B\r\n--B--\r\n"), boundary="B")
    assert len(list(message.iter_parts())) == 3
    assert message.get_boundary() == "B_"


def test_internationalized_reports_use_the_global_types() -> None:
    recipient = RecipientReport("ü@b.example", ReportAction.FAILED, "5.1.1", diagnostic="kein Zugang für ü")
    report = Report("mx", "Sun", (recipient,), sender="é@here.example")
    for returned in (
        Returned("Subject: ü\r\n\r\nx\r\n".encode()),
        Returned("Subject: ü\r\n".encode(), is_headers_only=True),
    ):
        message, raw = parse(returned, report=report, is_utf8=True)
        kinds = [part.get_content_type() for part in message.iter_parts()]
        assert message.get_param("report-type") == "delivery-status"
        assert kinds[1] == "message/global-delivery-status"
        assert kinds[2] == ("message/global-headers" if returned.is_headers_only else "message/global")
        assert "Final-Recipient: utf-8; ü@b.example".encode() in raw
        assert "X-Postgate-Sender: utf-8; é@here.example".encode() in raw


@pytest.mark.parametrize("hostile", ["550 a\r\nStatus: 2.0.0", "550 a\n\n--B--\n", "550 \x00\x1b[2J"])
def test_hostile_words_of_the_next_hop_stay_in_their_field(hostile: str) -> None:
    recipient = RecipientReport("u@b.example", ReportAction.FAILED, "5.0.0", diagnostic=hostile, is_remote=True)
    message, raw = parse(Returned(ORIGINAL), report=Report("mx", "Sun", (recipient,)))
    parts = list(message.iter_parts())
    assert len(parts) == 3
    groups = parts[1].get_payload()
    assert isinstance(groups, list)
    assert len(groups) == 2
    assert groups[1].get_all("Status") == ["5.0.0"]
    assert not any(octet < 32 and octet not in b"\r\n\t" for octet in raw)


def test_long_words_are_folded() -> None:
    recipient = RecipientReport("u@b.example", ReportAction.FAILED, "5.0.0", diagnostic="word " * 100)
    status = delivery_status(Report("mx", "Sun", (recipient,)), is_utf8=False)
    assert max(len(line) for line in status.split(b"\r\n")) <= 78


def test_text_for_people() -> None:
    assert recipient_text("u@b.example", "", "no such user") == "<u@b.example>: no such user\r\n"
    text = recipient_text("u@b.example", "alias@here.example", "word " * 30)
    assert text.startswith("<u@b.example> (expanded from <alias@here.example>): word word")
    assert all(len(line) <= 76 for line in text.split("\r\n"))
    assert "\r\n    word" in text
    assert recipient_text("u@b.example", "", "a\r\nb") == "<u@b.example>: a??b\r\n"
