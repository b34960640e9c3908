"""``inline:{ key=value, { key = text with blanks } }`` — a table in main.cf. Source: DATABASE_README, Postfix 3.0."""

from __future__ import annotations

from gateway.maps.source import Surroundings, unbraced, words_in
from gateway.maps.table import MemoryTable
from gateway.model.errors import ConfigError


class InlineTable(MemoryTable):
    """Keys fold to lower case; of two entries with one key the last counts, as in Postfix."""

    def __init__(self, spec: str, name: str, _around: Surroundings) -> None:
        super().__init__(spec)
        if not name.startswith("{"):
            raise ConfigError(f"table {spec}: expected inline:{{key=value, ...}}")
        self._records: dict[str, str] = {}
        for word in words_in(name, spec):
            key, equals, value = unbraced(word).partition("=")
            if not equals or not key.strip() or not value.strip():
                raise ConfigError(f'table {spec}: "{word}": expected key=value or {{ key = value }}')
            self._records[key.strip().lower()] = value.strip()
        if not self._records:
            raise ConfigError(f"table {spec}: expected inline:{{key=value, ...}}")

    def get(self, key: str) -> str | None:
        """The value under ``key``."""
        return self._records.get(key.lower())
