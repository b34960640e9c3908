"""Recipients that stand for others: ``virtual_alias_maps``, in the envelope alone.

Source: virtual(5); postconf(5) virtual_alias_expansion_limit, virtual_alias_recursion_limit,
virtual_alias_address_length_limit.
"""

from __future__ import annotations

from gateway.config import Config
from gateway.maps.address_mapping import AddressMapping
from gateway.maps.table import folded
from gateway.model.errors import GatewayError


class EndlessAlias(GatewayError):
    """An alias goes beyond a limit: it may have no end. Temporary, for it is the table that has to be mended."""


class VirtualAliases:
    """The tables, and how far they are followed. False when there are none.

    Args:
        config: has the limits.
        mapping: the tables.
    """

    def __init__(self, config: Config, mapping: AddressMapping) -> None:
        self._mapping = mapping
        self._size_limit = config.integer("virtual_alias_expansion_limit")
        self._depth_limit = config.integer("virtual_alias_recursion_limit")
        self._length_limit = config.integer("virtual_alias_address_length_limit")

    def __bool__(self) -> bool:
        return bool(self._mapping)

    async def expand(self, address: str) -> list[str]:
        """What an address stands for, itself if for nothing else, in internal form; the same may come more than once.

        The first result takes the place of its alias and is followed at once; the others join the end of the list and
        are followed in turn. An address that stands for itself among others is not followed again.

        Raises:
            TableError: a table has no answer now, or one without any address.
            EndlessAlias: a limit was passed.
        """
        addresses, finished = [address], set[str]()
        for at, _ in enumerate(addresses):  # which grows
            if len(addresses) > self._size_limit:
                raise EndlessAlias(f"unreasonable virtual_alias_maps map expansion size for {address}")
            await self._follow(addresses, at, finished)
        return addresses

    async def _follow(self, addresses: list[str], at: int, finished: set[str]) -> None:
        """Replace the address at a position until it stands for nothing else."""
        depth = 0
        while folded(alias := addresses[at]) not in finished:
            if depth >= self._depth_limit:
                raise EndlessAlias(f"unreasonable virtual_alias_maps map nesting for {alias}")
            found = await self._mapping.find(alias)
            if found is None:
                return
            for result in found:
                if len(result.encode("utf-8", "surrogateescape")) > self._length_limit:
                    raise EndlessAlias(f"unreasonable virtual_alias_maps result {result[:300]}...")
                if folded(result) == folded(alias):
                    finished.add(folded(alias))
            addresses[at] = found[0]
            addresses += found[1:]
            depth += 1
