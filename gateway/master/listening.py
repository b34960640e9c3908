"""Listening sockets from master.cf's inet rows.

The master binds them, once for each worker (SO_REUSEPORT), and keeps them: connections that arrive while a crashed
worker is being replaced wait in its socket. Source: master(5) service name; postconf(5) inet_interfaces,
inet_protocols; socket(7) SO_REUSEPORT.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Sequence

import msgspec

from gateway.config import Config, Service
from gateway.master.roles import LISTENING_COMMANDS
from gateway.model.errors import ConfigError

BACKLOG = 1024
_FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_NAME = re.compile(r"(?:(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^:\[\]]*)):)?(?P<port>[^:\[\]]+)")
# Kernels without IPv6: what the administrator did not ask for by name is left out.
_NO_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class Endpoint(msgspec.Struct, frozen=True):
    """One address to listen on.

    Args:
        family: ``socket.AF_INET`` or ``AF_INET6``.
        address: numeric. port: number; 0 takes a free one.
        service: the master.cf row. file: the master.cf it is in.
        is_optional: came from inet_interfaces, so an address family that the host lacks is no error.
    """

    family: int
    address: str
    port: int
    service: Service
    file: str
    is_optional: bool = False

    def wrong(self, message: str) -> ConfigError:
        """An error that points to the row."""
        return ConfigError(message, file=self.file, line=self.service.line)

    @property
    def label(self) -> str:
        """``address:port`` with brackets around IPv6."""
        return f"[{self.address}]:{self.port}" if self.family == socket.AF_INET6 else f"{self.address}:{self.port}"


def endpoints(config: Config) -> list[Endpoint]:
    """Addresses of every inet row whose command listens here, in master.cf order.

    Raises:
        ConfigError: a host or port name is unknown, or two rows want the same address.
    """
    found: list[Endpoint] = []
    taken: dict[tuple[str, int], Service] = {}
    for service in config.services:
        if service.type != "inet" or service.command not in LISTENING_COMMANDS:
            continue
        for endpoint in _row(service, config):
            key = (endpoint.address, endpoint.port)
            if endpoint.port and taken.setdefault(key, service) is not service:
                raise endpoint.wrong(f"{endpoint.label} is taken by line {taken[key].line}")
            found.append(endpoint)
    return found


class Listening:
    """The sockets of one configuration.

    Args:
        wanted: from :func:`endpoints`.
        workers: sockets per endpoint.
        before: the set in use, whose sockets are shared where endpoint and number agree.

    Raises:
        ConfigError: an address cannot be bound; nothing new stays open.
    """

    def __init__(self, wanted: Sequence[Endpoint], workers: int, before: Listening | None = None) -> None:
        self.workers = workers
        self._sockets: dict[tuple[int, str, int], list[socket.socket]] = {}
        self._rows: list[tuple[Endpoint, list[socket.socket]]] = []
        self.warnings: list[str] = []
        try:
            for endpoint in wanted:
                self._add(endpoint, workers, before)
        except ConfigError:
            self.close_except(before)
            raise

        if not self._rows:
            self.workers = 0

    @classmethod
    def nothing(cls) -> Listening:
        """No socket at all."""
        return cls((), 0)

    def for_worker(self, index: int) -> list[tuple[socket.socket, Service]]:
        """Sockets of the worker with this index, 0-based, with their rows."""
        return [(sockets[index], endpoint.service) for endpoint, sockets in self._rows]

    @property
    def addresses(self) -> list[tuple[str, str]]:
        """Row name and bound ``address:port`` of each endpoint."""
        return [(endpoint.service.name, _bound(endpoint, sockets[0])) for endpoint, sockets in self._rows]

    def close_except(self, kept: Listening | None) -> None:
        """Close the sockets that ``kept`` does not share."""
        shared = {id(s) for sockets in kept._sockets.values() for s in sockets} if kept else set()
        for sockets in self._sockets.values():
            for sock in sockets:
                if id(sock) not in shared:
                    sock.close()

    def _add(self, endpoint: Endpoint, workers: int, before: Listening | None) -> None:
        key = (endpoint.family, endpoint.address, endpoint.port)
        sockets = list(before._sockets.get(key, ()))[:workers] if before else []
        port = sockets[0].getsockname()[1] if sockets else endpoint.port
        self._sockets.setdefault(key, []).extend(sockets)
        try:
            if not sockets:
                _probe(endpoint)
            while len(sockets) < workers:
                sock = _listen(endpoint, port)
                sockets.append(sock)
                self._sockets[key].append(sock)
                port = sock.getsockname()[1]
        except OSError as exc:
            if endpoint.is_optional and exc.errno in _NO_FAMILY and not sockets:
                self.warnings.append(f"not listening on {endpoint.label}: {exc.strerror}")
                return
            raise endpoint.wrong(f"cannot listen on {endpoint.label}: {_why(exc)}") from exc
        self._rows.append((endpoint, sockets))


def _row(service: Service, config: Config) -> list[Endpoint]:
    file = master_cf(config)
    match = _NAME.fullmatch(service.name)
    if match is None:
        raise ConfigError(
            f"bad service name {service.name!r}: expected port, host:port or [address]:port",
            file=file,
            line=service.line,
        )
    port = _port(match["port"], file, service)
    wanted = [_FAMILIES[word] for word in protocols(config)]
    if host := match["v6"] or match["host"]:
        return _addresses(host, port, wanted, file, service)
    interfaces = config.words("inet_interfaces")
    if interfaces in (("all",), ("loopback-only",)):
        both = ("0.0.0.0", "::") if interfaces == ("all",) else ("127.0.0.1", "::1")  # noqa: S104 - what "all" means
        pairs = zip((socket.AF_INET, socket.AF_INET6), both, strict=True)
        return [
            Endpoint(family, address, port, service, file, is_optional=family is socket.AF_INET6)
            for family, address in pairs
            if family in wanted
        ]
    return [found for name in interfaces for found in _addresses(name, port, wanted, file, service)]


def master_cf(config: Config) -> str:
    """Path of the configuration's master.cf."""
    return f"{config.directory}/master.cf"


