"""The ledger: who decided or changed what, when, for whom, and how long it took."""

from __future__ import annotations

import msgspec

from gateway.model.edits import Edit
from gateway.model.verdict import Verdict


class LedgerEntry(msgspec.Struct, frozen=True, gc=False):
    """One decision or change.

    Args:
        stage: ``connect helo mail rcpt predata data queue deliver``.
        author: plugin name, or ``restriction`` name such as ``reject_unauth_destination``.
        verdict: what it said, None when it only edited.
        edits: what it changed.
        recipient: internal form, for the stages that have one.
        milliseconds: wall time of the call.
        queue_id: of the message, empty before it has one.
        error: the failure, when the verdict is a failure policy's and not the author's own.
    """

    stage: str
    author: str
    verdict: Verdict | None = None
    edits: tuple[Edit, ...] = ()
    recipient: str = ""
    milliseconds: float = 0.0
    error: str = ""
    queue_id: str = ""
