"""Address classes, and where an address really leads.

Owns the two questions on which relay safety stands: which class a domain is in, and which domain an address is for once
local routing (``user%host@here``, ``host!user@here``, ``user@host@here``) is undone. Decides nothing.

Source: ADDRESS_CLASS_README; trivial-rewrite(8) and its parameters swap_bangpath, allow_percent_hack,
append_at_myorigin, append_dot_mydomain; mydestination, virtual_alias_domains, virtual_mailbox_domains, relay_domains.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from gateway.maps.match_list import DomainList, Subdomains
from gateway.maps.network import parse_address
from gateway.maps.own_address import own_addresses
from gateway.maps.table import folded
from gateway.model.address import Address
from gateway.model.restriction import ResolvedAddress

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.maps.tables import Tables

CACHE_LIMIT = 10_000
_ROUTING = frozenset("@!%")


class AddressClass(Enum):
    """Which class of ADDRESS_CLASS_README a domain is in."""

    LOCAL = "local"
    VIRTUAL_ALIAS = "virtual alias"
    VIRTUAL_MAILBOX = "virtual mailbox"
    RELAY = "relay"
    DEFAULT = "default"


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
        self._has_bang, self._has_percent = config.boolean("swap_bangpath"), config.boolean("allow_percent_hack")
        self._myorigin = folded(config.text("myorigin"))
        self._origin = self._myorigin if config.boolean("append_at_myorigin") else ""
        self._hostname = config.text("myhostname").lower()
        self._parent = config.text("mydomain").lower() if config.boolean("append_dot_mydomain") else ""

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
        if not domain.startswith("["):
            return False
        literal = domain[1:-1]
        return parse_address(literal[5:] if literal.startswith("ipv6:") else literal) in self._own_addresses

    async def _find(self, domain: str) -> AddressClass:
        if self._is_own(domain):
            return AddressClass.LOCAL
        for address_class, domains in self._lists:
            if await domains.matches(domain):
                return address_class
        return AddressClass.DEFAULT

    async def resolve(self, address: Address) -> ResolvedAddress:
        """Where an address leads.

        Raises:
            TableError: a table has no answer now.
        """
        local, domain = address.local, address.domain
        if "." in domain and _ROUTING.isdisjoint(local) and local and domain[-1] != ".":
            return _resolved(str(address), domain, await self.of(domain))
        return await self._unrouted(str(address))

    async def _unrouted(self, text: str) -> ResolvedAddress:
        """Strip local domains from the right until a remote one, or none, is left; each round takes an operator."""
        here = ""
        text = self._rewritten(text)
        while True:
            local, at, domain = text.rpartition("@")
            domain = domain.lower().removesuffix(".")
            if at and domain:
                address_class = await self.of(domain)
                if address_class is not AddressClass.LOCAL:
                    is_routed = self._distrusts_routing and not _ROUTING.isdisjoint(local)
                    return _resolved(f"{local}@{domain}", domain, address_class, is_routed=is_routed)
            if at:
                here, text = domain or here, local
            rewritten = self._rewritten(text, is_bare=True)
            if "@" not in rewritten:
                domain = here or self._origin or self._hostname
                return _resolved(f"{text}@{domain}", domain, AddressClass.LOCAL if here else await self.of(domain))
            text = rewritten

    def _rewritten(self, text: str, *, is_bare: bool = False) -> str:
        """``host!user`` and ``user%host`` to ``user@host``; complete a domain unless the local part ``is_bare``."""
        if "@" not in text:
            if self._has_bang and "!" in text:
                host, _, user = text.partition("!")
                text = f"{user}@{host}"
            elif self._has_percent and "%" in text:
                user, _, host = text.rpartition("%")
                text = f"{user}@{host}"
            elif is_bare or not self._origin:
                return text
            else:
                text = f"{text}@{self._origin}"
        domain = text.rpartition("@")[2]
        if self._parent and domain and "." not in domain and not domain.startswith("["):
            text = f"{text}.{self._parent}"
        return text


def _resolved(address: str, domain: str, address_class: AddressClass, *, is_routed: bool = False) -> ResolvedAddress:
    is_relay = address_class is AddressClass.RELAY
    is_final = not is_relay and address_class is not AddressClass.DEFAULT
    return ResolvedAddress(folded(address), domain, is_final, is_relay, is_routed)
