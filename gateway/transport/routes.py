"""From a destination to the addresses to try, in order.

Owns MX preference, shuffling, the balance of IP versions, the bound on addresses, and the check that the best mail
exchanger is not this host. Source: RFC 5321 §5.1, RFC 7505; ``smtp_randomize_addresses``, ``smtp_address_preference``,
``smtp_balance_inet_protocols``, ``smtp_mx_address_limit``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os.path
import random
import socket
from collections.abc import Callable, Iterable

import msgspec

from gateway.model.delivery import Status
from gateway.model.errors import GatewayError
from gateway.net.names import literal_address
from gateway.net.resolver import DnsError, DnsNotFound, DnsTemporary, NullMx, Resolver
from gateway.transport.endpoint import Endpoint
from gateway.transport.nexthop import Destination
from gateway.transport.results import bounced, unresolved
from gateway.transport.settings import ClientSettings

SMTP_PORT = 25  # the loop check is for this port only: on any other, this host may well relay to itself


class Route(msgspec.Struct, frozen=True):
    """Addresses to try, best first, at least one.

    ``may_fall_back``: false when this host is one of the domain's exchangers: ``smtp_fallback_relay`` would loop.
    """

    endpoints: list[Endpoint]
    may_fall_back: bool = True


class NoRoute(GatewayError):
    """There is nothing to connect to.

    Args:
        status: why.
        may_fall_back: false when the domain was found, and takes no mail, or none from here.
    """

    def __init__(self, status: Status, *, may_fall_back: bool = True) -> None:
        self.status, self.may_fall_back = status, may_fall_back
        super().__init__(status.text)


class Routes:
    """Finds endpoints.

    Args:
        resolver: DNS.
        settings: of the client.
        shuffle: reorders a list in place; an argument so that tests own the order.
        is_local: tells whether an IP address is one of this host's.
    """

    def __init__(
        self,
        resolver: Resolver,
        settings: ClientSettings,
        *,
        shuffle: Callable[[list[str]], None] = random.shuffle,
        is_local: Callable[[str], bool] | None = None,
    ) -> None:
        self._resolver, self._settings = resolver, settings
        self._shuffle = shuffle
        self._is_local = is_local or is_local_address

    async def find(self, destination: Destination) -> Route:
        """Where to connect for a destination.

        Raises:
            NoRoute: no such domain, null MX, no DNS answer, or mail loops back to this host.
        """
        if destination.port == 0:
            path = os.path.join(self._settings.queue_directory, destination.host)
            return Route([Endpoint(self._settings.myhostname, path, 0)])
        if literal := literal_address(destination.host):
            return Route([Endpoint(literal, literal, destination.port)])
        try:
            if destination.wants_mx and self._settings.is_dns_lookup:
                return await self._exchangers(destination)
            addresses = await self._addresses(destination.host)
        except DnsError as exc:
            raise NoRoute(unresolved(exc), may_fall_back=not isinstance(exc, NullMx)) from exc
        self._arrange(addresses)
        return Route(self._limit([Endpoint(destination.host, address, destination.port) for address in addresses]))

    async def _exchangers(self, destination: Destination) -> Route:
        domain, port, limit = destination.host, destination.port, self._settings.mx_address_limit
        try:
            exchangers = await self._resolver.mx(domain)
        except NullMx:
            raise
        except DnsNotFound:
            exchangers = [(0, domain)]  # RFC 5321 §5.1: the implicit MX
        is_checked = port == SMTP_PORT
        found: list[Endpoint] = []
        errors: list[DnsError] = []
        for preference, hosts in _by_preference(exchangers):
            is_best = preference == exchangers[0][0]
            group = await self._group(hosts, port, domain if is_checked and is_best else "", errors)
            if is_checked and any(self._is_own(endpoint) for endpoint in group):
                # RFC 5321 §5.1: exchangers that are not better than this host are not for this host to try.
                if not found:
                    raise NoRoute(bounced("5.4.6", f"mail for {domain} loops back to myself"), may_fall_back=False)
                return Route(self._limit(found), may_fall_back=False)
            found += group
            if 0 < limit <= len(found):
                break
        if not found:
            raise self._no_address(errors)
        return Route(self._limit(found))

    async def _group(self, hosts: list[str], port: int, best_mx_of: str, errors: list[DnsError]) -> list[Endpoint]:
        """The addresses of exchangers of one preference; what is wrong with the others is added to ``errors``."""
        if self._settings.randomize_addresses:
            self._shuffle(hosts)
        endpoints: list[Endpoint] = []
        answers = await asyncio.gather(*(self._addresses(host) for host in hosts), return_exceptions=True)
        for host, answer in zip(hosts, answers, strict=True):
            if isinstance(answer, DnsError):
                errors.append(answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                self._arrange(answer)
                endpoints += [Endpoint(host, address, port, best_mx_of) for address in answer]
        return endpoints

    def _no_address(self, errors: list[DnsError]) -> DnsError:
        """The error that stands for all: a temporary one if there is one."""
        error = next((error for error in errors if isinstance(error, DnsTemporary)), errors[-1])
        if self._settings.defer_if_no_mx_address_found:
            return DnsTemporary(error.name, error.kind, error.reason)
        return error

    async def _addresses(self, host: str) -> list[str]:
        settings = self._settings
        if not settings.is_dns_lookup:
            return await self._resolver.addresses(host, settings.families, is_native=True)
        try:
            return await self._resolver.addresses(host, settings.families)
        except DnsNotFound:
            if not settings.is_native_lookup:
                raise
            return await self._resolver.addresses(host, settings.families, is_native=True)

    def _arrange(self, addresses: list[str]) -> None:
        """Shuffle one host's addresses, then put the preferred IP version first."""
        if self._settings.randomize_addresses and len(addresses) > 1:
            self._shuffle(addresses)
        if self._settings.address_preference in {"ipv4", "ipv6"}:
            is_first_v6 = self._settings.address_preference == "ipv6"
            addresses.sort(key=lambda address: (":" in address) is not is_first_v6)

    def _limit(self, endpoints: list[Endpoint]) -> list[Endpoint]:
        """The first ``smtp_mx_address_limit``; the last place goes to the other IP version when all are of one."""
        limit = self._settings.mx_address_limit or len(endpoints)
        if len(endpoints) <= limit:
            return endpoints
        kept = endpoints[:limit]
        is_v6 = ":" in kept[0].address
        if (
            self._settings.balance_inet_protocols
            and limit > 1
            and all((":" in endpoint.address) is is_v6 for endpoint in kept)
        ):
            others = (endpoint for endpoint in endpoints[limit:] if (":" in endpoint.address) is not is_v6)
            kept[-1] = next(others, kept[-1])
        return kept

    def _is_own(self, endpoint: Endpoint) -> bool:
        settings = self._settings
        if endpoint.host.lower() == settings.myhostname.lower():
            return True
        if endpoint.address in settings.proxy_interfaces:
            return True
        interfaces = [word.lower() for word in settings.own_interfaces]
        if "all" in interfaces or not interfaces:
            return self._is_local(endpoint.address)
        if "loopback-only" in interfaces or "localhost" in interfaces:
            return ipaddress.ip_address(endpoint.address).is_loopback
        return endpoint.address in {literal_address(word) for word in interfaces}


def is_local_address(address: str) -> bool:
    """True when an interface of this host has the IP address: only then may a socket be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _by_preference(exchangers: Iterable[tuple[int, str]]) -> list[tuple[int, list[str]]]:
    groups: dict[int, list[str]] = {}
    for preference, host in exchangers:
        groups.setdefault(preference, []).append(host)
    return list(groups.items())
