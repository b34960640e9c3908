"""``unix:passwd.byname`` and ``unix:group.byname`` — the accounts and groups of the system.

The C library is asked directly: Python's ``pwd`` says "not found" as well when a name service (LDAP, NIS, an
``/etc/passwd`` that a chroot lacks) could not answer, and mail for everybody would bounce while a server is down.
In threads, because a name service may be a server. Source: DATABASE_README; getpwnam_r(3), passwd(5), group(5).
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from typing import Any

from gateway.maps.folding import Folding
from gateway.maps.source import Surroundings
from gateway.maps.table import BlockingTable
from gateway.model.errors import ConfigError, TableError

_BUFFER_BYTES = 4096
_BUFFER_LIMIT_BYTES = 4 << 20
"""Room for the members of the largest group that is still believed."""


class _Account(ctypes.Structure):
    """``struct passwd`` of Linux."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("password", ctypes.c_char_p),
        ("uid", ctypes.c_uint),
        ("gid", ctypes.c_uint),
        ("gecos", ctypes.c_char_p),
        ("home", ctypes.c_char_p),
        ("shell", ctypes.c_char_p),
    )


class _Group(ctypes.Structure):
    """``struct group`` of Linux."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("password", ctypes.c_char_p),
        ("gid", ctypes.c_uint),
        ("members", ctypes.POINTER(ctypes.c_char_p)),
    )


def _text(raw: bytes | None) -> str:
    return os.fsdecode(raw or b"")


def _account_entry(found: Any) -> str:
    ids = f"{found.uid}:{found.gid}"
    return ":".join(
        [*map(_text, (found.name, found.password)), ids, *map(_text, (found.gecos, found.home, found.shell))]
    )


def _group_entry(found: Any) -> str:
    members: list[str] = []
    while found.members and found.members[len(members)] is not None:
        members.append(_text(found.members[len(members)]))
    return f"{_text(found.name)}:{_text(found.password)}:{found.gid}:{','.join(members)}"


_VIEWS: dict[str, tuple[str, type[ctypes.Structure], Callable[[Any], str]]] = {
    "passwd.byname": ("getpwnam_r", _Account, _account_entry),
    "group.byname": ("getgrnam_r", _Group, _group_entry),
}


class UnixTable(BlockingTable):
    """Keys fold to lower case; the value is the line as passwd(5) or group(5) has it.

    Attributes:
        folding: how keys are spelt.

    Raises:
        ConfigError: another name than those two.
    """

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        if name not in _VIEWS:
            raise ConfigError(f"table {spec}: expected {' or '.join('unix:' + view for view in _VIEWS)}")
        super().__init__(spec)
        self.folding = Folding(around.config)
        function, self._structure, self._entry = _VIEWS[name]
        self._call = getattr(ctypes.CDLL(None), function)
        self._call.argtypes = (
            ctypes.c_char_p,
            ctypes.POINTER(self._structure),
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.POINTER(ctypes.POINTER(self._structure)),
        )

    def ask(self, key: str) -> str | None:
        """The entry of the account or group ``key``.

        Raises:
            TableError: a name service did not answer.
        """
        name = self.folding.octets(key)
        # Nothing of these is ever a name; a NUL, behind which the C library would not look, is in no key already.
        if not name or b":" in name or b"\n" in name:
            return None
        size = _BUFFER_BYTES
        while size <= _BUFFER_LIMIT_BYTES:
            record, buffer = self._structure(), ctypes.create_string_buffer(size)
            found = ctypes.POINTER(self._structure)()
            status = self._call(name, ctypes.byref(record), buffer, size, ctypes.byref(found))
            if status == errno.ERANGE:
                size *= 4
            elif status in (0, errno.ESRCH):
                # Read while the buffer lives: the record points into it.
                return self._entry(found.contents) if found else None
            else:
                raise TableError(self.spec, f"name service: {os.strerror(status)}")
        raise TableError(self.spec, f"an entry is larger than {_BUFFER_LIMIT_BYTES} octets")
