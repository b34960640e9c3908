"""Several tables asked in turn: ``virtual_alias_maps``, ``relay_recipient_maps``.

Which keys they are asked for is :mod:`gateway.maps.address_lookup`'s matter. Source: virtual(5), "TABLE SEARCH ORDER".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.maps.table import Table
from gateway.model.errors import TableError

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.maps.tables import Tables


class TableList:
    """Tables asked one after the other; the first that knows the key answers. False when there are none.

    Args:
        tables: in asking order.
    """

    def __init__(self, tables: Sequence[Table]) -> None:
        self.tables = tuple(tables)

    @classmethod
    def of(cls, config: Config, parameter: str, tables: Tables) -> TableList:
        """The tables that a main.cf parameter lists.

        Raises:
            ConfigError: a table cannot be opened.
        """
        return cls([tables.open(spec) for spec in config.words(parameter)])

    def __bool__(self) -> bool:
        return bool(self.tables)

    async def find(self, key: str, *, is_part: bool = False) -> str | None:
        """The first answer; pattern tables are left out when the key is only a part of what is looked for.

        An empty key is in no table. An empty text is no answer: a table that has nothing to say must say so, and one
        that stores nothing where something is needed is broken.

        Raises:
            TableError: a table has no answer now, or an empty one.
        """
        if not key:
            return None
        for table in self.tables:
            if is_part and table.is_pattern:
                continue
            value = await table.find(key)
            if value is not None:
                if not value:
                    raise TableError(table.spec, f'an empty text under "{key}"')
                return value
        return None
