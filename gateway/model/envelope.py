"""The envelope: what the spool stores beside the content, and what every transport gets.

These are the stored forms (msgpack through msgspec): a field may be added with a default, never renamed or reused.
Source: RFC 5321 §2.3.1, RFC 3461 (DSN), RFC 6531 (SMTPUTF8).
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from gateway.model.address import Address


class RecipientState(IntEnum):
    """Where one recipient stands."""

    PENDING = 0  # to be delivered
    DONE = 1  # sent, bounced, expired or discarded: nothing more to do


class Recipient(msgspec.Struct, omit_defaults=True):
    """One envelope recipient.

    Args:
        address: where the mail goes, after rewriting.
        original: as the client gave it, internal form; empty when the same.
        orcpt: DSN ORCPT value, ``rfc822;xtext-decoded`` form; empty when none (RFC 3461 §4.2).
        notify: DSN NOTIFY words, upper-case; empty tuple: the default (RFC 3461 §4.1).
        state: pending or done.
        status: last enhanced status code, e.g. ``4.4.1``.
        reason: last delivery text, for ``postqueue -p`` and DSNs.
        relay: last next hop tried, ``host[ip]:port``.
    """

    address: Address
    original: str = ""
    orcpt: str = ""
    notify: tuple[str, ...] = ()
    state: RecipientState = RecipientState.PENDING
    status: str = ""
    reason: str = ""
    relay: str = ""


class ClientInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a message came from, as XFORWARD passes it on.

    Each field may be empty: not told. ``unknown`` for name, address or port: there is none.

    Args:
        ident: queue ID in the system that the client first talked to.
        source: ``LOCAL``: the client was one of local_header_rewrite_clients; ``REMOTE``.
    """

    name: str = "unknown"
    address: str = ""
    port: str = ""
    helo: str = ""
    protocol: str = ""
    ident: str = ""
    source: str = "REMOTE"

    @property
    def has_client(self) -> bool:
        """True when something of the client itself is told, not only of the message."""
        return bool(self.name or self.address or self.port or self.helo or self.protocol)


class Envelope(msgspec.Struct, omit_defaults=True):
    """A queued message without its content.

    Args:
        queue_id: long queue ID.
        sender: reverse-path; ``Address.NULL`` for bounces.
        recipients: all of them, done or pending, in client order.
        arrival: seconds since the epoch.
        size_bytes: content octets.
        client: who sent it here.
        encoding: ``7BIT`` or ``8BITMIME`` (BODY=), empty when unknown.
        is_smtputf8: the client asked for SMTPUTF8.
        ret: DSN RET, ``FULL`` or ``HDRS`` or empty.
        envid: DSN ENVID, xtext-decoded, or empty.
        is_held: in the hold queue.
        filter: FILTER destination ``transport:nexthop``, or empty.
        attempts: delivery attempts so far.
        due: next attempt, seconds since the epoch; 0: at once.
        warned: the delay warning was sent.
        has_long_lines: a line is longer than 998 octets (RFC 5321 §4.5.3.1.6).
        message_id: value of Message-ID with brackets, for logs.
        trace: identifier kept across re-injection, or empty.
        origin: service that took it in (``smtpd``, ``pickup``, ``bounce``).
        forward: what ``client`` told with XFORWARD of where the message came from before, or None.
    """

    queue_id: str
    sender: Address
    recipients: list[Recipient]
    arrival: float
    size_bytes: int = 0
    client: ClientInfo = ClientInfo()
    encoding: str = ""
    is_smtputf8: bool = False
    ret: str = ""
    envid: str = ""
    is_held: bool = False
    filter: str = ""
    attempts: int = 0
    due: float = 0.0
    warned: bool = False
    has_long_lines: bool = False
    message_id: str = ""
    trace: str = ""
    origin: str = "smtpd"
    forward: ClientInfo | None = None

    @property
    def pending(self) -> list[Recipient]:
        """Recipients still to be delivered."""
        return [r for r in self.recipients if r.state is RecipientState.PENDING]
