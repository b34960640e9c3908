"""``environ:name`` — the environment of this process; the name says nothing. Source: DATABASE_README."""

from __future__ import annotations

import os

from gateway.maps.folding import Folding
from gateway.maps.source import Surroundings
from gateway.maps.table import MemoryTable


class EnvironTable(MemoryTable):
    """Keys fold to lower case, as in Postfix: variables with upper-case letters in their names are out of reach.

    Attributes:
        folding: how keys are spelt.
    """

    def __init__(self, spec: str, _name: str, around: Surroundings) -> None:
        super().__init__(spec)
        self.folding = Folding(around.config)

    def get(self, key: str) -> str | None:
        """The value of the variable ``key``."""
        name = self.folding.text(key)
        return None if name is None else os.environ.get(name)
