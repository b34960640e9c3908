"""Delivery requests and their results. Source: RFC 3464 §2.3.3 (actions), RFC 3463 (status codes)."""

from __future__ import annotations

from enum import Enum

import msgspec

from gateway.model.content import Content
from gateway.model.envelope import Envelope, Recipient


class Outcome(Enum):
    """What happened to one recipient, in the words of Postfix's ``status=``."""

    SENT = "sent"
    DEFERRED = "deferred"
    BOUNCED = "bounced"
    EXPIRED = "expired"
    EXPANDED = "expanded"  # others took its place when the message was queued; no delivery ends so


class Status(msgspec.Struct, frozen=True, gc=False):
    """The result for one recipient.

    Args:
        outcome: sent, deferred, bounced, expired.
        dsn: enhanced status code, e.g. ``2.0.0``.
        text: what the log and the DSN say, e.g. ``250 2.0.0 Ok: queued as 4Xyz``.
        relay: ``host[ip]:port``, or ``none``.
        remote_reply: the remote server's own words when the text has more, for Diagnostic-Code.
        has_dsn: the next hop took over the duty to report success (RFC 3461 §5.2): no report of ours.
    """

    outcome: Outcome
    dsn: str
    text: str
    relay: str = "none"
    remote_reply: str = ""
    has_dsn: bool = False


class DeliveryRequest(msgspec.Struct):
    """One attempt for some recipients of one message over one transport to one next hop.

    Args:
        envelope: the message's envelope (read only).
        recipients: the recipients of this attempt (items of ``envelope.recipients``).
        content: octets to deliver, ``deliver`` edits applied.
        transport: master.cf name.
        nexthop: as resolved, e.g. ``example.com``, ``[10.0.0.1]:25``, or text for ``error``.
        sender: the reverse-path to use (``deliver`` edits applied), internal form.
    """

    envelope: Envelope
    recipients: list[Recipient]
    content: Content
    transport: str
    nexthop: str
    sender: str


class DeliveryReport(msgspec.Struct):
    """What a transport returns.

    Args:
        statuses: one per recipient of the request, same order.
        site_failure: empty when the next hop was reachable and spoke sense; else why it was not. Drives concurrency
            feedback and dead-destination throttling; a 4xx/5xx for a recipient or message is no site failure.
        connect_seconds: time spent getting a connection (third part of ``delays=``).
        transfer_seconds: time spent sending (fourth part).
    """

    statuses: list[Status]
    site_failure: str = ""
    connect_seconds: float = 0.0
    transfer_seconds: float = 0.0
