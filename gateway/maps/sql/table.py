"""What the tables that ask SQL servers share: parameters, suppression of keys, asking.

A driver brings a :class:`gateway.maps.sql.pool.Server` and its dialect. Source: mysql_table(5), pgsql_table(5).
"""

from __future__ import annotations

import asyncio

from gateway.maps.client_file import ClientFile
from gateway.maps.query_template import DomainFilter, ResultFormat, search_key
from gateway.maps.source import Surroundings
from gateway.maps.sql.pool import SHARED_POOLS, Connection, Pool, QueryError, Server, Unanswered
from gateway.maps.sql.query import Dialect, is_plain, read_query
from gateway.maps.table import RemoteTable
from gateway.model.errors import TableError

TEND_S = 5.0
"""How often idle connections are looked at."""


class Questions:
    """What one table asks, and makes of the answers: its query, ``domain``, ``result_format``, ``expansion_limit``.

    Args:
        spec: as configured.
        file: the table's parameters.
        dialect: of its server.
        around: opens the tables of ``domain``.

    Attributes:
        query: filled with the keys that :meth:`wanted` gives.
        results: makes the answer.

    Raises:
        ConfigError: a parameter is missing or wrong.
    """

    def __init__(self, spec: str, file: ClientFile, dialect: Dialect, around: Surroundings) -> None:
        self.query = read_query(file, dialect)
        limit = file.integer("expansion_limit", 0)
        text = file.text("result_format", "%s", low=1)
        self.results = file.checked("result_format", lambda: ResultFormat(spec, text, limit))
        self._domains = DomainFilter(file.words("domain"), around)

    async def wanted(self, key: str) -> str | None:
        """The key as it is asked for; None for one that the query, the result format or ``domain`` leaves out.

        Raises:
            TableError: a table of ``domain`` has no answer now.
        """
        folded = search_key(key)
        if folded is None or not self.query.accepts(folded) or not self.results.accepts(folded):
            return None
        return folded if await self._domains.matches(folded) else None


class SqlTable(RemoteTable):
    """A table on SQL servers reached over the network or a UNIX-domain socket.

    Args:
        spec, file, dialect, around: as :class:`Questions`.
        server: where to ask.

    Attributes:
        around: what the table was opened with.

    Raises:
        ConfigError: as :class:`Questions`. A server that is down is none.
    """

    def __init__(self, spec: str, file: ClientFile, dialect: Dialect, around: Surroundings, server: Server) -> None:
        super().__init__(spec)
        self._questions = Questions(spec, file, dialect, around)
        file.warn_unused()
        self._is_plain = is_plain(self._questions.query, dialect)
        self.around, self._server = around, server
        self._pool: Pool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tending: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> Pool:
        """To the server, shared with the other tables on it; of the running event loop."""
        if self._pool is None:
            self._loop = asyncio.get_running_loop()
            self._pool = SHARED_POOLS.join(self._loop, self._server, self.around.clock)
        return self._pool

    async def find(self, key: str) -> str | None:
        """What the first host says that answers; None at once for keys that are left out.

        Raises:
            TableError: no host could be asked, or every one refused the query.
        """
        wanted = await self._questions.wanted(key)
        if wanted is None:
            return None
        pool = self.connections
        if self._tending is None:
            self._tending = asyncio.get_running_loop().call_later(TEND_S, self._tend)
        try:
            values = await pool.ask(lambda connection: self._text(connection, wanted), self._warn)
        except Unanswered as error:
            raise TableError(self.spec, str(error)) from error
        return self._questions.results.expand(wanted, values)

    async def close(self) -> None:
        """Give up the connections when no other table uses them."""
        if self._tending is not None:
            self._tending.cancel()
            self._tending = None
        if self._pool is not None:
            self._pool = None
            SHARED_POOLS.leave(self._loop, self._server, self.around.clock)

    def _text(self, connection: Connection, key: str) -> str:
        if not connection.is_ordinary and not self._is_plain:
            raise QueryError(
                "backslashes or double quotes have another meaning on this server; the query must do without them"
            )
        query = self._questions.query.fill(key, connection.quote)
        assert query is not None, "wanted() gives keys that the query accepts"
        return query

    def _warn(self, why: str) -> None:
        self.around.warn(f"table {self.spec}: {why}")

    def _tend(self) -> None:
        again = self.connections.tend()
        self._tending = asyncio.get_running_loop().call_later(TEND_S, self._tend) if again else None
