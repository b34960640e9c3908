"""Lookup of an address in ``transport_maps`` and in the sender-dependent tables.

Source: transport(5) "TABLE SEARCH ORDER"; postconf(5) sender_dependent_relayhost_maps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.maps.table import MemoryTable, Table
from gateway.model.address import Address


def strip_extension(local: str, delimiters: str) -> str:
    """``user`` of ``user+folder``; the same text when there is no extension, or nothing before it."""
    if not delimiters:
        return local
    cuts = [at for delimiter in delimiters if (at := local.find(delimiter)) > 0]
    return local[: min(cuts)] if cuts else local


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
    """``transport_maps``: the first table in the list that knows a key wins, key by key.

    Args:
        tables: in the order of the parameter.
        delimiters: ``recipient_delimiter``.
        has_dot: parents are looked up as ``.parent`` (``parent_domain_matches_subdomains`` says otherwise).
    """

    def __init__(self, tables: Sequence[Table], *, delimiters: str = "", has_dot: bool = True) -> None:
        self._all = tuple(tables)
        # Patterns see the whole address only: never a domain, an address without extension, or ``*``.
        self._exact = tuple(table for table in tables if not table.is_pattern)
        self._delimiters, self._has_dot = delimiters, has_dot
        self.is_in_memory = all(isinstance(table, MemoryTable) for table in self._all)

    def __bool__(self) -> bool:
        return bool(self._all)

    async def of_address(self, address: Address) -> str | None:
        """The entry for the full address, or for the address without its extension."""
        key = str(address).lower()
        for table in self._all:
            if (value := await table.find(key)) is not None:
                return value
        bare = strip_extension(address.local, self._delimiters)
        if bare == address.local:
            return None
        key = f"{bare}@{address.domain}".lower()
        for table in self._exact:
            if (value := await table.find(key)) is not None:
                return value
        return None

    async def of_domain(self, domain: str) -> str | None:
        """The entry for the domain, a parent of it, or ``*``."""
        for key in domain_keys(domain, has_dot=self._has_dot):
            for table in self._exact:
                if (value := await table.find(key)) is not None:
                    return value
        return None


class SenderMap:
    """A sender-dependent table: full address, address without extension, ``@domain``; DUNNO ends the search.

    Args:
        tables: in the order of the parameter.
        null_key: what the null sender is looked up as.
        delimiters: ``recipient_delimiter``.
    """

    def __init__(self, tables: Sequence[Table], *, null_key: str, delimiters: str = "") -> None:
        self._all = tuple(tables)
        # Patterns see the whole address only: never a domain, an address without extension, or ``*``.
        self._exact = tuple(table for table in tables if not table.is_pattern)
        self._null_key, self._delimiters = null_key, delimiters

    def __bool__(self) -> bool:
        return bool(self._all)

    async def of(self, sender: Address) -> str | None:
        """The entry for a sender, None without one."""
        whole = str(sender).lower() or self._null_key
        for table in self._all:
            if (value := await table.find(whole)) is not None:
                return None if value.upper() == "DUNNO" else value
        for key in self._partial_keys(sender):
            for table in self._exact:
                if (value := await table.find(key)) is not None:
                    return None if value.upper() == "DUNNO" else value
        return None

    def _partial_keys(self, sender: Address) -> Iterator[str]:
        if not sender.domain:
            return
        bare = strip_extension(sender.local, self._delimiters)
        if bare != sender.local:
            yield f"{bare}@{sender.domain}".lower()
        yield f"@{sender.domain}"
