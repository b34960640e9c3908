"""What a policy server is told about a session. Source: SMTPD_POLICY_README, "Protocol description"."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from gateway.model.session import Session
from gateway.proto.policy import PolicyRequest
from gateway.restrictions.progress import progress_of

_NOTES = "policy"
_STATES = {"connect": "CONNECT", "mail": "MAIL", "rcpt": "RCPT", "predata": "DATA", "data": "END-OF-MESSAGE"}


class Instance:
    """One mail transaction, for servers that put questions together; it is gone when the transaction is."""

    __slots__ = ("__weakref__", "text")

    def __init__(self, text: str) -> None:
        self.text = text


def instance_of(session: Session, count: Iterator[int]) -> Instance | None:
    """The transaction that MAIL began, made when it has none yet; None before MAIL was accepted.

    Args:
        session: the session.
        count: never the same twice in this process: what makes transactions of one microsecond different.
    """
    if session.sender is None or progress_of(session).stage in ("helo", "mail"):
        return None
    instance = session.transaction_notes.get(_NOTES)
    if not isinstance(instance, Instance):
        seconds, microseconds = divmod(time.time_ns() // 1000, 1_000_000)
        text = f"{os.getpid():x}.{seconds:x}.{microseconds:x}.{next(count):x}"
        instance = session.transaction_notes[_NOTES] = Instance(text)
    return instance


def question(session: Session, instance: Instance | None, *, stress: str, policy_context: str) -> PolicyRequest:
    """Everything that is known at this stage.

    Args:
        session: the session.
        instance: its transaction.
        stress, policy_context: as configured.
    """
    client, stage = session.client, progress_of(session).stage
    is_complete = stage in ("predata", "data")
    # What came counts once it is there: an empty message has the size that MAIL announced.
    size = session.size_bytes or announced(session)
    return PolicyRequest(
        protocol_state=session.command or _STATES.get(stage) or ("EHLO" if session.is_esmtp else "HELO"),
        protocol_name=session.protocol,
        client_address=client.address,
        client_name=client.name,
        client_port=client.port,
        reverse_client_name=client.reverse_name,
        server_address=session.server_address,
        server_port=session.server_port,
        helo_name=session.helo,
        sender=str(session.sender or ""),
        recipient=str(session.recipient or ""),
        recipient_count=session.rcpt_count if is_complete else 0,
        queue_id=session.queue_id,
        instance=instance.text if instance is not None else "",
        size=size,
        stress=stress,
        # XCLIENT is the only way to be somebody yet.
        sasl_method="XCLIENT" if session.sasl_username else "",
        sasl_username=session.sasl_username,
        policy_context=policy_context,
    )


def announced(session: Session) -> int:
    """SIZE of MAIL; 0 without."""
    text = session.mail_params.get("SIZE", "")
    return int(text) if text.isascii() and text.isdigit() else 0
