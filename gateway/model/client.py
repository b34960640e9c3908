"""The SMTP client, as policy sees it."""

from __future__ import annotations

import msgspec


class Client(msgspec.Struct, frozen=True, gc=False):
    """The SMTP client.

    Args:
        address: IPv4 or IPv6 text without ``IPv6:`` prefix; ``unknown`` when there is none.
        port: TCP port text, or ``unknown``.
        name: verified host name (PTR and back), or ``unknown``.
        reverse_name: PTR name, verified or not, or ``unknown``.
        name_code: 2 verified, 4 temporary DNS error, 5 no or forged name (first digit, as Postfix keeps it).
        reverse_code: the same for ``reverse_name``.
    """

    address: str
    port: str = "unknown"
    name: str = "unknown"
    reverse_name: str = "unknown"
    name_code: int = 5
    reverse_code: int = 5

    @property
    def label(self) -> str:
        """``name[address]`` as log lines have it."""
        return f"{self.name}[{self.address}]"
