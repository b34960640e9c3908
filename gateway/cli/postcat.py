"""``postcat -q``: show a queued message. Source: postcat(1).

The envelope is printed with Postfix's record names where it has the same thing; what only the store knows comes under
names of its own.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import BinaryIO

from gateway.cli.console import EX_USAGE, Fatal, open_config, options
from gateway.master.privileges import become_owner_of
from gateway.model.content import BodyFile, Content
from gateway.model.envelope import Envelope, Recipient, RecipientState
from gateway.model.errors import SpoolError
from gateway.spool.reader import StoreReader

USAGE = "postcat [-c config_dir] [-bdehov] -q queue_id ..."
PIECE = 65536


def main(arguments: list[str]) -> int:
    """Run ``postcat``."""
    found, queue_ids = options(arguments, "bc:dehoqv", USAGE)
    if queue_ids and "q" not in found:
        raise Fatal(f"messages are not files here, give a queue ID; usage: {USAGE}", EX_USAGE)
    parts = {part for part in "beh" if part in found} or set("beh")
    config = open_config(found.get("c", [""])[-1])
    if not queue_ids:
        return 0
    out = sys.stdout.buffer
    directory = config.text("queue_directory")
    become_owner_of(os.path.join(directory, "store"))  # reading may make index files
    with StoreReader.open(directory) as reader:
        for queue_id in queue_ids:
            envelope = reader.envelope(queue_id)
            if envelope is None:
                raise Fatal(f"open queue file {queue_id}: No such file or directory")
            try:
                _show(out, reader, envelope, parts, is_verbose="v" in found)
            except SpoolError as exc:
                raise Fatal(f"{queue_id}: {exc}") from exc
    out.flush()
    return 0


def _show(out: BinaryIO, reader: StoreReader, envelope: Envelope, parts: set[str], *, is_verbose: bool) -> None:
    place = f"{'hold' if envelope.is_held else 'deferred'}/{envelope.queue_id}"
    if "e" in parts:
        print_line(out, f"*** ENVELOPE RECORDS {place} ***")
        for name, value in envelope_records(envelope):
            print_line(out, f"{name}: {value}")
        print_line(out, f"*** MESSAGE CONTENTS {place} ***")
    if parts & {"b", "h"}:
        prefix = b"regular_text: " if is_verbose else b""
        for line in content_lines(reader.content(envelope.queue_id), reader.directory, parts):
            out.write(prefix + line + b"\n")
    if "e" in parts:
        print_line(out, f"*** HEADER EXTRACTED {place} ***")
        print_line(out, f"*** MESSAGE FILE END {place} ***")


def envelope_records(envelope: Envelope) -> Iterator[tuple[str, str]]:
    """Name and value of each envelope record, in Postfix's order."""
    yield "message_size", f"{envelope.size_bytes:15d} {len(envelope.recipients):15d}"
    yield "message_arrival_time", _date(envelope.arrival)
    told = envelope.forward
    client = told if told is not None and told.has_client else envelope.client
    attributes = {
        "log_client_name": client.name if client.address or told else "",
        "log_client_address": client.address,
        "log_client_port": client.port,
        "log_helo_name": client.helo,
        "log_protocol_name": client.protocol,
        "log_ident": told.ident if told is not None else "",
        "encoding": envelope.encoding,
        "dsn_envelope_id": envelope.envid,
        "dsn_ret_flags": envelope.ret,
        "trace": envelope.trace,
        "origin": envelope.origin,
    }
    for name, value in attributes.items():
        if value:
            yield "named_attribute", f"{name}={value}"
    if envelope.filter:
        yield "content_filter", envelope.filter
    yield "sender", envelope.sender.quoted
    if envelope.attempts:
        yield "delivery_attempts", str(envelope.attempts)
        yield "next_attempt", _date(envelope.due)
    for recipient in envelope.recipients:
        yield from _recipient_records(recipient)


def _recipient_records(recipient: Recipient) -> Iterator[tuple[str, str]]:
    if recipient.notify:
        yield "named_attribute", f"dsn_notify_flags={','.join(recipient.notify)}"
    if recipient.orcpt:
        yield "named_attribute", f"dsn_orig_rcpt={recipient.orcpt}"
    if recipient.original:
        yield "original_recipient", recipient.original
    is_done = recipient.state is RecipientState.DONE
    yield "done_recipient" if is_done else "recipient", recipient.address.quoted
    if recipient.reason:
        yield "delivery_status", f"{recipient.status} {recipient.reason}"


def content_lines(content: Content, directory: str, parts: set[str]) -> Iterator[bytes]:
    """Lines of head and body as asked for, without line ends."""
    if "h" in parts:
        yield from _lines(content.head)
    if "b" not in parts:
        return
    if content.separator:
        yield b""
    if isinstance(content.body, BodyFile):
        with open(os.path.join(directory, content.body.path), "rb") as file:
            file.seek(content.body.offset)
            for line in file:
                yield line.rstrip(b"\r\n")
    else:
        yield from _lines(content.body)


def print_line(out: BinaryIO, text: str) -> None:
    """Write text; control characters, which a stranger may have put there, are masked."""
    clean = text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
    out.write(clean.encode("utf-8", "replace") + b"\n")


def _lines(data: bytes) -> list[bytes]:
    return data.removesuffix(b"\r\n").split(b"\r\n") if data else []


def _date(seconds: float) -> str:
    return time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(seconds))
