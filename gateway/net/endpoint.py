"""Where a server listens, and how to get a connection to it: names looked up, addresses tried in turn."""

from __future__ import annotations

import asyncio
import os
import socket
from concurrent.futures import ThreadPoolExecutor

import msgspec

from gateway.model.errors import ConfigError

CONNECT_S = 30.0
"""For each address of a server: one that swallows packets must not use up the time of the next."""

_Address = tuple[socket.AddressFamily, str | tuple[object, ...]]


class Unreachable(OSError):
    """There is no connection to the server; the error says what the system says."""


class Endpoint(msgspec.Struct, frozen=True):
    """Where a server listens.

    Args:
        host: name or IP address; for a UNIX-domain socket its path.
        port: 0 for a UNIX-domain socket.
    """

    host: str
    port: int = 0

    @classmethod
    def tcp(cls, whose: str, text: str) -> Endpoint:
        """``host:port`` with a number or a service name, ``[address]:port``; no host is this one.

        Args:
            whose: where it is configured, as an error begins: ``table tcp:mx:25``.
            text: what is configured.

        Raises:
            ConfigError: there is no port, or none of that name.
        """
        host, colon, service = text.rpartition(":")
        if service.isascii() and service.isdigit():
            port = int(service) if len(service) <= 5 else 0
        else:
            try:
                port = socket.getservbyname(service, "tcp")
            except (OSError, UnicodeError, ValueError):
                port = 0
        if not colon or not 0 < port < 1 << 16:
            raise ConfigError(f'{whose}: "{text}": expected host:port')
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        return cls(host or "localhost", port)

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def system_text(error: OSError) -> str:
    """What the system says, without what asyncio adds: ``Connection refused``."""
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


class Dialer:
    """Connects to one endpoint; a name is looked up for each connection, in a thread that nothing else waits for."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._names: ThreadPoolExecutor | None = None

    async def connect(self) -> socket.socket:
        """A connected socket that does not block.

        Raises:
            Unreachable: no address of the host takes the connection, or it has none.
        """
        error = OSError("the name has no address")
        try:
            for family, address in await self._addresses():
                try:
                    return await _connect(family, address)
                except OSError as refused:
                    error = refused
        except OSError as unknown:
            error = unknown
        raise Unreachable(error.errno or 0, system_text(error)) from error

    async def _addresses(self) -> list[_Address]:
        host, port = self._endpoint.host, self._endpoint.port
        if not port:
            return [(socket.AF_UNIX, host)]
        try:
            return _looked_up(host, port, socket.AI_NUMERICHOST)
        except OSError:
            # A name. In a thread of its own: the resolver may hang, and nothing else is to wait for it.
            if self._names is None:
                self._names = ThreadPoolExecutor(1, thread_name_prefix=f"resolve {host}")
            return await asyncio.get_running_loop().run_in_executor(self._names, _looked_up, host, port)

    def close(self) -> None:
        """Wait for no name any more."""
        if self._names is not None:
            self._names.shutdown(wait=False, cancel_futures=True)
            self._names = None


async def _connect(family: socket.AddressFamily, address: str | tuple[object, ...]) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(CONNECT_S):
            await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException as error:
        connection.close()
        if isinstance(error, TimeoutError):
            raise OSError("Connection timed out") from error
        raise
    return connection


def _looked_up(host: str, port: int, flags: int = 0) -> list[_Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError as error:
        raise OSError(f'"{host}" is no host name') from error
    return [(family, address) for family, _, _, _, address in found]
