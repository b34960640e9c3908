from __future__ import annotations

import sqlite3

import pytest

from gateway.model.errors import SpoolError, SpoolFull
from gateway.spool.faults import Fault, fault_of, spool_error_of


def _error(code: int) -> sqlite3.OperationalError:
    exc = sqlite3.OperationalError("text")
    exc.sqlite_errorcode, exc.sqlite_errorname = code, "SQLITE_NAME"
    return exc


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        (sqlite3.SQLITE_FULL, Fault.NONE),
        (sqlite3.SQLITE_BUSY, Fault.NONE),
        (1034, Fault.CONNECTION),  # SQLITE_IOERR_FSYNC
        (sqlite3.SQLITE_CORRUPT, Fault.DAMAGE),
        (779, Fault.DAMAGE),  # SQLITE_CORRUPT_INDEX
        (sqlite3.SQLITE_NOTADB, Fault.DAMAGE),
    ],
)
def test_what_an_error_says_about_the_database(code: int, fault: Fault) -> None:
    assert fault_of(_error(code)) is fault


def test_errors_without_a_code() -> None:
    assert fault_of(sqlite3.DatabaseError("the schema is damaged")) is Fault.DAMAGE
    assert fault_of(sqlite3.ProgrammingError("closed")) is Fault.CONNECTION
    assert fault_of(ValueError()) is Fault.NONE


def test_what_the_waiters_are_told() -> None:
    assert type(spool_error_of(_error(sqlite3.SQLITE_FULL))) is SpoolFull
    assert type(spool_error_of(_error(1034))) is SpoolError
    assert "SQLITE_NAME" in str(spool_error_of(_error(1034)))
    own = SpoolFull("own")
    assert spool_error_of(own) is own
