"""From the pages of a damaged database to the rows of a sound one.

Works in bounded memory whatever the size of the queue: found rows go straight into the new database and are checked
against each other there.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from gateway.spool import schema
from gateway.spool.body import body_path
from gateway.spool.carve import ContentRow, IndexRow, MessageRow, carve
from gateway.spool.interface import Log
from gateway.spool.pages import PageFile
from gateway.spool.quarantine import keep_message
from gateway.spool.queue_id import is_queue_id
from gateway.spool.records import ContentRecord, DamagedRecord, Record, content_of, envelope_of

_STEP = 1000


class SalvageReport(NamedTuple):
    """How a salvage ended."""

    served: int
    damaged: int
    lost: int

    def __str__(self) -> str:
        return f"salvaged {self.served} messages, {self.damaged} moved to corrupt, {self.lost} lost"


def rebuild(queue_directory: str, path: str, new: sqlite3.Connection, log: Log) -> SalvageReport:
    """Fill an empty database with what is left of a damaged one.

    Every message that is not whole is named in the log; what is left of it is in ``corrupt``.

    Raises:
        sqlite3.Error: the new database cannot be written. OSError: ``corrupt`` cannot.
    """
    new.execute("CREATE TEMP TABLE known(queue_id TEXT PRIMARY KEY, seq INTEGER)")
    new.execute(
        "CREATE TEMP TABLE broken(seq INTEGER, queue_id TEXT, due REAL, held INTEGER, crc INTEGER, envelope BLOB)"
    )
    pages = PageFile(path, schema.PAGE_BYTES)
    try:
        _in_groups(new, _insert(pages))
    finally:
        pages.close()
    damaged = _take_damaged(queue_directory, new, log)
    damaged += _take_incomplete(queue_directory, new, log)
    lost = _name_lost(queue_directory, new, log)
    served = new.execute(schema.COUNT_ALL).fetchone()[0]
    return SalvageReport(served, damaged, lost)


def _in_groups(new: sqlite3.Connection, statements: Iterator[tuple[str, tuple[object, ...]]]) -> None:
    new.execute("BEGIN")
    for number, (statement, arguments) in enumerate(statements, 1):
        new.execute(statement, arguments)
        if not number % _STEP:
            new.execute("COMMIT")
            new.execute("BEGIN")
    new.execute("COMMIT")


def _insert(pages: PageFile) -> Iterator[tuple[str, tuple[object, ...]]]:
    """One statement per found row. The first of two rows with one key stays: newer pages are read first."""
    for row in carve(pages):
        if isinstance(row, MessageRow):
            if not is_queue_id(row.queue_id):
                continue  # garbage; if it was a message, the index over queue IDs names it
            if _damage(row) is None:
                yield _insert_message(row)
            else:
                yield "INSERT INTO temp.broken VALUES(?, ?, ?, ?, ?, ?)", tuple(row)
        elif isinstance(row, ContentRow):
            yield schema.INSERT_CONTENT.replace("INSERT", "INSERT OR IGNORE"), tuple(row)
        elif isinstance(row, IndexRow) and is_queue_id(row.queue_id):
            yield "INSERT OR IGNORE INTO temp.known VALUES(?, ?)", tuple(row)


def _insert_message(row: MessageRow) -> tuple[str, tuple[object, ...]]:
    return (
        schema.INSERT_MESSAGE.replace("INSERT", "INSERT OR IGNORE"),
        (row.seq, row.queue_id, row.due, row.is_held, False, row.crc, row.envelope),
    )


def _damage(row: MessageRow) -> DamagedRecord | None:
    """What is wrong with a found row."""
    try:
        envelope_of(Record(row.queue_id, row.due, row.is_held, row.envelope, row.crc))
    except DamagedRecord as exc:
        return exc
    return None


def _take_damaged(queue_directory: str, new: sqlite3.Connection, log: Log) -> int:
    """Messages whose envelope is damaged, and of which no whole copy was found."""
    rows = new.execute(
        "SELECT b.seq, b.queue_id, b.due, b.held, b.crc, b.envelope FROM temp.broken AS b WHERE NOT EXISTS"
        " (SELECT 1 FROM messages AS m WHERE m.queue_id = b.queue_id OR m.seq = b.seq) GROUP BY b.seq"
    ).fetchall()
    count = 0
    for row in map(MessageRow._make, rows):
        known = new.execute("SELECT queue_id FROM temp.known WHERE seq = ?", (row.seq,)).fetchall()
        # The queue ID itself may be what was hit: the index has it too.
        whole = [renamed for (name,) in known if _damage(renamed := row._replace(queue_id=name)) is None]
        if whole:
            new.execute(*_insert_message(whole[0]))
            continue
        queue_id = known[0][0] if known else row.queue_id
        content = new.execute("SELECT head, body FROM contents WHERE seq = ?", (row.seq,)).fetchone() or ()
        kept = keep_message(queue_directory, queue_id, (row.envelope, *content))
        new.execute(schema.DELETE_CONTENT, (row.seq,))
        new.execute("DELETE FROM temp.known WHERE queue_id = ? OR seq = ?", (row.queue_id, row.seq))
        log.error(f"{queue_id}: damaged: {_damage(row)}; moved to {kept}")
        count += 1
    return count


def _take_incomplete(queue_directory: str, new: sqlite3.Connection, log: Log) -> int:
    """Envelopes whose content is missing or damaged, and contents without envelope."""
    count, after = 0, 0
    while True:
        rows = new.execute(
            "SELECT m.seq, m.queue_id, m.envelope, c.head, c.body, c.headless, c.body_size, c.body_offset, c.crc"
            " FROM messages AS m LEFT JOIN contents AS c ON c.seq = m.seq WHERE m.seq > ? ORDER BY m.seq LIMIT 200",
            (after,),
        ).fetchall()
        if not rows:
            break
        after = rows[-1][0]
        new.execute("BEGIN")
        for seq, queue_id, envelope, *content in rows:
            try:
                if content[0] is None:
                    raise DamagedRecord(queue_id, "content not found")
                content_of(queue_id, ContentRecord(*content))
            except DamagedRecord as exc:
                kept = keep_message(queue_directory, queue_id, (envelope, content[0], content[1]))
                new.execute(schema.DELETE_MESSAGE, (seq,))
                new.execute(schema.DELETE_CONTENT, (seq,))
                new.execute("DELETE FROM temp.known WHERE queue_id = ?", (queue_id,))
                log.error(f"{queue_id}: damaged: {exc.reason}; moved to {kept}")
                count += 1
            else:
                if content[1] is None:
                    new.execute("UPDATE messages SET has_file = 1 WHERE seq = ?", (seq,))
        new.execute("COMMIT")
    return count + _take_ownerless(queue_directory, new, log)


def _take_ownerless(queue_directory: str, new: sqlite3.Connection, log: Log) -> int:
    """Contents whose envelope is gone: the index may still know whose they were."""
    rows = new.execute(
        "SELECT c.seq, k.queue_id FROM contents AS c LEFT JOIN temp.known AS k ON k.seq = c.seq"
        " WHERE NOT EXISTS (SELECT 1 FROM messages AS m WHERE m.seq = c.seq)"
    ).fetchall()
    for seq, known_id in rows:
        queue_id = known_id or f"content{seq}"
        content = new.execute("SELECT head, body FROM contents WHERE seq = ?", (seq,)).fetchone()
        kept = keep_message(queue_directory, queue_id, content)
        new.execute(schema.DELETE_CONTENT, (seq,))
        new.execute("DELETE FROM temp.known WHERE queue_id = ?", (queue_id,))
        log.error(f"{queue_id}: damaged: envelope not found; content moved to {kept}")
    return len(rows)


def _name_lost(queue_directory: str, new: sqlite3.Connection, log: Log) -> int:
    """Queue IDs that the index knows and of which nothing else was found."""
    rows = new.execute(
        "SELECT queue_id FROM temp.known WHERE seq NOT IN (SELECT seq FROM messages)"
        " AND queue_id NOT IN (SELECT queue_id FROM messages) ORDER BY queue_id"
    ).fetchall()
    for (queue_id,) in rows:
        log.error(f"{queue_id}: lost: the database page that had it is unreadable")
        if os.path.exists(os.path.join(queue_directory, body_path(queue_id))):
            keep_message(queue_directory, queue_id, ())
    return len(rows)
