"""Connections to the servers of SQL tables: fail-over, a bound, reuse.

Tables with the same servers, database and user share one pool in a process. Hosts are tried in random order,
UNIX-domain sockets first; one that failed is left alone for a while; a connection nobody used for a while is closed.
Knows no driver. Source: ``hosts`` of mysql_table(5), pgsql_table(5); ``idle_interval``, ``retry_interval`` of 3.9.
"""

from __future__ import annotations

import random
import threading
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
    """A live connection; used by one thread at a time.

    Attributes:
        host: where it goes.
        is_ordinary: backslashes and double quotes mean what they mean to a server nobody reconfigured.
    """

    host: Host
    is_ordinary: bool = True

    @abstractmethod
    def quote(self, part: str) -> str:
        """``part`` escaped for the inside of a quoted string, as this server's settings want it.

        Raises:
            QueryError: it cannot be said in the connection's character set.
        """

    @abstractmethod
    def run(self, query: str) -> list[str | None]:
        """The values of all rows, row by row; empty when the query gives no rows.

        Raises:
            QueryError: the server refused the query; or, the connection being spent, the answer was too slow (not
                complete after QUERY_TIMEOUT_S or a little more), too large or nonsense.
            Lost: the connection broke.
        """

    @abstractmethod
    def close(self) -> None:
        """Close it. Never raises, never waits."""


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

    def connect(self, host: Host) -> Connection:
        """A new connection.

        Raises:
            HostError: within CONNECT_TIMEOUT_S for each address of the host.
        """
        raise NotImplementedError


class Pool:
    """The connections of one :class:`Server`; asked by threads.

    Args:
        server: where they go.
        clock: monotonic seconds.
        limit: connections at a time; a question that finds all in use waits for one.
    """

    def __init__(self, server: Server, clock: Callable[[], float], limit: int = CONNECTIONS) -> None:
        self._server, self._clock, self._limit = server, clock, limit
        self._changed = threading.Condition()
        self._idle: list[tuple[float, Connection]] = []  # since when; the latest used last
        self._open = 0
        self._dead: dict[Host, tuple[float, str]] = {}  # until when, and why
        self._is_closed = False

    def ask(
        self, question: Callable[[Connection], str], until: float, failed: Callable[[str], None]
    ) -> list[str | None]:
        """Ask the first host that answers.

        Args:
            question: the query for a connection.
            until: the clock's time when a wait or another try is not begun any more.
            failed: takes the reason why a host could not be used, once for each time it goes down.

        Returns:
            As :meth:`Connection.run`.

        Raises:
            Unanswered: no host could be used, or every one refused the query.
        """
        refusals: dict[Host, str] = {}
        while True:
            connection, is_fresh = self._take(refusals, until, failed)
            try:
                values = connection.run(question(connection))
            except QueryError as error:
                refusals[connection.host] = str(error)
                (self._drop if error.is_spent else self._give_back)(connection)
            except Lost as error:
                self._drop(connection)
                if is_fresh:
                    self._bury(connection.host, str(error), failed)
            except BaseException:
                self._discard(connection)
                raise
            else:
                self._give_back(connection)
                return values

    def tend(self) -> bool:
        """Close what was idle for too long.

        Returns:
            False when no connection is left to look after.
        """
        latest = self._clock() - self._server.idle_s
        with self._changed:
            old = [connection for since, connection in self._idle if since <= latest]
            self._idle = [(since, connection) for since, connection in self._idle if since > latest]
            self._open -= len(old)
            is_any_left = self._open > 0
        for connection in old:
            connection.close()
        return is_any_left

    def close(self) -> None:
        """Close the connections, those in use when they come back."""
        with self._changed:
            self._is_closed = True
            idle, self._idle = self._idle, []
            self._open -= len(idle)
        for _, connection in idle:
            connection.close()

    # -- connections in and out ------------------------------------------------------------------------------------

    def _take(self, refusals: dict[Host, str], until: float, failed: Callable[[str], None]) -> tuple[Connection, bool]:
        """An idle connection, or a new one (True) where there is room; UNIX-domain sockets first."""
        with self._changed:
            while True:
                usable = [at for at, (_, connection) in enumerate(self._idle) if connection.host not in refusals]
                if usable:
                    at = max(usable, key=lambda at: (self._idle[at][1].host.is_local, at))
                    return self._idle.pop(at)[1], False
                if self._open < self._limit:
                    self._open += 1
                    break
                if self._idle:  # to hosts that refused this query
                    self._idle.pop(0)[1].close()
                    break
                if not self._changed.wait(until - self._clock()):
                    raise Unanswered(f"all {self._limit} connections are in use")
        connection = None
        try:
            connection = self._connect(refusals, until, failed)
        finally:
            if connection is None:
                self._release()
        return connection, True

    def _connect(self, refusals: dict[Host, str], until: float, failed: Callable[[str], None]) -> Connection:
        hosts = [host for host in self._server.hosts if host not in refusals]
        random.shuffle(hosts)
        for host in sorted(hosts, key=lambda host: not host.is_local):
            now = self._clock()
            if host in self._dead and now < self._dead[host][0]:
                continue
            if now >= until:
                break
            try:
                connection = self._server.connect(host)
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
        with self._changed:
            is_closed = self._is_closed
            if is_closed:
                self._open -= 1
            else:
                self._idle.append((self._clock(), connection))
            self._changed.notify()
        if is_closed:
            connection.close()

    def _drop(self, connection: Connection) -> None:
        """Forget a broken connection and the idle ones to its host: what broke it, a restart for example, may have
        broken them too."""
        self._discard(connection)
        with self._changed:
            stale = [idle for _, idle in self._idle if idle.host == connection.host]
            self._idle = [(since, idle) for since, idle in self._idle if idle.host != connection.host]
            self._open -= len(stale)
            self._changed.notify_all()
        for idle in stale:
            idle.close()

    def _discard(self, connection: Connection) -> None:
        connection.close()
        self._release()

    def _release(self) -> None:
        with self._changed:
            self._open -= 1
            self._changed.notify()


class SharedPools:
    """The pools in use in a process: tables on the same servers share one, those of a reload with the ones before."""

    def __init__(self) -> None:
        self._pools: dict[Hashable, tuple[Pool, int]] = {}
        self._lock = threading.Lock()

    def join(self, server: Server, clock: Callable[[], float]) -> Pool:
        """The pool for these servers; :meth:`leave` it as often as it was joined."""
        with self._lock:
            pool, users = self._pools.get((server, clock)) or (Pool(server, clock), 0)
            self._pools[server, clock] = pool, users + 1
            return pool

    def leave(self, server: Server, clock: Callable[[], float]) -> None:
        """One table less uses the pool; the last one closes it."""
        with self._lock:
            pool, users = self._pools.pop((server, clock))
            if users > 1:
                self._pools[server, clock] = pool, users - 1
                return
        pool.close()


SHARED_POOLS = SharedPools()
"""This process's."""
