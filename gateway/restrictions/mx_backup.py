"""permit_mx_backup: mail for domains whose DNS names us as a backup mail exchanger.

Whoever writes a domain's MX records can so make us relay for it; ``permit_mx_backup_networks`` says whose mail
exchangers that is meant for. What DNS cannot tell now permits nothing: the refusal that follows becomes a temporary
one. Source: postconf(5), permit_mx_backup, permit_mx_backup_networks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from gateway.maps.destination import AddressClass
from gateway.maps.match_list import NetworkList
from gateway.maps.network import parse_address
from gateway.model.restriction import RECIPIENT, Restriction
from gateway.model.session import Session
from gateway.model.verdict import Action, Verdict
from gateway.net.resolver import DnsError, DnsNotFound, DnsTemporary
from gateway.restrictions.generic import OK
from gateway.restrictions.place import BuiltIn, Materials, Place
from gateway.restrictions.replies import refuse

WALK_LIMIT_S = 30.0
"""After that no further host is asked for. The resolver has a deadline for each question, and a bound on answers."""


class _Unknown(Exception):
    """DNS has no answer now, or a mail exchanger no address; the text is for the client."""


def _reason(error: DnsError) -> str:
    """Why a host has no address, in the words of the C library, which Postfix asks."""
    is_temporary = isinstance(error, DnsTemporary)
    return "Temporary failure in name resolution" if is_temporary else "Name or service not known"


class _Exchangers:
    """Tells whether hosts are this one, or in the networks that may be backed up."""

    def __init__(self, materials: Materials) -> None:
        config = materials.config
        self._resolver, self._classes, self._own = materials.resolver, materials.classes, materials.own_addresses
        self._networks: NetworkList | None = None
        if config.words("permit_mx_backup_networks"):
            self._networks = NetworkList.of(config, "permit_mx_backup_networks", materials.tables)

    async def is_backed_up(self, domain: str) -> bool:
        """True when we are a mail exchanger of the domain, but none of its best.

        Raises:
            _Unknown: what DNS says now does not tell.
            TableError: a list of main.cf has none.
        """
        try:
            records = await self._resolver.mx(domain)
        except DnsNotFound:
            return False
        except DnsTemporary as error:
            raise _Unknown(f"Unable to look up mail exchanger information: {error.reason}") from error
        best = records[0][0]
        primary = [host for preference, host in records if preference == best]
        backups = [host for preference, host in records if preference != best]
        until = asyncio.get_running_loop().time() + WALK_LIMIT_S
        if await self._has_us(primary, until) or not await self._has_us(backups, until):
            return False
        return self._networks is None or await self._are_in(self._networks, primary, until)

    async def _has_us(self, hosts: Sequence[str], until: float) -> bool:
        for host in hosts:
            if await self._classes.of(host) is AddressClass.LOCAL:
                return True
        unknown = ""
        for host in hosts:
            try:
                addresses = await self._addresses(host, until)
            except DnsError as error:
                unknown = f"Unable to look up mail exchanger host {host}: {_reason(error)}"
                continue
            if any(parse_address(address) in self._own for address in addresses):
                return True
        if unknown:
            raise _Unknown(unknown)
        return False

    async def _are_in(self, networks: NetworkList, hosts: Sequence[str], until: float) -> bool:
        """True when every address of every host is in the networks."""
        for host in hosts:
            try:
                addresses = await self._addresses(host, until)
            except DnsError as error:
                raise _Unknown(f"Unable to look up host {host} as mail exchanger: {_reason(error)}") from error
            for address in addresses:
                if not await networks.matches(host, address):
                    return False
        return True

    async def _addresses(self, host: str, until: float) -> list[str]:
        if asyncio.get_running_loop().time() > until:
            raise DnsTemporary(host, "A", "too slow")
        return await self._resolver.addresses(host)


def _permit_mx_backup(place: Place) -> Restriction:
    exchangers = _Exchangers(place.materials)

    async def check(session: Session) -> Verdict | None:
        recipient = session.recipient
        if not recipient:
            return None
        resolved = await place.resolve(recipient)
        if resolved.is_authorized:
            return OK
        if resolved.is_routed or not resolved.is_valid or resolved.domain.startswith("["):
            return None
        try:
            return OK if await exchangers.is_backed_up(resolved.domain) else None
        except _Unknown as error:
            verdict = refuse(450, "4.4.4", RECIPIENT.refusal(session, str(error)))
            return msgspec.structs.replace(verdict, action=Action.DEFER_IF_REJECT)

    return check


MX_BACKUP = {"permit_mx_backup": BuiltIn(_permit_mx_backup)}
