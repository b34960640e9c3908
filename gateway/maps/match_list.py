"""Lists of domains, names and networks, as main.cf writes them: ``mydestination``, ``relay_domains``, ``mynetworks``.

The first entry that matches decides; ``!`` before it makes the answer no. ``/file/name`` stands for the entries in that
file (``!/file`` negates them all), read when the list is made; ``type:table`` for the keys of a table, whatever their
values. Everything that is written out is compiled into dictionaries, so that a list of thousands costs no more than one
of three. Source: the parameters' descriptions in postconf(5); parent_domain_matches_subdomains.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from gateway.config.lines import read_lines
from gateway.config.values import split_words
from gateway.maps.match_entry import Entry
from gateway.maps.network import BITS, Network, parse_address, parse_network
from gateway.maps.table import Table, folded
from gateway.model.errors import ConfigError

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.maps.tables import Tables

K = TypeVar("K")

FILE_DEPTH_LIMIT = 10


class Subdomains(Enum):
    """How an entry ``example.com`` treats ``mail.example.com``."""

    NONE = "none"  # whole strings only, no entry matches a subdomain (virtual_alias_domains)
    DOT = "dot"  # ``.example.com`` matches subdomains
    PARENT = "parent"  # ``example.com`` matches its subdomains too


def subdomain_style(config: Config, parameter: str) -> Subdomains:
    """What parent_domain_matches_subdomains says about the list ``parameter``."""
    is_listed = parameter in config.words("parent_domain_matches_subdomains")
    return Subdomains.PARENT if is_listed else Subdomains.DOT


def parent_keys(name: str, style: Subdomains) -> Iterator[str]:
    """What a table or list may have for subdomains: ``example.com``, ``com``, with a leading dot in the DOT style."""
    if style is Subdomains.NONE:
        return
    at = name.find(".", 1)
    while at >= 0:
        yield name[at + 1 :] if style is Subdomains.PARENT else name[at:]
        at = name.find(".", at + 1)


def entries(words: str | Sequence[str], *, parameter: str, is_negated: bool = False, depth: int = 0) -> Iterator[Entry]:
    """Words of a list, files replaced by what is in them.

    Raises:
        ConfigError: a file cannot be read, or files include each other without end.
    """
    if depth > FILE_DEPTH_LIMIT:
        raise ConfigError("files that name files: nested too deeply", parameter=parameter)
    if isinstance(words, str):
        words = split_words(words)
    for word in words:
        text = word.lstrip("!")
        negated = is_negated is not ((len(word) - len(text)) % 2 == 1)
        if not text:
            raise ConfigError(f'"{word}": nothing follows the "!"', parameter=parameter)
        if text.startswith("/"):
            inside = [part for line in read_lines(text) if not line.startswith("#") for part in split_words(line)]
            yield from entries(inside, parameter=parameter, is_negated=negated, depth=depth + 1)
        else:
            yield Entry(text, negated)


class _Part(ABC, Generic[K]):
    """A stretch of a list: True and False decide, None asks the next part."""

    @abstractmethod
    async def find(self, key: K) -> bool | None: ...


class _Names:
    """Written-out names, each with its position and whether it is a yes."""

    def __init__(self, style: Subdomains) -> None:
        self._style = style
        self._whole: dict[str, tuple[int, bool]] = {}
        self._parents: dict[str, tuple[int, bool]] = {}

    def add(self, name: str, order: int, *, is_yes: bool) -> None:
        """Add an entry; of two the same the first counts."""
        self._whole.setdefault(name, (order, is_yes))
        if self._style is Subdomains.PARENT or (self._style is Subdomains.DOT and name.startswith(".")):
            self._parents.setdefault(name, (order, is_yes))

    def first(self, name: str) -> tuple[int, bool] | None:
        """The first entry that matches."""
        best = self._whole.get(name)
        if self._parents:
            for parent in parent_keys(name, self._style):
                found = self._parents.get(parent)
                if found is not None and (best is None or found[0] < best[0]):
                    best = found
        return best


class _NamePart(_Part[str]):
    def __init__(self, style: Subdomains) -> None:
        self.names = _Names(style)

    async def find(self, key: str) -> bool | None:
        found = self.names.first(key)
        return found[1] if found else None


async def _has_name(table: Table, name: str, style: Subdomains) -> bool:
    """True when the table has the name, or a parent of it; pattern tables are asked for the whole name only."""
    if await table.find(name) is not None:
        return True
    if table.is_pattern:
        return False
    for parent in parent_keys(name, style):
        if await table.find(parent) is not None:
            return True
    return False


class _TablePart(_Part[str]):
    def __init__(self, table: Table, style: Subdomains, *, is_yes: bool) -> None:
        self._table, self._style, self._is_yes = table, style, is_yes

    async def find(self, key: str) -> bool | None:
        return self._is_yes if await _has_name(self._table, key, self._style) else None


class TableOpener(Protocol):
    """Whoever opens tables: :class:`gateway.maps.Tables`, :class:`gateway.maps.source.Surroundings`."""

    @property
    def open(self) -> Callable[[str], Table]:
        """The table ``type:name``; raises ConfigError."""


class DomainList:
    """A list of domains.

    Args:
        words: the entries, or the text they are in.
        tables: opens ``type:table`` entries.
        subdomains: how entries treat subdomains; see :func:`subdomain_style`.
        parameter: where the list comes from, for messages.

    Attributes:
        is_static: no entry is a table, so the answer for a name never changes.

    Raises:
        ConfigError: an entry makes no sense.
    """

    def __init__(
        self,
        words: str | Sequence[str],
        tables: TableOpener,
        *,
        subdomains: Subdomains = Subdomains.DOT,
        parameter: str = "",
    ) -> None:
        self._parts: list[_Part[str]] = []
        self.is_static = True
        for order, entry in enumerate(entries(words, parameter=parameter)):
            if ":" in entry.text and not entry.text.startswith("["):
                self.is_static = False
                self._parts.append(_TablePart(tables.open(entry.text), subdomains, is_yes=not entry.is_negated))
                continue
            last = self._parts[-1] if self._parts else None
            if not isinstance(last, _NamePart):
                last = _NamePart(subdomains)
                self._parts.append(last)
            last.names.add(folded(entry.text), order, is_yes=not entry.is_negated)

    @classmethod
    def of(cls, config: Config, parameter: str, tables: Tables, subdomains: Subdomains | None = None) -> DomainList:
        """The list that is the value of a main.cf parameter."""
        style = subdomain_style(config, parameter) if subdomains is None else subdomains
        return cls(config.words(parameter), tables, subdomains=style, parameter=parameter)

    async def matches(self, name: str) -> bool:
        """True when the list has the name.

        Raises:
            TableError: a table of the list has no answer now.
        """
        name = folded(name)
        for part in self._parts:
            found = await part.find(name)
            if found is not None:
                return found
        return False


KNOWN_LIMIT = 10_000
"""Clients about which a list remembers its answer."""

_Client = tuple[str, str, tuple[int, int] | None]
"""Name, address as text, address as number."""


class _ClientPart(_Part[_Client]):
    def __init__(self, style: Subdomains) -> None:
        self.names = _Names(style)
        self._networks: dict[int, dict[int, dict[int, tuple[int, bool]]]] = {4: {}, 6: {}}

    def add_network(self, network: Network, order: int, *, is_yes: bool) -> None:
        shift = BITS[network.version] - network.prefix
        self._networks[network.version].setdefault(shift, {}).setdefault(network.value, (order, is_yes))

    async def find(self, key: _Client) -> bool | None:
        name, _, address = key
        best = self.names.first(name)
        if address is not None:
            version, number = address
            for shift, networks in self._networks[version].items():
                found = networks.get(number >> shift)
                if found is not None and (best is None or found[0] < best[0]):
                    best = found
        return best[1] if best else None


class _ClientTablePart(_Part[_Client]):
    def __init__(self, table: Table, style: Subdomains, *, is_yes: bool) -> None:
        self._table, self._style, self._is_yes = table, style, is_yes

    async def find(self, key: _Client) -> bool | None:
        name, text, _ = key
        is_in = await _has_name(self._table, name, self._style) or await self._table.find(text) is not None
        return self._is_yes if is_in else None


class NetworkList:
    """A list of clients: networks, addresses, host names, tables. IPv6 stands in brackets: ``[::1]/128``.

    Args:
        words, tables, subdomains, parameter: as :class:`DomainList`.

    Raises:
        ConfigError: an entry makes no sense, host bits that are not zero included.
    """

    def __init__(
        self,
        words: str | Sequence[str],
        tables: Tables,
        *,
        subdomains: Subdomains = Subdomains.DOT,
        parameter: str = "",
    ) -> None:
        self._parts: list[_Part[_Client]] = []
        for order, entry in enumerate(entries(words, parameter=parameter)):
            text, is_yes = entry.text, not entry.is_negated
            network = _network(text, parameter)
            if network is None and ":" in text:
                self._parts.append(_ClientTablePart(tables.open(text), subdomains, is_yes=is_yes))
                continue
            last = self._parts[-1] if self._parts else None
            if not isinstance(last, _ClientPart):
                last = _ClientPart(subdomains)
                self._parts.append(last)
            if network is None:
                last.names.add(folded(text), order, is_yes=is_yes)
            else:
                last.add_network(network, order, is_yes=is_yes)
        # Several such lists are asked for each connection, mostly about the same clients. Tables may change: not kept.
        self._is_fixed = all(isinstance(part, _ClientPart) for part in self._parts)
        self._known: dict[tuple[str, str], bool] = {}

    @classmethod
    def of(cls, config: Config, parameter: str, tables: Tables) -> NetworkList:
        """The list that is the value of a main.cf parameter."""
        return cls(config.words(parameter), tables, subdomains=subdomain_style(config, parameter), parameter=parameter)

    async def matches(self, name: str, address: str) -> bool:
        """True when the list has the client.

        Args:
            name: verified host name, or ``unknown``.
            address: IPv4 or IPv6 text.

        Raises:
            TableError: a table of the list has no answer now.
        """
        known = self._known.get((name, address))
        if known is not None:
            return known
        is_in = await self._look(name, address)
        if self._is_fixed:
            if len(self._known) >= KNOWN_LIMIT:
                self._known.clear()
            self._known[name, address] = is_in
        return is_in

    async def _look(self, name: str, address: str) -> bool:
        client = (folded(name), address, parse_address(address))
        for part in self._parts:
            found = await part.find(client)
            if found is not None:
                return found
        return False


def _network(text: str, parameter: str) -> Network | None:
    """The network, or None when the entry is a name or a table.

    Raises:
        ConfigError: it looks like a network and is none.
    """
    is_numeric = text.startswith("[") or ("." in text and text.replace(".", "").replace("/", "").isdigit())
    if not is_numeric:
        if ":" in text and text.count(":") > 1 and parse_address(text.partition("/")[0]):
            address, slash, length = text.partition("/")
            raise ConfigError(
                f'"{text}": an IPv6 address is written in brackets: "[{address}]{slash}{length}"', parameter=parameter
            )
        if "/" in text and ":" not in text:
            raise ConfigError(f'"{text}": neither a network nor a file', parameter=parameter)
        return None
    try:
        return parse_network(text)
    except ValueError as error:
        raise ConfigError(str(error), parameter=parameter) from error
