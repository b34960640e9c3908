"""Lookup of an address in ``transport_maps`` and in the sender-dependent tables.

Source: transport(5) "TABLE SEARCH ORDER"; postconf(5) sender_dependent_relayhost_maps.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.maps.access_lookup import without_extension
from gateway.maps.table import MemoryTable
from gateway.maps.table_list import TableList
from gateway.model.address import Address


def domain_keys(domain: str, *, has_dot: bool) -> Iterator[str]:
    """The domain, its parents (with a leading dot unless ``has_dot`` is false) and ``*``."""
    yield domain
    dot = "." if has_dot else ""
    _, _, parent = domain.partition(".")
    while parent:
        yield dot + parent
        _, _, parent = parent.partition(".")
    yield "*"


class TransportMap:
    """``transport_maps``: key by key, the first table that knows it wins. False when there are no tables.

    Args:
        tables: the parameter's tables.
        delimiters: ``recipient_delimiter``.
        has_dot: parents are looked up as ``.parent`` (``parent_domain_matches_subdomains`` says otherwise).
    """

    def __init__(self, tables: TableList, *, delimiters: str = "", has_dot: bool = True) -> None:
        self._tables, self._delimiters, self._has_dot = tables, delimiters, has_dot
        self.is_in_memory = all(isinstance(table, MemoryTable) for table in tables.tables)

    def __bool__(self) -> bool:
        return bool(self._tables)

    async def of_address(self, address: Address) -> str | None:
        """The entry for the full address, or for the address without its extension."""
        value = await self._tables.find(str(address))
        if value is None and (bare := without_extension(address.local, self._delimiters)):
            value = await self._tables.find(f"{bare}@{address.domain}", is_part=True)
        return value

    async def of_domain(self, domain: str) -> str | None:
        """The entry for the domain, a parent of it, or ``*``."""
        for key in domain_keys(domain, has_dot=self._has_dot):
            value = await self._tables.find(key, is_part=True)
            if value is not None:
                return value
        return None


class SenderMap:
    """A sender-dependent table: full address, address without extension, ``@domain``; DUNNO ends the search.

    Args:
        tables: the parameter's tables.
        null_key: what the null sender is looked up as.
        delimiters: ``recipient_delimiter``.
    """

    def __init__(self, tables: TableList, *, null_key: str, delimiters: str = "") -> None:
        self._tables, self._null_key, self._delimiters = tables, null_key, delimiters

    def __bool__(self) -> bool:
        return bool(self._tables)

    async def of(self, sender: Address) -> str | None:
        """The entry for a sender, None without one."""
        if not self._tables:
            return None
        value = await self._tables.find(str(sender) or self._null_key)
        if value is None and sender.domain:
            bare = without_extension(sender.local, self._delimiters)
            for key in (f"{bare}@{sender.domain}" if bare else "", f"@{sender.domain}"):
                value = await self._tables.find(key, is_part=True) if key else None
                if value is not None:
                    break
        return None if value is None or value.upper() == "DUNNO" else value
