"""The ``deliver`` stage and the ``delivered`` observers: plugins around each attempt.

What they change lives for one attempt; nothing of it is stored (python-slimta's RelayPolicy has the same rule).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO

from msgspec.structs import replace

from gateway.cleanup.edits import edit_content
from gateway.config import Config
from gateway.hooks import Message
from gateway.hooks.chain import Runtime, call_observer
from gateway.hooks.manager import PluginManager
from gateway.model.content import BodyFile
from gateway.model.delivery import DeliveryReport, DeliveryRequest, Outcome, Status
from gateway.model.edits import Edit
from gateway.model.ledger import LedgerEntry
from gateway.model.verdict import Action, Verdict


class DeliverStage:
    """Runs the chain of ``deliver`` before an attempt.

    Args:
        config: checked configuration.
        plugins: loaded and configured.
        runtime: of this process.
    """

    def __init__(self, config: Config, plugins: PluginManager, runtime: Runtime) -> None:
        self._chain = plugins.chain("deliver", config, runtime)
        self._observers = plugins.observers("delivered")
        self._runtime = runtime
        self._directory = config.text("queue_directory")

    @property
    def is_used(self) -> bool:
        """False when no plugin implements ``deliver``."""
        return bool(self._chain)

    @property
    def is_observed(self) -> bool:
        """False when no plugin implements ``delivered``."""
        return bool(self._observers)

    async def judge(self, request: DeliveryRequest) -> DeliveryRequest | DeliveryReport:
        """The request as plugins want it for this attempt, or their result in place of a delivery."""
        message = Message(request.content, self._open_body)
        noted: list[Verdict] = []
        ledger: list[LedgerEntry] = []

        def take(edits: Sequence[Edit]) -> None:
            message.show(edit_content(message.content, edits))

        verdict = await self._chain.run(
            (request, message),
            session=None,
            ledger=ledger,
            note=noted.append,
            queue_id=request.envelope.queue_id,
            take=take,
            may_change_envelope=False,
        )
        if verdict is not None and verdict.action is not Action.OK:
            return _report(request, verdict)
        if any(note.action is Action.HOLD for note in noted):
            request.envelope.is_held = True
            return _report(request, Verdict.defer("put on hold at delivery", enhanced="4.7.0"))
        changed = replace(request, content=message.content)
        for note in noted:
            if note.action is Action.FILTER:
                transport, _, nexthop = note.argument.partition(":")
                changed.transport, changed.nexthop = transport, nexthop
        return changed

    def delivered(self, request: DeliveryRequest, report: DeliveryReport) -> None:
        """Tell the observers the result for each recipient."""
        for plugin, function in self._observers:
            for recipient, status in zip(request.recipients, report.statuses, strict=False):
                call_observer(self._runtime, plugin, "delivered", function, (request.envelope, recipient, status))

    def _open_body(self, body: BodyFile) -> BinaryIO:
        file = open(os.path.join(self._directory, body.path), "rb")  # noqa: SIM115  # the caller closes it
        file.seek(body.offset)
        return file


def _report(request: DeliveryRequest, verdict: Verdict) -> DeliveryReport:
    match verdict.action:
        case Action.DISCARD:
            status = Status(Outcome.SENT, "2.0.0", f"discarded by policy: {verdict.text or 'deliver stage'}")
        case Action.REJECT:
            status = Status(Outcome.BOUNCED, verdict.enhanced or "5.7.1", verdict.text or "refused by policy")
        case _:
            status = Status(Outcome.DEFERRED, verdict.enhanced or "4.7.1", verdict.text or "deferred by policy")
    return DeliveryReport([status] * len(request.recipients))
