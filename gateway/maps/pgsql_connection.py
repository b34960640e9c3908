"""Connections to PostgreSQL for ``pgsql:`` tables, on psycopg's layer for libpq.

A query goes out as the text it is and its values come back as the text the server makes of them: no types are read, no
parameters are bound. Source: libpq's manual, "Asynchronous Command Processing", "Escaping Strings".
"""

from __future__ import annotations

import contextlib
import select
import time
from typing import NoReturn

import psycopg
from psycopg import conninfo, pq

from gateway.maps.sql_pool import (
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

    def connect(self, host: Host) -> Connection:
        """As :class:`gateway.maps.sql_pool.Server`."""
        try:
            return _Connection(host, psycopg.connect(self._conninfo(host), autocommit=True))
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


class _Connection(Connection):
    def __init__(self, host: Host, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        self.host = host
        self._connection, self._pgconn = connection, connection.pgconn
        self._escaping = pq.Escaping(self._pgconn)
        self.is_ordinary = self._pgconn.parameter_status(b"standard_conforming_strings") == b"on"
        self._poll = select.poll()
        self._poll.register(self._pgconn.socket, select.POLLIN)

    def quote(self, part: str) -> str:
        try:
            return self._escaping.escape_string(part.encode()).decode()
        except (psycopg.Error, UnicodeError) as error:
            raise QueryError(_one_line(error)) from error

    def run(self, query: str) -> list[str | None]:
        try:
            values, failure = self._run(query.encode(), time.monotonic() + QUERY_TIMEOUT_S)
        except (psycopg.Error, OSError) as error:
            raise Lost(_one_line(error)) from error
        if failure:
            raise (QueryError if self._pgconn.status == pq.ConnStatus.OK else Lost)(failure)
        return decoded_values(values)

    def _run(self, query: bytes, until: float) -> tuple[list[bytes | None], str]:
        """The values of the last statement's rows, and what the server complained of."""
        self._pgconn.send_query(query)
        self._pgconn.set_single_row_mode()  # so that a large answer is noticed before all of it is in memory
        if self._pgconn.flush():
            self._flush(until)
        values: list[bytes | None] = []
        is_ended, failure, size = True, "", 0
        while (result := self._next(until)) is not None:
            status = result.status
            if is_ended:
                values = []
            is_ended = status != _SINGLE_TUPLE
            if status == _SINGLE_TUPLE:
                row = [result.get_value(0, column) for column in range(result.nfields)]
                values += row
                size += sum(map(len, filter(None, row)))
                if size > ANSWER_LIMIT:
                    raise QueryError(f"the answer is larger than {ANSWER_LIMIT} octets", is_spent=True)
            elif status in _FAILED:
                failure = _one_line(result.error_message.decode("utf-8", "replace"))
            elif status not in (_TUPLES_OK, _COMMAND_OK):
                raise QueryError(f"a query that gives no rows but {pq.ExecStatus(status).name}", is_spent=True)
        return values, failure

    def _next(self, until: float) -> pq.abc.PGresult | None:
        while self._pgconn.is_busy():
            self._wait(until)
            self._pgconn.consume_input()
        return self._pgconn.get_result()

    def _flush(self, until: float) -> None:
        self._poll.modify(self._pgconn.socket, select.POLLIN | select.POLLOUT)
        try:
            while self._pgconn.flush():
                self._wait(until)
                self._pgconn.consume_input()
        finally:
            self._poll.modify(self._pgconn.socket, select.POLLIN)

    def _wait(self, until: float) -> None:
        if not self._poll.poll(max(0.0, until - time.monotonic()) * 1000):
            self._give_up()

    def _give_up(self) -> NoReturn:
        # Without it the server would work on, for nobody, and each try would add another such query.
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.cancel_safe(timeout=CANCEL_TIMEOUT_S)
        raise QueryError(f"no answer within {QUERY_TIMEOUT_S:g} s", is_spent=True)

    def close(self) -> None:
        with contextlib.suppress(psycopg.Error, OSError):
            self._connection.close()


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
