"""Connections to the servers of SQL tables: fail-over, a bound, reuse.

Tables with the same servers, database and user share one pool in a process. Hosts are tried in random order,
UNIX-domain sockets first; one that failed is left alone for a while; a connection nobody used for a while is closed.
Knows no driver. Lives in one event loop. Source: ``hosts`` of mysql_table(5), pgsql_table(5); ``idle_interval``,
``retry_interval`` of Postfix 3.9.
"""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence

import msgspec

from gateway.model.errors import GatewayError

CONNECTIONS = 8
"""Connections of one pool at a time: with four smtpd workers a database sees at most 32 for each user."""
CONNECT_TIMEOUT_S = 10.0
QUERY_TIMEOUT_S = 20.0
ANSWER_LIMIT = 4 << 20
"""Octets a server may answer to one question."""
GIVE_UP_S = 45.0
"""A lookup that took so long begins no other wait or try; the one that is under way ends below 100 s."""
WAITING_LIMIT = 1000
"""Lookups that may wait for a connection; more are refused at once."""


class HostError(GatewayError):
    """The server gave no connection: not reached, refused the login, or talked nonsense."""


class Lost(GatewayError):
    """The connection broke. Had it been idle before, that says nothing of the server."""


class QueryError(GatewayError):
    """The server refused this query, or failed on it. Other tables may do well with it.

    Args:
        message: why.
        is_spent: the connection is of no more use: the answer did not come to its end.
    """

    def __init__(self, message: str, *, is_spent: bool = False) -> None:
        self.is_spent = is_spent
        super().__init__(message)


class Unanswered(GatewayError):
    """No host answered; the message says for each why."""


class Host(msgspec.Struct, frozen=True):
    """One word of ``hosts``.

    Args:
        name: as configured, for messages.
        address: socket path, host name, address or connection URI.
        port: as configured; empty: the server's default.
        is_local: a UNIX-domain socket.
    """

    name: str
    address: str
    port: str = ""
    is_local: bool = False


def checked_port(text: str) -> str:
    """A port number, or nothing.

    Raises:
        ValueError: something else.
    """
    if text and not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ValueError(f'"{text}" is no port number')
    return text


def decoded_values(values: Sequence[bytes | None], encoding: str = "utf-8") -> list[str | None]:
    """The text of values.

    Raises:
        QueryError: one is none: nothing that can stand in an address, and the table is broken.
    """
    try:
        return [None if value is None else value.decode(encoding) for value in values]
    except UnicodeDecodeError as error:
        raise QueryError(f"the answer has a value that is not {encoding}") from error


class Connection(ABC):
    """A live connection; asked one question at a time.

    Attributes:
        host: where it goes.
        is_ordinary: backslashes and double quotes mean what they mean to a server nobody reconfigured.
    """

    host: Host
    is_ordinary: bool = True

    @property
    def is_broken(self) -> bool:
        """True when it was seen to be of no more use while it was idle."""
        return False

    @abstractmethod
    def quote(self, part: str) -> str:
        """``part`` escaped for the inside of a quoted string, as this server's settings want it.

        Raises:
            QueryError: it cannot be said in the connection's character set.
        """

    @abstractmethod
    async def run(self, query: str) -> list[str | None]:
        """The values of all rows, row by row; empty when the query gives no rows.

        Raises:
            QueryError: the server refused the query; or, the connection being spent, the answer was too slow (not
                complete after QUERY_TIMEOUT_S or a little more), too large or nonsense.
            Lost: the connection broke.
        """

    @abstractmethod
    def close(self) -> None:
        """Close it, whatever it does. Never raises, never waits."""


class Server(msgspec.Struct, frozen=True):
    """What tables must have in common to share connections; what opens them adds its own fields.

    Args:
        hosts: all that may be asked.
        idle_s: a connection not used for that long is closed.
        retry_s: a host that failed is left alone for that long.
    """

    hosts: tuple[Host, ...]
    idle_s: int
    retry_s: int

    async def connect(self, host: Host) -> Connection:
        """A new connection.

        Raises:
            HostError: within CONNECT_TIMEOUT_S for each address of the host.
        """
        raise NotImplementedError


