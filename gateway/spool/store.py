"""The store: the spool's public face in the process that owns it.

Owns the view of the queue: what is committed, overlaid with what is changed but not committed yet. Changes go through
:class:`gateway.spool.commit.GroupCommit`; reads use their own connection on the loop thread, a bounded number of rows
at a time, so nothing of the queue is held in memory and a million deferred messages cost nothing until they are due.

Not thread-safe: everything is called on the thread of one event loop.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Container, Iterable
from typing import Any

from gateway.model.content import BodyFile, Content
from gateway.model.envelope import Envelope
from gateway.model.errors import SpoolError
from gateway.spool import schema
from gateway.spool.commit import GroupCommit
from gateway.spool.database import STORE, Database, make_store_directory
from gateway.spool.due import DueScan
from gateway.spool.faults import Fault, fault_of, spool_error_of
from gateway.spool.interface import Log, QueueState
from gateway.spool.lock import OwnerLock
from gateway.spool.operations import Operation, Put, Remove, Update
from gateway.spool.operator_changes import OperatorChanges
from gateway.spool.quarantine import keep_message
from gateway.spool.records import (
    ContentRecord,
    DamagedRecord,
    Record,
    content_of,
    content_record_of,
    envelope_of,
    record_of,
)
from gateway.spool.room import Room
from gateway.spool.upkeep import Upkeep


class _Silent:
    """A log that nobody reads."""

    def info(self, text: str, /) -> None:
        """Drop it."""

    warning = error = info


class Store(OperatorChanges):
    """The durable queue of one queue directory.

    Use :meth:`open`. Implements :class:`gateway.spool.interface.Spool`, where each method's promise is.
    """

    def __init__(self, database: Database, lock: OwnerLock, commit_limit: int, room: Room, log: Log) -> None:
        self.directory = database.directory
        self._database, self._lock, self._log = database, lock, log
        self._clock: Callable[[], float] = time.time
        self._commit = GroupCommit(database, limit=commit_limit, room=room, log=log, settled=self._settled)
        # What the database will say once the operations under way are committed: the new record, None for removed.
        # The number tells an entry of a later operation from that of an earlier one.
        self._overlay: dict[str, tuple[Operation, Record | None]] = {}
        self._quarantined: set[str] = set()
        self._moving: set[asyncio.Future[None]] = set()
        self._scan = DueScan()
        self._is_closed = False
        self._next_seq = database.reader.execute(schema.LAST_SEQ).fetchone()[0] + 1
        self._upkeep = Upkeep(database.directory, database.path, log, self._commit.report_from_thread)

    @classmethod
    def open(
        cls,
        queue_directory: str,
        *,
        commit_limit: int = 512,
        log: Log | None = None,
        minimum_free_bytes: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> Store:
        """Become the owner of a queue directory.

        Takes no time that grows with the queue. A damaged database is salvaged first, which does.

        Args:
            queue_directory: made when missing, with mode 0700 subdirectories ``store``, ``bodies`` and ``corrupt``.
            commit_limit: most changes in one transaction (``spool_commit_limit``).
            log: told about damage, faults and their repair; lines name the queue ID.
            minimum_free_bytes: refuse new messages below it (``queue_minfree``).
            clock: seconds since the epoch; tests replace it.

        Raises:
            SpoolError: another process owns it, or it cannot be opened.
        """
        make_store_directory(queue_directory)
        lock = OwnerLock(os.path.join(queue_directory, STORE, "owner.pid"))
        try:
            database = Database(queue_directory, log or _Silent())
            room = Room(queue_directory, os.path.join(queue_directory, STORE, "reserve"), minimum_free_bytes)
            store = cls(database, lock, commit_limit, room, log or _Silent())
        except sqlite3.Error as exc:
            lock.release()
            raise spool_error_of(exc) from exc
        except BaseException:
            lock.release()
            raise
        store._clock = clock
        return store

    # -- changes ------------------------------------------------------------------------------------------------------

    def put(self, envelope: Envelope, content: Content, *, encoded: bytes | None = None) -> asyncio.Future[None]:
        """Store a message; the future resolves once it is on disk.

        Args:
            envelope: as it is now; later changes of the object are not seen.
            content: a body file must be this message's own, finished by its :class:`BodyWriter`.
            encoded: the envelope's stored form, when the caller has it.

        Raises:
            SpoolFull, SpoolError: in the future; nothing is stored, and the body file is removed, unless the error is
                a duplicate queue ID.
        """
        future = asyncio.get_running_loop().create_future()
        try:
            record = record_of(envelope, self._clock(), encoded)
            content_record = content_record_of(envelope.queue_id, content)
            if isinstance(content.body, BodyFile):
                self._check_body_file(envelope.queue_id, content.body)
            self._commit.add(Put(future, self._next_seq, record, content_record), is_urgent=True)
            self._next_seq += 1
        except SpoolError as exc:
            future.set_exception(exc)
        return future

    submit = put

    def update(self, envelope: Envelope) -> asyncio.Future[None]:
        """Store what changed in an attempt. An unknown queue ID is no error: the message may just have been deleted."""
        return self._change(record_of(envelope, self._clock()))

    def _change(self, record: Record) -> asyncio.Future[None]:
        operation = Update(asyncio.get_running_loop().create_future(), record)
        self._commit.add(operation, is_urgent=False)
        self._overlay[record.queue_id] = (operation, record)
        return operation.future

    def remove(self, queue_id: str) -> asyncio.Future[None]:
        """Forget a message and its body file. An unknown queue ID is no error."""
        operation = Remove(asyncio.get_running_loop().create_future(), queue_id)
        self._commit.add(operation, is_urgent=False)
        self._overlay[queue_id] = (operation, None)
        return operation.future

    def _settled(self, batch: list[Operation]) -> None:
        """A group ended: the database says now what the overlay said, and the scan has to see what became due."""
        overlay = self._overlay
        for operation in batch:
            if isinstance(operation, Put):
                if operation.error is None and not operation.record.is_held:
                    self._scan.lower(operation.record.due)
                continue
            entry = overlay.get(operation.queue_id)
            if entry is not None and entry[0] is operation:
                del overlay[operation.queue_id]
            if isinstance(operation, Update) and not operation.record.is_held:
                self._scan.lower(operation.record.due)

    # -- reads --------------------------------------------------------------------------------------------------------

    def due(self, now: float, limit: int, exclude: Container[str] = ()) -> list[Envelope]:
        """Messages to deliver now: not held, due, not in ``exclude``, in order of time.

        Cost: O(log n + limit), plus what has to be skipped over. What was found excluded is not looked at again before
        the next full scan (30 s), unless it was changed: see :class:`gateway.spool.due.DueScan`.
        """
        overlay, quarantined = self._overlay, self._quarantined
        changed = [
            record
            for _, record in overlay.values()
            if record is not None and not record.is_held and record.due <= now and record.queue_id not in exclude
        ]

        def is_skipped(queue_id: str) -> bool:
            return queue_id in overlay or queue_id in exclude or queue_id in quarantined

        try:
            found = self._scan.find(self._reader(), now, limit, is_skipped)
        except sqlite3.Error as exc:
            self._report(exc)
            found = []
        if changed:
            found = sorted(changed + found, key=lambda record: record.due)
        return self._envelopes(found[:limit])

    def next_due(self, now: float) -> float | None:
        """The earliest time after ``now`` at which a message becomes due; None when there is none.

        What is due already is not counted: :meth:`due` has it.
        """
        overlay = self._overlay
        times = [r.due for _, r in overlay.values() if r is not None and not r.is_held and r.due > now]
        try:
            cursor = self._reader().execute(schema.SELECT_NEXT_DUE, (now,))
            for queue_id, due in cursor:
                if queue_id not in overlay and queue_id not in self._quarantined:
                    times.append(due)
                    break
            cursor.close()
        except sqlite3.Error as exc:
            self._report(exc)
            times.append(now + 1.0)  # under repair: ask again
        return min(times, default=None)

    def envelope(self, queue_id: str) -> Envelope | None:
        """One message's envelope; None when there is none, or none that can be read."""
        record = self._record(queue_id)
        found = self._envelopes([record] if record is not None else [])
        return found[0] if found else None

    def _record(self, queue_id: str) -> Record | None:
        entry = self._overlay.get(queue_id)
        if entry is not None:
            return entry[1]
        rows = self._rows(schema.SELECT_ONE, (queue_id,))
        return Record(*rows[0]) if rows and queue_id not in self._quarantined else None

    def content(self, queue_id: str) -> Content:
        """One message's content; a large body as its file.

        Raises:
            SpoolError: there is no such message; or it is damaged (:class:`DamagedRecord`), which removes it from the
                queue and keeps what is left of it under ``corrupt``.
        """
        rows = self._rows(schema.SELECT_CONTENT, (queue_id,))
        if not rows or queue_id in self._quarantined:
            raise SpoolError(f"{queue_id}: no such message")
        try:
            if rows[0][0] is None:
                # The envelope is there and the content is not: the tree is broken, not the record.
                self._commit.report(Fault.DAMAGE)
                raise SpoolError(f"{queue_id}: content not found; the database is being salvaged")
            content = content_of(queue_id, ContentRecord(*rows[0]))
            if isinstance(content.body, BodyFile):
                self._check_body_file(queue_id, content.body)
        except DamagedRecord as exc:
            self._move_aside(exc)
            raise
        return content

    def _check_body_file(self, queue_id: str, body: BodyFile) -> None:
        """The file must be there, regular, and of the recorded size."""
        try:
            size = os.lstat(os.path.join(self.directory, body.path)).st_size
        except OSError as exc:
            raise DamagedRecord(queue_id, f"body file {body.path}: {exc.strerror}") from exc
        if size != body.offset + body.size_bytes:
            raise DamagedRecord(
                queue_id, f"body file {body.path} has {size} octets instead of {body.offset + body.size_bytes}"
            )

    def entries(self, after: str = "", limit: int = 100, state: QueueState | None = None) -> list[Envelope]:
        """One page of a listing, in order of queue ID, which is order of arrival.

        Args:
            after: the last queue ID of the page before; empty for the first.
            limit: most entries; 1,000 take about ten milliseconds.
            state: only that queue.
        """
        return self._envelopes(self._page(after, limit, state))

    def _page(self, after: str, limit: int, state: QueueState | None = None) -> list[Record]:
        statement = {
            None: schema.SELECT_PAGE,
            QueueState.HOLD: schema.SELECT_PAGE_HELD,
            QueueState.DEFERRED: schema.SELECT_PAGE_DEFERRED,
        }[state]
        while True:
            rows = [Record(*row) for row in self._rows(statement, (after, limit))]
            page = [self._overlaid(record) for record in rows if record.queue_id not in self._quarantined]
            wanted = [r for r in page if r is not None and (state is None or r.is_held == (state is QueueState.HOLD))]
            # A page whose records all changed their state a moment ago is not the end of the listing.
            if wanted or len(rows) < limit:
                return wanted
            after = rows[-1].queue_id

    def _overlaid(self, record: Record) -> Record | None:
        entry = self._overlay.get(record.queue_id)
        return record if entry is None else entry[1]

    def counts(self) -> dict[str, int]:
        """``deferred`` (the scheduler's active ones included) and ``hold``. Cost: some milliseconds per million."""
        held = self._rows(schema.COUNT_HELD)[0][0]
        return {"deferred": self._rows(schema.COUNT_ALL)[0][0] - held, "hold": held}

    def _reader(self) -> sqlite3.Connection:
        if not self._database.is_open:
            raise sqlite3.OperationalError("the spool is under repair")
        return self._database.reader

    def _rows(self, statement: str, arguments: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return self._reader().execute(statement, arguments).fetchall()
        except sqlite3.Error as exc:
            self._report(exc)
            raise spool_error_of(exc) from exc

    def _report(self, exc: sqlite3.Error) -> None:
        if self._database.is_open:
            self._log.error(f"spool: read failed: {spool_error_of(exc)}")
            self._commit.report(fault_of(exc))

    def _envelopes(self, records: Iterable[Record]) -> list[Envelope]:
        """Decode; what is damaged is moved aside and left out."""
        envelopes = []
        for record in records:
            try:
                envelopes.append(envelope_of(record))
            except DamagedRecord as exc:
                self._move_aside(exc)
        return envelopes

    # -- damage -------------------------------------------------------------------------------------------------------

    def _move_aside(self, damage: DamagedRecord) -> None:
        """Take a damaged message out of the queue; keep its octets in ``corrupt``."""
        queue_id = damage.queue_id
        if queue_id in self._quarantined:
            return
        self._quarantined.add(queue_id)
        try:
            rows = self._reader().execute(schema.SELECT_RAW, (queue_id,)).fetchall()
            if not rows:
                # It was found, and cannot be found by its name: either of them is wrong.
                self._commit.report(Fault.DAMAGE)
                return
            kept = keep_message(self.directory, queue_id, rows[0])
            self._log.error(f"{queue_id}: damaged: {damage.reason}; moved to {kept}")
            future = self.remove(queue_id)
        except (sqlite3.Error, OSError, SpoolError, RuntimeError) as exc:
            # It stays in the database and out of the queue; the next start tries again.
            self._log.error(f"{queue_id}: damaged: {damage.reason}; cannot move to corrupt: {exc}")
            return
        future.add_done_callback(lambda _: self._quarantined.discard(queue_id))

    # -- end ----------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Commit what was accepted, close the database, let go of the lock. Blocks for about one fsync."""
        if self._is_closed:
            return
        self._is_closed = True
        self._upkeep.stop()
        self._commit.close()
        self._database.close()
        self._lock.release()
