"""What a plugin needs to add a restriction that main.cf can name.

The ``restrictions`` hook registers a name with a factory. The engine calls the factory once for every place where
the name stands in a restriction list, with a :class:`RestrictionContext`; what it returns is asked at every
evaluation, and answers with a :class:`~gateway.model.verdict.Verdict`, or None for "no opinion" (DUNNO):

* ``OK`` ends the list; ``REJECT`` and ``DEFER`` refuse, with the complete text for the client;
* ``DEFER_IF_PERMIT`` and ``DEFER_IF_REJECT`` are remembered, as access(5) says;
* ``DISCARD`` is noted and ends every further check of the transaction;
* ``HOLD FILTER REDIRECT BCC PREPEND INFO WARN`` are noted, and the list goes on.

    def factory(context: RestrictionContext) -> Restriction:
        limit = int(context.arguments[0])
        return lambda session: Verdict.reject("too many recipients") if session.rcpt_count > limit else None

    @hookimpl
    def restrictions(register): register("reject_many_recipients", RestrictionKind(factory, arguments=1))
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

import msgspec

from gateway.model.address import Address
from gateway.model.session import Session
from gateway.model.verdict import Verdict

Answer = Verdict | Awaitable[Verdict | None] | None
Restriction = Callable[[Session], Answer]
"""A compiled restriction: a plain function, or ``async def`` when it asks tables or waits."""


class Subject(msgspec.Struct, frozen=True):
    """What a restriction judges, as replies name it: ``<name>: label rejected: text``.

    Args:
        label: ``Client host``, ``Helo command``, ``Sender address``, ``Recipient address``, ``Data command`` …
        name: gives what stands between the angle brackets.
    """

    label: str
    name: Callable[[Session], str]

    def refusal(self, session: Session, text: str) -> str:
        """``<name>: label rejected: text``."""
        return f"<{self.name(session)}>: {self.label} rejected: {text}"


CLIENT = Subject("Client host", lambda session: session.client.label)
HELO = Subject("Helo command", lambda session: session.helo)
SENDER = Subject("Sender address", lambda session: str(session.sender or ""))
RECIPIENT = Subject("Recipient address", lambda session: str(session.recipient or ""))
DATA = Subject("Data command", lambda session: "DATA")
END_OF_DATA = Subject("End-of-data", lambda session: "END-OF-MESSAGE")


class ResolvedAddress(msgspec.Struct, frozen=True, gc=False):
    """Where an address really leads, local routing (``user%host@here``, ``host!user@here``) undone.

    Args:
        address: internal form, lower-case as tables are asked, always with a domain.
        domain: behind its last ``@``, lower-case; ``[1.2.3.4]`` for a literal.
        is_final: mail for the domain ends here (local, virtual alias or virtual mailbox class).
        is_relay: the domain is in ``relay_domains``.
        is_routed: the local part still names other hosts; nobody may be let relay by such an address.
        is_valid: its domain is a host name or a literal: mail can be sent there.
    """

    address: str
    domain: str
    is_final: bool
    is_relay: bool
    is_routed: bool
    is_valid: bool = True

    @property
    def is_authorized(self) -> bool:
        """True when strangers may send to it (permit_auth_destination)."""
        return self.is_valid and not self.is_routed and (self.is_final or self.is_relay)


class LookupTable(Protocol):
    """The part of ``gateway.maps.Table`` that a restriction uses."""

    spec: str
    is_pattern: bool

    async def find(self, key: str) -> str | None:
        """The text under ``key``; None when there is none; raises TableError when there is no answer now."""
        ...


AddressQuestion = Callable[[str], Awaitable[str | None]]
"""Asks tables for a mail address in internal form: their text, or None; TableError when there is no answer now."""

RecordType = Literal["A", "AAAA", "MX", "NS", "PTR", "TXT"]
"""DNS records that a restriction may ask for."""


class RestrictionContext(Protocol):
    """The place in the configuration where a restriction stands, and what it may use."""

    @property
    def name(self) -> str:
        """The name it was called by, as in main.cf."""
        ...

    @property
    def parameter(self) -> str:
        """The restriction list, e.g. ``smtpd_recipient_restrictions``; ``access table`` in a table's result."""
        ...

    @property
    def arguments(self) -> tuple[str, ...]:
        """The words behind the name, as many as were registered."""
        ...

    @property
    def subject(self) -> Subject:
        """What the list as a whole judges."""
        ...

    def table(self, spec: str) -> LookupTable:
        """Open ``type:name``.

        Raises:
            ConfigError: unknown type, missing or broken file.
        """
        ...

    def address_question(self, parameter: str) -> AddressQuestion | None:
        """The tables that a main.cf parameter lists, to be asked for addresses; None when it lists none.

        They are asked for ``user+ext@domain``, ``user@domain``, ``user`` where the domain is local, and ``@domain``.

        Raises:
            ConfigError: as :meth:`table`.
        """
        ...

    def text(self, parameter: str) -> str:
        """A main.cf value, expanded."""
        ...

    def integer(self, parameter: str) -> int:
        """A main.cf number."""
        ...

    def words(self, parameter: str) -> tuple[str, ...]:
        """A main.cf list."""
        ...

    async def resolve(self, address: Address) -> ResolvedAddress:
        """Where an address leads.

        Raises:
            TableError: a table in a domain list of main.cf has no answer now.
        """
        ...

    async def lookup(self, name: str, kind: RecordType) -> tuple[str, ...]:
        """Ask DNS, through the cache of the whole process, which keeps an answer for its TTL; the wait is bounded.

        Args:
            name: domain name; for PTR the reversed one.
            kind: A and AAAA give addresses, MX host names, best first, and addresses that some write in their place, NS
                and PTR host names, TXT the texts, octets beyond ASCII as ``surrogateescape``. Hostile data: host names
                are checked, texts are not.

        Raises:
            gateway.net.resolver.DnsNotFound: no such name, no such record (NullMx: the domain takes no mail).
            gateway.net.resolver.DnsTemporary: no answer now.
        """
        ...

    def check(self, restrictions: str) -> None:
        """Find out at (re)load what :meth:`apply` could not evaluate: for restrictions that a setting names.

        Raises:
            ConfigError: an unknown restriction, a missing argument, a table that cannot be opened.
        """
        ...

    async def apply(self, restrictions: str, session: Session, subject: Subject) -> Verdict | None:
        """Evaluate restrictions that a table gave (access(5), "restriction..."), with ``subject`` in their replies.

        Tables they name must have been opened before. Nesting is bounded; a bad list is a 451, never an exception.
        """
        ...

    def warn(self, text: str) -> None:
        """Log a warning: a table entry that makes no sense. The same text is logged once."""
        ...

    def report(self, source: str, text: str) -> None:
        """Log a warning that somebody who was asked has no answer: once a minute for each ``source``, then counted."""
        ...


Factory = Callable[[RestrictionContext], Restriction]


class RestrictionKind(msgspec.Struct, frozen=True):
    """What the ``restrictions`` hook registers under a name.

    Args:
        factory: makes the restriction for one place in the configuration; ConfigError stops the start.
        arguments: words behind the name that belong to it.
        is_bounded: all its waits have deadlines of their own, as those of tables and of the resolver do. It is then
            awaited without a Task, which costs less; otherwise ``plugin_timeout`` is its deadline.
        tables: list parameters that name tables it opens. They are opened at load even when no list of main.cf names
            the restriction: a table's result may, and opens nothing.
    """

    factory: Factory
    arguments: int = 0
    is_bounded: bool = False
    tables: tuple[str, ...] = ()
