"""The demo's plugin: something at every stage, and a record of every decision.

Each verdict, edit and delivery result becomes one JSON line in ``demo_record``; the demo reads it to show who decided
what. A plugin of your own would do one of these things, not all.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from gateway.config import Config, Kind, Parameter, Registry
from gateway.hooks import (
    Address,
    DeliveryRequest,
    EditList,
    Envelope,
    Message,
    Outcome,
    Recipient,
    Session,
    Status,
    Verdict,
    hookimpl,
)
from gateway.maps import Table
from gateway.model.content import BodyFile
from gateway.model.delivery import DeliveryReport


class GreetingTable(Table):
    """A table type of a plugin's own: every name is its own greeting."""

    async def find(self, key: str) -> str | None:
        """The greeting for a client name."""
        return f"hello {key}"


class Archive:
    """A transport of a plugin's own: one file a message."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    async def deliver(self, request: DeliveryRequest) -> DeliveryReport:
        """Write the message; small ones only, to keep the demo short."""
        content = request.content
        if isinstance(content.body, BodyFile):
            return DeliveryReport(
                [Status(Outcome.BOUNCED, "5.3.4", "too big for the archive")] * len(request.recipients)
            )
        path = os.path.join(self._directory, f"archive-{request.envelope.queue_id}")
        with open(path, "wb") as file:  # noqa: ASYNC230  # a few KiB
            file.write(content.head + content.separator + content.body)
        return DeliveryReport([Status(Outcome.SENT, "2.0.0", f"in {os.path.basename(path)}")] * len(request.recipients))

    def reload(self, config: Config) -> None:
        """Nothing to read."""

    async def close(self) -> None:
        """Nothing to release."""


class Stages:
    """Says something at every stage."""

    def __init__(self) -> None:
        self._path = ""

    @hookimpl
    def parameters(self, registry: Registry) -> None:
        """One parameter: where the record goes."""
        registry.add(Parameter("demo_record", Kind.TEXT, "$queue_directory/demo.jsonl", "file for the demo's record"))

    @hookimpl
    def configure(self, config: Config) -> None:
        """Remember where the record goes."""
        self._path = config.text("demo_record")

    @hookimpl
    def connect(self, session: Session) -> Verdict:
        """Sync."""
        return Verdict.ok(f"{session.client.name} may talk")

    @hookimpl
    def helo(self, session: Session, name: str) -> Verdict:
        """Arguments are taken by name."""
        return Verdict.ok(f"{name} is polite" + (" and speaks ESMTP" if session.is_esmtp else ""))

    @hookimpl
    async def mail(self, sender: Address, params: Mapping[str, str]) -> Verdict:
        """Async, as a lookup over the network would be."""
        await asyncio.sleep(0.002)
        return Verdict.ok(f"{sender.domain} looked up, {len(params)} parameters")

    @hookimpl
    def rcpt(self, recipient: Address) -> Verdict | None:
        """One recipient is not wanted by this plugin."""
        if recipient.local == "unwanted":
            return Verdict.reject("Recipient does not want this", code=550, reason="asked us to say so")
        return Verdict.ok("known recipient")

    @hookimpl
    def predata(self, session: Session) -> Verdict:
        """The envelope is complete."""
        return Verdict.ok(f"{len(session.recipients)} recipients")

    @hookimpl
    async def data(self, message: Message, edits: EditList) -> Verdict | None:
        """The whole message, while the client waits."""
        if "lottery" in (message.header("Subject") or ""):
            return Verdict.reject("Message content rejected", code=550, enhanced="5.7.1", reason="lottery")
        edits.add_header("X-Demo-Data", f"{message.size_bytes} octets seen")
        return None

    @hookimpl
    def queue(self, envelope: Envelope, edits: EditList) -> None:
        """Once, before the disk."""
        edits.add_header("X-Demo-Queue", envelope.queue_id)

    @hookimpl
    def deliver(self, request: DeliveryRequest, edits: EditList) -> None:
        """For this attempt only."""
        edits.add_header("X-Demo-Deliver", f"{request.transport} to {request.nexthop}")

    @hookimpl
    def unknown(self, session: Session, verb: str) -> None:
        """See what is not SMTP."""
        self._write({"stage": "unknown", "session": _name(session), "text": verb})

    @hookimpl
    def reset(self, session: Session) -> None:
        """Nothing of the transaction is left after this."""
        self._write({"stage": "reset", "session": _name(session), "queue_id": session.queue_id})

    @hookimpl
    def disconnect(self, session: Session) -> None:
        """The end."""
        self._write({"stage": "disconnect", "session": _name(session)})

    @hookimpl
    def delivered(self, envelope: Envelope, recipient: Recipient, status: Status) -> None:
        """What became of it."""
        text = f"{status.outcome.value}: {status.text}"
        self._write(
            {"stage": "delivered", "queue_id": envelope.queue_id, "recipient": str(recipient.address), "text": text}
        )

    @hookimpl
    def lookup_tables(self, register: Callable[[str, Any], None]) -> None:
        """Adds ``greeting:`` as a table type."""
        register("greeting", lambda name, config: GreetingTable(f"greeting:{name}"))

    @hookimpl
    def transports(self, register: Callable[[str, Any], None]) -> None:
        """Adds ``archive`` as a program for master.cf."""
        register("archive", lambda config, name: Archive(config.text("queue_directory")))

    def _write(self, line: dict[str, object]) -> None:
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"pid": os.getpid(), "at": perf_counter(), **line}) + "\n")


def _name(session: Session | None) -> str:
    """Connections have no name of their own: the client's port tells them apart."""
    return session.client.port if session is not None else ""
