"""Defaults that depend on the system: host name, domain, own networks.

Source: myhostname, mydomain, mynetworks_style and mynetworks of postconf(5).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from gateway.config.interfaces import Interface
from gateway.config.lines import read_lines


def default_hostname(domain: str | None) -> str:
    """The system's name, made fully qualified with ``domain`` (``localdomain`` when there is none)."""
    name = socket.gethostname() or "localhost"
    return name if "." in name else f"{name}.{domain or 'localdomain'}"


def default_domain(hostname: str) -> str:
    """The host name without its first label, ``localdomain`` when it has but one."""
    return hostname.partition(".")[2] or "localdomain"


def default_networks(interfaces: Sequence[Interface], style: str) -> str:
    """``mynetworks`` from interface addresses.

    Args:
        interfaces: the addresses mail is received on.
        style: ``host`` (these addresses only), ``subnet`` or ``class`` (whole class A, B or C networks: too wide for
            almost everybody).
    """
    found: dict[str, None] = {}
    for interface in interfaces:
        network = interface.network(style)
        shown = f"[{network.network_address}]/{network.prefixlen}" if network.version == 6 else str(network)
        found[shown] = None
    return " ".join(found)


def origin(text: str) -> str:
    """``myorigin``; a path stands for the first line of that file, as on Debian.

    Raises:
        ConfigError: the file cannot be read.
    """
    return read_lines(text)[0].strip() if text.startswith("/") else text
