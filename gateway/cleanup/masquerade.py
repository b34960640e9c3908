"""Hosts hidden behind their domain: ``user@host.example.com`` becomes ``user@example.com``.

Source: postconf(5) masquerade_domains, masquerade_exceptions, masquerade_classes; ADDRESS_REWRITING_README.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.cleanup.address_use import AddressUse
from gateway.maps.match_list import DomainList
from gateway.maps.table import folded


class Masquerade:
    """The list of domains.

    Args:
        domains: masquerade_domains; ``!`` before one leaves it and what is below it alone. The first that fits counts.
        exceptions: users who are left alone, extensions being part of their names; None: nobody.
        uses: which addresses it is for.
    """

    def __init__(self, domains: Sequence[str], exceptions: DomainList | None, uses: frozenset[AddressUse]) -> None:
        self.uses, self._exceptions = uses, exceptions
        names = [(folded(word.lstrip("!")), (len(word) - len(word.lstrip("!"))) % 2 == 0) for word in domains]
        self._domains = [(name, is_stripped) for name, is_stripped in names if name]

    async def rewritten(self, address: str) -> str:
        """The address without the host, both in internal form.

        Raises:
            TableError: a table in masquerade_exceptions has no answer now.
        """
        user, at, domain = address.rpartition("@")
        if not at or (self._exceptions is not None and await self._exceptions.matches(user)):
            return address
        domain = folded(domain)
        for name, is_stripped in self._domains:
            if domain == name or domain.endswith(f".{name}"):
                return f"{user}@{name}" if is_stripped and domain != name else address
        return address
