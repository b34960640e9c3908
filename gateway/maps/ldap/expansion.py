"""One lookup as the searches it takes: the first one, then those for the DNs and LDAP URLs found in entries.

No I/O here: the caller runs each :class:`Search` and sends back what came. Values come out in the order of a walk from
each entry into what its attributes name, depth first, which is Postfix's. Source: ldap_table(5),
``special_result_attribute``, ``terminal_result_attribute``, ``leaf_result_attribute``, ``recursion_limit``,
``size_limit``.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

import msgspec

from gateway.maps.ldap.settings import Plan
from gateway.maps.ldap.text import (
    ANY_OBJECT,
    BASE,
    LdapUrl,
    covers,
    is_ldap_url,
    parse_ldap_url,
    quoted_in_dn,
    quoted_in_filter,
)
from gateway.model.errors import TableError

OCTETS_LIMIT = 1 << 24
"""Of the values that one lookup may collect; more are a TableError."""

Entry = Mapping[str, Sequence[bytes]]
"""An entry of the directory: names of attributes as the server wrote them, in its order, and their values."""


class Search(msgspec.Struct, frozen=True, gc=False):
    """One search.

    Args:
        base: distinguished name. scope: number of RFC 4511. filter: text of RFC 4515. attributes: wanted ones.
    """

    base: str
    scope: int
    filter: str
    attributes: tuple[str, ...]


Answer = Sequence[Entry] | None
"""The entries found; None: there is no such base."""


class _Role(enum.Enum):
    """What the configuration says of an attribute, in the order in which it is asked."""

    TERMINAL = enum.auto()
    LEAF = enum.auto()
    ORDINARY = enum.auto()
    SPECIAL = enum.auto()
    UNWANTED = enum.auto()


class LdapExpansion:
    """The lookup of one key.

    Args:
        spec: the table, for messages.
        plan: what is asked.
        key: folded.
        warn: takes the text of a warning: a DN that does not exist.
    """

    def __init__(self, spec: str, plan: Plan, key: str, warn: Callable[[str], None]) -> None:
        self._spec, self._plan, self._key, self._warn = spec, plan, key, warn
        self._results: list[str] = []
        self._octets = 0
        roles = ((_Role.TERMINAL, plan.terminal), (_Role.LEAF, plan.leaf), (_Role.ORDINARY, plan.ordinary))
        self._roles = [(name, role) for role, names in (*roles, (_Role.SPECIAL, plan.special)) for name in names]

    def run(self) -> Generator[Search, Answer, str | None]:
        """Give the searches one by one, each to be sent its answer, and return what the lookup says.

        Raises:
            TableError: a limit is reached, a URL is malformed, the configured base does not exist, a value is no UTF-8.
        """
        first = self._first()
        if first is None:
            return None
        entries = yield first
        if entries is None:
            if self._plan.has_fixed_base:
                raise TableError(self._spec, f'search base "{first.base}" not found')
            return None
        # A stack of our own: nesting may be deeper than Python's.
        walks = [self._walk(entries, 1)]
        while walks:
            search = next(walks[-1], None)
            if search is None:
                walks.pop()
                continue
            entries = yield search
            if entries is None:
                self._warn(f'table {self._spec}: DN "{search.base}" not found, skipped')
            else:
                walks.append(self._walk(entries, len(walks) + 1))
        return self._joined()

    def _first(self) -> Search | None:
        """The search that finds the key; None: it needs none, for it cannot be found."""
        base = self._plan.base.fill(self._key, quoted_in_dn)
        query = self._plan.filter.fill(self._key, quoted_in_filter)
        if base is None or query is None or not self._plan.format.accepts(self._key):
            return None
        return Search(base, self._plan.scope, query, self._plan.attributes)

    def _joined(self) -> str | None:
        text = ",".join(self._results)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise TableError(self._spec, "the directory holds a value that is not UTF-8") from error
        return text or None

    def _walk(self, entries: Sequence[Entry], depth: int) -> Iterator[Search]:
        """Take the values of the entries that one search found, and give the further searches they ask for."""
        limit = self._plan.size_limit
        for number, entry in enumerate(entries, 1):
            if limit and number > limit:
                raise TableError(self._spec, f"a search found more than {limit} entries (size_limit)")
            skipped = self._skipped(entry)
            for name, values in entry.items():
                role = self._role(name)
                if not values or role in skipped:
                    continue
                if role is not _Role.SPECIAL:
                    self._take(values)
                elif depth < self._plan.recursion_limit:
                    yield from self._searches(values)
                else:
                    raise TableError(self._spec, f"attribute {name} leads deeper than recursion_limit allows")

    def _take(self, values: Sequence[bytes]) -> None:
        limit = self._plan.expansion_limit
        for value in values:
            result = self._plan.format.expand(self._key, (self._text(value),))
            if result is None:
                continue
            self._results.append(result)
            if limit and len(self._results) > limit:
                raise TableError(self._spec, f"more than {limit} results for one key (expansion_limit)")

    def _skipped(self, entry: Entry) -> frozenset[_Role]:
        """The roles that do not count in this entry."""
        present = {name.lower() for name, values in entry.items() if values}
        if any(name.lower() in present for name in self._plan.terminal):
            return frozenset({_Role.LEAF, _Role.ORDINARY, _Role.SPECIAL, _Role.UNWANTED})
        if self._plan.leaf and any(name.lower() in present for name in self._plan.special):
            return frozenset({_Role.TERMINAL, _Role.LEAF, _Role.UNWANTED})
        return frozenset({_Role.UNWANTED})

    def _role(self, name: str) -> _Role:
        for wanted, role in self._roles:
            if covers(wanted, name) > 0:
                return role
        return _Role.UNWANTED

    def _text(self, value: bytes) -> str:
        self._octets += len(value)
        if self._octets > OCTETS_LIMIT:
            raise TableError(self._spec, f"more than {OCTETS_LIMIT} octets of values for one key")
        # Postfix's values end at a NUL, as all C strings do.
        return value.partition(b"\0")[0].decode("utf-8", "surrogateescape")

    def _searches(self, values: Sequence[bytes]) -> Iterator[Search]:
        for value in values:
            text = self._text(value)
            if not is_ldap_url(text):
                yield Search(text, BASE, ANY_OBJECT, self._plan.attributes)
                continue
            try:
                url = parse_ldap_url(text)
            except ValueError as error:
                raise TableError(self._spec, f'malformed URL "{text}": {error}') from error
            if attributes := self._common(url):
                yield Search(url.base, BASE if url.scope is None else url.scope, url.filter or ANY_OBJECT, attributes)

    def _common(self, url: LdapUrl) -> tuple[str, ...]:
        """The attributes that both the URL and the table name, with the options of either."""
        if not url.attributes:
            return self._plan.attributes
        common: list[str] = []
        for there in url.attributes:
            for here in self._plan.attributes:
                relation = covers(there, here)
                if relation:
                    common.append(here if relation > 0 else there)
        return tuple(common)
