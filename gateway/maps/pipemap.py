"""``pipemap:{type:name, ...}`` — the value in one table is the key in the next; the last one's is the answer.

Source: DATABASE_README, Postfix 3.0.
"""

from __future__ import annotations

from gateway.maps.members import in_memory, members
from gateway.maps.source import Surroundings
from gateway.maps.table import MemoryTable, Table


def open_pipemap(spec: str, name: str, around: Surroundings) -> Table:
    """The table for ``spec``, one in memory when all its members are.

    Raises:
        ConfigError: no list of tables, or one of them cannot be opened.
    """
    tables = members(spec, name, around)
    kept = in_memory(tables)
    return MemoryPipe(spec, kept) if kept else Pipe(spec, tables)


class MemoryPipe(MemoryTable):
    """All answer at once. Partial keys are asked for when the first member takes them, as in Postfix."""

    def __init__(self, spec: str, tables: tuple[MemoryTable, ...]) -> None:
        super().__init__(spec)
        self.is_pattern = tables[0].is_pattern
        self._tables = tables

    def get(self, key: str) -> str | None:
        """What comes out at the end; None as soon as a table does not know its key."""
        for table in self._tables:
            value = table.get(key)
            if value is None:
                return None
            key = value
        return key


class Pipe(Table):
    """As :class:`MemoryPipe`; some members have to be waited for, each as long as it may take."""

    def __init__(self, spec: str, tables: tuple[Table, ...]) -> None:
        super().__init__(spec)
        self.is_pattern = tables[0].is_pattern
        self._tables = tables

    async def find(self, key: str) -> str | None:
        """What comes out at the end; None as soon as a table does not know its key."""
        for table in self._tables:
            value = await table.find(key)
            if value is None:
                return None
            key = value
        return key
