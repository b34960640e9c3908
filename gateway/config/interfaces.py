"""The system's own network addresses, through getifaddrs(3)."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
from collections.abc import Iterator, Sequence

import msgspec

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Interface(msgspec.Struct, frozen=True):
    """One address of this host and the length of its network's prefix."""

    address: IpAddress
    prefix_length: int

    def network(self, style: str) -> IpNetwork:
        """The network around the address: ``host``, ``subnet`` or ``class`` (IPv6 has no classes: subnet)."""
        length = self.prefix_length
        if style == "host":
            length = self.address.max_prefixlen
        elif style == "class" and isinstance(self.address, ipaddress.IPv4Address):
            first = self.address.packed[0]
            length = 8 if first < 128 else 16 if first < 192 else 24
        return ipaddress.ip_network((self.address.packed, length), strict=False)


LOOPBACK = (Interface(ipaddress.IPv4Address("127.0.0.1"), 8), Interface(ipaddress.IPv6Address("::1"), 128))
"""What is assumed where the system does not say."""


class _IfAddrs(ctypes.Structure):
    pass


_IfAddrs._fields_ = [
    ("next", ctypes.POINTER(_IfAddrs)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.c_void_p),
    ("netmask", ctypes.c_void_p),
]


def _octets(pointer: int | None, is_bsd: bool) -> tuple[int, bytes] | None:
    """Family and address octets of a ``struct sockaddr``; BSD systems have a length octet before the family."""
    if not pointer:
        return None
    header = ctypes.string_at(pointer, 2)
    family = header[1] if is_bsd else int.from_bytes(header, "little" if _IS_LITTLE else "big")
    if family == socket.AF_INET:
        return family, ctypes.string_at(pointer + 4, 4)
    if family == socket.AF_INET6:
        return family, ctypes.string_at(pointer + 8, 16)
    return None


_IS_LITTLE = bytes(ctypes.c_uint16(1)) == b"\x01\x00"


def _walk(library: ctypes.CDLL) -> Iterator[Interface]:
    head = ctypes.POINTER(_IfAddrs)()
    if library.getifaddrs(ctypes.byref(head)) != 0:
        return
    is_bsd = not hasattr(socket, "AF_PACKET")
    try:
        entry = head
        while entry:
            record = entry.contents
            address, mask = _octets(record.address, is_bsd), _octets(record.netmask, is_bsd)
            if address is not None:
                bits = bin(int.from_bytes(mask[1], "big")).count("1") if mask else len(address[1]) * 8
                yield Interface(ipaddress.ip_address(address[1]), bits)
            entry = record.next
    finally:
        library.freeifaddrs(head)


def _resolved(name: str) -> set[IpAddress]:
    """Addresses of a literal (brackets allowed) or, from the system's resolver, of a host name; none when unknown."""
    bare = name.removeprefix("[").removesuffix("]")
    try:
        return {ipaddress.ip_address(bare)}
    except ValueError:
        pass
    try:
        return {ipaddress.ip_address(str(row[4][0]).partition("%")[0]) for row in socket.getaddrinfo(bare, None)}
    except (OSError, UnicodeError):
        return set()


def receiving(own: Sequence[Interface], names: Sequence[str], protocols: Sequence[str]) -> list[Interface]:
    """The interfaces that ``inet_interfaces`` and ``inet_protocols`` choose among ``own``.

    Args:
        names: ``all``, ``loopback-only``, host names, addresses.
        protocols: ``all``, ``ipv4``, ``ipv6``.
    """
    lowered = {name.lower() for name in names}
    versions = {4, 6} if "all" in protocols else {int(name[-1]) for name in protocols if name in ("ipv4", "ipv6")}
    usable = [interface for interface in own if interface.address.version in versions]
    if "all" in lowered:
        return usable
    if "loopback-only" in lowered:
        return [interface for interface in usable if interface.address.is_loopback]
    wanted = {address for name in lowered for address in _resolved(name)}
    return [interface for interface in usable if interface.address in wanted]


def own_interfaces() -> tuple[Interface, ...]:
    """All addresses of this host, IPv4 before IPv6, in the system's order; loopback alone where it will not say."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "getifaddrs"):
        return LOOPBACK
    found = sorted(_walk(library), key=lambda interface: interface.address.version)
    return tuple(found) or LOOPBACK
