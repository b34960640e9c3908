"""What a database error means: who is told what, and what has to be done before the next transaction.

Source: https://www.sqlite.org/rescode.html
"""

from __future__ import annotations

import sqlite3
from enum import Enum

from gateway.model.errors import SpoolError, SpoolFull


class Fault(Enum):
    """What an error says about the database itself."""

    NONE = "none"  # nothing: the transaction failed, the next may succeed
    CONNECTION = "connection"  # an input/output error: what the kernel holds of our writes is unknown
    DAMAGE = "damage"  # the file is not a sound database


_FAULTS = {
    sqlite3.SQLITE_IOERR: Fault.CONNECTION,
    # A statement that finds the file gone, locked by strangers or read-only says nothing about its content.
    sqlite3.SQLITE_CANTOPEN: Fault.CONNECTION,
    sqlite3.SQLITE_READONLY: Fault.CONNECTION,
    sqlite3.SQLITE_PROTOCOL: Fault.CONNECTION,
    sqlite3.SQLITE_MISUSE: Fault.CONNECTION,
    sqlite3.SQLITE_CORRUPT: Fault.DAMAGE,
    sqlite3.SQLITE_NOTADB: Fault.DAMAGE,
    sqlite3.SQLITE_FORMAT: Fault.DAMAGE,
    # Our own statements are right: a table or index that is not there was lost. Opening again compares the schema.
    sqlite3.SQLITE_ERROR: Fault.CONNECTION,
}


def fault_of(exc: BaseException) -> Fault:
    """What to do about an error: repair, reopen, or nothing."""
    code = getattr(exc, "sqlite_errorcode", None)
    if code is None:
        # Python's own complaints (closed connection, text that is not UTF-8 in a text column) carry no code.
        if isinstance(exc, sqlite3.ProgrammingError):
            return Fault.CONNECTION
        return Fault.DAMAGE if isinstance(exc, sqlite3.DatabaseError) else Fault.NONE
    return _FAULTS.get(code & 0xFF, Fault.NONE)


def spool_error_of(exc: BaseException) -> SpoolError:
    """The error for those who wait."""
    if isinstance(exc, SpoolError):
        return exc
    code = getattr(exc, "sqlite_errorcode", 0) or 0
    name = getattr(exc, "sqlite_errorname", "")
    text = f"spool database: {exc}" + (f" ({name})" if name else "")
    return (SpoolFull if code & 0xFF == sqlite3.SQLITE_FULL else SpoolError)(text)
