"""Next hop text, as transport_maps, relayhost and master.cf have it, into destinations.

Source: smtp(8), SMTP and LMTP DESTINATION SYNTAX. ``inet:`` is taken from SMTP too, and means no MX lookup there.
"""

from __future__ import annotations

import re

import msgspec

from gateway.model.errors import ConfigError
from gateway.net.names import literal_address
from gateway.transport.settings import port_number

_BRACKETS = re.compile(r"\[([^\[\]]+)\](?::([^:]*))?")


class Destination(msgspec.Struct, frozen=True):
    """One destination.

    Args:
        host: domain, host name, or IP address without brackets; path of a UNIX-domain socket.
        port: TCP port; 0 for a UNIX-domain socket.
        wants_mx: mail exchangers of ``host`` are looked up.
    """

    host: str
    port: int
    wants_mx: bool = False


def parse_nexthop(text: str, *, default_port: int, is_lmtp: bool = False) -> tuple[Destination, ...]:
    """Destinations in the order they are to be tried.

    Raises:
        ConfigError: a destination that is none, or an unknown service name for its port.
    """
    words = text.replace(",", " ").split()
    if not words:
        raise ConfigError("empty next hop")
    return tuple(_parse(word, default_port, is_lmtp=is_lmtp) for word in words)


def _parse(word: str, default_port: int, *, is_lmtp: bool) -> Destination:
    if word.startswith("unix:"):
        if len(word) == len("unix:"):
            raise ConfigError(f"no path in next hop {word!r}")
        return Destination(word[len("unix:") :], 0)
    is_inet = word.startswith("inet:")
    rest = word[len("inet:") :] if is_inet else word
    if match := _BRACKETS.fullmatch(rest):
        inside = match.group(1)
        host, port = literal_address(inside) or inside, match.group(2)
        wants_mx = False
    elif address := literal_address(rest):
        host, port, wants_mx = address, None, False
    else:
        host, colon, service = rest.rpartition(":")
        host, port = (host, service) if colon else (rest, None)
        wants_mx = not (is_inet or is_lmtp)
    if not host or "[" in host or "]" in host:
        raise ConfigError(f"bad next hop {word!r}")
    return Destination(
        host, default_port if port is None else port_number(port), wants_mx and not literal_address(host)
    )
