"""Several tables asked in turn (``virtual_alias_maps``, ``relay_recipient_maps``), and the order for mail addresses.

Source: virtual(5), canonical(5) "TABLE SEARCH ORDER"; recipient_delimiter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.maps.access_lookup import without_extension
from gateway.maps.table import Table

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

        Raises:
            TableError: a table has no answer now.
        """
        for table in self.tables:
            if is_part and table.is_pattern:
                continue
            value = await table.find(key)
            if value is not None:
                return value
        return None

    async def find_address(self, address: str, *, delimiters: str = "", is_local: bool = False) -> str | None:
        """Look up ``user+ext@domain``, ``user@domain``, for a local domain ``user+ext`` and ``user``, ``@domain``.

        Raises:
            TableError: a table has no answer now.
        """
        local, _, domain = address.rpartition("@")
        bare = without_extension(local, delimiters)
        value = await self.find(address)
        keys = [f"{bare}@{domain}"] if bare else []
        if is_local:
            keys += [local, bare] if bare else [local]
        for key in (*keys, f"@{domain}"):
            if value is not None:
                break
            value = await self.find(key, is_part=True)
        return value
