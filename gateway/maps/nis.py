"""``nis:map`` — a map of the NIS domain that this machine is in, through yp_match(3) of libnsl.

libnsl keeps the binding to a server, finds another one by ypbind, and blocks: it is asked in threads. A machine in no
NIS domain has an empty table, as in Postfix, whose default alias_maps names ``nis:mail.aliases`` on every machine.
Source: DATABASE_README.
"""

from __future__ import annotations

import ctypes

from gateway.maps.folding import Folding
from gateway.maps.source import Surroundings
from gateway.maps.table import BlockingTable, MemoryTable, Table
from gateway.model.errors import ConfigError, TableError

_LIBRARIES = ("libnsl.so.2", "libnsl.so.1")
_NOT_FOUND = 5  # YPERR_KEY of <rpcsvc/ypclnt.h>
_KEY_LIMIT = 1024  # YPMAXRECORD of <rpcsvc/yp_prot.h>
_DOMAIN_BYTES = 256
BIND_INTERVAL_S = 1.0
"""Between two searches for a server."""


def open_nis(spec: str, name: str, around: Surroundings) -> Table:
    """The table for ``spec``; an empty one when no NIS domain is set.

    Raises:
        ConfigError: there is a domain, and libnsl is not installed.
    """
    domain = nis_domain()
    if not domain:
        return NoDomain(spec, around)
    return NisTable(spec, name, domain, around)


def nis_domain() -> str:
    """The NIS domain of this machine as the kernel has it; empty for none. Source: getdomainname(2)."""
    buffer = ctypes.create_string_buffer(_DOMAIN_BYTES)
    if ctypes.CDLL(None).getdomainname(buffer, _DOMAIN_BYTES - 1):
        return ""
    domain = buffer.value.decode("utf-8", "surrogateescape")
    return "" if domain == "(none)" else domain


class NoDomain(MemoryTable):
    """Knows no key; says once why."""

    def __init__(self, spec: str, around: Surroundings) -> None:
        super().__init__(spec)
        self._around, self._was_asked = around, False

    def get(self, key: str) -> str | None:
        """Nothing."""
        if not self._was_asked:
            self._was_asked = True
            self._around.warn(f"table {self.spec}: NIS domain name not set - NIS lookups disabled")
        return None


class NisTable(BlockingTable):
    """Keys fold to lower case. Maps whose keys and values end in a NUL are recognised by their first find.

    Args:
        name: of the map.
        domain: NIS domain.

    Attributes:
        folding: how keys are spelt.

    Raises:
        ConfigError: libnsl is not installed.
    """

    def __init__(self, spec: str, name: str, domain: str, around: Surroundings) -> None:
        library = _library(spec)
        super().__init__(spec)
        self.folding = Folding(around.config)
        self._domain, self._map = (text.encode("utf-8", "surrogateescape") for text in (domain, name))
        self._bind, self._match, self._text = library.yp_bind, library.yp_match, library.yperr_string
        self._bind.argtypes = (ctypes.c_char_p,)
        self._match.argtypes = (
            ctypes.c_char_p,
            ctypes.c_char_p,
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.POINTER(ctypes.c_void_p),
            ctypes.POINTER(ctypes.c_int),
        )
        self._text.restype = ctypes.c_char_p
        self._free = ctypes.CDLL(None).free
        self._free.argtypes = (ctypes.c_void_p,)
        self._clock, self._next_bind = around.clock, 0.0
        self._is_bound, self._bind_status = False, 0
        self._endings: tuple[bytes, ...] = (b"", b"\0")

    def ask(self, key: str) -> str | None:
        """The value that the domain's map has for ``key``.

        Raises:
            TableError: no server, no such map, or the server has a problem.
        """
        octets = self.folding.octets(key)
        if not octets or len(octets) >= _KEY_LIMIT:
            return None
        for ending in self._endings:
            value = self._matched(octets + ending)
            if value is not None:
                self._endings = (ending,)
                return self.folding.value(self.spec, value.removesuffix(b"\0"))
        return None

    def _matched(self, key: bytes) -> bytes | None:
        if not self._is_bound:
            self._rebind()
        value, size = ctypes.c_void_p(), ctypes.c_int()
        status = self._match(self._domain, self._map, key, len(key), ctypes.byref(value), ctypes.byref(size))
        if status == _NOT_FOUND:
            return None
        self._check(status)
        try:
            return ctypes.string_at(value, size.value)
        finally:
            self._free(value)

    def _rebind(self) -> None:
        # Without, libnsl binds anew for each lookup: 30 times the time, and reserved ports that run out. So they would
        # where each lookup of a busy hour tries to bind to a server that is down.
        now = self._clock()
        if now >= self._next_bind:
            self._next_bind = now + BIND_INTERVAL_S
            self._bind_status = self._bind(self._domain)
        self._check(self._bind_status)
        self._is_bound = True

    def _check(self, status: int) -> None:
        if status:
            self._is_bound = False
            cause = self._text(status).decode("ascii", "replace")
            raise TableError(self.spec, f"NIS domain {self._domain.decode(errors='replace')}: {cause}")


def _library(spec: str) -> ctypes.CDLL:
    for name in _LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise ConfigError(f"table {spec}: needs {' or '.join(_LIBRARIES)}; install the package libnsl2 (Debian) or libnsl2")
