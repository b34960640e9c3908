"""``socketmap:inet:host:port:name``, ``socketmap:unix:path:name`` — a server that speaks in netstrings.

Source: socketmap_table(5).
"""

from __future__ import annotations

import os
import re

from gateway.maps.folding import encoded
from gateway.maps.source import Surroundings
from gateway.maps.stream import StreamTable
from gateway.model.errors import ConfigError, TableError
from gateway.net.endpoint import Endpoint
from gateway.net.stream import BadReply

REPLY_LIMIT = 100_000
"""Octets of a reply, without the netstring's own."""

_LENGTH = re.compile(rb"([0-9]{1,20}):")
_LENGTH_BEGUN = re.compile(rb"[0-9]{0,20}")


class SocketmapTable(StreamTable):
    """``OK`` is a value, ``NOTFOUND`` not found, all else a temporary error."""

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        server, _, map_name = name.rpartition(":")
        kind, _, where = server.partition(":")
        if not where or not map_name or kind not in ("inet", "unix"):
            raise ConfigError(f"table {spec}: expected socketmap:inet:host:port:name or socketmap:unix:path:name")
        if kind == "inet":
            endpoint = Endpoint.tcp(f"table {spec}", where)
        else:
            # Postfix's daemons work in the queue directory.
            endpoint = Endpoint(os.path.join(around.config.text("queue_directory"), where))
        super().__init__(spec, endpoint, around)
        self._name = encoded(map_name)

    async def find(self, key: str) -> str | None:
        """The value that the server has for ``key`` in the map of this name."""
        octets = self.octets(key)
        if octets is None:
            return None
        request = b"%s %s" % (self._name, octets)
        reply = await self.ask(b"%d:%s," % (len(request), request), _netstring_end)
        status, blank, text = reply[reply.index(b":") + 1 : -1].partition(b" ")
        if status == b"OK" and blank:
            return self.value(text)
        if status == b"NOTFOUND":
            return None
        raise TableError(self.spec, f"the server says: {(status + blank + text)[:200].decode('utf-8', 'replace')}")


def _netstring_end(buffer: bytearray) -> int:
    length = _LENGTH.match(buffer)
    if length is None:
        if _LENGTH_BEGUN.fullmatch(buffer) is None:
            raise BadReply("no netstring")
        return 0
    size = int(length[1])
    if size > REPLY_LIMIT:
        raise BadReply(f"longer than {REPLY_LIMIT} octets")
    end = length.end() + size + 1
    if len(buffer) < end:
        return 0
    if buffer[end - 1] != ord(","):
        raise BadReply("no netstring")
    return end
