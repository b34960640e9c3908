"""Access tables asked about a name's servers: check_*_a_access, check_*_mx_access, check_*_ns_access.

Each host is looked up by its name and the parents of that, then by its addresses and their networks; the first key that
is found decides, ``DUNNO`` included. A domain without mail exchangers is its own, one without name servers has those of
its nearest parent that has some, and an address literal is its own mail exchanger. ``OK`` is no answer: these records
are whoever's who writes them.

Hosts that cannot be looked up now leave the check without an answer, and the mail waits (``reject_tempfail_action``):
who makes his name servers fail shall not get past a table by it. Source: postconf(5), check_sender_mx_access and kin;
reject_tempfail_action; RFC 5321 §5.1; RFC 6761 §6.3 (localhost).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from gateway.maps.access_lookup import domain_keys, first_found, network_keys
from gateway.maps.match_list import Subdomains
from gateway.maps.network import parse_address
from gateway.model.address import Address
from gateway.model.errors import TableError
from gateway.model.restriction import (
    CLIENT,
    HELO,
    RECIPIENT,
    SENDER,
    Factory,
    LookupTable,
    RecordType,
    Restriction,
    RestrictionContext,
    Subject,
)
from gateway.model.session import Session
from gateway.model.verdict import Verdict
from gateway.net.names import literal_address
from gateway.net.resolver import DnsError, DnsNotFound, DnsTemporary, NullMx
from gateway.restrictions.hostname import is_address_literal
from gateway.restrictions.replies import refuse
from gateway.restrictions.tempfail import tempfail
from gateway_access.answer import SERVER_ERROR, never_permitting, style_of, table_of
from gateway_access.clients import REVERSE_CLIENT

Servers = Literal["A", "MX", "NS"]
WALK_LIMIT_S = 30.0
"""After that no further host is asked for. The resolver has a deadline for each question, and a bound on answers."""

_WORDS: dict[Servers, str] = {"A": "addresses", "MX": "mail exchangers", "NS": "name servers"}
_FAMILIES: dict[str, tuple[tuple[RecordType, str], ...]] = {
    "ipv4": (("A", "127.0.0.1"),),
    "ipv6": (("AAAA", "::1"),),
    "all": (("A", "127.0.0.1"), ("AAAA", "::1")),
}


class Party(msgspec.Struct, frozen=True):
    """Whose servers are looked at.

    Args:
        subject: as replies name it.
        name: its host or domain name, or address literal; empty when there is none.
    """

    subject: Subject
    name: Callable[[Session], str]


def _host(name: str) -> str:
    return "" if name.lower() == "unknown" else name


def _domain(address: Address | None) -> str:
    return (address.domain or address.local) if address else ""


PARTIES = {
    "client": Party(CLIENT, lambda session: _host(session.client.name)),
    "reverse_client_hostname": Party(REVERSE_CLIENT, lambda session: _host(session.client.reverse_name)),
    "helo": Party(HELO, lambda session: session.helo),
    "sender": Party(SENDER, lambda session: _domain(session.sender)),
    "recipient": Party(RECIPIENT, lambda session: _domain(session.recipient)),
}


def server_checks() -> dict[str, Factory]:
    """``check_client_a_access`` to ``check_recipient_ns_access``."""
    kinds: tuple[Servers, ...] = ("A", "MX", "NS")
    return {
        f"check_{name}_{kind.lower()}_access": _factory(party, kind)
        for name, party in PARTIES.items()
        for kind in kinds
    }


def _factory(party: Party, kind: Servers) -> Factory:
    def factory(context: RestrictionContext) -> Restriction:
        table, judge, style = table_of(context), never_permitting(context, party.subject), style_of(context)
        families = tuple(
            family for word in context.words("inet_protocols") for family in _FAMILIES.get(word.lower(), ())
        )
        on_tempfail = tempfail(context, "reject_tempfail_action")

        async def check(session: Session) -> Verdict | None:
            name = party.name(session)
            if not name:
                return None
            walk = _Walk(context, kind, families)
            try:
                found = await walk.find(name, table, style)
            except TableError as error:
                return await judge(session, name, SERVER_ERROR, str(error))
            if found is not None:
                return await judge(session, *found)
            if walk.doubt is None:
                return None
            text = party.subject.refusal(session, f"Unable to look up {_WORDS[kind]} of {name}")
            return on_tempfail(refuse(450, "4.4.3", text, reason=str(walk.doubt)))

        return check

    return factory


class _Walk:
    """One walk from a name over its servers.

    Attributes:
        doubt: the last question that had no answer now.
    """

    def __init__(self, context: RestrictionContext, kind: Servers, families: Sequence[tuple[RecordType, str]]) -> None:
        self._lookup, self._kind, self._families = context.lookup, kind, families
        self._clock = asyncio.get_running_loop().time
        self._until = self._clock() + WALK_LIMIT_S
        self.doubt: DnsError | None = None

    async def find(self, name: str, table: LookupTable, style: Subdomains) -> tuple[str, str] | None:
        """The first key that the table knows, and its text. Raises TableError."""
        for host in await self._hosts(name):
            if self._is_late(host):
                return None
            if parse_address(host) is not None:
                found = await first_found(table, network_keys(host))
            else:
                found = None if self._kind == "A" else await first_found(table, domain_keys(host, style))
                if found is None:
                    found = await self._find_address(host, table)
            if found is not None:
                return found
        return None

    async def _find_address(self, host: str, table: LookupTable) -> tuple[str, str] | None:
        for address in await self._addresses(host):
            found = await first_found(table, network_keys(address))
            if found is not None:
                return found
        return None

    async def _hosts(self, name: str) -> Sequence[str]:
        """Names, or bare addresses, of the servers."""
        if name.startswith("["):
            return (literal_address(name),) if self._kind != "NS" and is_address_literal(name) else ()
        try:
            match self._kind:
                case "A":
                    return (name,)
                case "MX":
                    return await self._lookup(name, "MX")
                case "NS":
                    return await self._name_servers(name)
        except NullMx:
            return ()
        except DnsNotFound:
            return (name,) if self._kind == "MX" else ()
        except DnsTemporary as error:
            self.doubt = error
            return ()

    async def _name_servers(self, name: str) -> Sequence[str]:
        """Those of the name, or of the nearest parent that has some."""
        while True:
            try:
                return await self._lookup(name, "NS")
            except DnsNotFound:
                name = name.partition(".")[2]
                if not name or self._is_late(name):
                    raise

    async def _addresses(self, host: str) -> list[str]:
        """Addresses of the families that inet_protocols has."""
        if host == "localhost" or host.endswith(".localhost"):
            return [loopback for _, loopback in self._families]
        questions = [self._lookup(host, kind) for kind, _ in self._families]
        answers = await asyncio.gather(*questions, return_exceptions=True)
        found: list[str] = []
        doubt: DnsError | None = None
        for answer in answers:
            if isinstance(answer, DnsTemporary):
                doubt = answer
            elif isinstance(answer, BaseException):
                if not isinstance(answer, DnsNotFound):
                    raise answer
            else:
                found += answer
        # One family is enough, as it is for whoever connects.
        if not found and doubt is not None:
            self.doubt = doubt
        return found

    def _is_late(self, host: str) -> bool:
        if self._clock() <= self._until:
            return False
        self.doubt = DnsTemporary(host, self._kind, "too slow")
        return True
