"""``sqlite:`` — a database file of SQLite, read only, through the standard library's module.

Source: sqlite_table(5); SQLite's manual, "URI Filenames", "Result Values From A Query".
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import threading
import time
import urllib.parse
from collections.abc import Generator

from gateway.maps.client_file import ClientFile
from gateway.maps.source import CHECK_INTERVAL_S, Surroundings
from gateway.maps.sql.pool import ANSWER_LIMIT, QUERY_TIMEOUT_S
from gateway.maps.sql.query import Dialect
from gateway.maps.sql.table import Questions
from gateway.maps.table import BlockingTable
from gateway.model.errors import TableError

BUSY_TIMEOUT_S = 5.0
"""How long a lookup waits for whoever writes to the database."""
STEPS_BETWEEN_LOOKS = 10_000
"""Instructions of SQLite's machine between two looks at the clock: about a tenth of a millisecond."""
STEPS_AT_ONCE = 20_000
"""Instructions that a lookup may take while everything else waits; an indexed one takes some ten."""
THREADS_INTERVAL_S = 10.0
"""How long lookups go to threads after one that needed more, or met a writer."""


class SqliteTable(BlockingTable):
    """The first column of the rows; text behind the first statement is not looked at.

    A lookup that needs few steps is made at once; one that needs more, or that would wait for a writer, in a thread,
    and the others then too for a while. A file that was replaced is opened anew within a second.
    """

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        super().__init__(spec)
        file = ClientFile.open(spec, name, around)
        self._questions = Questions(spec, file, Dialect.SQLITE, around)
        self._path = os.path.join(around.directory, file.text("dbpath", low=1))
        file.warn_unused()
        self._clock = around.clock
        self._local = threading.local()
        self._in_threads_until = -math.inf
        self._is_closed = False
        try:
            _Database(self._path, 0)
        except sqlite3.Error as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                file.fail("dbpath", f"cannot open {self._path}: {error}")

    async def find(self, key: str) -> str | None:
        """What the database says; None at once for keys that the query, the result format or ``domain`` leave out.

        Raises:
            TableError: the database is locked, broken, too slow, or gone.
        """
        wanted = await self._questions.wanted(key)
        if wanted is None:
            return None
        if self._clock() >= self._in_threads_until and not self._is_closed:
            try:
                return self._ask(wanted, self._database(0), STEPS_AT_ONCE)
            except sqlite3.Error:
                self._in_threads_until = self._clock() + THREADS_INTERVAL_S
            except OSError as error:
                raise TableError(self.spec, f"{error}") from error
        return await super().find(wanted)

    def ask(self, key: str) -> str | None:
        """As :class:`gateway.maps.table.BlockingTable`."""
        try:
            return self._ask(key, self._database(BUSY_TIMEOUT_S), 0)
        except (sqlite3.Error, OSError) as error:
            raise TableError(self.spec, f"{error}") from error

    async def close(self) -> None:
        """Take no more lookups; the databases are closed with their threads."""
        self._is_closed = True
        self._local.__dict__.clear()
        await super().close()

    def _ask(self, key: str, database: _Database, steps: int) -> str | None:
        query = self._questions.query.fill(key, _quoted)
        assert query is not None, "wanted() gives keys that the query accepts"
        try:
            with contextlib.closing(database.rows(query, steps)) as values:
                return self._questions.results.expand(key, values)
        except UnicodeDecodeError as error:
            raise TableError(self.spec, "the answer has a value that is not UTF-8") from error

    def _database(self, busy_timeout_s: float) -> _Database:
        """The thread's own connection to the file that is there now."""
        database: _Database | None = getattr(self._local, "database", None)
        now = self._clock()
        if database is not None and now >= database.next_look:
            database.next_look = now + CHECK_INTERVAL_S
            if database.stamp != _stamp(self._path):
                database = None
        if database is None:
            database = self._local.database = _Database(self._path, busy_timeout_s)
            database.next_look = now + CHECK_INTERVAL_S
        return database


class _Database:
    """A connection, used by one thread at a time; closed when it, or its thread, is forgotten.

    Raises:
        sqlite3.Error: the file cannot be opened, or is no database.
    """

    def __init__(self, path: str, busy_timeout_s: float) -> None:
        self.stamp = _stamp(path)
        self.next_look = 0.0
        self._until = math.inf
        self._looks_left = 0
        self._connection = sqlite3.connect(
            f"file:{urllib.parse.quote(os.fsencode(path))}?mode=ro",
            timeout=busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=0,  # no two queries are the same text
            uri=True,
        )
        self._connection.execute("PRAGMA schema_version").fetchone()
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)  # it could make a file
        self._connection.text_factory = bytes
        self._connection.set_progress_handler(self._is_late, STEPS_BETWEEN_LOOKS)

    def rows(self, query: str, steps: int = 0) -> Generator[str | None, None, None]:
        """The values of the first column, as SQLite writes them.

        Args:
            steps: that many are enough; 0: QUERY_TIMEOUT_S are.

        Raises:
            TimeoutError: they were not.
            OSError, sqlite3.Error, UnicodeDecodeError: other failures.
        """
        self._until = time.monotonic() + QUERY_TIMEOUT_S
        self._looks_left = steps // STEPS_BETWEEN_LOOKS
        size = 0
        try:
            for row in self._cursor(query):
                size += len(row[0]) if isinstance(row[0], bytes) else 0
                if size > ANSWER_LIMIT:
                    raise OSError(f"the answer is larger than {ANSWER_LIMIT} octets")
                yield _text(row[0])
        except sqlite3.OperationalError as error:
            if time.monotonic() >= self._until:
                raise TimeoutError(f"no answer within {QUERY_TIMEOUT_S:g} s") from error
            raise

    def _cursor(self, query: str) -> sqlite3.Cursor:
        try:
            return self._connection.execute(query)
        except (sqlite3.ProgrammingError, sqlite3.Warning):
            first = _first_statement(query)
            if first == query:
                raise
            return self._connection.execute(first)

    def _is_late(self) -> bool:
        self._looks_left -= 1
        return self._looks_left == 0 or time.monotonic() >= self._until

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # it was never opened
            self._connection.close()


def _stamp(path: str) -> tuple[int, int]:
    """Which file it is; a write to it does not change that."""
    with contextlib.suppress(OSError):
        status = os.stat(path)
        return status.st_dev, status.st_ino
    return 0, 0


def _first_statement(query: str) -> str:
    """Up to the first semicolon that ends a statement."""
    at = query.find(";")
    while at >= 0 and not sqlite3.complete_statement(query[: at + 1]):
        at = query.find(";", at + 1)
    return query[: at + 1] if at >= 0 else query


def _quoted(part: str) -> str:
    return part.replace("'", "''")


def _text(value: bytes | float | None) -> str | None:
    """A value as SQLite's own conversion to text has it: numbers with at most 15 digits, always with a point."""
    if isinstance(value, bytes):
        return value.decode()
    if not isinstance(value, float):
        return None if value is None else str(value)
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    digits, exponent, power = f"{value:.15g}".partition("e")
    return f"{digits if '.' in digits else digits + '.0'}{exponent}{power}"
