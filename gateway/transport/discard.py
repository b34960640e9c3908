"""The ``discard`` transport: success without delivery.

The next hop is the text for the log, as with Postfix's discard(8).
"""

from __future__ import annotations

from gateway.config import Config
from gateway.model.delivery import DeliveryReport, DeliveryRequest, Outcome, Status


class DiscardTransport:
    """Reports every recipient as sent (2.0.0). ``name``: the master.cf service."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def deliver(self, request: DeliveryRequest) -> DeliveryReport:
        """Report success; the next hop is the reason in the log."""
        status = Status(Outcome.SENT, "2.0.0", request.nexthop or self.name)
        return DeliveryReport([status] * len(request.recipients))

    def reload(self, config: Config) -> None:
        """Nothing to read."""

    async def close(self) -> None:
        """Nothing to release."""
