"""``unionmap:{type:name, ...}`` — what all of these tables have under the key, joined by commas.

A table that cannot answer fails the whole lookup: half a list of recipients must not pass for all of it.
Source: DATABASE_README, Postfix 3.0.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.maps.members import in_memory, members
from gateway.maps.source import Surroundings
from gateway.maps.table import MemoryTable, Table


def open_unionmap(spec: str, name: str, around: Surroundings) -> Table:
    """The table for ``spec``, one in memory when all its members are.

    Raises:
        ConfigError: no list of tables, or one of them cannot be opened.
    """
    tables = members(spec, name, around)
    kept = in_memory(tables)
    return MemoryUnion(spec, kept) if kept else Union(spec, tables)


class MemoryUnion(MemoryTable):
    """All answer at once. Partial keys are asked for when the first member takes them, as in Postfix."""

    def __init__(self, spec: str, tables: tuple[MemoryTable, ...]) -> None:
        super().__init__(spec)
        self.is_pattern = tables[0].is_pattern
        self._tables = tables

    def get(self, key: str) -> str | None:
        """The values under ``key``, in the order of the tables; TableError when one of them fails."""
        return _joined([table.get(key) for table in self._tables])


class Union(Table):
    """As :class:`MemoryUnion`; some members have to be waited for, each as long as it may take."""

    def __init__(self, spec: str, tables: tuple[Table, ...]) -> None:
        super().__init__(spec)
        self.is_pattern = tables[0].is_pattern
        self._tables = tables

    async def find(self, key: str) -> str | None:
        """The values under ``key``, in the order of the tables; TableError when one of them fails."""
        return _joined([await table.find(key) for table in self._tables])


def _joined(values: Iterable[str | None]) -> str | None:
    joined: str | None = None
    for value in values:
        if value is not None:
            joined = f"{joined},{value}" if joined else value
    return joined
