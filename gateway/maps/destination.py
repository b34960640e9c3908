"""Classes of domains, and where an address leads."""

from __future__ import annotations

from enum import Enum

import msgspec

from gateway.model.address import Address


class AddressClass(Enum):
    """Which class of ADDRESS_CLASS_README a domain is in."""

    LOCAL = "local"
    VIRTUAL_ALIAS = "virtual alias"
    VIRTUAL_MAILBOX = "virtual mailbox"
    RELAY = "relay"
    DEFAULT = "default"


class Destination(msgspec.Struct, frozen=True, gc=False):
    """Where an address leads, local routing undone.

    Args:
        recipient: the address that it stands for, always with a domain.
        address_class: the class of that domain.
        is_routed: the local part still names other hosts, for whoever takes the mail to follow or not.
        is_valid: mail can be sent there; otherwise it is to be refused (5.1.3).
    """

    recipient: Address
    address_class: AddressClass
    is_routed: bool = False
    is_valid: bool = True
