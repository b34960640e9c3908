"""Asking tables: ``postmap -q`` and ``-s``. Source: postmap(1)."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Protocol, runtime_checkable

import msgspec

from gateway.cli.console import Console, Fatal
from gateway.cli.message_keys import Limits, message_keys
from gateway.cli.table_files import BadContent, shown
from gateway.cli.table_options import STDIN, Action, Face, Options
from gateway.config import Config
from gateway.config.main_cf import Setting
from gateway.maps import MemoryTable, Table, Tables
from gateway.maps.database.table import DatabaseTable
from gateway.maps.folding import decoded, encoded, is_utf8
from gateway.model.errors import TableError

PIECE = 1 << 16


@runtime_checkable
class Listing(Protocol):
    """A table that knows all its records."""

    def items(self) -> Iterator[tuple[str, str]]:
        """Keys and values. Raises TableError."""


@runtime_checkable
class CaseKeeping(Protocol):
    """A table that can leave the case of keys alone."""

    def keep_case(self) -> None:
        """From now on."""


class Query:
    """The work of one command.

    Args:
        face: which tool. options: what was asked for. config: main.cf. console: takes warnings.
        out: where records go.
    """

    def __init__(self, face: Face, options: Options, config: Config, console: Console, out: BinaryIO) -> None:
        self._face, self._options, self._config, self._console, self._out = face, options, config, console, out
        config = _here(config, has_utf8=options.has_utf8)
        self._in_utf8 = config.boolean("smtputf8_enable")
        self._tables = Tables(config, _plugin_types(config, options.tables))
        self._tables.on_warning = console.warning
        self._opened: dict[str, Table] = {}

    async def one(self, key: bytes) -> bool:
        """Print the value of the first table that has the key; True when there is one.

        Raises:
            Fatal, ConfigError: a table cannot be opened or asked.
        """
        value = await self._find(key)
        if value is not None:
            self._out.write((self._json(key, value) if self._options.is_json else value) + b"\n")
        return value is not None

    async def many(self, batches: Iterable[list[bytes]]) -> bool:
        """Print key and value of each key that a table has; True when there is one.

        Args:
            batches: keys; after each batch what was found is written out, for who waits for it.
        """
        has_found = False
        for keys in batches:
            for key in keys:
                value = await self._find(key)
                if value is not None:
                    has_found = True
                    self._print(key, value)
            self._out.flush()
        return has_found

    def all(self) -> None:
        """Print all records of the tables.

        Raises:
            Fatal: a table cannot say.
        """
        for spec in self._options.tables:
            table = self._table(spec)
            if not isinstance(table, Listing):
                raise Fatal(f"table {table.spec}: sequence operation is not supported")
            try:
                for key, value in table.items():
                    content = self._content(spec, encoded(key), encoded(value))
                    if content is not None:
                        self._print(encoded(key), content)
            except TableError as error:
                raise Fatal(f"table {table.spec}: sequence error: {error.message}") from error

    async def close(self) -> None:
        """Close the tables."""
        await self._tables.close()

    # -- one table -----------------------------------------------------------------------------------------------------

    def _table(self, operand: str) -> Table:
        """Open a table when it is first needed."""
        table = self._opened.get(operand)
        if table is None:
            spec = operand if ":" in operand else f"{self._config.text('default_database_type')}:{operand}"
            table = self._opened[operand] = self._tables.open(spec)
            if isinstance(table, DatabaseTable):
                table.nulls = self._options.nulls
            if self._options.keeps_case and isinstance(table, CaseKeeping):
                table.keep_case()
        return table

    async def _find(self, key: bytes) -> bytes | None:
        text = decoded(key)
        for operand in self._options.tables:
            table = self._table(operand)
            try:
                value = table.get(text) if isinstance(table, MemoryTable) else await table.find(text)
            except TableError as error:
                raise Fatal(f"table {error.table}: query error: {error.message}") from error
            if value is not None:
                return self._content(operand, key, encoded(value))
            if self._in_utf8 and not is_utf8(text):
                self._console.warning(f'{table.spec}: non-UTF-8 key "{_masked(text)}": malformed UTF-8')
        return None

    def _content(self, operand: str, key: bytes, value: bytes) -> bytes | None:
        """The value; with -F what it stands for."""
        if not self._options.values_are_files:
            return value
        try:
            return shown(value, operand.removeprefix("proxy:").partition(":")[0])
        except BadContent as error:
            self._console.warning(f'table {operand}: key "{_masked(decoded(key))}": {error}')
            return None

    # -- printing ------------------------------------------------------------------------------------------------------

    def _print(self, key: bytes, value: bytes) -> None:
        line = self._json(key, value) if self._options.is_json else key + self._face.separator.encode() + value
        self._out.write(line + b"\n")

    def _json(self, key: bytes, value: bytes) -> bytes:
        return msgspec.json.encode({"key": key.decode("utf-8", "replace"), "value": value.decode("utf-8", "replace")})


def _masked(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _here(config: Config, *, has_utf8: bool) -> Config:
    """The configuration for file names that start in the current directory."""
    settings = dict(config.settings)
    settings.setdefault("config_directory", Setting("config_directory", config.directory))
    if not has_utf8:
        settings["smtputf8_enable"] = Setting("smtputf8_enable", "no", "-u")
    return Config(settings, config.rows, directory=os.getcwd(), registry=config.registry, warnings=config.warnings)


def _plugin_types(config: Config, operands: Iterable[str]) -> dict[str, Callable[[str, Config], Table]]:
    """Types of plugins, when a table is of a type that is not built in."""
    known = Tables(config)
    if all(known.has_type(operand) for operand in operands if ":" in operand):
        return {}
    from gateway.master.settings import admit_plugins

    return admit_plugins(config).registered("lookup_tables")


# -- keys from standard input ------------------------------------------------------------------------------------------


def lines(descriptor: int) -> Iterator[list[bytes]]:
    """Lines as they come, without line end."""
    rest = b""
    while data := os.read(descriptor, PIECE):
        *whole, rest = (rest + data).split(b"\n")
        yield whole
    if rest:
        yield [rest]


def _batches(options: Options, config: Config) -> Iterator[list[bytes]]:
    if not options.reads_message:
        yield from lines(sys.stdin.fileno())
        return
    limits = Limits(
        header_bytes=config.integer("header_size_limit"),
        nesting=config.integer("mime_nesting_limit"),
        boundary_bytes=config.integer("mime_boundary_length_limit"),
    )
    keys = message_keys(sys.stdin.buffer, limits, follows_mime=options.follows_mime)
    wanted = ("header" if options.reads_headers else "", "body" if options.reads_body else "")
    yield from ([key] for kind, key in keys if kind in wanted)


def run(face: Face, options: Options, config: Config, console: Console) -> int:
    """Query or list; returns the exit status.

    Raises:
        Fatal, ConfigError: a table cannot be opened or asked.
    """
    if options.follows_mime and not options.reads_message:
        console.warning("ignoring -m option without -b or -h")
    return asyncio.run(_run(Query(face, options, config, console, sys.stdout.buffer), options, config))


async def _run(query: Query, options: Options, config: Config) -> int:
    try:
        if options.action is Action.LIST:
            query.all()
            return 0
        if options.key == STDIN:
            return 0 if await query.many(_batches(options, config)) else 1
        return 0 if await query.one(os.fsencode(options.key)) else 1
    finally:
        await query.close()
