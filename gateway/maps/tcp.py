"""``tcp:host:port`` — a server that answers ``get key`` with a line. Source: tcp_table(5)."""

from __future__ import annotations

import re

from gateway.maps.source import Surroundings
from gateway.maps.stream import StreamTable
from gateway.model.errors import TableError
from gateway.net.endpoint import Endpoint
from gateway.net.stream import BadReply

REPLY_LIMIT = 4096
"""Octets of a reply, with its newline."""

_REPLY = re.compile(rb"([245])[0-9][0-9][ \t\v\f\r](.*)\n", re.DOTALL)
_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})?")
_PLAIN = frozenset(range(0x21, 0x7F)) - {ord("%")}
_ENCODE = [chr(octet) if octet in _PLAIN else f"%{octet:02X}" for octet in range(256)]


class TcpTable(StreamTable):
    """2xx is a value, 5xx not found, all else a temporary error."""

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        super().__init__(spec, Endpoint.tcp(f"table {spec}", name), around)

    async def find(self, key: str) -> str | None:
        """The value that the server has for ``key``."""
        octets = self.octets(key)
        if octets is None:
            return None
        encoded = "".join([_ENCODE[octet] for octet in octets])
        reply = await self.ask(f"get {encoded}\n".encode(), _line_end)
        match = _REPLY.fullmatch(reply)
        if match is None:
            raise TableError(self.spec, f"malformed reply: {_shown(reply)}")
        match match[1]:
            case b"2":
                return self.value(self._decoded(match[2]))
            case b"5":
                return None
            case _:
                raise TableError(self.spec, f"the server says: {_shown(reply)}")

    def _decoded(self, text: bytes) -> bytes:
        def octet(code: re.Match[bytes]) -> bytes:
            if code[1] is None:
                raise TableError(self.spec, f"malformed reply: {_shown(text)}")
            return bytes([int(code[1], 16)])

        return _ENCODED.sub(octet, text) if b"%" in text else text


def _line_end(buffer: bytearray) -> int:
    end = buffer.find(b"\n", 0, REPLY_LIMIT) + 1
    if not end and len(buffer) >= REPLY_LIMIT:
        raise BadReply(f"longer than {REPLY_LIMIT} octets")
    return end


def _shown(reply: bytes) -> str:
    return reply[:200].decode("ascii", "replace").strip()
