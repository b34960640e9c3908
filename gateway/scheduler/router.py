"""Routing: from a recipient to the transport and next hop that take it on.

Source: trivial-rewrite(8), transport(5), ADDRESS_CLASS_README; postconf(5) local_transport, virtual_transport,
relay_transport, default_transport, relayhost, transport_maps, sender_dependent_default_transport_maps,
sender_dependent_relayhost_maps, relocated_maps, default_filter_nexthop.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from gateway.config import Config
from gateway.maps import Tables
from gateway.maps.address_class import AddressClasses
from gateway.maps.address_lookup import AddressLookup, Extensions
from gateway.maps.destination import AddressClass
from gateway.maps.match_list import subdomain_style
from gateway.maps.table_list import TableList
from gateway.model.address import Address
from gateway.model.errors import ConfigError, TableError
from gateway.scheduler.route import DomainRoute, Route
from gateway.scheduler.transport_map import SenderMap, TransportMap

CACHE_LIMIT = 10_000  # domains
CACHE_S = 10.0  # tables in memory follow their files: so do routes, this much later
_PLAIN = re.compile(r"[^@!%\-][^@!%]*+")
"""A local part that leaves everything to the domain."""
_UNDELIVERABLE = "Address is undeliverable"
_SENDER_TRANSPORTS = "sender_dependent_default_transport_maps"
_PARAMETERS = {
    AddressClass.LOCAL: "local_transport",
    AddressClass.VIRTUAL_MAILBOX: "virtual_transport",
    AddressClass.RELAY: "relay_transport",
    AddressClass.DEFAULT: "default_transport",
}


_BAD_ADDRESS = Route("error", "5.1.3 bad address syntax")


def split_destination(text: str) -> tuple[str, str]:
    """``transport:nexthop`` in its two parts, either of which may be empty."""
    transport, _, nexthop = text.partition(":")
    return transport.strip(), nexthop.strip()


class Router:
    """Finds routes. Results for a domain are kept for some seconds while all tables are in memory.

    Args:
        config: checked configuration.
        tables: where the lookup tables come from.
        classes: address classes; made from the other two when not given.
        clock: monotonic seconds.

    Raises:
        ConfigError: a table cannot be opened, or a transport is missing.
    """

    def __init__(
        self,
        config: Config,
        tables: Tables,
        classes: AddressClasses | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._classes = classes if classes is not None else AddressClasses(config, tables)
        extensions = Extensions.of(config)
        self._map = TransportMap(
            TableList.of(config, "transport_maps", tables), extensions, subdomain_style(config, "transport_maps")
        )

        def by_sender(parameter: str, null_key: str) -> SenderMap:
            listed = TableList.of(config, parameter, tables)
            lookup = AddressLookup(listed, extensions, is_local=self._classes.has_local_names)
            return SenderMap(lookup, null_key=config.text(null_key))

        self._sender_transports = by_sender(_SENDER_TRANSPORTS, "empty_address_default_transport_maps_lookup_key")
        self._sender_relayhosts = by_sender(
            "sender_dependent_relayhost_maps", "empty_address_relayhost_maps_lookup_key"
        )
        self._relocated = AddressLookup(
            TableList.of(config, "relocated_maps", tables), extensions, is_local=self._classes.has_local_names
        )
        self._class_transports = {each: _destination(config, parameter) for each, parameter in _PARAMETERS.items()}
        self._relayhost = config.text("relayhost")
        self._filter_nexthop = config.text("default_filter_nexthop")
        self._myhostname = config.text("myhostname").lower()
        self._tells_reason = config.boolean("show_user_unknown_table_name")
        self._depends_on_sender = bool(self._sender_transports) or bool(self._sender_relayhosts)
        self._asks_addresses = bool(self._map) or bool(self._relocated)
        self._cache: dict[str, DomainRoute] = {}
        self._cached_until = 0.0

    def resolve_now(self, recipient: Address, sender: Address) -> Route | None:
        """The route when it is known without waiting and without asking a table; None: use :meth:`resolve`."""
        if self._asks_addresses or self._depends_on_sender:
            return None
        known = self._known(recipient.domain)
        return known.final if known is not None and _PLAIN.fullmatch(recipient.local) else None

    async def resolve(self, recipient: Address, sender: Address) -> Route:
        """The route of a recipient in canonical form.

        Raises:
            TableError: a table cannot answer now: defer.
        """
        found = await self._classes.destination(recipient)
        address = found.recipient
        if not found.is_valid:
            return _BAD_ADDRESS
        route = await self._route(address, found.address_class, sender)
        if self._relocated and (moved := await self._relocated.find(str(address))) is not None:
            route = Route("error", f"5.1.6 User has moved to {moved.value}")
        return route if address == recipient else Route(route.transport, route.nexthop, address)

    async def _route(self, address: Address, address_class: AddressClass, sender: Address) -> Route:
        domain = address.domain
        by_domain = None if self._depends_on_sender else self._known(domain)
        is_overridable = address_class is not AddressClass.VIRTUAL_ALIAS
        if self._map and is_overridable and (entry := await self._map.of_address(address)) is not None:
            plain = by_domain.plain if by_domain else await self._plain(domain, address_class, sender)
            return _override(plain, entry, domain)
        if by_domain is not None:
            return by_domain.final
        plain = await self._plain(domain, address_class, sender)
        entry = await self._map.of_domain(domain) if self._map and is_overridable else None
        final = _override(plain, entry, domain) if entry is not None else plain
        self._remember(domain, DomainRoute(plain, final))
        return final

    def filtered(self, destination: str, recipient: Address) -> Route:
        """The route of an envelope with a FILTER destination, which overrides everything else (access(5))."""
        transport, nexthop = split_destination(destination)
        return Route(transport, nexthop or self._filter_nexthop or recipient.domain or self._myhostname)

    async def _plain(self, domain: str, address_class: AddressClass, sender: Address) -> Route:
        """What the address class says, without transport_maps."""
        if address_class is AddressClass.VIRTUAL_ALIAS:
            # An address that is left in such a domain after alias expansion does not exist.
            table = " in virtual alias table" if self._tells_reason else ""
            return Route("error", f"5.1.1 User unknown{table}")
        transport, nexthop = self._class_transports[address_class]
        if address_class is AddressClass.DEFAULT and (entry := await self._sender_transports.of(sender)) is not None:
            transport, nexthop = split_destination(entry)
            if not transport:
                raise TableError(_SENDER_TRANSPORTS, f'null transport is not allowed: "{entry}"')
        if nexthop:
            return Route(transport, nexthop)
        if address_class in (AddressClass.RELAY, AddressClass.DEFAULT):
            return Route(transport, await self._sender_relayhosts.of(sender) or self._relayhost or domain)
        return Route(transport, domain)

    def _known(self, domain: str) -> DomainRoute | None:
        if self._clock() > self._cached_until:
            self._cache.clear()
            self._cached_until = self._clock() + CACHE_S
        return self._cache.get(domain)

    def _remember(self, domain: str, route: DomainRoute) -> None:
        if self._depends_on_sender or not self._map.is_in_memory:
            return
        if len(self._cache) >= CACHE_LIMIT:
            self._cache.pop(next(iter(self._cache)))
        self._cache[domain] = route


def _destination(config: Config, parameter: str) -> tuple[str, str]:
    destination = split_destination(config.text(parameter))
    if not destination[0]:
        raise ConfigError("null transport is not allowed", parameter=parameter)
    return destination


def _override(plain: Route, entry: str, domain: str) -> Route:
    """Apply a transport_maps result; transport(5) "RESULT FORMAT" on empty halves."""
    transport, nexthop = split_destination(entry)
    if transport:
        return Route(transport, nexthop or (_UNDELIVERABLE if transport in ("error", "retry") else domain))
    return Route(plain.transport, nexthop) if nexthop else plain
