"""The one lookup contract: a key in, the text stored under it out, or None.

A table answers ``None`` when it does not know the key, and raises :class:`gateway.model.errors.TableError` when it
could not answer now; the two are never confused. Source: DATABASE_README.
"""

from __future__ import annotations

from abc import ABC, abstractmethod


class Table(ABC):
    """A lookup table.

    Args:
        spec: as configured, ``type:name``; what log lines and errors call it.

    Attributes:
        is_pattern: keys are matched whole (``cidr``, ``regexp``): callers do not ask for parent
            domains, parent networks or parts of an address. Source: access(5), "REGULAR EXPRESSION TABLES".
    """

    is_pattern = False

    def __init__(self, spec: str) -> None:
        self.spec = spec

    @abstractmethod
    async def find(self, key: str) -> str | None:
        """The text under ``key``; None when there is none.

        Keys are given as they are; a table whose keys fold case folds them itself.

        Raises:
            TableError: no answer now; ask again later.
        """

    async def close(self) -> None:  # noqa: B027 — most tables hold nothing
        """Give up connections and files."""


class MemoryTable(Table):
    """A table that answers at once: :meth:`find` never suspends, and :meth:`get` needs no ``await``."""

    @abstractmethod
    def get(self, key: str) -> str | None:
        """As :meth:`find`, without waiting.

        Raises:
            TableError: as :meth:`find`.
        """

    async def find(self, key: str) -> str | None:
        """As :meth:`get`."""
        return self.get(key)
