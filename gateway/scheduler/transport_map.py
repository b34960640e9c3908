"""Lookup of an address in ``transport_maps`` and in the sender-dependent tables.

Source: transport(5) "TABLE SEARCH ORDER"; postconf(5) sender_dependent_relayhost_maps.
"""

from __future__ import annotations

from gateway.maps.address_lookup import AddressLookup, Extensions, Forms, first_in, part_keys, whole_keys
from gateway.maps.match_list import Subdomains
from gateway.maps.table import MemoryTable
from gateway.maps.table_list import TableList
from gateway.model.address import Address

WILDCARD = "*"


class TransportMap:
    """``transport_maps``: key by key, the first table that knows it wins. False when there are no tables.

    Args:
        tables: the parameter's tables.
        extensions: how local parts are split.
        style: how parents are looked up (``parent_domain_matches_subdomains``).
    """

    def __init__(self, tables: TableList, extensions: Extensions, style: Subdomains = Subdomains.DOT) -> None:
        self._tables, self._extensions, self._style = tables, extensions, style
        self.is_in_memory = all(isinstance(table, MemoryTable) for table in tables.tables)

    def __bool__(self) -> bool:
        return bool(self._tables)

    async def of_address(self, address: Address) -> str | None:
        """The entry for the full address, or for the address without its extension."""
        found = await first_in(self._tables, whole_keys(str(address), self._extensions))
        return found.value if found else None

    async def of_domain(self, domain: str) -> str | None:
        """The entry for the domain, a parent of it, or ``*``, for which tables of patterns are asked too."""
        keys = part_keys(f"@{domain}", self._extensions, Forms.TRANSPORT, style=self._style)
        found = await first_in(self._tables, keys)
        return found.value if found else await self._tables.find(WILDCARD)


class SenderMap:
    """A sender-dependent table: the keys of any address, a local user's name among them; DUNNO ends the search.

    Args:
        lookup: the parameter's tables.
        null_key: what the null sender is looked up as.
    """

    def __init__(self, lookup: AddressLookup, *, null_key: str) -> None:
        self._lookup, self._null_key = lookup, null_key

    def __bool__(self) -> bool:
        return bool(self._lookup)

    async def of(self, sender: Address) -> str | None:
        """The entry for a sender, None without one."""
        if not self._lookup:
            return None
        found = await self._lookup.find(str(sender) or self._null_key)
        return None if found is None or found.value.upper() == "DUNNO" else found.value
