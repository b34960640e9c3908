"""How queue entries look: the table of ``mailq`` and the JSON lines of ``postqueue -j``, as Postfix prints them.

Monitoring reads both, so widths, words and key order are Postfix's with long queue IDs. Source: postqueue(1).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator

import msgspec

from gateway.model.envelope import Envelope

HEADING = "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
EMPTY = "Mail queue is empty"
_MARKS = {"active": "*", "hold": "!"}
_REASON_END = 76  # column at which a reason in parentheses ends, when it is short enough


class EntryRecipient(msgspec.Struct, frozen=True):
    """One recipient still to be served, and why not yet (empty when it was not tried)."""

    address: str
    delay_reason: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One queued message, with the keys of ``postqueue -j``."""

    queue_name: str
    queue_id: str
    arrival_time: float
    message_size: int
    sender: str
    recipients: list[EntryRecipient]
    forced_expire: bool = False

    @classmethod
    def of(cls, envelope: Envelope, queue_name: str) -> Entry:
        """The listing's view of a stored message."""
        return cls(
            queue_name,
            envelope.queue_id,
            envelope.arrival,
            envelope.size_bytes,
            # Postfix shows the null sender so, in both forms.
            envelope.sender.quoted or "MAILER-DAEMON",
            [EntryRecipient(recipient.address.quoted, recipient.reason) for recipient in envelope.pending],
        )


def table(entries: Iterable[Entry]) -> Iterator[str]:
    """Lines of the human-readable form."""
    count = size = 0
    for entry in entries:
        if not count:
            yield HEADING
        count += 1
        size += entry.message_size
        yield from _rows(entry)
    if count:
        yield f"-- {size // 1024} Kbytes in {count} Request{'' if count == 1 else 's'}."
    else:
        yield EMPTY


def _rows(entry: Entry) -> Iterator[str]:
    name = entry.queue_id + _MARKS.get(entry.queue_name, "")
    arrival = time.strftime("%a %b %d %H:%M:%S", time.localtime(entry.arrival_time))
    yield f"{name:<17} {entry.message_size:8d} {arrival:.19} {_clean(entry.sender)}"
    before = ""
    for recipient in entry.recipients:
        # One reason stands above all recipients in a row that have it.
        if recipient.delay_reason and recipient.delay_reason != before:
            yield " " * max(0, _REASON_END - len(recipient.delay_reason)) + f"({_clean(recipient.delay_reason)})"
        before = recipient.delay_reason
        yield f"{'':17} {'':8} {'':19} {_clean(recipient.address)}"
    yield ""


def json_line(entry: Entry) -> str:
    """One JSON object on one line."""
    recipients = [
        {"address": recipient.address} | ({"delay_reason": recipient.delay_reason} if recipient.delay_reason else {})
        for recipient in entry.recipients
    ]
    return json.dumps(
        {
            "queue_name": entry.queue_name,
            "queue_id": entry.queue_id,
            "arrival_time": int(entry.arrival_time),
            "message_size": entry.message_size,
            "forced_expire": entry.forced_expire,
            "sender": entry.sender,
            "recipients": recipients,
        },
        ensure_ascii=False,
    )


def _clean(text: str) -> str:
    """No terminal escape from a stranger's address or reply."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
