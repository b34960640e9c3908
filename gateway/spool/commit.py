"""Group commit: all changes that came while the disk was busy become one transaction and share one fsync.

Two threads take turns with the writing connection. The loop thread collects changes in a list, and when the connection
is free and enough have come (``gathering.py``) executes their statements: ten microseconds each, no waiting for the
disk. Then the commit thread executes COMMIT, which waits for the disk with the interpreter lock released, and hands the
connection back. The statements do not run in the commit thread, because each one releases and takes the interpreter
lock: beside a busy loop every one of them would wait its turn.

The commit thread also does what must not delay the loop: checkpoints, removal of body files, giving pages back to the
file system, and repair.

Failure: a transaction that fails is rolled back whole. New messages in it get the error; updates and removals are kept
and tried again, for they record deliveries that happened. After an input/output error the connections are closed and
opened again, since a kernel that failed to write may afterwards call the lost pages clean (fsync errors are reported
once). After damage the database is salvaged. Meanwhile changes wait.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from gateway.model.errors import SpoolError, SpoolFull
from gateway.spool.appointment import Appointment
from gateway.spool.database import Database
from gateway.spool.faults import Fault, fault_of, spool_error_of
from gateway.spool.gathering import Gathering
from gateway.spool.interface import Log
from gateway.spool.operations import Operation, latest_only
from gateway.spool.room import Room

IDLE_CHECKPOINT_PAGES = 512
IDLE_S = 0.5
SHRINK_S = 0.05
LAZY_S = 0.005  # an update or removal waits this long for a put to share its fsync with
RETRY_S = 1.0
ERROR_LOG_S = 10.0  # the same error is logged so often


class _Outcome(NamedTuple):
    """What the commit thread reports: a settled group, and whether it gave the connection back."""

    batch: list[Operation] | None
    error: Exception | None
    is_ready: bool
    fault: Fault = Fault.NONE


class GroupCommit:
    """Commits operations in groups. All methods run on the loop's thread.

    Args:
        database: the connections.
        limit: most operations in one transaction.
        room: the free space of the file system.
        log: for errors that nobody waits for.
        settled: called with each group that is committed or failed, before its futures are resolved.
    """

    def __init__(
        self,
        database: Database,
        *,
        limit: int,
        room: Room,
        log: Log,
        settled: Callable[[list[Operation]], None],
    ) -> None:
        self._database, self._limit, self._room, self._log = database, max(1, limit), room, log
        self._on_settled = settled
        self._waiting: deque[Operation] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._start: Appointment | None = None  # of the next group; there is one as soon as there is a loop
        self._gathering = Gathering()
        self._is_busy = self._is_closed = False
        self._pages = 0
        self._last_error = ("", 0.0)
        self._maintained_at = 0.0
        self._may_shrink = True
        self._reported = Fault.NONE
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[_Outcome] = queue.SimpleQueue()
        self._committer = threading.Thread(target=self._run, name="spool-commit", daemon=True)
        self._committer.start()

    # -- loop thread: collecting ------------------------------------------------------------------------------------

    def add(self, operation: Operation, *, is_urgent: bool) -> None:
        """Take an operation into the next group.

        Args:
            is_urgent: somebody waits for the fsync; else it may wait for the fsync of another.
        """
        if self._is_closed:
            raise SpoolError("the spool is closed")
        loop = asyncio.get_running_loop()
        start = self._start if loop is self._loop and self._start is not None else self._bind(loop)
        self._waiting.append(operation)
        if is_urgent:
            self._gathering.came()
        if not self._is_busy:
            now = loop.time()
            start.at(self._gathering.due(now) if is_urgent else now + LAZY_S)

    def _bind(self, loop: asyncio.AbstractEventLoop) -> Appointment:
        """Work on another loop than before. What the old loop did not hear of is collected now."""
        self._disarm()
        self._loop = loop
        start = self._start = Appointment(loop, self._begin)
        while self._is_busy:
            self._take_outcome(self._outcomes.get(timeout=600))
        return start

    def _disarm(self) -> None:
        if self._start is not None:
            self._start.cancel()

    def _begin(self) -> None:
        """Execute the statements of the next group and hand its COMMIT to the thread."""
        if self._is_busy or self._is_closed:
            return
        if self._reported is not Fault.NONE:
            self._repair(self._reported)
            return
        batch = self._take()
        if not batch:
            self._maintain_idle()
            return
        self._refuse_without_room(batch)
        error = self._apply(batch)
        if error is not None:
            self._fail(batch, error)
            return
        self._is_busy = True
        self._jobs.put(lambda: self._commit(batch))

    def _take(self) -> list[Operation]:
        """The next group: bounded in number and octets, without new messages whose sender has given up."""
        self._gathering.begun()
        batch: list[Operation] = []
        size = 0
        waiting = self._waiting
        while waiting and len(batch) < self._limit and size < self._room.group_bytes:
            operation = waiting.popleft()
            if operation.is_kept or not operation.future.cancelled():
                size += operation.size_bytes
                batch.append(operation)
        return batch

    def _apply(self, batch: list[Operation]) -> Exception | None:
        """Execute a group inside a new transaction; after an error nothing of it remains."""
        connection = self._database.writer
        try:
            connection.execute("BEGIN IMMEDIATE")
            for operation in batch:
                if operation.error is None:
                    operation.apply(connection)
                    self._pages += operation.pages
        except (sqlite3.Error, SpoolError, sqlite3.Warning) as exc:
            self._roll_back()
            return exc
        return None

    def _refuse_without_room(self, batch: list[Operation]) -> None:
        if not all(operation.is_kept for operation in batch) and not self._room.has_room():
            for operation in batch:
                if not operation.is_kept:
                    operation.error = SpoolFull("not enough room in the queue file system")

    def _roll_back(self) -> None:
        try:
            if self._database.writer.in_transaction:  # SQLite may have rolled back by itself
                self._database.writer.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # the cause is on its way to the log; a connection that cannot roll back is replaced

    # -- loop thread: results ---------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Take what the thread reported."""
        while True:
            try:
                outcome = self._outcomes.get_nowait()
            except queue.Empty:
                return
            self._take_outcome(outcome)

    def _take_outcome(self, outcome: _Outcome) -> None:
        if outcome.is_ready:
            self._is_busy = False
        if outcome.batch is not None:
            if outcome.error is None:
                self._settle(outcome.batch)
            else:
                self._fail(outcome.batch, outcome.error)
        elif outcome.fault is not Fault.NONE:
            self._repair(outcome.fault)
        if outcome.is_ready and not self._is_busy and not self._is_closed:
            if self._reported is Fault.NONE:
                self._go_on()
            else:
                self._repair(self._reported)

    def _go_on(self) -> None:
        """The connection is free: begin the next group, or rest."""
        if not self._database.is_open:
            self._database.resume()
        assert self._loop is not None and self._start is not None
        now = self._loop.time()
        self._gathering.ended(now)
        if self._waiting:
            self._start.at(self._gathering.due(now))
        elif self._may_shrink:
            self._start.within(SHRINK_S)
        elif self._pages >= IDLE_CHECKPOINT_PAGES:
            self._start.within(IDLE_S)

    def _settle(self, batch: list[Operation]) -> None:
        self._on_settled(batch)
        for operation in batch:
            operation.settle(operation.error)
            if operation.error is not None:
                operation.clean_up_refused(self._database.directory)

    def _fail(self, batch: list[Operation], exc: Exception) -> None:
        """A group failed: tell new messages, keep the rest, repair what has to be."""
        error, fault = spool_error_of(exc), fault_of(exc)
        self._log_error(f"spool: {error}")
        refused = [operation for operation in batch if not operation.is_kept]
        for operation in refused:
            operation.error = operation.error or error
        self._waiting = latest_only([*(operation for operation in batch if operation.is_kept), *self._waiting])
        self._settle(refused)
        if self._is_closed:
            return
        if fault is not Fault.NONE:
            self._repair(fault)
        elif isinstance(error, SpoolFull) and self._room.give_up_reserve():
            self._is_busy = True
            self._jobs.put(self._make_room)
        elif self._waiting and self._start is not None:
            self._start.within(RETRY_S)

    def _log_error(self, text: str) -> None:
        """Log an error that may come with every group: a full disk must not fill the log too."""
        now = time.monotonic()
        if self._last_error[0] != text or now - self._last_error[1] >= ERROR_LOG_S:
            self._last_error = (text, now)
            self._log.error(text)

    def _repair(self, fault: Fault) -> None:
        """Replace the connections, in the thread; changes wait."""
        self._disarm()
        self._reported = Fault.NONE
        self._is_busy = True
        self._database.suspend()
        if not self._is_closed:
            self._jobs.put(lambda: self._reopen(fault))

    def report(self, fault: Fault) -> None:
        """Somebody found a fault while reading: repair as soon as the connection is free."""
        if fault is Fault.NONE or self._is_closed or not self._database.is_open:
            return
        self._reported = fault
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # read without a loop: the first change repairs
        start = self._start if loop is self._loop and self._start is not None else self._bind(loop)
        if not self._is_busy:
            start.at(0.0)

    def report_from_thread(self, fault: Fault) -> None:
        """The same from another thread; before the first change it waits for the first change."""
        self._reported = fault
        loop = self._loop
        try:
            if loop is not None:
                loop.call_soon_threadsafe(self._begin)
        except RuntimeError:
            pass  # that loop is closed; the next one will repair

    def _maintain_idle(self) -> None:
        if self._pages >= IDLE_CHECKPOINT_PAGES or self._may_shrink:
            self._is_busy = True
            self._jobs.put(self._maintain)

    # -- commit thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _send(self, outcome: _Outcome) -> None:
        self._outcomes.put(outcome)
        loop = self._loop
        try:
            if loop is not None:
                loop.call_soon_threadsafe(self._collect)
        except RuntimeError:
            pass  # that loop is closed: close() or the next loop collects

    def _commit(self, batch: list[Operation]) -> None:
        try:
            self._database.writer.execute("COMMIT")
        except sqlite3.Error as exc:
            self._roll_back()
            self._send(_Outcome(batch, exc, is_ready=True))
            return
        may_shrink = self._may_shrink and time.monotonic() - self._maintained_at >= SHRINK_S
        needs_maintenance = may_shrink or self._pages >= self._room.checkpoint_pages
        self._send(_Outcome(batch, None, is_ready=not needs_maintenance))
        for operation in batch:
            try:
                operation.clean_up_committed(self._database.directory)
            except OSError as exc:
                self._log.warning(f"{operation.queue_id}: cannot remove the body file: {exc.strerror}")
        if needs_maintenance:
            self._maintain()

    def _maintain(self) -> None:
        """Checkpoint the log; give a bounded number of free pages back."""
        fault = Fault.NONE
        self._maintained_at = time.monotonic()
        try:
            self._database.checkpoint()
            self._pages = 0
            self._may_shrink = self._database.shrink(self._room.kept_free_pages if self._room.has_room() else 0)
        except sqlite3.Error as exc:
            fault = fault_of(exc)
            self._pages = self._room.checkpoint_pages // 2  # no room for it: the log keeps everything, try again soon
            self._may_shrink = False
            self._log_error(f"spool: checkpoint failed: {spool_error_of(exc)}")
        self._send(_Outcome(None, None, is_ready=fault is Fault.NONE, fault=fault))

    def _make_room(self) -> None:
        """The disk is full: shorten the log with the room that the reserve gave, then give back what is free."""
        try:
            self._database.checkpoint("TRUNCATE")
            self._pages = 0
        except sqlite3.Error as exc:
            self._log.error(f"spool: checkpoint failed: {spool_error_of(exc)}")
        self._may_shrink = True
        self._send(_Outcome(None, None, is_ready=True))

    def _reopen(self, fault: Fault) -> None:
        """Open the database again, salvaging it when it is damaged; keep trying, for there is nothing else to do."""
        failures = 0
        while not self._is_closed:
            try:
                self._database.repair(fault)
            except (sqlite3.Error, SpoolError, OSError) as exc:
                failures += 1
                if failures == 1 or not failures % 60:
                    self._log.error(f"spool: cannot open the database again: {exc}")
                if fault_of(exc) is Fault.DAMAGE:
                    fault = Fault.DAMAGE
                time.sleep(RETRY_S)
            else:
                self._log.info("spool: database opened again")
                self._send(_Outcome(None, None, is_ready=True))
                return

    # -- end --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Commit what waits, then stop the thread. Blocks for about one fsync."""
        if self._is_closed:
            return
        self._is_closed = True
        self._disarm()
        self._jobs.put(None)
        self._committer.join()
        self._collect()
        while self._waiting and self._database.is_open:
            batch = self._take()
            left_before = len(self._waiting)
            error = self._apply(batch)
            if error is None:
                self._commit(batch)
                self._collect()
            else:
                self._fail(batch, error)
            # What came back failed. It may fail for want of room, once; a disk that is broken is left alone.
            if len(self._waiting) > left_before and not self._room.give_up_reserve():
                break
        left = list(self._waiting)
        self._waiting.clear()
        for operation in left:
            operation.error = SpoolError("the spool is closed")
        self._settle(left)
