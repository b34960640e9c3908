"""``debug:type:name`` — the table ``type:name``, and a line in the log for each lookup.

Source: DATABASE_README of later Postfix versions; 3.7 has no such type.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.maps.source import Surroundings
from gateway.maps.table import MemoryTable, Table
from gateway.model.errors import TableError

_SHOWN = 500
"""Characters of a key or value that enter the log."""


def open_debug(spec: str, name: str, around: Surroundings) -> Table:
    """The table for ``spec``, one in memory when ``name`` is.

    Raises:
        ConfigError: ``name`` cannot be opened.
    """
    table = around.open(name)
    return MemoryDebug(spec, table, around.info) if isinstance(table, MemoryTable) else Debug(spec, table, around.info)


class MemoryDebug(MemoryTable):
    """Writes down what ``table`` says."""

    def __init__(self, spec: str, table: MemoryTable, log: Callable[[str], None]) -> None:
        super().__init__(spec)
        self.is_pattern = table.is_pattern
        self._table, self._log = table, log

    def get(self, key: str) -> str | None:
        """As the table it is about."""
        try:
            value = self._table.get(key)
        except TableError as error:
            self._log(_line(self.spec, key, f"error: {error}"))
            raise
        self._log(_line(self.spec, key, _shown(value)))
        return value


class Debug(Table):
    """As :class:`MemoryDebug`, for a table that has to be waited for."""

    def __init__(self, spec: str, table: Table, log: Callable[[str], None]) -> None:
        super().__init__(spec)
        self.is_pattern = table.is_pattern
        self._table, self._log = table, log

    async def find(self, key: str) -> str | None:
        """As the table it is about."""
        try:
            value = await self._table.find(key)
        except TableError as error:
            self._log(_line(self.spec, key, f"error: {error}"))
            raise
        self._log(_line(self.spec, key, _shown(value)))
        return value


def _shown(value: str | None) -> str:
    return "not found" if value is None else f'"{value[:_SHOWN]}"'


def _line(spec: str, key: str, outcome: str) -> str:
    return f'{spec} lookup: "{key[:_SHOWN]}" = {outcome}'
