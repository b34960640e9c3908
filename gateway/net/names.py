"""Host names and address literals as they come from peers, DNS answers and configuration: checks without any lookup.

Source: RFC 1123 §2.1, RFC 5321 §4.1.3 (address literals), RFC 3492/5890 through Python's ``idna`` codec. An underscore
is let through, as Postfix does: mail exchangers have it, whatever RFC 952 says.
"""

from __future__ import annotations

import ipaddress
import re

_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"(?=.{{1,255}}\Z){_LABEL}(?:\.{_LABEL})*")
_NUMERIC_END = re.compile(r"(?:.*\.)?[0-9]+")


def is_host_name(name: str) -> bool:
    """True for a host name that may be looked up and logged: ASCII labels, no trailing dot, last label not a number."""
    return _HOST.fullmatch(name) is not None and _NUMERIC_END.fullmatch(name) is None


def ascii_name(name: str) -> str:
    """The name as DNS is asked for it: A-labels, lower-case, no trailing dot; empty when it has no such form."""
    name = name.removesuffix(".")
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    return name.lower()


def literal_address(text: str) -> str:
    """The IP address that ``1.2.3.4``, ``::1``, ``[1.2.3.4]`` or ``[IPv6:::1]`` spells, else an empty string."""
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    if text[:5].lower() == "ipv6:":
        text = text[5:]
    if not text or not (text[-1].isdigit() or ":" in text):
        return ""  # cheap way out for the common case: a host name
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def reverse_name(address: str) -> str:
    """The name that has the PTR records; empty for what is no IP address. Source: RFC 1035 §3.5, RFC 3596 §2.5."""
    try:
        return ipaddress.ip_address(address).reverse_pointer
    except ValueError:
        return ""
