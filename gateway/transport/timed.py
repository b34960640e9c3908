"""How long a plugin's transport may take for one delivery: ``<service>_time_limit``, else ``command_time_limit``.

Our own transports have a deadline for each thing they wait for; of a plugin's nobody knows, and one that hangs would
keep its messages, and their slots, for ever. Source: postconf(5) transport_time_limit.
"""

from __future__ import annotations

from gateway.config import Config
from gateway.model.delivery import DeliveryReport, DeliveryRequest
from gateway.net.eager import with_deadline
from gateway.transport.base import Transport


class TimedTransport:
    """A transport with a deadline for each delivery.

    Args:
        transport: a plugin's.
        config: checked configuration.
        name: the master.cf service.
    """

    def __init__(self, transport: Transport, config: Config, name: str) -> None:
        self._transport, self._name = transport, name
        self._limit_s = _limit_s(config, name)

    async def deliver(self, request: DeliveryRequest) -> DeliveryReport:
        """Deliver, or give up. What comes after the deadline is not heard: the message may then arrive twice.

        Raises:
            TimeoutError: the limit has passed; the scheduler defers, as for anything else that a transport raises.
        """
        return await with_deadline(self._transport.deliver(request), self._limit_s)

    def reload(self, config: Config) -> None:
        """Use new settings for requests that start from now on."""
        self._limit_s = _limit_s(config, self._name)
        self._transport.reload(config)

    async def close(self) -> None:
        """Close the transport; the caller bounds how long that takes."""
        await self._transport.close()


def _limit_s(config: Config, name: str) -> float:
    return config.transport_seconds(name, "time_limit")
