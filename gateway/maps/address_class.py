"""Address classes, and where an address really leads.

Owns the two questions on which relay safety stands: which class a domain is in, and which domain an address is for once
local routing (``user%host@here``, ``host!user@here``, ``user@host@here``) is undone. Decides nothing.

Source: ADDRESS_CLASS_README; trivial-rewrite(8); postconf(5) mydestination, virtual_alias_domains,
virtual_mailbox_domains, relay_domains, allow_untrusted_routing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.maps.destination import AddressClass, Destination
from gateway.maps.local_routing import LocalRouting, literal
from gateway.maps.match_list import DomainList, Subdomains
from gateway.maps.own_address import own_addresses
from gateway.maps.rewriting import Rewriting
from gateway.maps.table import folded
from gateway.model.address import Address
from gateway.model.restriction import ResolvedAddress

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.maps.tables import Tables

CACHE_LIMIT = 10_000
_ROUTING = frozenset("@!%")


_FINAL = frozenset((AddressClass.LOCAL, AddressClass.VIRTUAL_ALIAS, AddressClass.VIRTUAL_MAILBOX))


class AddressClasses:
    """Answers both questions for one configuration.

    Args:
        config: checked configuration.
        tables: opens tables that the lists name.

    Raises:
        ConfigError: a list makes no sense.
    """

    def __init__(self, config: Config, tables: Tables) -> None:
        whole = Subdomains.NONE
        self._lists = (
            # Whole names, as in Postfix: neither parent_domain_matches_subdomains nor a leading dot means anything.
            (AddressClass.LOCAL, DomainList.of(config, "mydestination", tables, whole)),
            (AddressClass.VIRTUAL_ALIAS, DomainList.of(config, "virtual_alias_domains", tables, whole)),
            (AddressClass.VIRTUAL_MAILBOX, DomainList.of(config, "virtual_mailbox_domains", tables, whole)),
            (AddressClass.RELAY, DomainList.of(config, "relay_domains", tables)),
        )
        self._own_addresses = own_addresses(config)
        self._is_static = all(domains.is_static for _, domains in self._lists)
        self._cache: dict[str, AddressClass] = {}
        self._distrusts_routing = not config.boolean("allow_untrusted_routing")
        self._myorigin = folded(config.text("myorigin"))
        self._rewriting = Rewriting(config)
        self._routing = LocalRouting(config, self._rewriting)

    async def of(self, domain: str) -> AddressClass:
        """The class of a domain, or of a literal such as ``[192.0.2.1]``.

        Raises:
            TableError: a table has no answer now.
        """
        known = self._cache.get(domain)
        if known is not None:
            return known
        found = await self._find(folded(domain).removesuffix("."))
        if self._is_static:
            if len(self._cache) >= CACHE_LIMIT:
                self._cache.clear()
            self._cache[domain] = found
        return found

    async def has_local_names(self, domain: str) -> bool:
        """True when tables know addresses of the domain by their local part too: it is local, or myorigin.

        Args:
            domain: behind the ``@``, or a literal.

        Raises:
            TableError: a table in mydestination has no answer now.
        """
        domain = folded(domain)
        return domain == self._myorigin or self._is_own(domain) or await self._lists[0][1].matches(domain)

    def _is_own(self, domain: str) -> bool:
        """True for the literal of an own address."""
        return domain.startswith("[") and literal(domain) in self._own_addresses

    async def _find(self, domain: str) -> AddressClass:
        if self._is_own(domain):
            return AddressClass.LOCAL
        for address_class, domains in self._lists:
            if await domains.matches(domain):
                return address_class
        return AddressClass.DEFAULT

    async def destination(self, address: Address) -> Destination:
        """Where an envelope address in canonical form leads.

        Raises:
            TableError: a table has no answer now.
        """
        if address.local and _ROUTING.isdisjoint(address.local) and self._routing.is_valid(address):
            return Destination(address, await self.of(address.domain))
        recipient = await self._routing.undone(str(address), self._is_local)
        is_routed = not _ROUTING.isdisjoint(recipient.local)
        is_valid = self._routing.is_valid(recipient)
        return Destination(recipient, await self.of(recipient.domain), is_routed=is_routed, is_valid=is_valid)

    async def resolve(self, address: Address) -> ResolvedAddress:
        """Where an address from the wire leads, as policy has to know.

        Raises:
            TableError: a table has no answer now.
        """
        found = await self.destination(self._rewriting.address(address))
        return ResolvedAddress(
            folded(str(found.recipient)),
            found.recipient.domain,
            is_final=found.address_class in _FINAL,
            is_relay=found.address_class is AddressClass.RELAY,
            is_routed=found.is_routed and self._distrusts_routing,
            is_valid=found.is_valid,
        )

    async def _is_local(self, domain: str) -> bool:
        return await self.of(domain) is AddressClass.LOCAL
