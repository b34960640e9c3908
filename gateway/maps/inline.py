"""``inline:{ key=value, { key = text with blanks } }`` — a table in main.cf. Source: DATABASE_README, Postfix 3.0."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gateway.config.lines import BLANKS, split_outside_braces
from gateway.maps.folding import Folding
from gateway.maps.source import Surroundings
from gateway.maps.table import MemoryTable
from gateway.model.errors import ConfigError

# Blanks and equals signs inside double quotes belong to the key, and a backslash to the character behind it.
_ENTRY = re.compile(
    rf'[{BLANKS}]*(?P<key>(?>(?:[^{BLANKS}="\\]++|\\.|"(?>(?:[^"\\]++|\\.)*)")+))[{BLANKS}]*=(?P<value>.*)', re.DOTALL
)
EXPECTED = "expected key=value or { key = value }"


class InlineTable(MemoryTable):
    """Keys fold to lower case; of two entries with one key the last counts, as in Postfix.

    Attributes:
        folding: how keys are spelt.
    """

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        super().__init__(spec)
        self.folding = Folding(around.config)
        inside = _inside(name)
        if inside is None or not inside.strip(BLANKS + ","):
            raise ConfigError(f"table {spec}: expected inline:{{key=value, ...}}")
        self._entries: list[tuple[str, str]] = []
        words, _ = split_outside_braces(inside, BLANKS + ",")
        for word in words:
            entry = _inside(word) if word.startswith("{") else word
            match = None if entry is None else _ENTRY.fullmatch(entry)
            if match is None:
                raise ConfigError(f'table {spec}: "{word}": {EXPECTED}')
            if self.folding.text(match["key"]) is None:
                raise ConfigError(f'table {spec}: "{word}": the key is not UTF-8')
            self._entries.append((match["key"], match["value"].strip(BLANKS)))
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


def _inside(group: str) -> str | None:
    """What stands between braces; None when the first one is not closed by the last character."""
    level = 0
    for at, character in enumerate(group):
        level += {"{": 1, "}": -1}.get(character, 0)
        if level == 0:
            return group[1:-1] if at and at + 1 == len(group) else None
    return None
