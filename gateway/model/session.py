"""What policy knows about one SMTP connection and its current transaction.

One object lives as long as the connection; restrictions and plugins read it. Plugins keep their own state in
``notes`` (connection) and ``transaction_notes`` (until RSET or the end of the message).
"""

from __future__ import annotations

from typing import Any

from gateway.model.address import Address
from gateway.model.client import Client
from gateway.model.envelope import ClientInfo, Recipient
from gateway.model.ledger import LedgerEntry
from gateway.model.verdict import Verdict


class Session:
    """One inbound SMTP connection as policy sees it.

    Attributes:
        client: the client, as XCLIENT or PROXY may have replaced it.
        server_address, server_port: the local end.
        service: master.cf service label, e.g. ``smtp`` or ``127.0.0.1:10025``.
        helo: HELO/EHLO argument, empty before it.
        is_esmtp: EHLO was used.
        command: ``VRFY`` or ``XCLIENT`` while judged; they go the way of RCPT and of a new connection; else empty.
        protocol: ``SMTP``, ``ESMTP`` (``ESMTPS``, ``ESMTPA`` … once TLS and AUTH exist), ``LMTP``.
        sasl_username, tls_protocol: empty without AUTH and TLS.
        sender: reverse-path of the transaction; None before MAIL.
        mail_params: ESMTP parameters of MAIL, keys upper-case, values decoded text.
        recipients: accepted so far.
        recipient: the one being judged, None outside RCPT.
        rcpt_params: its ESMTP parameters.
        rcpt_count: RCPT commands accepted.
        queue_id: assigned with the first accepted recipient; empty before.
        size_bytes: content octets so far (whole message at ``data``).
        forward: XFORWARD attributes given by an authorised peer, None without.
        actions: noted, non-final verdicts of the transaction (HOLD, PREPEND, FILTER, REDIRECT, BCC, DISCARD).
        connection_actions: the same, noted before MAIL: kept for every transaction of the connection.
        had_pipelining_violation: the client spoke before it was its turn.
        skipped_plugins: plugins that failed under the ``skip`` policy: not asked again on this connection.
        notes, transaction_notes: plugins' own state, keyed by plugin name.
        ledger: every verdict and edit.
    """

    __slots__ = (
        "actions", "client", "command", "connection_actions", "forward", "had_pipelining_violation", "helo", "is_esmtp",
        "ledger", "mail_params", "notes", "protocol", "queue_id", "rcpt_count", "rcpt_params", "recipient",
        "recipients", "sasl_username", "sender", "server_address", "server_port", "service", "size_bytes",
        "skipped_plugins", "tls_protocol", "transaction_notes",
    )  # fmt: skip

    def __init__(
        self, client: Client, *, server_address: str = "", server_port: str = "", service: str = "smtp"
    ) -> None:
        self.client = client
        self.server_address, self.server_port, self.service = server_address, server_port, service
        self.helo, self.is_esmtp, self.protocol, self.command = "", False, "SMTP", ""
        self.sasl_username, self.tls_protocol = "", ""
        self.had_pipelining_violation = False
        self.skipped_plugins: frozenset[str] = frozenset()
        self.notes: dict[str, Any] = {}
        self.connection_actions: list[Verdict] = []
        self.ledger: list[LedgerEntry] = []
        self.reset()

    def reset(self) -> None:
        """Forget the transaction, wholly: after RSET, after every end of data, after a new HELO (RFC 5321 §4.1.1.5)."""
        self.forward: ClientInfo | None = None  # XFORWARD_README: for one transaction
        self.sender: Address | None = None
        self.mail_params: dict[str, str] = {}
        self.recipients: list[Recipient] = []
        self.recipient: Address | None = None
        self.rcpt_params: dict[str, str] = {}
        self.rcpt_count = 0
        self.queue_id = ""
        self.size_bytes = 0
        self.actions: list[Verdict] = []
        self.transaction_notes: dict[str, Any] = {}
