"""One place to connect to, and how log lines and reports name it."""

from __future__ import annotations

import msgspec


class Endpoint(msgspec.Struct, frozen=True):
    """A server's address.

    Args:
        host: host name as asked for; the address itself for literals; our own name for a UNIX-domain socket.
        address: IP address, or path of the socket.
        port: TCP port; 0 for a UNIX-domain socket.
        best_mx_of: the domain that prefers this mail exchanger: if it turns out to be this host, mail loops. Empty
            when that is no matter.
    """

    host: str
    address: str
    port: int
    best_mx_of: str = ""

    @property
    def is_unix(self) -> bool:
        """True for a UNIX-domain socket."""
        return self.port == 0

    @property
    def label(self) -> str:
        """``host[address]``."""
        return f"{self.host}[{self.address}]"

    @property
    def relay(self) -> str:
        """``host[address]:port``, as log lines have it."""
        return f"{self.host}[{self.address}]:{self.port}" if self.port else self.label
