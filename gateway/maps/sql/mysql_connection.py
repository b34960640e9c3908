"""Connections to MySQL and MariaDB for ``mysql:`` tables, on PyMySQL.

A query goes out as the text it is and its values come back as the text the server makes of them. Source: MySQL's
manual, "String Literals", "Server SQL Modes"; PyMySQL's documentation.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
import pymysql
from pymysql.charset import charset_by_name
from pymysql.converters import conversions, escape_string

from gateway.maps.sql.mysql_wire import Wire
from gateway.maps.sql.pool import (
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

T = TypeVar("T")

# How a server that goes down or ends one connection answers a query: 1053 shutdown, 1927 and 3169 killed, 4031 idle.
_LOST = frozenset((1053, 1927, 3169, 4031))
KILL_TIMEOUT_S = 2.0

_NO_TYPES = {kind: encode for kind, encode in conversions.items() if not isinstance(kind, int)}
_QUERY = b"\x03"  # COM_QUERY


def checked_charset(name: str) -> str:
    """The name of a character set that PyMySQL knows.

    Raises:
        ValueError: it does not.
    """
    found = charset_by_name(name)
    if found is None:
        raise ValueError(f'"{name}" is no known character set')
    return str(found.name)


class Tls(msgspec.Struct, frozen=True):
    """How connections are encrypted.

    Args:
        ca_file, ca_path: certificates that sign the server's; with either, it must be signed so.
        cert_file, key_file: our own; the key may be in the certificate's file.
        ciphers: OpenSSL's words for TLS 1.2 and below; empty: the library's.
        verifies_name: the server's certificate must be signed and have the host's name.
    """

    ca_file: str = ""
    ca_path: str = ""
    cert_file: str = ""
    key_file: str = ""
    ciphers: str = ""
    verifies_name: bool = False

    def checked(self) -> Tls:
        """Itself.

        Raises:
            ValueError: a file cannot be used.
        """
        self.context()
        return self

    def context(self) -> ssl.SSLContext:
        """What connections are made with.

        Raises:
            ValueError: a file cannot be used.
        """
        context = _Context(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = self.verifies_name
        try:
            if self.ca_file or self.ca_path:
                context.load_verify_locations(self.ca_file or None, self.ca_path or None)
            elif self.verifies_name:
                context.load_default_certs()
            else:
                context.verify_mode = ssl.CERT_NONE
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file or None)
            if self.ciphers:
                context.set_ciphers(self.ciphers)
        except OSError as error:  # SSLError is one
            raise ValueError(f"cannot set up TLS: {error}") from error
        return context


class MysqlServer(Server, frozen=True):
    """Servers with the same database.

    Args:
        user, password, dbname: empty: none.
        charset: of the connection, in the server's words.
        needs_result_set: a query that gives none is an error, not "not found".
        tls: None for clear text.
    """

    user: str
    password: str
    dbname: str
    charset: str
    needs_result_set: bool
    tls: Tls | None

    async def connect(self, host: Host) -> Connection:
        """As :class:`gateway.maps.sql.pool.Server`."""
        try:
            connection = await _in_thread(
                lambda: _Connection(host, *self.logged_in(host, CONNECT_TIMEOUT_S), self), _Connection.close
            )
        except Exception as error:
            raise HostError(_text_of(error)) from error
        connection.wire.watch()
        return connection

    def logged_in(self, host: Host, seconds: float) -> tuple[pymysql.Connection, Wire]:
        """A connection that takes queries, made within ``seconds`` for each address of the host; raises anything."""
        wire = Wire(_socket(host, seconds), seconds)
        try:
            connection = pymysql.Connection(
                user=self.user or None,
                password=self.password.encode("utf-8", "surrogateescape"),
                database=self.dbname,
                host=host.address,
                charset=self.charset,
                conv=_NO_TYPES,
                use_unicode=False,
                autocommit=True,
                defer_connect=True,
                program_name="postgate",
                ssl=self.tls.context() if self.tls else None,
                ssl_disabled=self.tls is None,
            )
            connection.connect(wire)
        except Exception as error:
            # A server that talks nonsense makes the driver stumble in many ways.
            wire.close()
            if wire.why:
                raise OSError(wire.why) from error
            raise
        except BaseException:
            wire.close()
            raise
        return connection, wire


def _socket(host: Host, seconds: float) -> socket.socket:
    if host.is_local:
        local = socket.socket(socket.AF_UNIX)
        local.settimeout(seconds)
        try:
            local.connect(host.address)
        except BaseException:
            local.close()
            raise
        return local
    remote = socket.create_connection((host.address, int(host.port)), seconds)
    remote.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    remote.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return remote


class _Context(ssl.SSLContext):
    """Puts TLS under a :class:`Wire`."""

    def wrap_socket(self, sock: Any, server_hostname: str | None = None) -> Any:  # type: ignore[override]
        sock.raw = super().wrap_socket(sock.raw, server_hostname=server_hostname)
        return sock


class _Connection(Connection):
    def __init__(self, host: Host, connection: pymysql.Connection, wire: Wire, server: MysqlServer) -> None:
        self.host, self.wire = host, wire
        self._connection, self._server = connection, server
        self._killing: asyncio.Task[None] | None = None
        try:
            modes = self._ask("SELECT @@sql_mode")[0] or b""
        except BaseException:
            wire.close()
            raise
        self._has_backslash = b"NO_BACKSLASH_ESCAPES" not in modes
        self.is_ordinary = self._has_backslash and b"ANSI_QUOTES" not in modes

    @property
    def is_broken(self) -> bool:
        return self.wire.is_broken

    def quote(self, part: str) -> str:
        # Escaped as text and encoded afterwards: in no character set can an octet of a letter swallow the backslash.
        return str(escape_string(part)) if self._has_backslash else part.replace("'", "''")

    async def run(self, query: str) -> list[str | None]:
        try:
            octets = _QUERY + query.encode(self._connection.encoding)
        except UnicodeEncodeError as error:
            raise QueryError(f"the key cannot be said in the character set {self._server.charset}") from error
        try:
            await self.wire.fetch(len(octets).to_bytes(4, "little") + octets, QUERY_TIMEOUT_S)
            values = self._ask(query)
        except pymysql.Error as error:
            is_lost = not self._connection.open or (error.args and error.args[0] in _LOST)
            raise (Lost if is_lost else QueryError)(_text_of(error)) from error
        except QueryError:
            if self.wire.why:
                self._killing = asyncio.get_running_loop().create_task(self._kill())
            raise
        except Lost:
            raise
        except Exception as error:
            # A server that talks nonsense makes the driver stumble in many ways.
            raise QueryError(_text_of(error), is_spent=True) from error
        return decoded_values(values, self._connection.encoding)

    def _ask(self, query: str) -> list[bytes | None]:
        """Blocks while the connection is made; later everything has come already."""
        values: list[bytes | None] | None = None
        is_one = True
        with self._connection.cursor() as cursor:
            cursor.execute(query)
            while True:
                if cursor.description is not None:
                    is_one = values is None
                    values = [value for row in cursor.fetchall() for value in row]
                if not cursor.nextset():
                    break
        if not is_one:
            raise QueryError("the query gives several result sets")
        if values is None and self._server.needs_result_set:
            raise QueryError("the query gives no result set (require_result_set)")
        return values or []

    async def _kill(self) -> None:
        """End what the server still works on, for nobody: each try would add another such query."""

        def kill() -> None:
            connection, wire = self._server.logged_in(self.host, KILL_TIMEOUT_S)
            with contextlib.closing(wire), connection:
                connection.kill(self._connection.thread_id())

        with contextlib.suppress(Exception):
            await _in_thread(kill, lambda _: None)

    def close(self) -> None:
        self.wire.close()


async def _in_thread(call: Callable[[], T], unwanted: Callable[[T], None]) -> T:
    """What a blocking call returns; in a thread of its own, so that a dead server holds up nobody's.

    Args:
        unwanted: takes what is returned after nobody waits for it any more.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="mysql")
    called = thread.submit(call)
    thread.shutdown(wait=False)
    try:
        return await asyncio.shield(asyncio.wrap_future(called))
    except asyncio.CancelledError:
        called.add_done_callback(lambda done: None if done.exception() else unwanted(done.result()))
        raise


def _text_of(error: Exception) -> str:
    if isinstance(error, pymysql.MySQLError) and len(error.args) == 2:
        return f"{error.args[1]} ({error.args[0]})"
    if isinstance(error, OSError):
        return error.strerror or f"{error}"
    return f"{type(error).__name__}: {error}"
