"""The header that a load balancer puts before an SMTP connection: PROXY protocol, version 1 and 2.

Reads one header and hands back the octets behind it; never more than :data:`MAX_HEADER` octets are kept. What does not
start as a header fails at its first wrong octet. Who may send one is the shell's to decide
(smtpd_upstream_proxy_protocol: everybody on that port). Source: the PROXY protocol, "Versions 1 & 2", haproxy.org.
"""

from __future__ import annotations

import ipaddress

import msgspec

MAX_V1 = 107  # §2.1: longest line with its CRLF
MAX_HEADER = 16 + 4096  # §2.2: fixed part, addresses and TLVs; the addresses of TCP need 36
_V1 = b"PROXY "
_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_ADDRESS_BYTES = {0x11: 4, 0x21: 16}  # STREAM over AF_INET and AF_INET6


class ProxyHeader(msgspec.Struct, frozen=True, gc=False):
    """The real end points.

    Args:
        is_local: the proxy speaks for itself (LOCAL, UNKNOWN, UNSPEC): the socket's own addresses count.
        client_address, client_port, server_address, server_port: text; IPv4 mapped into IPv6 is IPv4.
        rest: octets behind the header: the client's first.
    """

    is_local: bool
    client_address: str = ""
    client_port: str = ""
    server_address: str = ""
    server_port: str = ""
    rest: bytes = b""


class ProxyError(msgspec.Struct, frozen=True, gc=False):
    """No header came; ``str()`` says what is wrong with it, for the log."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class ProxyParser:
    """Collects the octets of one header."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> ProxyHeader | ProxyError | None:
        """Take octets; None: the header is not complete. After an answer the parser is not fed again."""
        self._buffer = buffer = self._buffer + data
        if buffer.startswith(_V1[: len(buffer)]):
            return _read_v1(buffer)
        if buffer.startswith(_V2[: len(buffer)]):
            return _read_v2(buffer)
        return ProxyError("not a PROXY header")


def _read_v1(buffer: bytes) -> ProxyHeader | ProxyError | None:
    """``PROXY TCP4 192.0.2.1 192.0.2.2 56324 25<CR><LF>`` (§2.1)."""
    end = buffer.find(b"\r\n", 0, MAX_V1)
    if end < 0:
        return None if len(buffer) < MAX_V1 else ProxyError("version 1 header too long")
    line, rest = buffer[:end], buffer[end + 2 :]
    words = line.decode("ascii", "replace").split(" ")
    if words[1] == "UNKNOWN":
        return ProxyHeader(True, rest=rest)
    if words[1] not in {"TCP4", "TCP6"} or len(words) != 6:
        return ProxyError("malformed version 1 header")
    parse = ipaddress.IPv4Address if words[1] == "TCP4" else ipaddress.IPv6Address
    try:
        client, server = _text(parse(words[2])), _text(parse(words[3]))
    except ValueError:
        return ProxyError("malformed address in version 1 header")
    if not _is_port(words[4]) or not _is_port(words[5]):
        return ProxyError("malformed port in version 1 header")
    return ProxyHeader(False, client, words[4], server, words[5], rest)


def _read_v2(buffer: bytes) -> ProxyHeader | ProxyError | None:
    """Binary header (§2.2)."""
    if len(buffer) < 16:
        return None
    version_command, family, length = buffer[12], buffer[13], int.from_bytes(buffer[14:16], "big")
    if version_command not in {0x20, 0x21}:
        return ProxyError("unknown version or command in version 2 header")
    if 16 + length > MAX_HEADER:
        return ProxyError("version 2 header too long")
    if len(buffer) < 16 + length:
        return None
    payload, rest = buffer[16 : 16 + length], buffer[16 + length :]
    if version_command == 0x20 or family == 0x00:
        return ProxyHeader(True, rest=rest)
    if family not in _ADDRESS_BYTES:
        return ProxyError("unsupported address family in version 2 header")
    size = _ADDRESS_BYTES[family]
    if length < 2 * size + 4:
        return ProxyError("version 2 header too short")
    client, server = payload[:size], payload[size : 2 * size]
    ports = payload[2 * size : 2 * size + 4]
    return ProxyHeader(
        False,
        _text(ipaddress.ip_address(client)),
        str(int.from_bytes(ports[:2], "big")),
        _text(ipaddress.ip_address(server)),
        str(int.from_bytes(ports[2:], "big")),
        rest,
    )


def _text(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535
