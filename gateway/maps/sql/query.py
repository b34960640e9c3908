"""The query of an SQL table: ``query``, or what it was made of before Postfix 2.2; and where its expansions may stand.

A key is escaped for the inside of a quoted string. Anywhere else (bare, in an identifier, in a comment, in an ``E''``
or ``$$`` string) escaping does not keep it from changing the query, so such a query is refused when it is read.
Source: mysql_table(5), pgsql_table(5), sqlite_table(5); "Lexical Structure" of each server's manual.
"""

from __future__ import annotations

import re
from enum import Enum

from gateway.maps.client_file import ClientFile
from gateway.maps.query_template import QueryTemplate
from gateway.model.errors import ConfigError


class Dialect(Enum):
    """How a server reads SQL text."""

    MYSQL = "mysql"
    POSTGRESQL = "pgsql"
    SQLITE = "sqlite"


class Place(Enum):
    """Where in SQL text something stands; the value is for messages."""

    BARE = "outside quotes"
    STRING = "in a string"
    DOUBLE = "in double quotes"  # MySQL: a string, unless sql_mode has ANSI_QUOTES
    NAME = "in a quoted name"
    SPECIAL = "in an E'', U&'' or $$ string"
    COMMENT = "in a comment"
    ESCAPED = "behind a backslash"


_STARTS = {
    Dialect.MYSQL: re.compile(r"'|\"|`|/\*|--(?=\s|$)|#"),
    Dialect.POSTGRESQL: re.compile(r"(?:(?<![\w$])(?:[eE]|[uU]&))?'|\"|/\*|--|(?<![\w$])\$(?:[^\W\d]\w*)?\$"),
    Dialect.SQLITE: re.compile(r"'|\"|`|\[|/\*|--"),
}


def _end(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)


# What ends each place; the group ``stay`` does not. An escape that the text ends with reaches into what comes next.
_LINE = _end(r"\n")
_NOTE = _end(r"\*/")
_QUOTES = {quote: _end(f"(?P<stay>{quote}{quote})|{quote}") for quote in ("'", '"', "`")}
_WITH_BACKSLASH = {quote: _end(rf"(?P<stay>{quote}{quote}|\\.)|(?P<open>\\)|{quote}") for quote in ("'", '"')}


class _Reader:
    """Reads SQL text piece by piece and knows where it is."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._end = _LINE
        self._depth = 0
        self.place = Place.BARE
        self.is_escaped = False

    def read(self, text: str) -> None:
        self.is_escaped = False
        at = 0
        while at < len(text):
            wanted = _STARTS[self._dialect] if self.place is Place.BARE else self._end
            found = wanted.search(text, at)
            if found is None:
                return
            at = found.end()
            if self.place is Place.BARE:
                self.place, self._end = self._entered(found[0])
            elif found.lastgroup == "deeper":
                self._depth += 1
            elif found.lastgroup == "open":
                self.is_escaped = True
            elif found.lastgroup != "stay":
                self._depth -= 1
                if self._depth <= 0:
                    self.place = Place.BARE

    def _entered(self, start: str) -> tuple[Place, re.Pattern[str]]:
        self._depth = 1
        is_mysql = self._dialect is Dialect.MYSQL
        match start[-1]:
            case "'" if start != "'":
                return Place.SPECIAL, _WITH_BACKSLASH["'"]
            case "'":
                return Place.STRING, (_WITH_BACKSLASH if is_mysql else _QUOTES)["'"]
            case '"':
                return (Place.DOUBLE, _WITH_BACKSLASH['"']) if is_mysql else (Place.NAME, _QUOTES['"'])
            case "`":
                return Place.NAME, _QUOTES["`"]
            case "[":
                return Place.NAME, _end(r"\]")
            case "$":
                return Place.SPECIAL, _end(re.escape(start))
            case "*":
                is_nested = self._dialect is Dialect.POSTGRESQL
                return Place.COMMENT, _end(r"(?P<deeper>/\*)|\*/") if is_nested else _NOTE
            case _:
                return Place.COMMENT, _LINE


def places(query: QueryTemplate, dialect: Dialect) -> list[Place]:
    """Where each expansion of the query stands."""
    reader = _Reader(dialect)
    found = []
    for piece in query.pieces:
        reader.read(piece.literal)
        if piece.code:
            found.append(Place.ESCAPED if reader.is_escaped else reader.place)
    return found


def is_plain(query: QueryTemplate, dialect: Dialect) -> bool:
    """True when a server's settings for backslashes and double quotes make no difference to where strings end."""
    has_backslash = any("\\" in piece.literal for piece in query.pieces)
    return not has_backslash and Place.DOUBLE not in places(query, dialect)


def read_query(file: ClientFile, dialect: Dialect) -> QueryTemplate:
    """The table's query: ``query``; or ``select_function`` (PostgreSQL); or ``select_field``, ``table``,
    ``where_field``, ``additional_conditions``.

    Raises:
        ConfigError: none of them is there; an expansion does not exist, or stands where a key could change the query.
    """
    parameter, text = "query", file.text("query")
    if not text and dialect is Dialect.POSTGRESQL and (function := file.text("select_function")):
        parameter, text = "select_function", f"SELECT {function}('%s')"
    if not text:
        if not file.is_set("table"):
            file.fail("query", "must be set")
        table, field, where = (file.text(name, low=1) for name in ("table", "select_field", "where_field"))
        more = file.text("additional_conditions")
        text = f"SELECT {field} FROM {table} WHERE {where} = '%s' {more}"  # noqa: S608 — the administrator's own words
        parameter = "table"
    return file.checked(parameter, lambda: _safe(QueryTemplate(text, parameter), dialect))


def _safe(query: QueryTemplate, dialect: Dialect) -> QueryTemplate:
    for piece, place in zip(query.pieces, places(query, dialect), strict=False):
        if place is not Place.STRING and place is not Place.DOUBLE:
            raise ConfigError(
                f"%{piece.code} stands {place.value}, where a lookup key could change the query; write '%{piece.code}'"
            )
    return query