class Pool:
    """The connections of one :class:`Server`.

    Args:
        server: where they go.
        clock: monotonic seconds.
        limit: connections at a time; a question that finds all in use waits for one.
    """

    def __init__(self, server: Server, clock: Callable[[], float], limit: int = CONNECTIONS) -> None:
        self._server, self._clock, self._limit = server, clock, limit
        self._places = asyncio.Semaphore(limit)  # for questions under way; each has one connection at most
        self._waiting = 0
        self._idle: list[tuple[float, Connection]] = []  # since when; the latest used last
        self._dead: dict[Host, tuple[float, str]] = {}  # until when, and why
        self._is_closed = False

    async def ask(self, question: Callable[[Connection], str], failed: Callable[[str], None]) -> list[str | None]:
        """Ask the first host that answers.

        Args:
            question: the query for a connection.
            failed: takes the reason why a host could not be used, once for each time it goes down.

        Returns:
            As :meth:`Connection.run`.

        Raises:
            Unanswered: no host could be used, or every one refused the query.
        """
        until = self._clock() + GIVE_UP_S
        if self._places.locked():
            await self._wait_for_place()
        else:
            await self._places.acquire()  # at once
        try:
            return await self._ask(question, until, failed)
        finally:
            self._places.release()

    def tend(self) -> bool:
        """Close what was idle for too long.

        Returns:
            False when no idle connection is left to look after.
        """
        latest = self._clock() - self._server.idle_s
        for since, connection in self._idle:
            if since <= latest:
                connection.close()
        self._idle = [(since, connection) for since, connection in self._idle if since > latest]
        return bool(self._idle)

    def close(self) -> None:
        """Close the connections, those in use when they come back."""
        self._is_closed = True
        for _, connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _ask(
        self, question: Callable[[Connection], str], until: float, failed: Callable[[str], None]
    ) -> list[str | None]:
        refusals: dict[Host, str] = {}
        while True:
            connection = self._reused(refusals)
            is_fresh = connection is None
            if connection is None:
                connection = await self._connected(refusals, until, failed)
            try:
                values = await connection.run(question(connection))
            except QueryError as error:
                refusals[connection.host] = str(error)
                (self._drop if error.is_spent else self._give_back)(connection)
            except Lost as error:
                self._drop(connection)
                if is_fresh:
                    self._bury(connection.host, str(error), failed)
            except BaseException:
                connection.close()
                raise
            else:
                self._give_back(connection)
                return values

    # -- connections in and out ------------------------------------------------------------------------------------

    async def _wait_for_place(self) -> None:
        if self._waiting >= WAITING_LIMIT:
            raise Unanswered(f"{self._waiting} lookups are waiting already")
        self._waiting += 1
        try:
            async with asyncio.timeout(GIVE_UP_S):
                await self._places.acquire()
        except TimeoutError:
            raise Unanswered(f"all {self._limit} connections are in use") from None
        finally:
            self._waiting -= 1

    def _reused(self, refusals: dict[Host, str]) -> Connection | None:
        """An idle connection, the latest used one; UNIX-domain sockets first."""
        best = -1
        for at, (_, connection) in enumerate(self._idle):
            if connection.is_broken:
                self._drop(connection)
                return self._reused(refusals)
            if connection.host not in refusals and (
                best < 0 or connection.host.is_local or not self._idle[best][1].host.is_local
            ):
                best = at
        return self._idle.pop(best)[1] if best >= 0 else None

    async def _connected(self, refusals: dict[Host, str], until: float, failed: Callable[[str], None]) -> Connection:
        """A new connection to a host that has not refused this query; UNIX-domain sockets first."""
        hosts = [host for host in self._server.hosts if host not in refusals]
        random.shuffle(hosts)
        for host in sorted(hosts, key=lambda host: not host.is_local):
            now = self._clock()
            if host in self._dead and now < self._dead[host][0]:
                continue
            if now >= until:
                break
            try:
                connection = await self._server.connect(host)
            except HostError as error:
                self._bury(host, str(error), failed)
            else:
                self._dead.pop(host, None)
                return connection
        raise Unanswered(self._reasons(refusals))

    def _reasons(self, refusals: dict[Host, str]) -> str:
        now = self._clock()
        reasons = []
        for host in self._server.hosts:
            until, why = self._dead.get(host, (0.0, "no time left to ask it"))
            later = f" (asked again in {until - now:.0f} s)" if until > now else ""
            reasons.append(f"{host.name}: {refusals[host] if host in refusals else why + later}")
        return "; ".join(reasons)

    def _bury(self, host: Host, why: str, failed: Callable[[str], None]) -> None:
        self._dead[host] = (self._clock() + self._server.retry_s, why)
        failed(f"{host.name}: {why}")

    def _give_back(self, connection: Connection) -> None:
        if self._is_closed:
            connection.close()
            return
        if len(self._idle) >= self._limit:  # one to a host that refused a query, while another was made
            self._idle.pop(0)[1].close()
        self._idle.append((self._clock(), connection))

    def _drop(self, connection: Connection) -> None:
        """Forget a broken connection and the idle ones to its host: what broke it, a restart for example, may have
        broken them too."""
        connection.close()
        for _, idle in self._idle:
            if idle.host == connection.host:
                idle.close()
        self._idle = [(since, idle) for since, idle in self._idle if idle.host != connection.host]


class SharedPools:
    """The pools in use in a process: tables on the same servers share one, those of a reload with the ones before."""

    def __init__(self) -> None:
        self._pools: dict[Hashable, tuple[Pool, int]] = {}

    def join(self, key: Hashable, server: Server, clock: Callable[[], float]) -> Pool:
        """The pool for these servers; :meth:`leave` it as often as it was joined.

        Args:
            key: what else must be the same, such as the event loop.
        """
        pool, users = self._pools.get((key, server, clock)) or (Pool(server, clock), 0)
        self._pools[key, server, clock] = pool, users + 1
        return pool

    def leave(self, key: Hashable, server: Server, clock: Callable[[], float]) -> None:
        """One table less uses the pool; the last one closes it."""
        pool, users = self._pools.pop((key, server, clock))
        if users > 1:
            self._pools[key, server, clock] = pool, users - 1
        else:
            pool.close()


SHARED_POOLS = SharedPools()
"""This process's."""
