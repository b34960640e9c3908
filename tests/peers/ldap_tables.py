"""``ldap:`` tables for tests against :class:`peers.slapd.Slapd`, and a server that talks nonsense in its place."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

import pytest
from peers.ports import LOOPBACK
from peers.slapd import SUFFIX
from peers.tables import surroundings

from gateway.maps.ldap.table import LdapTable
from gateway.maps.source import Surroundings
from gateway.model.errors import TableError

KEY, VALUE = "user0@example.test", "box0,copy0@archive.example"
"""A key of :func:`peers.slapd_tree.tree` and what is under it."""


def table(path: Path, server: str, around: Surroundings | None = None, **settings: str) -> LdapTable:
    told = {"server_host": server, "search_base": SUFFIX, "query_filter": "(mail=%s)", "timeout": "1"} | settings
    name = path / f"{len(list(path.iterdir()))}.cf"
    name.write_text("".join(f"{key} = {value}\n" for key, value in told.items()))
    return LdapTable(f"ldap:{name}", str(name), around or surroundings())


async def error_of(table: LdapTable, key: str = KEY) -> str:
    """The TableError of a lookup; it names the table."""
    with pytest.raises(TableError) as caught:
        await table.find(key)
    assert str(caught.value).startswith(f"table {table.spec}: ")
    return caught.value.message


class Nonsense:
    """A server that takes connections and answers each with the same octets, whatever it is told."""

    def __init__(self, octets: bytes, *, hangs_up: bool = False) -> None:
        self._octets, self._hangs_up = octets, hangs_up
        self._listener = socket.create_server((LOOPBACK, 0))
        self._open: list[socket.socket] = []
        self.heard = b""
        self._thread = threading.Thread(target=self._serve)

    @property
    def uri(self) -> str:
        return f"ldap://{LOOPBACK}:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                stream, _ = self._listener.accept()
                self._open.append(stream)
                self.heard += stream.recv(65536)
                stream.sendall(self._octets)
                if self._hangs_up:
                    stream.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Nonsense:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for stream in self._open:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        for stream in self._open:
            stream.close()
        assert not self._thread.is_alive()
