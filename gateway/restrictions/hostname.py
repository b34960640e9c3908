"""Host names and address literals as HELO and address restrictions judge them: syntax only.

Source: RFC 1123 §2.1, RFC 5321 §4.1.3; Postfix lets an underscore through.
"""

from __future__ import annotations

import re

from gateway.maps.network import parse_address
from gateway.net.names import ascii_name

_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"(?=.{{1,255}}\Z){_LABEL}(?:\.{_LABEL})*")
_DOTTED_NUMBER = re.compile(r"[0-9.]+")


def is_hostname(name: str) -> bool:
    """True for a host name, one trailing dot allowed; a name of digits and dots alone is none."""
    if not name.isascii():
        name = ascii_name(name)
    bare = name.removesuffix(".")
    return _HOST.fullmatch(bare) is not None and _DOTTED_NUMBER.fullmatch(bare) is None


def is_fully_qualified(name: str) -> bool:
    """True for a host name of two labels or more."""
    return is_hostname(name) and "." in name.removesuffix(".")


def is_address_literal(text: str) -> bool:
    """True for ``[192.0.2.1]`` and ``[IPv6:2001:db8::1]``."""
    if not (text.startswith("[") and text.endswith("]")):
        return False
    inside = text[1:-1]
    if inside[:5].lower() == "ipv6:":
        return ":" in inside[5:] and parse_address(inside[5:]) is not None
    return ":" not in inside and parse_address(inside) is not None
