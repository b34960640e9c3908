"""The keys that an access table is asked for, in order; the first that is found decides, ``DUNNO`` included.

Pattern tables (``cidr``, ``regexp``) are asked for the whole string only. Source: access(5), "EMAIL ADDRESS PATTERNS",
"HOST NAME/ADDRESS PATTERNS", smtpd_null_access_lookup_key, recipient_delimiter.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.maps.match_list import Subdomains, parent_keys
from gateway.maps.network import parse_address
from gateway.model.restriction import LookupTable


def domain_keys(name: str, style: Subdomains) -> list[str]:
    """A host or domain name and its parents: ``mail.example.com``, ``example.com``, ``com`` (or with leading dots).

    A numerical name (``HELO 1.2.3.4``) has no parents; a name with a trailing dot gives no empty key.
    """
    if not name:
        return []
    if (name[-1].isdigit() or ":" in name) and parse_address(name) is not None:
        return [name]
    return [name, *(key for key in parent_keys(name, style) if key not in ("", "."))]


def network_keys(address: str) -> list[str]:
    """An IP address and its networks: ``1.2.3.4``, ``1.2.3``, ``1.2``, ``1``; IPv6 cut at colons likewise."""
    delimiter = ":" if ":" in address else "."
    keys = [address]
    at = address.rfind(delimiter)
    while at > 0:
        address = address[:at]
        # 2001:db8:: loses its second colon with the first
        keys.append(address)
        at = address.rfind(delimiter)
    return keys


def without_extension(local: str, delimiters: str) -> str:
    """``user`` of ``user+ext``; empty when there is no extension.

    ``owner-list`` and ``list-request`` keep their hyphens, ``mailer-daemon`` and ``double-bounce`` too.
    Source: recipient_delimiter, owner_request_special.
    """
    if not delimiters:
        return ""
    at = min((found for found in map(local.find, delimiters) if found > 0), default=0)
    if not at:
        return ""
    folded = local.lower()
    if folded in ("double-bounce", "mailer-daemon") or (
        local[at] == "-" and (folded.startswith("owner-") or folded.endswith("-request"))
    ):
        return ""
    return local[:at]


def address_keys(address: str, style: Subdomains, delimiters: str) -> list[str]:
    """``user+ext@domain``, ``user@domain``, the domain and its parents, ``user+ext@``, ``user@``.

    Args:
        address: internal form with a domain, resolved.
        style: smtpd_access_maps in parent_domain_matches_subdomains.
        delimiters: recipient_delimiter.
    """
    local, _, domain = address.rpartition("@")
    bare = without_extension(local, delimiters)
    keys = [address]
    if bare:
        keys.append(f"{bare}@{domain}")
    keys += domain_keys(domain, style)
    keys.append(f"{local}@")
    if bare:
        keys.append(f"{bare}@")
    return keys


async def first_found(table: LookupTable, keys: Iterable[str]) -> tuple[str, str] | None:
    """The first key that the table knows, and its text; pattern tables see the first key alone.

    Raises:
        TableError: the table has no answer now.
    """
    for key in keys:
        value = await table.find(key)
        if value is not None:
            return key, value
        if table.is_pattern:
            return None
    return None
