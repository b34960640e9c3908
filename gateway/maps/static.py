"""``static:value`` — every key has this value. Source: DATABASE_README."""

from __future__ import annotations

from gateway.maps.folding import is_utf8
from gateway.maps.source import Surroundings, unbraced
from gateway.maps.table import MemoryTable
from gateway.model.errors import ConfigError


class StaticTable(MemoryTable):
    """One value for all; ``static:{ text with blanks }`` for more than a word.

    As everywhere, a key that is no UTF-8 is not found with ``smtputf8_enable``: ``static:OK`` must not let it through.
    """

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        super().__init__(spec)
        self._in_utf8 = around.config.boolean("smtputf8_enable")
        self._value = unbraced(name)
        if not self._value:
            raise ConfigError(f"table {spec}: expected static:value")

    def get(self, key: str) -> str | None:
        """The value, whatever ``key`` is."""
        return self._value if not self._in_utf8 or is_utf8(key) else None
