"""One delivery attempt: which recipients still want a result, and what the others got."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.model.address import Address
from gateway.model.delivery import DeliveryReport, DeliveryRequest, Outcome, Status


class Attempt:
    """The state of a request while servers are tried.

    Attributes:
        request: what to deliver.
        sender: reverse-path.
        needs_smtputf8: the message cannot be sent without SMTPUTF8 (RFC 6531 §3.4).
        pending: indexes of recipients without a final result, ascending.
        site_failure: why the next hop cannot be talked to; empty once a server has answered a command of the
            transaction.
    """

    __slots__ = ("_no_route", "_statuses", "needs_smtputf8", "pending", "request", "sender", "site_failure")

    def __init__(self, request: DeliveryRequest) -> None:
        self.request = request
        envelope = request.envelope
        self.sender = envelope.sender if request.sender == str(envelope.sender) else Address.of(request.sender)
        self.needs_smtputf8 = envelope.is_smtputf8 and not (
            request.sender.isascii()
            and request.content.head.isascii()
            and all(str(recipient.address).isascii() for recipient in request.recipients)
        )
        self._statuses: list[Status | None] = [None] * len(request.recipients)
        self.pending = list(range(len(request.recipients)))
        self.site_failure = ""
        self._no_route: Status | None = None

    def settle(self, index: int, status: Status, *, is_final: bool = False) -> None:
        """Note a recipient's result. A deferred one stays pending, for the next server, unless ``is_final``."""
        self._statuses[index] = status
        if is_final or status.outcome is not Outcome.DEFERRED:
            self.pending.remove(index)

    def settle_all(self, indexes: Iterable[int], status: Status, *, is_final: bool = False) -> None:
        """The same result for several."""
        for index in list(indexes):
            self.settle(index, status, is_final=is_final)

    def settle_rest(self, status: Status, *, is_last: bool) -> None:
        """There is no way to a destination. Once it was the last one, that is the result of those without another."""
        if self._no_route is None or status.outcome is Outcome.DEFERRED:
            self._no_route = status
        if status.outcome is Outcome.DEFERRED:
            self.site_failure = status.text
        if is_last:
            self.settle_all((index for index in self.pending if self._statuses[index] is None), self._no_route)

    def report(self, connect_seconds: float, transfer_seconds: float) -> DeliveryReport:
        """What the scheduler gets. Every recipient has a status by now."""
        statuses = [status for status in self._statuses if status is not None]
        assert len(statuses) == len(self._statuses)
        return DeliveryReport(statuses, self.site_failure, connect_seconds, transfer_seconds)
