"""What every delivery transport looks like to the scheduler.

Owns the interface and nothing else. A transport of a plugin has the same three methods.
"""

from __future__ import annotations

from typing import Protocol

from gateway.config import Config
from gateway.model.delivery import DeliveryReport, DeliveryRequest


class Transport(Protocol):
    """Delivers requests. Several :meth:`deliver` calls run at the same time; the scheduler bounds how many."""

    async def deliver(self, request: DeliveryRequest) -> DeliveryReport:
        """Try once.

        Never raises for what a peer, DNS or the disk does: the report has one Status for each recipient of the
        request, in its order, and ``site_failure`` when the next hop could not be talked to.
        """
        ...

    def reload(self, config: Config) -> None:
        """Use new settings for requests that start from now on."""
        ...

    async def close(self) -> None:
        """Release connections; requests under way end as deferred."""
        ...
