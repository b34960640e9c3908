"""``static:value`` — every key has this value. Source: DATABASE_README."""

from __future__ import annotations

from gateway.maps.source import Surroundings, unbraced
from gateway.maps.table import MemoryTable
from gateway.model.errors import ConfigError


class StaticTable(MemoryTable):
    """One value for all; ``static:{ text with blanks }`` for more than a word."""

    def __init__(self, spec: str, name: str, _around: Surroundings) -> None:
        super().__init__(spec)
        self._value = unbraced(name)
        if not self._value:
            raise ConfigError(f"table {spec}: expected static:value")

    def get(self, key: str) -> str | None:
        """The value, whatever ``key`` is."""
        return self._value
