"""The ``error`` transport: no recipient is ever reachable, and the next hop says why.

The next hop is text, as with Postfix's error(8): ``5.1.1 mailbox unavailable`` bounces, ``4.3.2 not now`` defers, text
without an enhanced status code bounces as 5.0.0. The ``retry`` service of master.cf is the same program with text
that starts with 4; without a code it defers as 4.0.0.
"""

from __future__ import annotations

import re

from gateway.config import Config
from gateway.model.delivery import DeliveryReport, DeliveryRequest, Outcome, Status

_ENHANCED = re.compile(r"([45]\.\d{1,3}\.\d{1,3})(?:\s+|\Z)")


class ErrorTransport:
    """Bounces or defers every recipient. ``name``: the master.cf service; ``retry`` defers text without a code."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._default = "4.0.0" if name == "retry" else "5.0.0"

    async def deliver(self, request: DeliveryRequest) -> DeliveryReport:
        """Report failure, with the next hop's text."""
        text = request.nexthop.strip()
        dsn = self._default
        if match := _ENHANCED.match(text):
            dsn, text = match.group(1), text[match.end() :]
        outcome = Outcome.BOUNCED if dsn[0] == "5" else Outcome.DEFERRED
        status = Status(outcome, dsn, text or "mail for this destination is not deliverable")
        return DeliveryReport([status] * len(request.recipients))

    def reload(self, config: Config) -> None:
        """Nothing to read."""

    async def close(self) -> None:
        """Nothing to release."""
