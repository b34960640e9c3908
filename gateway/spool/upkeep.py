"""What has to be looked after now and then, in a thread of its own with its own reading connection.

- At the start: a large database's ``messages`` table and indexes are checked (a small one was checked when it was
  opened). An index that lost an entry would hide a message without any error.
- At the start and every hour: body files without a record, older than any submission can be under way, are removed.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable

from gateway.spool import schema
from gateway.spool.body import old_bodies, remove_body
from gateway.spool.faults import Fault, fault_of
from gateway.spool.interface import Log
from gateway.spool.recovery import CHECKED_BYTES, check

INTERVAL_S = 3600.0
SAFE_AGE_S = 6 * 3600.0
_SCAN_STEP = 10_000


class Upkeep:
    """The thread.

    Args:
        queue_directory: the spool directory.
        path: the database.
        log: told about what was found.
        report: called in this thread when the database turns out to be damaged.
    """

    def __init__(self, queue_directory: str, path: str, log: Log, report: Callable[[Fault], None]) -> None:
        self._directory, self._path, self._log, self._report = queue_directory, path, log, report
        self._stopped = threading.Event()
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="spool-upkeep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, also in the middle of a check."""
        self._stopped.set()
        with self._lock:
            if self._connection is not None:
                self._connection.interrupt()
        self._thread.join()

    def _run(self) -> None:
        self._guarded(self._check_messages)
        while not self._stopped.is_set():
            self._guarded(self._sweep)
            self._stopped.wait(INTERVAL_S)

    def _guarded(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do one piece of work with a fresh connection: the file may have been exchanged since the last."""
        try:
            connection = schema.connect_reader(self._path)
            with self._lock:
                self._connection = connection
            try:
                if not self._stopped.is_set():
                    work(connection)
            finally:
                with self._lock:
                    self._connection = None
                connection.close()
        except sqlite3.Error as exc:
            if not self._stopped.is_set() and fault_of(exc) is Fault.DAMAGE:
                self._log.error(f"spool: {self._path} is damaged: {exc}")
                self._report(Fault.DAMAGE)
        except OSError as exc:
            self._log.warning(f"spool: upkeep: {exc}")

    def _check_messages(self, connection: sqlite3.Connection) -> None:
        """One table only: the reading transaction keeps the log from starting anew, so it must not take minutes."""
        if os.path.getsize(self._path) > CHECKED_BYTES:
            check(connection, "PRAGMA integrity_check(messages)")

    def _sweep(self, connection: sqlite3.Connection) -> None:
        sweep_bodies(self._directory, connection, time.time() - SAFE_AGE_S, self._log, self._stopped.is_set)


def sweep_bodies(
    queue_directory: str,
    connection: sqlite3.Connection,
    older_than: float,
    log: Log,
    is_stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Remove body files that no record has and that were last written before ``older_than``.

    Returns:
        How many.

    Raises:
        sqlite3.Error: the database cannot be read; nothing was removed.
    """
    orphans = set()
    for queue_id in old_bodies(queue_directory, older_than):
        if is_stopped():
            return 0
        if connection.execute(schema.FIND_MESSAGE, (queue_id,)).fetchone() is None:
            orphans.add(queue_id)
    seq = -1
    # Mail is removed on better evidence than an index: the table itself must not have them either.
    while orphans:
        rows = connection.execute(
            "SELECT seq, queue_id, has_file FROM messages NOT INDEXED WHERE seq > ? ORDER BY seq LIMIT ?",
            (seq, _SCAN_STEP),
        ).fetchall()
        if not rows:
            break
        seq = rows[-1][0]
        orphans.difference_update(queue_id for _, queue_id, has_file in rows if has_file)
        if is_stopped():
            return 0
    for queue_id in sorted(orphans):
        remove_body(queue_directory, queue_id)
        log.info(f"{queue_id}: removed a body file that belongs to no message")
    return len(orphans)
