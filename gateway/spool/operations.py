"""What a group commit is made of: one object per change, which knows its statements and who waits for it."""

from __future__ import annotations

import asyncio
import functools
import sqlite3
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from typing import ClassVar

from gateway.model.errors import GatewayError, SpoolError
from gateway.spool import schema
from gateway.spool.body import remove_body
from gateway.spool.records import ContentRecord, Record


class DuplicateId(SpoolError):
    """There is a message with this queue ID already; it was not touched."""


class Operation(ABC):
    """One change.

    Attributes:
        future: resolved when the change is durable, or with the error.
        error: set when this change alone failed, while the rest of its group is committed.
        queue_id: the message it is about.
        pages: an estimate of the database pages it changes, to know when the log has to be checkpointed.
        size_bytes: an estimate of its size, to bound a group.
        is_kept: it is retried until it succeeds, because what it records has happened.
    """

    __slots__ = ("error", "future", "pages", "queue_id", "size_bytes")
    is_kept: ClassVar[bool] = True

    def __init__(self, future: asyncio.Future[None], queue_id: str, pages: int, size_bytes: int) -> None:
        self.future, self.queue_id, self.pages, self.size_bytes = future, queue_id, pages, size_bytes
        self.error: GatewayError | None = None

    @abstractmethod
    def apply(self, connection: sqlite3.Connection) -> None:
        """Execute the statements inside the transaction of the group."""

    def clean_up_committed(self, queue_directory: str) -> None:  # noqa: B027  # most have nothing to do
        """Commit thread: do what had to wait for the commit. May raise OSError."""

    def clean_up_refused(self, queue_directory: str) -> None:  # noqa: B027
        """Loop thread: give back what a refused change has taken."""

    def settle(self, error: GatewayError | None) -> None:
        """Tell who waits."""
        future = self.future
        if future.done():
            return  # the waiter gave up; the change stands
        try:
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
                future.exception()  # nobody has to wait for an update: the log has the error
        except RuntimeError:
            pass  # its event loop is closed, so nobody waits


class Put(Operation):
    """A new message."""

    __slots__ = ("content", "record", "seq")
    is_kept: ClassVar[bool] = False

    def __init__(self, future: asyncio.Future[None], seq: int, record: Record, content: ContentRecord) -> None:
        size = len(record.envelope) + len(content.head) + len(content.body or b"")
        super().__init__(future, record.queue_id, 4 + size // 4096, size)
        self.seq, self.record, self.content = seq, record, content

    @property
    def has_file(self) -> bool:
        """Its body is a file."""
        return self.content.body is None

    def apply(self, connection: sqlite3.Connection) -> None:
        """Insert both rows. A duplicate queue ID fails here alone, before anything is written."""
        record, content, execute = self.record, self.content, connection.execute
        row = (self.seq, record.queue_id, record.due, record.is_held, self.has_file, record.crc, record.envelope)
        try:
            execute(schema.INSERT_MESSAGE, row)
        except sqlite3.IntegrityError as exc:
            self.error = DuplicateId(f"{record.queue_id}: {exc}")
            return
        execute(
            schema.INSERT_CONTENT,
            (self.seq, content.is_headless, content.head, content.body, content.body_size, content.body_offset,
             content.crc),
        )  # fmt: skip

    def clean_up_refused(self, queue_directory: str) -> None:
        """Give the room of the body file back at once; a duplicate's name belongs to another message."""
        if self.has_file and not isinstance(self.error, DuplicateId):
            try:
                remove_body(queue_directory, self.queue_id)
            except OSError:
                pass  # the sweep will find it


class Update(Operation):
    """A message's new state after an attempt, or by the operator. ``is_found`` is set when there was such a message."""

    __slots__ = ("is_found", "record")

    def __init__(self, future: asyncio.Future[None], record: Record) -> None:
        super().__init__(future, record.queue_id, 3 + len(record.envelope) // 4096, len(record.envelope))
        self.record, self.is_found = record, False

    def apply(self, connection: sqlite3.Connection) -> None:
        """Rewrite the row of ``messages``."""
        r = self.record
        cursor = connection.execute(schema.UPDATE_MESSAGE, (r.due, r.is_held, r.crc, r.envelope, r.queue_id))
        self.is_found = cursor.rowcount > 0


class Remove(Operation):
    """The end of a message. ``is_found`` and ``has_file`` say what there was."""

    __slots__ = ("has_file", "is_found")

    def __init__(self, future: asyncio.Future[None], queue_id: str) -> None:
        super().__init__(future, queue_id, 4, 64)
        self.is_found = self.has_file = False

    def apply(self, connection: sqlite3.Connection) -> None:
        """Delete both rows; the body file goes once that is committed."""
        row = connection.execute(schema.FIND_MESSAGE, (self.queue_id,)).fetchone()
        if row is not None:
            seq, has_file = row
            connection.execute(schema.DELETE_MESSAGE, (seq,))
            connection.execute(schema.DELETE_CONTENT, (seq,))
            self.is_found, self.has_file = True, bool(has_file)

    def clean_up_committed(self, queue_directory: str) -> None:
        """The record is gone for good, so its file may go."""
        if self.has_file:
            remove_body(queue_directory, self.queue_id)


def latest_only(operations: Iterable[Operation]) -> deque[Operation]:
    """The operations without updates and removals that a later one of the same message makes void.

    While nothing can be written, every attempt adds a change; only the last of each message is worth its memory. Who
    waits for one that was left out hears what becomes of the one that stands for it.
    """
    latest: dict[str, Operation] = {}
    kept: deque[Operation] = deque()
    for operation in reversed(list(operations)):
        later = latest.setdefault(operation.queue_id, operation) if operation.is_kept else operation
        if later is operation:
            kept.appendleft(operation)
        else:
            later.future.add_done_callback(functools.partial(_settle_with, operation))
    return kept


def _settle_with(operation: Operation, future: asyncio.Future[None]) -> None:
    exc = None if future.cancelled() else future.exception()
    operation.settle(exc if isinstance(exc, GatewayError) else None)
