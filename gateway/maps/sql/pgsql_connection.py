"""Connections to PostgreSQL for ``pgsql:`` tables, on psycopg's layer for libpq.

A query goes out as the text it is and its values come back as the text the server makes of them: no types are read, no
parameters are bound. The socket is watched while the connection is idle too, so that one the server ends is not used
again. Source: libpq's manual, "Asynchronous Command Processing", "Escaping Strings".
"""

from __future__ import annotations

import asyncio
import contextlib

import psycopg
from psycopg import conninfo, pq

from gateway.maps.sql.pool import (
    ANSWER_LIMIT,
    CONNECT_TIMEOUT_S,
    QUERY_TIMEOUT_S,
    Connection,
    Host,
    HostError,
    Lost,
    QueryError,
    Server,
    decoded_values,
)

CANCEL_TIMEOUT_S = 2.0

_TUPLES_OK, _SINGLE_TUPLE = pq.ExecStatus.TUPLES_OK, pq.ExecStatus.SINGLE_TUPLE
_COMMAND_OK, _FAILED = pq.ExecStatus.COMMAND_OK, (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)


def checked_uri(uri: str) -> str:
    """A connection URI that libpq understands.

    Raises:
        ValueError: it does not.
    """
    try:
        conninfo.conninfo_to_dict(uri)
    except psycopg.Error as error:
        raise ValueError(_one_line(error)) from error
    return uri


class PostgresqlServer(Server, frozen=True):
    """PostgreSQL servers with the same database.

    Args:
        user, password, dbname: empty: as libpq finds them. Not for hosts that are URIs.
        encoding: ``client_encoding``: what the server takes the UTF-8 octets of a query for.
    """

    user: str
    password: str
    dbname: str
    encoding: str

    async def connect(self, host: Host) -> Connection:
        """As :class:`gateway.maps.sql.pool.Server`."""
        try:
            return _Connection(host, await psycopg.AsyncConnection.connect(self._conninfo(host), autocommit=True))
        except (psycopg.Error, UnicodeError, ValueError, OSError) as error:
            raise HostError(_one_line(error)) from error

    def _conninfo(self, host: Host) -> str:
        if "://" in host.address:
            given = {name: str(value) for name, value in conninfo.conninfo_to_dict(host.address).items()}
        else:
            given = {"host": host.address, "port": host.port, "user": self.user, "password": self.password}
            given = {name: value for name, value in given.items() if value} | {"dbname": self.dbname}
        ours = {
            "connect_timeout": f"{CONNECT_TIMEOUT_S:.0f}",
            "client_encoding": self.encoding,
            "fallback_application_name": "postgate",
        }
        return conninfo.make_conninfo("", **(ours | given))


class _Answer:
    """The answer to one question, as its results come in.

    Attributes:
        done: set with nothing when the answer is complete; fails with QueryError or Lost.
    """

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.done = done
        self.values: list[bytes | None] = []
        self.failure = ""
        self._is_ended, self._size = True, 0

    def take(self, result: pq.abc.PGresult) -> None:
        """One more result: a row, or the end of a statement. The last statement's rows are the answer.

        Raises:
            QueryError: the answer is too large, or none that can be read on.
        """
        status = result.status
        if self._is_ended:
            self.values = []
        self._is_ended = status != _SINGLE_TUPLE
        if status == _SINGLE_TUPLE:
            row = [result.get_value(0, column) for column in range(result.nfields)]
            self.values += row
            self._size += sum(map(len, filter(None, row)))
            if self._size > ANSWER_LIMIT:
                raise QueryError(f"the answer is larger than {ANSWER_LIMIT} octets", is_spent=True)
        elif status in _FAILED:
            self.failure = _one_line(result.error_message.decode("utf-8", "replace"))
        elif status not in (_TUPLES_OK, _COMMAND_OK):
            raise QueryError(f"a query that gives no rows but {pq.ExecStatus(status).name}", is_spent=True)


class _Connection(Connection):
    def __init__(self, host: Host, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        self.host = host
        self._connection, self._pgconn = connection, connection.pgconn
        self._escaping = pq.Escaping(self._pgconn)
        self.is_ordinary = self._pgconn.parameter_status(b"standard_conforming_strings") == b"on"
        self._loop = asyncio.get_running_loop()
        self._socket = self._pgconn.socket
        self._answer: _Answer | None = None
        self._cancelling: asyncio.Task[None] | None = None
        self._is_broken = False
        self._loop.add_reader(self._socket, self._readable)

    @property
    def is_broken(self) -> bool:
        return self._is_broken

    def quote(self, part: str) -> str:
        try:
            return self._escaping.escape_string(part.encode()).decode()
        except (psycopg.Error, UnicodeError) as error:
            raise QueryError(_one_line(error)) from error

    async def run(self, query: str) -> list[str | None]:
        answer = self._answer = _Answer(self._loop.create_future())
        timer = self._loop.call_later(QUERY_TIMEOUT_S, self._give_up)
        try:
            self._pgconn.send_query(query.encode())
            self._pgconn.set_single_row_mode()  # so that a large answer is noticed before all of it is in memory
            if self._pgconn.flush():
                self._loop.add_writer(self._socket, self._writable)
            await answer.done
        except (psycopg.Error, OSError) as error:
            raise Lost(_one_line(error)) from error
        finally:
            self._answer = None
            timer.cancel()
        if answer.failure:
            is_lost = self._pgconn.status != pq.ConnStatus.OK
            raise (Lost if is_lost else QueryError)(answer.failure)
        return decoded_values(answer.values)

    def _readable(self) -> None:
        try:
            self._pgconn.consume_input()
            answer = self._answer
            if answer is None:  # nothing was asked: a notice, or the end
                if self._pgconn.status != pq.ConnStatus.OK:
                    self._end(OSError("closed"))
                return
            while not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is None:
                    self._end(None)
                    return
                answer.take(result)
        except (psycopg.Error, OSError, QueryError) as error:
            self._end(error)

    def _end(self, error: Exception | None) -> None:
        if error is not None:
            self._is_broken = True
            self._loop.remove_reader(self._socket)
        if self._answer is None or self._answer.done.done():
            return
        if error is None:
            self._answer.done.set_result(None)
        else:
            self._answer.done.set_exception(error)

    def _writable(self) -> None:
        try:
            if self._pgconn.flush():
                return
        except psycopg.Error as error:
            self._end(error)
        self._loop.remove_writer(self._socket)

    def _give_up(self) -> None:
        self._end(QueryError(f"no answer within {QUERY_TIMEOUT_S:g} s", is_spent=True))
        # Without it the server would work on, for nobody, and each try would add another such query.
        self._cancelling = self._loop.create_task(self._cancel())

    async def _cancel(self) -> None:
        try:
            with contextlib.suppress(psycopg.Error, OSError):
                await self._connection.cancel_safe(timeout=CANCEL_TIMEOUT_S)
        finally:
            self._pgconn.finish()

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        if self._cancelling is None:
            self._pgconn.finish()


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
