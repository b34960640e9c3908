"""Hooks: what plugins may do, how they are found, and the one loop that calls them.

Plugin authors import everything they need from here::

    from gateway.hooks import EditList, Message, Session, Verdict, hookimpl

Owns the contract (``specs``), discovery and validation (``manager``), and the call loop (``chain``). Never touches the
wire or the spool. The reference is docs/hooks.md.
"""

import pluggy

from gateway.hooks.edit_list import EditList
from gateway.hooks.marker import PROJECT, blocking
from gateway.hooks.message import Message
from gateway.model.address import Address
from gateway.model.delivery import DeliveryRequest, Outcome, Status
from gateway.model.envelope import Envelope, Recipient
from gateway.model.ledger import LedgerEntry
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict

hookimpl = pluggy.HookimplMarker(PROJECT)

__all__ = [
    "Action",
    "Address",
    "DeliveryRequest",
    "EditList",
    "Envelope",
    "LedgerEntry",
    "Message",
    "Outcome",
    "Recipient",
    "Session",
    "Status",
    "Verdict",
    "blocking",
    "hookimpl",
]
