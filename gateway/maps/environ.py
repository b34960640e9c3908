"""``environ:name`` — the environment of this process; the name says nothing. Source: DATABASE_README."""

from __future__ import annotations

import os

from gateway.maps.source import Surroundings
from gateway.maps.table import MemoryTable, folded


class EnvironTable(MemoryTable):
    """Keys fold to lower case, as in Postfix: variables with upper-case letters in their names are out of reach."""

    def __init__(self, spec: str, _name: str, _around: Surroundings) -> None:
        super().__init__(spec)

    def get(self, key: str) -> str | None:
        """The value of the variable ``key``."""
        return os.environ.get(folded(key))
