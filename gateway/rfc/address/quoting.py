"""Internal and external form of an address: ``a b@c`` and ``"a b"@c``.

Tables, envelopes and policy use the internal form; commands, headers and logs the external one.
Source: RFC 5321 §4.1.2 (Dot-string, Quoted-string), RFC 5322 §3.2.4.
"""

from __future__ import annotations

import re

from gateway.model.address import Address
from gateway.rfc.address.tokens import internal, scan

_ATEXT = r'[^\x00-\x20\x7f()<>@,;:\\".\[\]]++'
_DOT_STRING = re.compile(rf"{_ATEXT}(?>(?:\.{_ATEXT})*)")
_ESCAPED = re.compile(r'["\\\r]')


def quoted(text: str) -> str:
    """External form of an address in internal form: its local part quoted where that is needed.

    What stands behind the last ``@`` is the domain and is left as it is; the empty local part becomes ``""``. What
    looks like a source route (``@host:``) is no part of either.
    """
    route = ""
    if text.startswith("@") and ":" in text:
        route, colon, text = text.partition(":")
        route += colon
    local, at, domain = text.rpartition("@")
    if not at:
        local, domain = text, ""
    if not _DOT_STRING.fullmatch(local):
        local = '"' + _ESCAPED.sub(_escape, local) + '"'
    return f"{route}{local}{at}{domain}"


def unquoted(text: str) -> str:
    """Internal form of one address in external form; any text has one. Comments are kept as text."""
    return internal(scan(text))


def address_of(text: str) -> Address:
    """The address value of an internal form; a domain that is no name stays for whoever resolves it to refuse.

    ``user@`` is not the address of a local user: it keeps its ``@`` in the local part.
    """
    local, at, domain = text.rpartition("@")
    return Address(local, domain.lower()) if at and domain else Address(text)


def _escape(match: re.Match[str]) -> str:
    return "\\" + match[0]
