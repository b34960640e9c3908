"""Opening a database that may be damaged."""

from __future__ import annotations

import sqlite3

from gateway.spool import schema
from gateway.spool.interface import Log


def open_or_salvage(queue_directory: str, path: str, log: Log) -> sqlite3.Connection:
    """Open."""
    return schema.connect_writer(path)


def salvage(queue_directory: str, path: str, log: Log) -> None:
    """Salvage."""
    raise sqlite3.DatabaseError("damaged")
