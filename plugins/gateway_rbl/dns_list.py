"""DNS lists: which name is asked for, what the answer says, and who remembers it.

A list says of a key, a reversed address or a domain, that it is listed by having A records for ``key.list``; TXT
records say why. Source: RFC 5782 §2.1, §2.4, §3; Postfix's ``reject_rbl_client`` and its kin.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from gateway.model.errors import ConfigError
from gateway.model.restriction import RestrictionContext
from gateway.model.session import Session
from gateway.net.names import ascii_name, reverse_name
from gateway.net.resolver import DnsNotFound, DnsTemporary
from gateway.restrictions.hostname import is_hostname
from gateway_rbl.address_filter import AddressFilter

NOTES = "rbl"
"""Where a session keeps what it was told."""
ANSWERS_LIMIT = 100
"""Answers that a connection keeps; Postfix keeps as many a process. A client can name any number of domains."""
REASON_LIMIT = 500
"""Characters of TXT records, together."""
_SEPARATOR = " / "
_UNPRINTABLE = re.compile(r"[^ -~]")


class Answer(msgspec.Struct):
    """What a list said of a key.

    Args:
        query: the name that was asked for.
        addresses: of its A records; none: not listed.
        is_failure: there was no answer.
        reason: from its TXT records; None until somebody wants to know.
    """

    query: str
    addresses: tuple[str, ...] = ()
    is_failure: bool = False
    reason: str | None = None


class DnsList(msgspec.Struct, frozen=True):
    """One list, as a restriction names it.

    Args:
        spec: as in main.cf, ``domain`` or ``domain=d.d.d.d``.
        domain: the same without the filter, for replies and the log.
        zone: the domain as DNS is asked for it; below it are the keys.
        accepted: the addresses that count; None: all.
    """

    spec: str
    domain: str
    zone: str
    accepted: AddressFilter | None = None

    @classmethod
    def parse(cls, spec: str) -> DnsList:
        """Read a restriction's argument.

        Raises:
            ConfigError: no domain name, or a bad filter.
        """
        domain, equals, pattern = spec.partition("=")
        if not is_hostname(domain):
            raise ConfigError(f'"{domain}" is not the domain name of a DNS list')
        domain = domain.removesuffix(".")
        return cls(spec, domain, ascii_name(domain), AddressFilter.parse(pattern) if equals else None)

    def covers(self, answer: Answer) -> bool:
        """True when an address of the answer counts."""
        if self.accepted is None:
            return bool(answer.addresses)
        return any(map(self.accepted.matches, answer.addresses))

    async def ask(self, context: RestrictionContext, session: Session, key: str) -> Answer:
        """What the list says of a key: once a connection, a failure too, however many restrictions and recipients ask.

        A failure is logged, once a minute a list.
        """
        query = f"{key}.{self.zone}"
        known: dict[str, Answer] = session.notes.setdefault(NOTES, {})
        answer = known.get(query)
        if answer is None:
            answer = await self._fresh(context, query)
            if len(known) >= ANSWERS_LIMIT:
                del known[next(iter(known))]
            known[query] = answer
        return answer

    async def _fresh(self, context: RestrictionContext, query: str) -> Answer:
        try:
            return Answer(query, await context.lookup(query, "A"))
        except DnsNotFound:
            return Answer(query)
        except DnsTemporary as error:
            context.report(self.domain, f"{query}: RBL lookup error: Host or domain name not found. {error}")
            return Answer(query, is_failure=True)


async def reason_of(context: RestrictionContext, answer: Answer) -> str:
    """Why the key is listed, printable, at most 500 characters; empty when the list does not say, or not now."""
    if answer.reason is None:
        try:
            answer.reason = joined(await context.lookup(answer.query, "TXT"))
        except (DnsNotFound, DnsTemporary):
            answer.reason = ""
    return answer.reason


def joined(texts: tuple[str, ...]) -> str:
    """Several TXT records as one text."""
    whole = ""
    for number, text in enumerate(texts):
        space_left = REASON_LIMIT - len(whole)
        if number and space_left > len(_SEPARATOR):
            whole += _SEPARATOR
        whole += _UNPRINTABLE.sub(" ", text)[: REASON_LIMIT - len(whole)]
    return whole


@lru_cache(maxsize=1024)
def address_key(address: str) -> str:
    """``9.113.0.203`` for 203.0.113.9, 32 nibbles for an IPv6 address (RFC 5782 §2.4); empty for what is no address."""
    return reverse_name(address).removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


def domain_key(name: str) -> str:
    """The domain of a host name or mail address as DNS is asked for it; empty for literals and what is no host name.

    A name without ``@`` is taken for a domain, an address's local part without domain too, as in Postfix.
    """
    domain = name.rpartition("@")[2]
    return ascii_name(domain) if is_hostname(domain) else ""
