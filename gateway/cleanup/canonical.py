"""One address in place of another: ``canonical_maps``, ``sender_canonical_maps``, ``recipient_canonical_maps``.

Source: canonical(5); ADDRESS_REWRITING_README, "Canonical address mapping".
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.cleanup.address_use import AddressUse
from gateway.maps.address_mapping import AddressMapping
from gateway.maps.table import folded

ROUNDS_LIMIT = 10


class Canonical:
    """The tables of one of the parameters.

    Args:
        parameter: which one.
        mapping: its tables.
        uses: which addresses they are for (``canonical_classes`` and the like).
        warn: told of results that make no sense.
    """

    def __init__(
        self, parameter: str, mapping: AddressMapping, uses: frozenset[AddressUse], warn: Callable[[str], None]
    ) -> None:
        self.uses, self._parameter, self._mapping, self._warn = uses, parameter, mapping, warn

    async def rewritten(self, address: str) -> str:
        """The address after as many rounds as the tables have an answer, at most :data:`ROUNDS_LIMIT`.

        An address that becomes itself is done; of several results the first counts. Addresses that lead in a circle
        stay where the last round left them, with a warning: what they name is no less a mailbox for that.

        Raises:
            TableError: a table has no answer now, or one without any address.
        """
        for _ in range(ROUNDS_LIMIT):
            found = await self._mapping.find(address)
            if found is None:
                return address
            if len(found) > 1:
                self._warn(f"multi-valued {self._parameter} entry for {address}")
            before, address = address, found[0]
            if folded(address) == folded(before):
                return address
        self._warn(f"unreasonable {self._parameter} map nesting for {address}")
        return address
