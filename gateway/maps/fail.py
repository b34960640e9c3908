"""``fail:name`` — a table that never answers, to try out what a broken table does. Source: DATABASE_README."""

from __future__ import annotations

from gateway.maps.source import Surroundings
from gateway.maps.table import MemoryTable
from gateway.model.errors import TableError


class FailTable(MemoryTable):
    """Every lookup is a temporary error."""

    def __init__(self, spec: str, _name: str, _around: Surroundings) -> None:
        super().__init__(spec)

    def get(self, key: str) -> str | None:
        """Never returns.

        Raises:
            TableError: always.
        """
        raise TableError(self.spec, "fails by its type")
