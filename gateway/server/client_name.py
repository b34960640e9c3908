"""Who an SMTP client is: PTR and back, or what XCLIENT says.

Source: postconf(5) smtpd_peername_lookup, RFC 1912 §2.1; XCLIENT_README.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.model.client import Client
from gateway.net.hosts_file import HostsFile
from gateway.net.resolver import DnsNotFound, DnsTemporary, Resolver
from gateway.proto.xclient import TEMPUNAVAIL

# With these a HELO name could pass for more than a name in a log line or in Received; Postfix has "?" for them too.
_NO_NAME = re.compile(r'[\x00-\x20\x7f<>()\\";@]')


def safe_helo(name: str) -> str:
    """A HELO name as logs, headers and rules may have it."""
    return _NO_NAME.sub("?", name)


async def identify(address: str, port: str, resolver: Resolver | None, hosts: HostsFile) -> Client:
    """Look up a client's name; it counts only when it resolves back to the address.

    Args:
        address: IPv4 or IPv6 text.
        port: TCP port text.
        resolver: None when smtpd_peername_lookup is off.
        hosts: asked before DNS, as the system's own lookups do.

    Returns:
        ``name_code`` 2 with the name; 4 when DNS had no answer now; 5 when there is no name or it is forged.
    """
    if resolver is None:
        return Client(address, port)
    if name := hosts.name_of(address):
        return Client(address, port, name, name, 2, 2)
    try:
        reverse = await resolver.ptr(address)
    except DnsTemporary:
        return Client(address, port, name_code=4, reverse_code=4)
    except DnsNotFound:
        return Client(address, port)
    try:
        addresses = await resolver.addresses(reverse)
    except DnsTemporary:
        return Client(address, port, reverse_name=reverse, name_code=4, reverse_code=2)
    except DnsNotFound:
        return Client(address, port, reverse_name=reverse, name_code=5, reverse_code=2)
    if address in addresses:
        return Client(address, port, reverse, reverse, 2, 2)
    return Client(address, port, reverse_name=reverse, name_code=5, reverse_code=2)


def told_client(old: Client, given: Mapping[str, str | None]) -> Client:
    """The client as XCLIENT describes it; what it does not mention stays.

    Args:
        old: the client so far.
        given: attributes; None is ``[UNAVAILABLE]``, names may be ``[TEMPUNAVAIL]``.
    """
    name, name_code = _told_name(given, "NAME", old.name, old.name_code)
    reverse, reverse_code = (name, name_code) if "NAME" in given else (old.reverse_name, old.reverse_code)
    reverse, reverse_code = _told_name(given, "REVERSE_NAME", reverse, reverse_code)
    address = given.get("ADDR", old.address) or "unknown"
    port = given.get("PORT", old.port) or "unknown"
    return Client(address, port, name, reverse, name_code, reverse_code)


def _told_name(given: Mapping[str, str | None], key: str, name: str, code: int) -> tuple[str, int]:
    if key not in given:
        return name, code
    told = given[key]
    if told == TEMPUNAVAIL:
        return "unknown", 4
    return (told, 2) if told else ("unknown", 5)