def protocols(config: Config) -> tuple[str, ...]:
    """Values of inet_protocols: ``ipv4``, ``ipv6``, or both for ``all``."""
    words = config.words("inet_protocols")
    return ("ipv4", "ipv6") if "all" in words else tuple(word for word in words if word in _FAMILIES)


def _addresses(host: str, port: int, wanted: list[socket.AddressFamily], file: str, service: Service) -> list[Endpoint]:
    try:
        answers = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as exc:
        raise ConfigError(f"host {host!r}: {exc.strerror}", file=file, line=service.line) from exc
    # getaddrinfo may name an address twice, for instance where /etc/hosts has two lines for localhost.
    found = {(family, str(at[0])): family for family, *_, at in answers if family in wanted}
    if not found:
        raise ConfigError(f"host {host!r} has no address that inet_protocols allows", file=file, line=service.line)
    return [Endpoint(family, address, port, service, file) for family, address in found]


def _port(text: str, file: str, service: Service) -> int:
    if text.isascii() and text.isdigit():
        if (number := int(text)) <= 0xFFFF:
            return number
    else:
        try:
            return socket.getservbyname(text, "tcp")
        except OSError:
            pass
    raise ConfigError(
        f"unknown port {text!r}: neither a number up to 65535 nor in /etc/services", file=file, line=service.line
    )


def _probe(endpoint: Endpoint) -> None:
    """Fail when somebody else listens there: SO_REUSEPORT would let two gateways share a port without a word."""
    with _socket(endpoint) as sock:
        sock.bind((endpoint.address, endpoint.port))


def _listen(endpoint: Endpoint, port: int) -> socket.socket:
    sock = _socket(endpoint)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((endpoint.address, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _socket(endpoint: Endpoint) -> socket.socket:
    sock = socket.socket(endpoint.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if endpoint.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return sock


def _bound(endpoint: Endpoint, sock: socket.socket) -> str:
    return msgspec.structs.replace(endpoint, port=sock.getsockname()[1]).label


def _why(exc: OSError) -> str:
    if exc.errno in (errno.EACCES, errno.EPERM):
        return f"{exc.strerror} (ports below 1024 need root, or the capability CAP_NET_BIND_SERVICE)"
    return exc.strerror or str(exc)
