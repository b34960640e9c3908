"""A place in the configuration where a restriction stands, and everything it may use there.

Plugins see a :class:`Place` through the protocol ``gateway.model.restriction.RestrictionContext``; the built-in
restrictions get more, the materials of the engine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

from gateway.maps import Table, Tables
from gateway.maps.address_class import AddressClasses
from gateway.maps.address_lookup import AddressLookup, Extensions
from gateway.maps.match_list import NetworkList
from gateway.maps.table_list import TableList
from gateway.model.address import Address
from gateway.model.errors import ConfigError
from gateway.model.restriction import AddressQuestion, RecordType, ResolvedAddress, Restriction, Subject
from gateway.model.session import Session
from gateway.model.verdict import Verdict

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.restrictions.unlisted import AddressTables


class DnsQuestions(Protocol):
    """The part of ``gateway.net.resolver.Resolver`` that restrictions use."""

    async def mx(self, domain: str) -> list[tuple[int, str]]:
        """Mail exchangers."""
        ...

    async def addresses(self, host: str) -> list[str]:
        """IP addresses."""
        ...

    async def lookup(self, name: str, kind: RecordType) -> tuple[str, ...]:
        """The records of one type, as text."""
        ...


class Materials(msgspec.Struct, frozen=True):
    """What the restrictions of one engine are made from."""

    config: Config
    tables: Tables
    resolver: DnsQuestions
    classes: AddressClasses
    networks: NetworkList
    own_addresses: frozenset[tuple[int, int]]
    addresses: AddressTables


Apply = Callable[[str, Session, Subject, str], Awaitable[Verdict | None]]
Check = Callable[[str, "Place"], None]


class Place:
    """Name, list and arguments of one restriction; see ``RestrictionContext``."""

    __slots__ = ("_apply", "_check", "arguments", "is_runtime", "materials", "name", "parameter", "subject")

    def __init__(
        self,
        name: str,
        parameter: str,
        *,
        arguments: tuple[str, ...],
        subject: Subject,
        materials: Materials,
        apply: Apply,
        check: Check,
        is_runtime: bool = False,
    ) -> None:
        self.name, self.parameter, self.arguments, self.subject = name, parameter, arguments, subject
        self.materials, self._apply, self._check, self.is_runtime = materials, apply, check, is_runtime

    def table(self, spec: str) -> Table:
        """Open ``type:name``; in a table's result, only when it is open already: the process may be chrooted by now."""
        if not self.is_runtime:
            return self.materials.tables.open(spec)
        table = self.materials.tables.opened(spec)
        if table is None:
            raise ConfigError(f"table {spec} is not named in main.cf; a table's result cannot open it")
        return table

    def address_question(self, parameter: str) -> AddressQuestion | None:
        """The tables of a parameter, asked for addresses."""
        config, classes = self.materials.config, self.materials.classes
        tables = TableList([self.table(spec) for spec in config.words(parameter)])
        if not tables:
            return None
        lookup = AddressLookup(tables, Extensions.of(config), is_local=classes.has_local_names)

        async def ask(address: str) -> str | None:
            found = await lookup.find(address)
            return None if found is None else found.value

        return ask

    def text(self, parameter: str) -> str:
        """A main.cf value, expanded."""
        return self.materials.config.text(parameter)

    def integer(self, parameter: str) -> int:
        """A main.cf number."""
        return self.materials.config.integer(parameter)

    def words(self, parameter: str) -> tuple[str, ...]:
        """A main.cf list."""
        return self.materials.config.words(parameter)

    async def resolve(self, address: Address) -> ResolvedAddress:
        """Where an address leads."""
        return await self.materials.classes.resolve(address)

    async def lookup(self, name: str, kind: RecordType) -> tuple[str, ...]:
        """Ask DNS for the records of one type."""
        return await self.materials.resolver.lookup(name, kind)

    def check(self, restrictions: str) -> None:
        """Find out now what :meth:`apply` could not evaluate."""
        self._check(restrictions, self)

    async def apply(self, restrictions: str, session: Session, subject: Subject) -> Verdict | None:
        """Evaluate restrictions that a table gave."""
        return await self._apply(restrictions, session, subject, self.parameter)

    def warn(self, text: str) -> None:
        """Log a warning, the same text once."""
        self.materials.tables.warn_once(text)

    def report(self, source: str, text: str) -> None:
        """Log that somebody who was asked has no answer, once a minute for each source."""
        self.materials.tables.report(source, text)


class BuiltIn(msgspec.Struct, frozen=True):
    """A built-in restriction: as ``RestrictionKind``, made in a :class:`Place`; its waits have deadlines already."""

    factory: Callable[[Place], Restriction]
    arguments: int = 0
    is_bounded: bool = True
