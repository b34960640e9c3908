"""The addresses at which mail for ``user@[address]`` is mail for us.

Source: inet_interfaces, inet_protocols, proxy_interfaces of postconf(5).
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from gateway.config.interfaces import own_interfaces
from gateway.maps.network import parse_address
from gateway.model.errors import ConfigError

if TYPE_CHECKING:
    from gateway.config import Config


def _listed(words: Iterable[str], parameter: str) -> Iterator[str]:
    """Addresses of the names and addresses in a parameter; names are looked up once, at (re)load."""
    for word in words:
        text = word.strip("[]")
        if parse_address(text):
            yield text
            continue
        try:
            found = socket.getaddrinfo(text, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise ConfigError(f'"{word}": host not found', parameter=parameter) from error
        yield from (str(entry[4][0]) for entry in found)


def own_addresses(config: Config) -> frozenset[tuple[int, int]]:
    """``(version, number)`` of each own address and each address of ``proxy_interfaces``.

    Raises:
        ConfigError: a host name that has no address.
    """
    words = config.words("inet_interfaces")
    folded = {word.lower() for word in words}
    if folded & {"all", "loopback-only"}:
        mine = [each.address for each in own_interfaces() if "all" in folded or each.address.is_loopback]
        texts = {str(address).partition("%")[0] for address in mine}
    else:
        texts = set(_listed(words, "inet_interfaces"))
    texts |= set(_listed(config.words("proxy_interfaces"), "proxy_interfaces"))
    return frozenset(address for address in map(parse_address, texts) if address)
