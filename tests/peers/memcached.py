"""A private memcached.

with Memcached() as server:
    memcache = inet:127.0.0.1:{server.port}
    server.store("key", "value")
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping

from peers.ports import LOOPBACK
from peers.private_server import PrivateServer


class Memcached(PrivateServer):
    """It forgets all when it stops.

    Args:
        is_unix: listen on the UNIX-domain socket ``path`` instead of the port.
        megabytes: what it keeps before it forgets the oldest.
    """

    label = "memcached"
    user = "memcache"

    def __init__(self, *, is_unix: bool = False, megabytes: int = 16) -> None:
        super().__init__()
        self._megabytes = megabytes
        self.path = str(self.directory / "socket") if is_unix else ""

    @property
    def where(self) -> str:
        """As memcache_table(5) names it."""
        return f"unix:{self.path}" if self.path else f"inet:{LOOPBACK}:{self.port}"

    def set_up(self) -> None:
        """Nothing: it has no files."""

    def command(self) -> list[str]:
        where = ["-s", self.path, "-a", "0777"] if self.path else ["-l", LOOPBACK, "-p", str(self.port)]
        return ["memcached", *where, "-U", "0", "-m", str(self._megabytes), "-t", "1"]

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self.told(b"version\r\n").startswith(b"VERSION ")
        return False

    def told(self, command: bytes) -> bytes:
        """The reply to a command, up to where it pauses after a line."""
        with socket.socket(socket.AF_UNIX if self.path else socket.AF_INET) as connection:
            connection.settimeout(5 + len(command) // 10**7)
            connection.connect(self.path or (LOOPBACK, self.port))
            connection.sendall(command)
            reply = b""
            while not reply.endswith(b"\r\n"):
                reply += connection.recv(65536)
        return reply

    def store(self, key: str, value: str) -> None:
        """Keep a value."""
        octets = value.encode()
        reply = self.told(b"set %s 0 0 %d\r\n%s\r\n" % (key.encode(), len(octets), octets))
        assert reply == b"STORED\r\n", reply

    def store_all(self, rows: Mapping[str, str]) -> None:
        """Keep many values, without waiting for a word about each."""
        commands = (
            b"set %s 0 0 %d noreply\r\n%s\r\n" % (key.encode(), len(octets), octets)
            for key, octets in ((key, value.encode()) for key, value in rows.items())
        )
        # The reply to the last command says that the others are done.
        reply = self.told(b"".join(commands) + b"version\r\n")
        assert reply.startswith(b"VERSION "), reply

    def stored(self, key: str) -> bytes:
        """The reply to ``get``: flags and value are in it."""
        return self.told(b"get %s\r\n" % key.encode())
