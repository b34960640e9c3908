"""The tables of one configuration: opened by ``type:name``, each once.

Source: DATABASE_README. A new type is one file in this room and one line in ``_TYPES``, or a plugin's
``lookup_tables`` hook.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from gateway.maps.fail import UnavailableTable
from gateway.maps.failure_log import FailureLog
from gateway.maps.guarded import GuardedTable
from gateway.maps.source import Surroundings
from gateway.maps.table import MemoryTable, RemoteTable, Table
from gateway.model.errors import ConfigError
from gateway.net.eager import with_deadline

if TYPE_CHECKING:
    from gateway.config import Config

TableFactory = Callable[[str, "Config"], Table]
"""What a plugin registers: ``factory(name, config)``, ``name`` being the part behind ``type:``."""

# Where each type lives: ``module:class or function``, called with the whole spec, the name behind ``type:`` and the
# surroundings. Imported when first opened, so that a driver is loaded only where a table needs it.
_TYPES: dict[str, str] = {
    "btree": "database.berkeley:open_berkeley",
    "cdb": "database.cdb:CdbTable",
    "cidr": "cidr:CidrTable",
    "debug": "debug:open_debug",
    "environ": "environ:EnvironTable",
    "fail": "fail:FailTable",
    "hash": "database.berkeley:open_berkeley",
    "inline": "inline:InlineTable",
    "ldap": "ldap.table:LdapTable",
    "lmdb": "database.lmdb:LmdbTable",
    "memcache": "memcache:MemcacheTable",
    "mysql": "sql.mysql:MysqlTable",
    "nis": "nis:open_nis",
    "pcre": "pattern.pcre:PcreTable",
    "pgsql": "sql.pgsql:PgsqlTable",
    "pipemap": "pipemap:open_pipemap",
    "randmap": "randmap:RandmapTable",
    "regexp": "pattern.regexp:RegexpTable",
    "socketmap": "socketmap:SocketmapTable",
    "sqlite": "sql.sqlite:SqliteTable",
    "static": "static:StaticTable",
    "tcp": "tcp:TcpTable",
    "texthash": "texthash:TexthashTable",
    "unionmap": "unionmap:open_unionmap",
    "unix": "unix:UnixTable",
}
WARNINGS_LIMIT = 100
CLOSE_LIMIT_S = 5.0


def _opener(kind: str) -> Callable[[str, str, Surroundings], Table]:
    module, _, name = _TYPES[kind].partition(":")
    opener: Callable[[str, str, Surroundings], Table] = getattr(import_module(f"gateway.maps.{module}"), name)
    return opener


class Tables:
    """Opens tables and keeps them.

    Args:
        config: main.cf; relative file names start in its directory.
        types: more types by name, from the ``lookup_tables`` hook.
        clock: monotonic seconds.

    Attributes:
        on_warning: takes the text of a warning (a duplicate record, a file that became unreadable), from any thread;
            until it is set, warnings are kept in ``warnings``.
        on_info: takes a line for the log, from any thread (``debug:`` tables write one for each lookup).
    """

    def __init__(
        self,
        config: Config,
        types: Mapping[str, TableFactory] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._types = dict(types or {})
        self._open: dict[str, Table] = {}
        self.warnings: list[str] = []
        self._warned: set[str] = set()
        self.on_warning: Callable[[str], None] | None = None
        self.on_info: Callable[[str], None] | None = None
        self._failures = FailureLog(self._warn, clock)
        self._around = Surroundings(config.directory, clock, self._warn, config, self.open, self._tell)

    @property
    def types(self) -> tuple[str, ...]:
        """Names of all known types, sorted."""
        return tuple(sorted({*_TYPES, *self._types}))

    def open(self, spec: str) -> Table:
        """The table ``type:name``; ``proxy:type:name`` is the same table, its connections shared: there is no proxymap.

        Raises:
            ConfigError: unknown type, missing or broken file (with file and line).
        """
        spec = spec.removeprefix("proxy:")
        table = self._open.get(spec)
        if table is None:
            table = self._open[spec] = self._opened(spec)
            if isinstance(table, MemoryTable):
                table.on_failure = self._failures.failed
        return table

    def open_default(self, spec: str) -> Table:
        """The table, for a parameter that main.cf leaves alone: one that cannot be opened warns, and then always fails.

        A machine without /etc/aliases must be able to start, and must not take a user for unknown for it.
        """
        try:
            return self.open(spec)
        except ConfigError as error:
            self.warn_once(str(error))
            spec = spec.removeprefix("proxy:")
            table = self._open[spec] = UnavailableTable(spec, str(error))
            table.on_failure = self._failures.failed
            return table

    def opened(self, spec: str) -> Table | None:
        """The table, when it has been opened before: for text that must not open files, such as a table's result."""
        return self._open.get(spec.removeprefix("proxy:"))

    def has_type(self, spec: str) -> bool:
        """True when the type of ``type:name`` is known here."""
        return spec.removeprefix("proxy:").partition(":")[0] in self.types

    def _opened(self, spec: str) -> Table:
        kind, colon, name = spec.partition(":")
        if not colon or not name:
            raise ConfigError(f'table "{spec}": expected type:name')
        if kind in self._types:
            table = self._types[kind](name, self._config)
            if isinstance(table, MemoryTable):
                return table
            if not isinstance(table, Table):
                raise ConfigError(f"table {spec}: the plugin made a {type(table).__name__}, not a Table")
            return GuardedTable(spec, table, self._config.seconds("plugin_timeout"), self._failures)
        if kind not in _TYPES:
            raise ConfigError(f'table {spec}: unknown type "{kind}"; known: {", ".join(self.types)}')
        made = _opener(kind)(spec, name, self._around)
        return GuardedTable(spec, made, made.deadline_s, self._failures) if isinstance(made, RemoteTable) else made

    def warn_once(self, text: str) -> None:
        """Pass a warning on, unless it was passed on before."""
        if text not in self._warned and len(self._warned) < WARNINGS_LIMIT:
            self._warned.add(text)
            self._warn(text)

    def report(self, source: str, text: str) -> None:
        """Pass on that a lookup failed, once a minute for each source (a server, a list), and how often it did."""
        self._failures.report(source, text)

    def _warn(self, text: str) -> None:
        if self.on_warning is not None:
            self.on_warning(text)
        elif len(self.warnings) < WARNINGS_LIMIT:
            self.warnings.append(text)

    def _tell(self, text: str) -> None:
        if self.on_info is not None:
            self.on_info(text)

    async def close(self) -> None:
        """Close every table; one that fails or hangs keeps no other open."""
        tables = [*self._open.values()]
        self._open.clear()
        await asyncio.gather(*map(self._close, tables))

    async def _close(self, table: Table) -> None:
        try:
            await with_deadline(table.close(), CLOSE_LIMIT_S)
        except Exception as error:
            self._warn(f"table {table.spec}: closing: {type(error).__name__}: {error}")
