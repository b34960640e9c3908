"""Where mail for a recipient goes."""

from __future__ import annotations

import msgspec

from gateway.model.address import Address


class Route(msgspec.Struct, frozen=True, gc=False):
    """Where mail for a recipient goes.

    Args:
        transport: master.cf name.
        nexthop: as that transport reads it.
        recipient: the address that the transport is to deliver to, where it is not the one that was asked for: local
            routing undone, a missing domain added.
    """

    transport: str
    nexthop: str
    recipient: Address | None = None


class DomainRoute(msgspec.Struct, frozen=True, gc=False):
    """What the domain alone decides: the class's route, and the final one by the domain's transport_maps entry."""

    plain: Route
    final: Route
