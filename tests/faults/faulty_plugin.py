"""A plugin that fails as it is told: given to the gateway by path in ``test_plugins.py``.

``connect`` and ``helo`` look at the HELO name or the client's address; every other stage at the sender's local part,
``FAULT-STAGE``. ``connect`` faults are chosen by the last octet of the client's loopback address.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from gateway.hooks import Address, DeliveryRequest, EditList, Envelope, Message, Session, Verdict, hookimpl

FAULTS = ("raise", "hang", "block", "nonsense", "exit", "exitlater", "cancel", "badcode")


def misbehave(fault: str) -> Any:
    """Do it."""
    match fault:
        case "raise":
            raise RuntimeError("as told")
        case "hang":
            return asyncio.sleep(3600)
        case "block":
            time.sleep(3600)
        case "nonsense":
            return 42
        case "exit":
            raise SystemExit("as told")
        case "exitlater":
            return _exit_later()
        case "cancel":
            raise asyncio.CancelledError("as told")
        case "badcode":
            return Verdict.reject("no such code", code=9999)
    return None


async def _exit_later() -> None:
    await asyncio.sleep(0)
    raise SystemExit("as told, later")


def _at(stage: str, sender: Address | None) -> Any:
    fault, _, wanted = (sender.local if sender else "").partition("-")
    return misbehave(fault) if wanted == stage else None


@hookimpl
def connect(session: Session) -> Any:
    """127.0.1.N: fault number N."""
    network, _, last = session.client.address.rpartition(".")
    return misbehave(FAULTS[int(last) - 1]) if network == "127.0.1" else None


@hookimpl
def helo(session: Session, name: str) -> Any:
    """FAULT.helo.example."""
    fault, _, rest = name.partition(".")
    return misbehave(fault) if rest == "helo.example" else None


@hookimpl
def mail(session: Session, sender: Address, params: Mapping[str, str]) -> Any:
    """FAULT-mail@."""
    return _at("mail", sender)


@hookimpl
def rcpt(session: Session, recipient: Address) -> Any:
    """FAULT-rcpt@."""
    return _at("rcpt", session.sender)


@hookimpl
def predata(session: Session) -> Any:
    """FAULT-predata@."""
    return _at("predata", session.sender)


@hookimpl
def data(session: Session, message: Message, edits: EditList) -> Any:
    """FAULT-data@; what it edited before it failed must not be applied."""
    if session.sender and session.sender.local.endswith("-data"):
        edits.add_header("X-Faulty", "must not be seen")
    return _at("data", session.sender)


@hookimpl
def queue(envelope: Envelope, message: Message, edits: EditList) -> Any:
    """FAULT-queue@; what it edited before it failed must not be applied."""
    if envelope.sender.local.endswith("-queue"):
        edits.add_header("X-Faulty", "must not be seen")
    return _at("queue", envelope.sender)


@hookimpl
def deliver(request: DeliveryRequest) -> Any:
    """FAULT-deliver@."""
    return _at("deliver", request.envelope.sender)
