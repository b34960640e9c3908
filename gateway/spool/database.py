"""The connections of the owner: one for changes, one for reads, and their replacement after a fault.

The reading connection sees the last committed state while the commit thread is busy with the other one.
"""

from __future__ import annotations

import os
import sqlite3

from gateway.model.errors import SpoolError
from gateway.spool import schema
from gateway.spool.body import make_directories, spool_error, sync_directory
from gateway.spool.faults import Fault
from gateway.spool.interface import Log
from gateway.spool.recovery import open_or_salvage, salvage

STORE = "store"
FILE = "queue.db"
SHRINK_PAGES = 256  # 2 MiB a step: some milliseconds


def database_path(queue_directory: str) -> str:
    """Where the database is."""
    return os.path.join(queue_directory, STORE, FILE)


def make_store_directory(queue_directory: str) -> None:
    """Create the directories of the spool, durably.

    Raises:
        SpoolError: it cannot be done.
    """
    try:
        os.makedirs(os.path.join(queue_directory, STORE), mode=0o700, exist_ok=True)
        make_directories(queue_directory)
    except OSError as exc:
        raise spool_error(f"create directories in {queue_directory}", exc) from exc


class Database:
    """Both connections.

    Args:
        queue_directory: the spool directory; its subdirectories exist.
        log: told about salvage.

    Raises:
        SpoolError: the database cannot be opened.
    """

    def __init__(self, queue_directory: str, log: Log) -> None:
        self.directory, self._log = queue_directory, log
        self.path = database_path(queue_directory)
        try:
            self.writer = open_or_salvage(queue_directory, self.path, log)
            sync_directory(os.path.dirname(self.path))
            self.reader = schema.connect_reader(self.path)
        except sqlite3.Error as exc:
            raise SpoolError(f"open {self.path}: {exc}") from exc
        except OSError as exc:
            raise spool_error(f"open {self.path}", exc) from exc
        self.is_open = True

    def suspend(self) -> None:
        """Loop thread: stop reading, because the connections are about to be replaced."""
        if self.is_open:
            self.is_open = False
            self.reader.close()

    def repair(self, fault: Fault) -> None:
        """Commit thread: replace the writing connection, over a salvaged file when the old one is damaged.

        Raises:
            sqlite3.Error, OSError, SpoolError: not now.
        """
        try:
            self.writer.close()
        except sqlite3.Error as exc:
            self._log.warning(f"spool: close: {exc}")
        if fault is Fault.DAMAGE:
            salvage(self.directory, self.path, self._log)
        self.writer = open_or_salvage(self.directory, self.path, self._log)
        # What the kernel still holds of the log goes to the database file and to the disk, or fails again here.
        self.checkpoint("TRUNCATE")

    def resume(self) -> None:
        """Loop thread: read again."""
        self.reader = schema.connect_reader(self.path)
        self.is_open = True

    def checkpoint(self, mode: str = "PASSIVE") -> None:
        """Copy the log into the database file, so that the next transaction starts the log anew."""
        self.writer.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()

    def shrink(self, kept_pages: int) -> bool:
        """Give up to 2 MiB of free pages back to the file system when more than a quarter of the file is free.

        Args:
            kept_pages: free pages to keep for the next wave of mail; 0: give everything back, the disk is full.

        Returns:
            True when there is more to give back.
        """
        free = int(self.writer.execute("PRAGMA freelist_count").fetchone()[0])
        pages = int(self.writer.execute("PRAGMA page_count").fetchone()[0])
        excess = free - max(kept_pages, pages // 4 if kept_pages else 0)
        if excess <= 0:
            return False
        # Every step of this statement frees one page and gives no row: execute() would leave it after the first.
        self.writer.executescript(f"PRAGMA incremental_vacuum({min(excess, SHRINK_PAGES)})")
        return excess > SHRINK_PAGES

    def close(self) -> None:
        """Close both; the last one to close checkpoints and removes the log."""
        self.suspend()
        try:
            self.writer.close()
        except sqlite3.Error as exc:
            self._log.warning(f"spool: close: {exc}")
