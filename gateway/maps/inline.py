"""``inline:{ key=value, { key = text with blanks } }`` — a table in main.cf. Source: DATABASE_README, Postfix 3.0."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.maps.folding import Folding
from gateway.maps.source import Surroundings, unbraced, words_in
from gateway.maps.table import MemoryTable
from gateway.model.errors import ConfigError


class InlineTable(MemoryTable):
    """Keys fold to lower case; of two entries with one key the last counts, as in Postfix.

    Attributes:
        folding: how keys are spelt.
    """

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        super().__init__(spec)
        self.folding = Folding(around.config)
        if not name.startswith("{"):
            raise ConfigError(f"table {spec}: expected inline:{{key=value, ...}}")
        self._entries: list[tuple[str, str]] = []
        for word in words_in(name, spec):
            key, equals, value = unbraced(word).partition("=")
            if not equals or not key.strip() or not value.strip():
                raise ConfigError(f'table {spec}: "{word}": expected key=value or {{ key = value }}')
            if self.folding.text(key.strip()) is None:
                raise ConfigError(f'table {spec}: "{word}": the key is not UTF-8')
            self._entries.append((key.strip(), value.strip()))
        if not self._entries:
            raise ConfigError(f"table {spec}: expected inline:{{key=value, ...}}")
        self._records = self._folded()

    def _folded(self) -> dict[str, str]:
        return {folded: value for key, value in self._entries if (folded := self.folding.text(key)) is not None}

    def keep_case(self) -> None:
        """Take keys as they are written (postmap -f)."""
        self.folding.folds = False
        self._records = self._folded()

    def get(self, key: str) -> str | None:
        """The value under ``key``."""
        wanted = self.folding.text(key)
        return None if wanted is None else self._records.get(wanted)

    def items(self) -> Iterator[tuple[str, str]]:
        """All records."""
        yield from self._records.items()
