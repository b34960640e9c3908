"""Which user-defined names main.cf and master.cf use, and which names they mention that nobody defined.

A user-defined name is in order when some value mentions it (``$my_list``), when it is a restriction class, or when it
configures a database table by prefix (``ldap:prefix`` and ``prefix_server_host``). ``-o`` settings of a row of
master.cf see their own names first, then main.cf's. Text that is expanded only when it is used (``default_rbl_reply``)
mentions nothing. Source: postconf(1), "warns about possible mis-typed parameter names".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from gateway.config.expansion import referenced
from gateway.config.known.clients import CLIENT_PARAMETERS
from gateway.config.lines import BLANKS, split_outside_braces
from gateway.config.main_cf import Setting
from gateway.config.master_cf import Row, split_options
from gateway.config.parameter import Kind
from gateway.config.service_parameters import service_parameters

if TYPE_CHECKING:
    from gateway.config.config import Config

_SEPARATORS = "," + BLANKS
_WORD = re.compile(r"[^, \t\n\r\f\v]+")
DEPTH_LIMIT = 100


class Usage(msgspec.Struct):
    """What was found.

    Attributes:
        used: user-defined names of main.cf that something reads.
        used_in_rows: the same for the ``-o`` settings of each row, in the order of the rows.
        undefined: file and name of what is mentioned and defined nowhere.
        clients: type and file of the database tables that are configured in files of their own.
    """

    used: set[str] = msgspec.field(default_factory=set)
    used_in_rows: list[set[str]] = msgspec.field(default_factory=list)
    undefined: dict[tuple[str, str], None] = msgspec.field(default_factory=dict)
    clients: dict[tuple[str, str], None] = msgspec.field(default_factory=dict)


def client_tables(text: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Type and name of the database tables in an expanded value, inside ``{groups}`` and behind ``proxy:`` too."""
    words, _ = split_outside_braces(text, _SEPARATORS)
    for word in words:
        kind, _, name = word.partition(":")
        while kind == "proxy":
            kind, _, name = name.partition(":")
        group = word if word.startswith("{") else name
        if group.startswith("{") and group.endswith("}") and depth < DEPTH_LIMIT:
            yield from client_tables(group[1:-1], depth + 1)
        elif kind in CLIENT_PARAMETERS and name:
            yield kind, name


class _Scan:
    """One walk over both files; ``row`` is -1 for main.cf."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._services = service_parameters(config.rows, config.registry)
        self._overrides = [split_options(row)[0] for row in config.rows]
        self._built_in: set[str] | None = None
        self.usage = Usage(used_in_rows=[set() for _ in config.rows])

    def run(self) -> Usage:
        """Scan main.cf and every row of master.cf."""
        config, usage = self._config, self.usage
        for name in config.settings:
            self._mentions(name, config.settings[name].value, -1)
            self._read(name, config, -1)
        usage.used.update(name for name in self._in_defaults() if name in config.settings)
        for at, overrides in enumerate(self._overrides):
            scope = self._scope(config.rows[at], overrides)
            for name, value in overrides.items():
                self._mentions(name, value, at)
                self._read(name, scope, at)
        usage.used.difference_update(parameter.name for parameter in config.registry)
        usage.used.difference_update(self._services)
        return usage

    def _scope(self, row: Row, overrides: dict[str, str]) -> Config:
        """The configuration as the row sees it."""
        if not any("$" in value for value in overrides.values()):
            return self._config
        return self._config.scoped({**overrides, "service_name": row.fields[0]})

    def _is_raw(self, name: str) -> bool:
        parameter = self._config.registry.get(name)
        return parameter is not None and parameter.kind is Kind.RAW

    def _mentions(self, name: str, value: str, row: int) -> None:
        if "$" in value and not self._is_raw(name):
            for mentioned in referenced(value):
                self._flag(mentioned, row, is_mention=True)

    def _read(self, name: str, scope: Config, row: int) -> None:
        """What a known parameter's value means: restriction classes, database tables."""
        if self._is_raw(name) or (name not in self._config.registry and name not in self._services):
            return
        value = self._overrides[row][name] if row >= 0 else self._config.settings[name].value
        text = (scope.expanded(name) or "") if "$" in value else value
        if name == "smtpd_restriction_classes":
            for word in _WORD.findall(text):
                self._flag(word, row, is_mention=True)
        if ":" not in text:
            return
        for kind, table in client_tables(text):
            if table[0] in "/.":
                self.usage.clients[kind, table] = None
                continue
            for suffix in CLIENT_PARAMETERS[kind]:
                self._flag(f"{table}_{suffix}", row)

    def _flag(self, name: str, row: int, *, is_mention: bool = False) -> None:
        """Note that ``name`` is used where it is defined, or that a mention of it leads nowhere."""
        config, is_found = self._config, False
        # What main.cf mentions may be a setting of any row.
        for at in (row,) if row >= 0 else range(len(self._overrides)):
            if name in self._overrides[at]:
                self.usage.used_in_rows[at].add(name)
                is_found = True
        if name in config.settings and not (is_found and row >= 0):
            self.usage.used.add(name)
        elif is_mention and not is_found and not self._is_known(name):
            file = config.rows[row].file if row >= 0 else os.path.join(config.directory, "main.cf")
            self.usage.undefined[file, name] = None

    def _is_known(self, name: str) -> bool:
        return name in self._config.registry or name in self._services or name in self._in_defaults()

    def _in_defaults(self) -> set[str]:
        """Names that only defaults mention: they stand for older parameters (``virtual_maps``)."""
        if self._built_in is None:
            registry = self._config.registry
            self._built_in = {
                name
                for parameter in registry
                if "$" in parameter.default and parameter.kind is not Kind.RAW
                for name in referenced(parameter.default)
                if name not in registry
            }
        return self._built_in


def usage(config: Config) -> Usage:
    """Scan a configuration.

    Raises:
        ConfigError: a value of a known parameter cannot be expanded, or a ``-o`` has no ``name=value``.
    """
    return _Scan(config).run()


def unused_overrides(config: Config, found: Usage) -> Iterator[tuple[Row, str, str]]:
    """Row, name and value of the ``-o`` settings that nothing reads."""
    services = service_parameters(config.rows, config.registry)
    for row, used in zip(config.rows, found.used_in_rows, strict=True):
        for name, value in split_options(row)[0].items():
            if name not in config.registry and name not in services and name not in used and name not in found.used:
                yield row, name, value


def unused_settings(config: Config, found: Usage) -> Iterator[Setting]:
    """The settings of main.cf that nothing reads."""
    services = service_parameters(config.rows, config.registry)
    for name, setting in config.settings.items():
        if name not in config.registry and name not in services and name not in found.used:
            yield setting
