"""The keys that an access table is asked for, in order; the first that is found decides, ``DUNNO`` included.

Pattern tables (``cidr``, ``regexp``) are asked for the whole string only. Source: access(5), "EMAIL ADDRESS PATTERNS",
"HOST NAME/ADDRESS PATTERNS", smtpd_null_access_lookup_key, recipient_delimiter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.maps.address_lookup import Extensions, Forms, Key, part_keys, whole_keys
from gateway.maps.match_list import Subdomains, parent_keys
from gateway.maps.network import parse_address
from gateway.model.errors import TableError
from gateway.model.restriction import LookupTable


def domain_keys(name: str, style: Subdomains) -> Iterator[Key]:
    """A host or domain name and its parents: ``mail.example.com``, ``example.com``, ``com`` (or with leading dots).

    A numerical name (``HELO 1.2.3.4``) has no parents; a name with a trailing dot gives no empty key.
    """
    if not name:
        return
    yield Key(name)
    if (name[-1].isdigit() or ":" in name) and parse_address(name) is not None:
        return
    for parent in parent_keys(name, style):
        if parent:
            yield Key(parent, is_part=True)


def network_keys(address: str) -> Iterator[Key]:
    """An IP address and its networks: ``1.2.3.4``, ``1.2.3``, ``1.2``, ``1``; IPv6 cut at colons likewise."""
    delimiter = ":" if ":" in address else "."
    yield Key(address)
    at = address.rfind(delimiter)
    while at > 0:
        address = address[:at]
        # 2001:db8:: loses its second colon with the first
        yield Key(address, is_part=True)
        at = address.rfind(delimiter)


def address_keys(address: str, style: Subdomains, extensions: Extensions) -> Iterator[Key]:
    """``user+ext@domain``, ``user@domain``, the domain and its parents, ``user+ext@``, ``user@``.

    Args:
        address: internal form with a domain, resolved.
        style: smtpd_access_maps in parent_domain_matches_subdomains.
        extensions: how local parts are split.
    """
    yield from whole_keys(address, extensions)
    yield from part_keys(address, extensions, Forms.ACCESS, style=style)


async def first_found(table: LookupTable, keys: Iterable[Key]) -> tuple[str, str] | None:
    """The first key that the table knows, and its text; pattern tables are asked for whole keys alone.

    Raises:
        TableError: the table has no answer now, or an empty one.
    """
    for key in keys:
        if key.is_part and table.is_pattern:
            continue
        value = await table.find(key.text)
        if value is not None:
            if not value:
                raise TableError(table.spec, f'an empty text under "{key.text}"')
            return key.text, value
    return None
