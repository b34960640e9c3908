"""What the tables that ask SQL servers share: parameters, suppression of keys, asking in threads.

A driver brings a :class:`gateway.maps.sql_pool.Server` and its dialect. Source: mysql_table(5), pgsql_table(5).
"""

from __future__ import annotations

import asyncio

from gateway.maps.client_file import ClientFile
from gateway.maps.query_template import DomainFilter, ResultFormat, search_key
from gateway.maps.source import Surroundings
from gateway.maps.sql_pool import (
    SHARED_POOLS,
    Connection,
    QueryError,
    Server,
    Unanswered,
)
from gateway.maps.sql_query import Dialect, is_plain, read_query
from gateway.maps.table import BlockingTable
from gateway.model.errors import TableError

GIVE_UP_S = 45.0
"""A lookup that took so long begins no other attempt; with the one that is running it stays below 100 s."""
TEND_S = 5.0
"""How often idle connections are looked at."""


class QueriedTable(BlockingTable):
    """A table whose answer is made from a query template and a result format.

    Args:
        spec: as configured.
        file: its parameters; ``domain``, ``result_format``, ``expansion_limit`` and those of the query are read here.
        dialect: of its server.
        around: opens the tables of ``domain``; takes warnings.

    Raises:
        ConfigError: a parameter is missing or wrong.
    """

    deadline_s = 100.0

    def __init__(self, spec: str, file: ClientFile, dialect: Dialect, around: Surroundings) -> None:
        super().__init__(spec)
        self.query = read_query(file, dialect)
        limit = file.integer("expansion_limit", 0)
        text = file.text("result_format", "%s", low=1)
        self.results = file.checked("result_format", lambda: ResultFormat(spec, text, limit))
        self._domains = DomainFilter(file.words("domain"), around)

    async def find(self, key: str) -> str | None:
        """What the server says; None at once for keys that the query, the result format or ``domain`` leave out."""
        wanted = search_key(key)
        if wanted is None or not self.query.accepts(wanted) or not self.results.accepts(wanted):
            return None
        return await super().find(wanted) if await self._domains.matches(wanted) else None


class SqlTable(QueriedTable):
    """A table on SQL servers reached over the network or a UNIX-domain socket.

    Args:
        spec, file, dialect, around: as :class:`QueriedTable`.
        server: where to ask.

    Attributes:
        connections: to the server, shared with the other tables on it.
        around: what the table was opened with.

    Raises:
        ConfigError: as :class:`QueriedTable`. A server that is down is none.
    """

    def __init__(self, spec: str, file: ClientFile, dialect: Dialect, around: Surroundings, server: Server) -> None:
        super().__init__(spec, file, dialect, around)
        file.warn_unused()
        self._is_plain = is_plain(self.query, dialect)
        self.around = around
        self._server = server
        self.connections = SHARED_POOLS.join(server, around.clock)
        self._tending: asyncio.TimerHandle | None = None

    def ask(self, key: str) -> str | None:
        """As :class:`gateway.maps.table.BlockingTable`."""
        try:
            values = self.connections.ask(
                lambda connection: self._text(connection, key), self.around.clock() + GIVE_UP_S, self._warn
            )
        except Unanswered as error:
            raise TableError(self.spec, str(error)) from error
        return self.results.expand(key, values)

    async def find(self, key: str) -> str | None:
        """As :class:`QueriedTable`."""
        if self._tending is None:
            self._tending = asyncio.get_running_loop().call_later(TEND_S, self._tend)
        return await super().find(key)

    async def close(self) -> None:
        """Take no more lookups, and give up the connections when no other table uses them."""
        await super().close()
        if self._tending is not None:
            self._tending.cancel()
        SHARED_POOLS.leave(self._server, self.around.clock)

    def _text(self, connection: Connection, key: str) -> str:
        if not connection.is_ordinary and not self._is_plain:
            raise QueryError(
                "backslashes or double quotes have another meaning on this server; the query must do without them"
            )
        query = self.query.fill(key, connection.quote)
        assert query is not None, "find() asks for keys that the query accepts"
        return query

    def _warn(self, why: str) -> None:
        self.around.warn(f"table {self.spec}: {why}")

    def _tend(self) -> None:
        again = self.connections.tend()
        self._tending = asyncio.get_running_loop().call_later(TEND_S, self._tend) if again else None
