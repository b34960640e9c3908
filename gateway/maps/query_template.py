"""The ``%`` templates of tables that ask somebody else: queries made from a key, results made from values.

Knows no back end: quoting is the caller's. Source: ``query``, ``result_format``, ``domain``, ``expansion_limit`` of
mysql_table(5), pgsql_table(5), sqlite_table(5); ``query_filter``, ``search_base`` of ldap_table(5); ``key_format`` of
memcache_table(5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from gateway.maps.match_list import DomainList, Subdomains
from gateway.maps.source import Surroundings
from gateway.model.errors import ConfigError, TableError

_CODES = frozenset("sudSUD123456789")


def search_key(key: str) -> str | None:
    """The key as it is looked for: folded as Postfix folds keys, with all of Unicode's rules.

    Returns:
        None when no table can have it: octets that are no UTF-8, or a NUL.
    """
    if key.isascii():
        return None if "\0" in key else key.lower()
    try:
        key.encode()
    except UnicodeEncodeError:
        return None
    return None if "\0" in key else key.casefold()


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Literal text and the expansion after it.

    Args:
        literal: as it goes out, ``%%`` already ``%``.
        code: ``s u d S U D 1``-``9``; empty for the end of the template.
    """

    literal: str
    code: str


def parse_template(text: str) -> tuple[Piece, ...]:
    """The pieces of a template.

    Raises:
        ValueError: a ``%`` that stands before something else, or last.
    """
    pieces: list[Piece] = []
    literal = ""
    at = 0
    while (percent := text.find("%", at)) >= 0:
        code = text[percent + 1 : percent + 2]
        literal += text[at:percent]
        if code == "%":
            literal += "%"
        elif code in _CODES:
            pieces.append(Piece(literal, code))
            literal = ""
        else:
            raise ValueError(f'"%{code}" is no expansion: expected one of %s %u %d %S %U %D %1 ... %9 %%')
        at = percent + 2
    return (*pieces, Piece(literal + text[at:], ""))


class _Needs(msgspec.Struct, frozen=True, gc=False):
    """What a key must have so that a template can be filled.

    Args:
        user: a local part that is not empty, if there is an ``@``. domain: one that is not empty.
        labels: that many labels in the domain.
    """

    user: bool
    domain: bool
    labels: int

    @classmethod
    def of(cls, codes: str) -> _Needs:
        labels = max((int(code) for code in codes if code.isdigit()), default=0)
        return cls("u" in codes.lower(), "d" in codes.lower() or labels > 0, labels)

    def are_met(self, key: str) -> bool:
        if not key:
            return False
        at = key.rfind("@")
        if self.user and at == 0:
            return False
        if self.domain and (at < 0 or at == len(key) - 1):
            return False
        return not self.labels or len(_labels(key[at + 1 :])) >= self.labels


def _labels(domain: str) -> list[str]:
    """Labels, last first; empty ones do not count, as with Postfix."""
    return [label for label in reversed(domain.split(".")) if label]


def _part(code: str, text: str) -> str:
    """What an expansion takes from a key or a value that has it."""
    match code:
        case "s" | "S":
            return text
        case "u" | "U":
            return text[: text.rfind("@")] if "@" in text else text
        case "d" | "D":
            return text[text.rfind("@") + 1 :]
        case _:
            return _labels(text[text.rfind("@") + 1 :])[int(code) - 1]


def _parsed(text: str, parameter: str) -> tuple[Piece, ...]:
    try:
        return parse_template(text)
    except ValueError as error:
        raise ConfigError(str(error), parameter=parameter) from error


class QueryTemplate:
    """A query, filter, search base or key with ``%`` expansions; capital letters mean the same as small ones.

    Args:
        text: as configured.
        parameter: where it stands, for messages.

    Attributes:
        pieces: what it is made of.

    Raises:
        ConfigError: an expansion that does not exist.
    """

    def __init__(self, text: str, parameter: str) -> None:
        self.pieces = _parsed(text, parameter)
        self._needs = _Needs.of("".join(piece.code for piece in self.pieces))

    def accepts(self, key: str) -> bool:
        """False when :meth:`fill` would say None."""
        return self._needs.are_met(key)

    def fill(self, key: str, quote: Callable[[str], str]) -> str | None:
        """The text to ask with.

        Args:
            key: folded already.
            quote: makes one expanded part harmless; called once for each expansion.

        Returns:
            None: nothing is to be asked, and the key is not in the table. The key is empty, has an empty local part
            that ``%u`` asks for, no domain for ``%d``, or too few labels for ``%3``.
        """
        if not self._needs.are_met(key):
            return None
        return "".join(
            [piece.literal + quote(_part(piece.code, key)) if piece.code else piece.literal for piece in self.pieces]
        )


class ResultFormat:
    """``result_format`` and ``expansion_limit``: what becomes of the values that were found.

    Args:
        spec: the table, for messages.
        text: the format; small letters expand the value, capitals and digits the key.
        limit: values a lookup may give; 0 or less: any number.
        parameter: where the format stands, for messages.

    Raises:
        ConfigError: an expansion that does not exist.
    """

    def __init__(self, spec: str, text: str = "%s", limit: int = 0, parameter: str = "result_format") -> None:
        pieces = _parsed(text, parameter)
        self._spec, self._limit = spec, limit
        self._pieces = () if pieces == (Piece("", "s"), Piece("", "")) else pieces
        codes = "".join(piece.code for piece in pieces)
        self._of_value = _Needs.of("".join(code for code in codes if code in "sud"))
        self._of_key = _Needs.of("".join(code for code in codes if code not in "sud"))

    def accepts(self, key: str) -> bool:
        """False when the key lacks what the format takes from it: then nothing is asked, and nothing is found."""
        return self._of_key.are_met(key)

    def expand(self, key: str, values: Iterable[str | None]) -> str | None:
        """The lookup's answer: each value in the format, joined with commas.

        Args:
            key: one that :meth:`accepts` accepts.
            values: as the back end gave them. None, empty ones, and those without the domain or with the empty local
                part that the format asks for, are left out.

        Returns:
            None when nothing is left: the key was not found.

        Raises:
            TableError: more values than the limit; the iterable is not read further.
        """
        found: list[str] = []
        for value in values:
            if not value or not self._of_value.are_met(value):
                continue
            if len(found) == self._limit and self._limit > 0:
                raise TableError(self._spec, f"more than {self._limit} results for one key (expansion_limit)")
            found.append(self._formatted(key, value) if self._pieces else value)
        return ",".join(found) or None

    def _formatted(self, key: str, value: str) -> str:
        text = ""
        for piece in self._pieces:
            text += piece.literal
            if piece.code:
                text += _part(piece.code, value if piece.code in "sud" else key)
        return text


class DomainFilter:
    """``domain``: the domains a table is asked about.

    Args:
        words: domains, ``/file``, ``type:table``; none: everything is asked.
        around: opens tables.

    Raises:
        ConfigError: an entry makes no sense, or a table or file cannot be opened.
    """

    def __init__(self, words: tuple[str, ...], around: Surroundings) -> None:
        self._list = DomainList(words, around, subdomains=Subdomains.NONE, parameter="domain") if words else None

    async def matches(self, key: str) -> bool:
        """False when nothing is to be asked, and the key is not in the table: with a list, every key that is no
        ``user@domain`` with a domain of the list. Waits only when a table of the list does.

        Raises:
            TableError: a table of the list has no answer now.
        """
        if self._list is None:
            return True
        at = key.rfind("@")
        return 0 < at < len(key) - 1 and await self._list.matches(key[at + 1 :])
