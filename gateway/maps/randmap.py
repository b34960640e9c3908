"""``randmap:{value, ...}`` — one of these values, whatever the key is. Source: DATABASE_README, Postfix 3.0."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from gateway.maps.members import braced_words
from gateway.maps.source import Surroundings
from gateway.maps.table import MemoryTable


class RandmapTable(MemoryTable):
    """A value that is named twice comes twice as often; braces around one stay part of it, as in Postfix.

    Args:
        choose: picks one of several.
    """

    def __init__(
        self, spec: str, name: str, _around: Surroundings, *, choose: Callable[[Sequence[str]], str] = random.choice
    ) -> None:
        super().__init__(spec)
        self._values = braced_words(spec, name, "value")
        self._choose = choose

    def get(self, key: str) -> str | None:
        """One of the values."""
        return self._choose(self._values)
