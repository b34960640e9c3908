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


class UnavailableTable(MemoryTable):
    """Stands for a table that could not be opened, where that must not stop the start: it has no answers.

    Args:
        spec: the table.
        cause: why it could not be opened.
    """

    def __init__(self, spec: str, cause: str) -> None:
        super().__init__(spec)
        self._cause = cause

    def get(self, key: str) -> str | None:
        """Never returns.

        Raises:
            TableError: always.
        """
        raise TableError(self.spec, self._cause)
