"""Reading the spool from another process: ``postcat``, and ``postqueue`` when the daemon is stopped."""

from __future__ import annotations

import os
import sqlite3
from types import TracebackType
from typing import Any

from gateway.model.content import Content
from gateway.model.envelope import Envelope
from gateway.model.errors import SpoolError
from gateway.spool import schema
from gateway.spool.database import STORE, database_path
from gateway.spool.faults import spool_error_of
from gateway.spool.interface import QueueState
from gateway.spool.lock import owner_of
from gateway.spool.records import ContentRecord, DamagedRecord, Record, content_of, envelope_of


class StoreReader:
    """A read-only view of a queue directory, beside its owner or without one.

    Each call sees what is committed at that moment. A damaged message raises or is left out; nothing is moved: that is
    the owner's work. Use :meth:`open`, as a context manager or with :meth:`close`.
    """

    def __init__(self, directory: str, connection: sqlite3.Connection) -> None:
        self.directory, self._connection = directory, connection

    @classmethod
    def open(cls, queue_directory: str) -> StoreReader:
        """Open for reading.

        Raises:
            SpoolError: there is no spool here, or it cannot be read.
        """
        path = database_path(queue_directory)
        if not os.path.exists(path):
            raise SpoolError(f"no spool in {queue_directory}")
        try:
            return cls(queue_directory, cls._connect(queue_directory, path))
        except sqlite3.Error as exc:
            raise spool_error_of(exc) from exc

    @staticmethod
    def _connect(queue_directory: str, path: str) -> sqlite3.Connection:
        # A reader of a write-ahead log makes log and index files when they are missing, in its own name: after a look
        # by root the owner could not open them. Without owner and without log the file alone is the whole database.
        is_owned = owner_of(os.path.join(queue_directory, STORE, "owner.pid")) is not None
        has_log = os.path.exists(path + "-wal") and os.path.getsize(path + "-wal") > 0
        connection = schema.connect_reader(path, is_immutable=not is_owned and not has_log)
        try:
            connection.execute(schema.LAST_SEQ).fetchone()
        except BaseException:
            connection.close()
            raise
        return connection

    def _rows(self, statement: str, arguments: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return self._connection.execute(statement, arguments).fetchall()
        except sqlite3.Error as exc:
            raise spool_error_of(exc) from exc

    def envelope(self, queue_id: str) -> Envelope | None:
        """One message's envelope, None when there is none.

        Raises:
            SpoolError: it is damaged.
        """
        rows = self._rows(schema.SELECT_ONE, (queue_id,))
        return envelope_of(Record(*rows[0])) if rows else None

    def content(self, queue_id: str) -> Content:
        """One message's content; a large body as its file.

        Raises:
            SpoolError: there is none, or it is damaged.
        """
        rows = self._rows(schema.SELECT_CONTENT, (queue_id,))
        if not rows or rows[0][0] is None:
            raise SpoolError(f"{queue_id}: no such message")
        return content_of(queue_id, ContentRecord(*rows[0]))

    def entries(self, after: str = "", limit: int = 1000, state: QueueState | None = None) -> list[Envelope]:
        """One page of a listing in order of queue ID; see :meth:`gateway.spool.store.Store.entries`."""
        statement = {
            None: schema.SELECT_PAGE,
            QueueState.HOLD: schema.SELECT_PAGE_HELD,
            QueueState.DEFERRED: schema.SELECT_PAGE_DEFERRED,
        }[state]
        while True:
            rows = self._rows(statement, (after, limit))
            envelopes = []
            for row in rows:
                try:
                    envelopes.append(envelope_of(Record(*row)))
                except DamagedRecord:
                    continue
            if envelopes or len(rows) < limit:
                return envelopes
            after = rows[-1][0]

    def counts(self) -> dict[str, int]:
        """Messages by :class:`QueueState` value."""
        held = self._rows(schema.COUNT_HELD)[0][0]
        return {"deferred": self._rows(schema.COUNT_ALL)[0][0] - held, "hold": held}

    def close(self) -> None:
        """Let go."""
        self._connection.close()

    def __enter__(self) -> StoreReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
