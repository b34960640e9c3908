"""``memcache:/file`` — a memcached server, with a persistent table behind it if one is named.

Reads and, where there is a backup, writes what it said. Source: memcache_table(5); memcached's protocol.txt.
"""

from __future__ import annotations

import asyncio
import os
import re

from gateway.maps.client_file import ClientFile
from gateway.maps.folding import encoded
from gateway.maps.query_template import DomainFilter, QueryTemplate
from gateway.maps.source import Surroundings
from gateway.maps.stream import StreamTable
from gateway.maps.table import Table
from gateway.model.errors import ConfigError, TableError
from gateway.net.endpoint import Endpoint, Unreachable
from gateway.net.stream import BadReply, ReplyEnd

KEY_LIMIT = 250
"""Octets of a key in memcached."""

_UNFIT = re.compile(rb"[\x00-\x20\x7f]")
_VALUE = re.compile(rb"VALUE (\S+) [0-9]+ ([0-9]{1,10})(?: [0-9]+)?\s*")
_LAST = b"END\r\n"


class MemcacheTable(StreamTable):
    """Keys fold to lower case; those that ``key_format`` or ``domain`` leave out are found nowhere, not in the backup.

    Attributes:
        folding: how keys are spelt.

    Raises:
        ConfigError: the file is missing or wrong, or the backup cannot be opened.
    """

    is_pattern = False

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        file = ClientFile.open(spec, name, around)
        where = file.text("memcache", "inet:localhost:11211")
        endpoint = file.checked("memcache", lambda: _endpoint(spec, where, around))
        form = file.text("key_format", "%s")
        self._form = file.checked("key_format", lambda: QueryTemplate(form, "key_format"))
        self._domains = file.checked("domain", lambda: DomainFilter(file.words("domain"), around))
        self._stored_as = (file.integer("flags", 0), file.integer("ttl", 3600))
        self._limits = _Limits(file)
        self._tries, self._pause_s = file.integer("max_try", 2, low=1), file.seconds("retry_pause", 1, low=1)
        self._timeout_s = file.seconds("timeout", 2, low=1)
        backup = file.text("backup")
        self._backup: Table | None = file.checked("backup", lambda: around.open(backup)) if backup else None
        file.warn_unused()
        super().__init__(spec, endpoint, around, folds=True)
        self.folding = self._folding
        self._around, self._has_complained = around, False

    async def find(self, key: str) -> str | None:
        """The server's value; else the backup's, which the server is told.

        Raises:
            TableError: the backup has no answer now; without a backup, the server has none.
        """
        folded = self.folding.text(key)
        if not folded or not await self._domains.matches(folded):
            return None
        name = encoded(self._form.fill(folded, str) or "")
        if not name or _UNFIT.search(name) is not None:
            return None
        if self._backup is None:
            return await self._cached(name)
        return await self._found(name, folded, self._backup)

    async def _found(self, name: bytes, key: str, backup: Table) -> str | None:
        is_up = True
        try:
            value = await self._cached(name)
            self._has_complained = False
        except TableError as error:
            value, is_up = None, False
            self._complain(error)
        if value is None:
            value = await backup.find(key)
            if value is not None and is_up:
                await self._store(name, encoded(value))
        return value

    async def _cached(self, name: bytes) -> str | None:
        if len(name) > KEY_LIMIT:
            return None
        reply = await self._told(b"get %s\r\n" % name, self._limits.value_end)
        if reply == _LAST:
            return None
        line, _, rest = reply.partition(b"\r\n")
        found = _VALUE.fullmatch(line)
        if found is None or found[1] != name:
            raise TableError(self.spec, "the server answers about another key")
        return self.value(rest[: int(found[2])])

    async def _store(self, name: bytes, value: bytes) -> None:
        if len(name) > KEY_LIMIT or len(value) > self._limits.data:
            return
        flags, ttl = self._stored_as
        command = b"set %s %d %d %d\r\n%s\r\n" % (name, flags, ttl, len(value), value)
        try:
            await self._told(command, self._limits.stored_end)
        except TableError as error:
            self._complain(error)

    async def _told(self, command: bytes, end: ReplyEnd) -> bytes:
        left = self._tries
        while True:
            left -= 1
            try:
                return await self.ask(command, end, limit_s=self._timeout_s)
            except TableError as error:
                if not left or isinstance(error.__cause__, Unreachable):
                    raise
            await asyncio.sleep(self._pause_s)

    def _complain(self, error: TableError) -> None:
        # The lookup goes well, so nobody else says it; once until it works again.
        if not self._has_complained:
            self._has_complained = True
            self._around.warn(f"{error}; going on with the backup")


class _Limits:
    """``line_size_limit``, ``data_size_limit``: where a reply ends, and how long it may get."""

    def __init__(self, file: ClientFile) -> None:
        self.line = file.integer("line_size_limit", 1024, low=1)
        self.data = file.integer("data_size_limit", 10240, low=1)

    def value_end(self, buffer: bytearray) -> int:
        """The end of the reply to ``get``: nothing, or one value."""
        line, start = self._line(buffer)
        if line is None:
            return 0
        if line == b"END":
            return start
        found = _VALUE.fullmatch(line)
        if found is None:
            raise BadReply(line[:200].decode("ascii", "replace"))
        size = int(found[2])
        if size > self.data:
            raise BadReply(f"{size} octets of data (data_size_limit)")
        end = start + size + 2 + len(_LAST)
        rest = buffer[start + size : end]
        if not (b"\r\n" + _LAST).startswith(rest):
            raise BadReply("the value does not end where it should")
        return end if len(buffer) >= end else 0

    def stored_end(self, buffer: bytearray) -> int:
        """The end of the reply to ``set``."""
        line, end = self._line(buffer)
        if line is not None and line != b"STORED":
            raise BadReply(line[:200].decode("ascii", "replace"))
        return end

    def _line(self, buffer: bytearray) -> tuple[bytes | None, int]:
        end = buffer.find(b"\r\n", 0, self.line + 2)
        if end < 0:
            if len(buffer) > self.line + 1:
                raise BadReply(f"a line longer than {self.line} octets (line_size_limit)")
            return None, 0
        return bytes(buffer[:end]), end + 2


def _endpoint(spec: str, text: str, around: Surroundings) -> Endpoint:
    kind, _, where = text.partition(":")
    if kind == "inet":
        return Endpoint.tcp(f"table {spec}", where)
    if kind == "unix" and where:
        return Endpoint(os.path.join(around.config.text("queue_directory"), where))
    raise ConfigError(f'"{text}": expected inet:host:port or unix:path')
