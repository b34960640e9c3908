"""Opening a database that may be damaged, and building a sound one from a damaged one.

Never starts empty in silence, never throws evidence away: what SQLite refuses is read page by page, every record whose
checksum is right goes into a new database, every other one is named in the log, and the old files move to ``corrupt``.

The exchange of the files survives a crash at any point: the finished new database first gets the name
``queue.db.salvaged``; while that name exists, the next start moves what is left of the old files aside and gives the
new one its place.
"""

from __future__ import annotations

import os
import sqlite3

from gateway.model.errors import SpoolError
from gateway.spool import schema
from gateway.spool.body import sync_directory
from gateway.spool.faults import Fault, fault_of
from gateway.spool.interface import Log
from gateway.spool.pages import MAGIC, LogFile
from gateway.spool.quarantine import keep_file
from gateway.spool.salvage import rebuild

CHECKED_BYTES = 32 * 1024 * 1024  # a file up to this size is checked whole when it is opened: 0.2 s
_REBUILD, _SALVAGED, _CREATED, _KEPT_LOG = ".rebuild", ".salvaged", ".created", ".log"


class DamagedDatabase(sqlite3.DatabaseError):
    """The file is not a sound database; carries no SQLite code, which :mod:`faults` reads as damage."""


def open_or_salvage(queue_directory: str, path: str, log: Log) -> sqlite3.Connection:
    """Open the database for changes; salvage it first when it is damaged.

    Raises:
        sqlite3.Error, OSError, SpoolError: it cannot be opened now; nothing is lost.
    """
    _finish_exchange(queue_directory, path, log)
    try:
        connection = _open_checked(path, log)
    except sqlite3.Error as exc:
        if fault_of(exc) is not Fault.DAMAGE:
            raise
        log.error(f"spool: {path} is damaged: {exc}")
        salvage(queue_directory, path, log)
        connection = _open_checked(path, log)
    _mark_created(path)
    return connection


def _open_checked(path: str, log: Log) -> sqlite3.Connection:
    """Open and check. Until all is found well, the log has a second name: closing would remove it, valid or not."""
    _check_files(path, log)
    _keep_log(path)
    try:
        connection = _connect_checked(path)
    except BaseException:
        _restore_log(path)
        raise
    if os.path.exists(path + _KEPT_LOG):
        os.unlink(path + _KEPT_LOG)
    return connection


def _keep_log(path: str) -> None:
    _restore_log(path)  # of a start that was cut short
    if os.path.exists(path + "-wal"):
        try:
            os.link(path + "-wal", path + _KEPT_LOG)
        except OSError:
            pass  # a file system without links: only the salvage of a damaged log would need it


def _restore_log(path: str) -> None:
    if os.path.exists(path + _KEPT_LOG):
        if os.path.exists(path + "-wal"):
            os.unlink(path + _KEPT_LOG)
        else:
            os.rename(path + _KEPT_LOG, path + "-wal")


def _connect_checked(path: str) -> sqlite3.Connection:
    connection = schema.connect_writer(path)
    try:
        valid_frames = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        _check_log(path, max(valid_frames, 0))
        if os.path.getsize(path) <= CHECKED_BYTES:
            check(connection, "PRAGMA integrity_check(1)")
    except BaseException:
        connection.close()
        raise
    return connection


def check(connection: sqlite3.Connection, statement: str) -> None:
    """Run one of SQLite's check pragmas.

    Raises:
        DamagedDatabase: it found something. sqlite3.Error: it failed.
    """
    result = connection.execute(statement).fetchone()[0]
    if result != "ok":
        raise DamagedDatabase(str(result).replace("\n", " "))


def _check_files(path: str, log: Log) -> None:
    """Look at the header before SQLite does: it takes an empty file for a new database and drops the log beside it."""
    size = os.path.getsize(path) if os.path.exists(path) else 0
    log_size = os.path.getsize(path + "-wal") if os.path.exists(path + "-wal") else 0
    if size == 0 and log_size == 0:
        if os.path.exists(path + _CREATED):
            log.error(f"spool: {path} is missing or empty; starting with an empty queue")
        return
    header = b""
    if size:
        with open(path, "rb") as file:
            header = file.read(100)
    page_bytes = int.from_bytes(header[16:18], "big")
    if len(header) < 100 or not header.startswith(MAGIC) or page_bytes != schema.PAGE_BYTES or header[20] != 0:
        raise DamagedDatabase("the header is damaged")
    # Both format versions are 2 for a database with a log; 1 only before the very first transaction.
    if header[18:20] != b"\2\2" and log_size:
        raise DamagedDatabase("the header does not know of the log")


def _check_log(path: str, valid_frames: int) -> None:
    """SQLite reads a log up to the first frame whose checksum is wrong, and silently drops the rest.

    After a crash one transaction may be there in part: the one that was being written, and nobody was told of it. Two
    committed transactions after the valid part mean damage in the middle, since one is only begun when the one before
    is on disk.
    """
    try:
        file = LogFile(path + "-wal", schema.PAGE_BYTES)
    except FileNotFoundError:
        return
    try:
        if file.frame_count and not file.is_header_sound:
            raise DamagedDatabase("the header of the write-ahead log is damaged")
        lost = file.commits_after(valid_frames)
    finally:
        file.close()
    if lost >= 2:
        raise DamagedDatabase(f"the write-ahead log is damaged: {lost} transactions after frame {valid_frames}")


def _mark_created(path: str) -> None:
    """From now on a missing database is an event."""
    if not os.path.exists(path + _CREATED):
        os.close(os.open(path + _CREATED, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        sync_directory(os.path.dirname(path))


def salvage(queue_directory: str, path: str, log: Log) -> None:
    """Replace a damaged database by one with everything that could be read.

    Raises:
        sqlite3.Error, OSError, SpoolError: no room or no access; the damaged files are untouched.
    """
    remove_database(path + _REBUILD)
    try:
        connection = schema.connect_writer(path + _REBUILD)
        try:
            report = rebuild(queue_directory, path, connection, log)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        finally:
            connection.close()
    except BaseException:
        remove_database(path + _REBUILD)
        raise
    if os.path.exists(path + _REBUILD + "-wal"):
        raise SpoolError(f"{path}{_REBUILD}: the log could not be written back")
    os.rename(path + _REBUILD, path + _SALVAGED)
    sync_directory(os.path.dirname(path))
    _finish_exchange(queue_directory, path, log)
    log.error(f"spool: {report}")


def remove_database(path: str) -> None:
    """Remove a database file with its log, if there."""
    for name in (path, path + "-wal", path + "-shm"):
        if os.path.exists(name):
            os.unlink(name)


def _finish_exchange(queue_directory: str, path: str, log: Log) -> None:
    if not os.path.exists(path + _SALVAGED):
        return
    # The log first: beside another database file it would be taken for that one's.
    for name in (path + "-wal", path):
        kept = keep_file(queue_directory, name)
        if kept is not None:
            log.error(f"spool: the damaged {os.path.basename(name)} is kept as {kept}")
    if os.path.exists(path + "-shm"):
        os.unlink(path + "-shm")
    os.rename(path + _SALVAGED, path)
    sync_directory(os.path.dirname(path))
