"""The database: tables, statements and connection settings, and why each is as it is.

Two tables, because an attempt rewrites the envelope and must not rewrite the content: SQLite writes a whole row, with
its overflow pages, whenever a column of it changes.

- ``messages``: what attempts change, and all that a listing or the search for due mail has to read.
- ``contents``: header block and body, written once, read once per attempt. Same ``seq`` as in ``messages``.
"""

from __future__ import annotations

import os
import sqlite3

from gateway.model.errors import SpoolError

APPLICATION_ID = 0x50474154  # "PGAT", for file(1)
VERSION = 1
PAGE_BYTES = 8192

SCHEMA = (
    "CREATE TABLE messages(seq INTEGER PRIMARY KEY, queue_id TEXT NOT NULL UNIQUE, due REAL NOT NULL,"
    " held INTEGER NOT NULL, has_file INTEGER NOT NULL, crc INTEGER NOT NULL, envelope BLOB NOT NULL)",
    "CREATE TABLE contents(seq INTEGER PRIMARY KEY, headless INTEGER NOT NULL, head BLOB NOT NULL, body BLOB,"
    " body_size INTEGER NOT NULL, body_offset INTEGER NOT NULL, crc INTEGER NOT NULL)",
    # Partial: the next due message is the first entry, however many are held. With the queue ID in it, what is being
    # delivered already can be skipped without reading its row.
    "CREATE INDEX due ON messages(due, queue_id) WHERE held = 0",
    "CREATE INDEX held ON messages(queue_id) WHERE held = 1",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)

INSERT_MESSAGE = "INSERT INTO messages(seq, queue_id, due, held, has_file, crc, envelope) VALUES(?, ?, ?, ?, ?, ?, ?)"
INSERT_CONTENT = (
    "INSERT INTO contents(seq, headless, head, body, body_size, body_offset, crc) VALUES(?, ?, ?, ?, ?, ?, ?)"
)
UPDATE_MESSAGE = "UPDATE messages SET due = ?, held = ?, crc = ?, envelope = ? WHERE queue_id = ?"
FIND_MESSAGE = "SELECT seq, has_file FROM messages WHERE queue_id = ?"
DELETE_MESSAGE = "DELETE FROM messages WHERE seq = ?"
DELETE_CONTENT = "DELETE FROM contents WHERE seq = ?"

# Every whole record is read as queue_id, due, held, envelope, crc: the order of records.Record.
# INDEXED BY is an assertion: without that index the statement fails, instead of scanning a million rows in silence.
SELECT_DUE = (
    "SELECT queue_id, due, seq FROM messages INDEXED BY due WHERE held = 0 AND due >= ? AND due <= ? ORDER BY due"
)
SELECT_SEQ = "SELECT queue_id, due, held, envelope, crc FROM messages WHERE seq = ?"
SELECT_NEXT_DUE = "SELECT queue_id, due FROM messages INDEXED BY due WHERE held = 0 AND due > ? ORDER BY due"
SELECT_ONE = "SELECT queue_id, due, held, envelope, crc FROM messages WHERE queue_id = ?"
SELECT_PAGE = "SELECT queue_id, due, held, envelope, crc FROM messages WHERE queue_id > ? ORDER BY queue_id LIMIT ?"
SELECT_PAGE_HELD = (
    "SELECT queue_id, due, held, envelope, crc"
    " FROM messages INDEXED BY held WHERE held = 1 AND queue_id > ? ORDER BY queue_id LIMIT ?"
)
SELECT_PAGE_DEFERRED = (
    "SELECT queue_id, due, held, envelope, crc FROM messages WHERE queue_id > ? AND held = 0 ORDER BY queue_id LIMIT ?"
)
SELECT_CONTENT = (
    "SELECT c.head, c.body, c.headless, c.body_size, c.body_offset, c.crc FROM messages AS m"
    " LEFT JOIN contents AS c ON c.seq = m.seq WHERE m.queue_id = ?"
)
SELECT_RAW = (
    "SELECT m.envelope, c.head, c.body FROM messages AS m LEFT JOIN contents AS c ON c.seq = m.seq WHERE m.queue_id = ?"
)
COUNT_ALL = "SELECT count(*) FROM messages"
COUNT_HELD = "SELECT count(*) FROM messages INDEXED BY held WHERE held = 1"
LAST_SEQ = "SELECT coalesce(max(seq), 0) FROM messages"


def connect_writer(path: str) -> sqlite3.Connection:
    """Open the owner's connection for changes, creating file and tables when the file is new.

    Raises:
        sqlite3.Error: as SQLite says; a damaged file shows here or later.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite would create it 0644
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    try:
        execute = connection.execute
        execute(f"PRAGMA page_size = {PAGE_BYTES}")  # a small mail with its headers fits into one; see docs/spool.md
        execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table: lets the file shrink in small steps
        mode = execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise sqlite3.OperationalError(f"journal mode is {mode}, not wal")
        execute("PRAGMA synchronous = FULL")  # fsync of the log in every COMMIT: that is the 250
        execute("PRAGMA secure_delete = OFF")  # some builds zero what is deleted, which doubles the writing
        execute("PRAGMA cache_size = -16384")
        execute("PRAGMA temp_store = MEMORY")
        execute("PRAGMA wal_autocheckpoint = 65536")  # a net only: commit.py checkpoints long before
        execute("PRAGMA journal_size_limit = 67108864")
        _create(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    """Make the tables of a new database; compare those of an old one, letter by letter."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    found = {row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    wanted = {statement for statement in SCHEMA if statement.startswith("CREATE")}
    if not version and not found:
        connection.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA:
            connection.execute(statement)
        connection.execute("COMMIT")
    elif found == wanted:
        if version != VERSION:
            connection.execute(f"PRAGMA user_version = {VERSION}")
    elif version not in (0, VERSION):
        raise SpoolError(f"the spool has format {version}, this program knows {VERSION}")
    else:
        raise sqlite3.DatabaseError("the schema is damaged")


def connect_reader(path: str, *, is_immutable: bool = False) -> sqlite3.Connection:
    """Open a connection that cannot change anything.

    Args:
        is_immutable: nobody else has the file open, and its directory may not be writable.
    """
    mode = "immutable=1" if is_immutable else "mode=ro"
    uri = f"file:{path.replace('%', '%25').replace('?', '%3f').replace('#', '%23')}?{mode}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cache_size = -16384")
    return connection
