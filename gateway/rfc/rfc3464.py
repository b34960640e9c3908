"""Delivery status notifications: a multipart/report in octets, from values.

Three parts: words for people, ``message/delivery-status`` for programs, and the message or its headers. With
internationalized addresses the ``global`` types of RFC 6533 are used. Lines end in CRLF.
Source: RFC 3462 (multipart/report), RFC 3464 §2, RFC 6533 §4-5, RFC 2046 §5.1 (boundaries).
"""

from __future__ import annotations

from enum import Enum

import msgspec

from gateway.rfc.rfc5322 import fold

_CONTROLS = dict.fromkeys((*range(32), 127), "?")
TEXT_WIDTH = 76


class ReportAction(Enum):
    """What became of a recipient. RFC 3464 §2.3.3."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


class RecipientReport(msgspec.Struct, frozen=True):
    """One recipient's fields. RFC 3464 §2.3.

    Args:
        address: final recipient in external form (``Address.quoted``).
        action: what became of it.
        status: enhanced status code.
        original: Original-Recipient with its type, ``rfc822;user@example.com``; empty: left out.
        remote_mta: host name of the next hop that answered; empty: left out.
        diagnostic: the cause in words.
        is_remote: ``diagnostic`` is an SMTP reply of the remote host.
        will_retry_until: date-time; empty: left out.
    """

    address: str
    action: ReportAction
    status: str
    original: str = ""
    remote_mta: str = ""
    diagnostic: str = ""
    is_remote: bool = False
    will_retry_until: str = ""


class Report(msgspec.Struct, frozen=True):
    """The fields about the message. RFC 3464 §2.2.

    Args:
        reporting_mta: our host name.
        arrival: date-time of the message's arrival.
        recipients: who is reported on.
        envid: ENVID as the sender gave it, decoded; empty: left out.
        queue_id: for ``X-Postgate-Queue-ID``.
        sender: reverse-path of the message, external form; empty: left out.
    """

    reporting_mta: str
    arrival: str
    recipients: tuple[RecipientReport, ...]
    envid: str = ""
    queue_id: str = ""
    sender: str = ""


class Returned(msgspec.Struct, frozen=True):
    """The third part: the message as it came, or its header block alone."""

    octets: bytes
    is_headers_only: bool = False


def clean(text: str) -> str:
    """``text`` without control characters: remote words must not start a field or a part of their own."""
    return text.translate(_CONTROLS)


def delivery_status(report: Report, *, is_utf8: bool) -> bytes:
    """The body of ``message/delivery-status``, or with ``is_utf8`` of ``message/global-delivery-status``."""
    kind = "utf-8" if is_utf8 else "rfc822"
    fields = [_field("Reporting-MTA", f"dns; {report.reporting_mta}", is_utf8=is_utf8)]
    if report.envid:
        fields.append(_field("Original-Envelope-Id", report.envid, is_utf8=is_utf8))
    if report.queue_id:
        fields.append(_field("X-Postgate-Queue-ID", report.queue_id, is_utf8=is_utf8))
    if report.sender:
        fields.append(_field("X-Postgate-Sender", f"{kind}; {report.sender}", is_utf8=is_utf8))
    fields.append(_field("Arrival-Date", report.arrival, is_utf8=is_utf8))
    groups = [b"".join(fields)]
    groups += [_recipient_fields(recipient, kind, is_utf8=is_utf8) for recipient in report.recipients]
    return b"\r\n".join(groups)


def _recipient_fields(recipient: RecipientReport, kind: str, *, is_utf8: bool) -> bytes:
    pairs = [("Final-Recipient", f"{kind}; {recipient.address}")]
    if recipient.original:
        pairs.append(("Original-Recipient", recipient.original))
    pairs += [("Action", recipient.action.value), ("Status", recipient.status)]
    if recipient.remote_mta:
        pairs.append(("Remote-MTA", f"dns; {recipient.remote_mta}"))
    if recipient.diagnostic:
        source = "smtp" if recipient.is_remote else "X-Postgate"
        pairs.append(("Diagnostic-Code", f"{source}; {recipient.diagnostic}"))
    if recipient.will_retry_until:
        pairs.append(("Will-Retry-Until", recipient.will_retry_until))
    return b"".join(_field(name, value, is_utf8=is_utf8) for name, value in pairs)


def _field(name: str, value: str, *, is_utf8: bool) -> bytes:
    return fold(name.encode("ascii"), _encode(clean(value), is_utf8=is_utf8).split())


def _encode(text: str, *, is_utf8: bool) -> bytes:
    """UTF-8 where it is allowed, else ASCII; what does not fit becomes ``?``."""
    return text.encode("utf-8" if is_utf8 else "ascii", "replace")


def recipient_text(address: str, original: str, reason: str) -> str:
    """A paragraph for people: ``<address> (expanded from <original>): reason``, wrapped, CRLF at its end."""
    expanded = f" (expanded from <{clean(original)}>)" if original else ""
    lines, line = [], ""
    for word in f"<{clean(address)}>{expanded}: {clean(reason)}".split():
        if line and len(line) + 1 + len(word) > TEXT_WIDTH:
            lines.append(line)
            line = "   "
        line = f"{line} {word}" if line else word
    return "\r\n".join([*lines, line]) + "\r\n"


def multipart_report(
    text: str,
    report: Report,
    returned: Returned | None,
    *,
    boundary: str,
    is_utf8: bool,
    charset: str = "us-ascii",
) -> tuple[bytes, bytes]:
    """Content-Type header line(s) and body of the whole report.

    Args:
        text: part one, lines ending in CRLF.
        report: part two.
        returned: part three; None: there is none.
        boundary: at most 60 octets; changed when it occurs in the returned message.
        is_utf8: the message came with SMTPUTF8: addresses and texts are UTF-8 and the ``global`` types are used.
        charset: of ``text``, where octets that are not ASCII are surrogate escapes or UTF-8.
    """
    is_ascii = charset.lower() == "us-ascii"
    said = _encode(text, is_utf8=is_utf8) if is_ascii else text.encode("utf-8", "surrogateescape")
    octets = returned.octets if returned is not None else b""
    while boundary.encode("ascii") in octets:
        boundary += "_"
    is_8bit = is_utf8 or not octets.isascii() or not said.isascii()
    encoding = b"8bit" if is_8bit else b"7bit"
    parts = [
        _part(
            b"Notification",
            b"text/plain; charset=" + (b"utf-8" if is_utf8 and is_ascii else charset.encode("ascii", "replace")),
            said,
            encoding,
        ),
        _part(
            b"Delivery report",
            b"message/global-delivery-status" if is_utf8 else b"message/delivery-status",
            delivery_status(report, is_utf8=is_utf8),
            # RFC 3464 §2.1: 7bit, no other; the global form may be 8bit (RFC 6533 §4)
            encoding if is_utf8 else b"7bit",
        ),
    ]
    if returned is not None:
        parts.append(_returned_part(returned, encoding, is_utf8=is_utf8))
    line = b"--" + boundary.encode("ascii")
    body = b"This is a MIME-encapsulated message.\r\n"
    body += b"".join(b"\r\n" + line + b"\r\n" + part for part in parts) + b"\r\n" + line + b"--\r\n"
    head = (
        # The report type is the same with the global parts (RFC 6533 §4).
        b'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="'
        + boundary.encode("ascii")
        + b'"\r\nContent-Transfer-Encoding: '
        + encoding
        + b"\r\n"
    )
    return head, body


def _returned_part(returned: Returned, encoding: bytes, *, is_utf8: bool) -> bytes:
    if returned.is_headers_only:
        kind = b"message/global-headers" if is_utf8 else b"text/rfc822-headers"
        return _part(b"Undelivered message headers", kind, returned.octets, encoding)
    kind = b"message/global" if is_utf8 else b"message/rfc822"
    return _part(b"Undelivered message", kind, returned.octets, encoding)


def _part(description: bytes, kind: bytes, body: bytes, encoding: bytes) -> bytes:
    head = b"Content-Description: " + description + b"\r\nContent-Type: " + kind
    return head + b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n" + body
