"""The search for messages whose time has come.

The index ``due`` is in order of time, so the answer is at its start. But what the scheduler is delivering right now is
at its start too, due since its last attempt, and the scheduler may hold 20,000 of them: skipping those again on each
call would cost ten milliseconds. So the scan remembers a floor: everything below it was found skipped. A change that
makes a message due below the floor lowers it. Because a caller may stop excluding a message without changing it, a full
scan is made now and then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from gateway.spool import schema
from gateway.spool.records import Record

FULL_SCAN_S = 30.0


class DueScan:
    """A repeated scan of the due index, with memory."""

    def __init__(self) -> None:
        self._floor = 0.0
        self._full_scan_at = 0.0

    def lower(self, due: float) -> None:
        """A message became due at this time."""
        self._floor = min(self._floor, due)

    def find(
        self, connection: sqlite3.Connection, now: float, limit: int, is_skipped: Callable[[str], bool]
    ) -> list[Record]:
        """At most ``limit`` records that are due at ``now`` and not skipped, in order of time.

        Raises:
            sqlite3.Error: the database cannot be read.
        """
        if not 0 <= now - self._full_scan_at < FULL_SCAN_S:
            self._floor, self._full_scan_at = 0.0, now
        found: list[tuple[float, int]] = []
        floor = self._floor
        cursor = connection.execute(schema.SELECT_DUE, (floor, now))
        try:
            for queue_id, due, seq in cursor:
                if is_skipped(queue_id):
                    if not found:
                        floor = due
                    continue
                if len(found) >= limit:
                    break
                found.append((due, seq))
        finally:
            cursor.close()  # an open cursor would hold its snapshot, and the log could not start anew
        self._floor = found[0][0] if found else floor
        return _records(connection, [seq for _, seq in found])


def _records(connection: sqlite3.Connection, seqs: list[int]) -> list[Record]:
    """The rows behind index entries; one that went since is left out, for the next scan."""
    rows = (connection.execute(schema.SELECT_SEQ, (seq,)).fetchone() for seq in seqs)
    return [Record(*row) for row in rows if row is not None]
