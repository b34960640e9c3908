"""What the tables in database files share: keys, null octets, and looking at the file again.

A table is a file that a tool replaces: the new one is opened when somebody asks and a second has passed, and the old
one answers until then. Source: DATABASE_README; the null octets at the end of keys and values: postmap(1) -n and -N.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import Enum, auto

from gateway.maps.folding import Folding, decoded
from gateway.maps.source import CHECK_INTERVAL_S, Surroundings
from gateway.maps.table import MemoryTable
from gateway.model.errors import ConfigError, GatewayError, TableError

EDITING_S = 100
"""A source file that changed this short a time ago is still being edited: no reason to warn. Source: Postfix."""


class DatabaseError(GatewayError):
    """A database file cannot be opened, or read, or written; the text says why."""


class Changed(DatabaseError):
    """The file was overwritten under its reader, so what was read means nothing."""


class Nulls(Enum):
    """Whether keys and values end in a null octet."""

    EITHER = auto()
    WITH = auto()
    WITHOUT = auto()


class Database(ABC):
    """One database file, open for reading."""

    @abstractmethod
    def get(self, key: bytes) -> bytes | None:
        """The value under ``key``.

        Raises:
            Changed: the file was overwritten. DatabaseError: it cannot be read.
        """

    @abstractmethod
    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys and values, in the order of the file.

        Raises:
            DatabaseError: the file cannot be read.
        """

    @abstractmethod
    def is_current(self, status: os.stat_result) -> bool:
        """False when ``status``, of the path now, is another file's, or says that this one needs to be opened again."""


class DatabaseTable(MemoryTable):
    """A table in one database file.

    Args:
        spec: as configured.
        name: path of the source file; the database's has ``suffix`` behind it.
        around: directory, clock, warnings, ``smtputf8_enable``.

    Attributes:
        suffix: of the database file.
        path: the database file.
        folding: how keys are spelt.
        nulls: which records count; EITHER: those of the kind that is found first.
    """

    suffix = ""

    def __init__(self, spec: str, name: str, around: Surroundings) -> None:
        super().__init__(spec)
        self._around = around
        self.source = os.path.join(around.directory, name)
        self.path = self.source + self.suffix
        self.folding = Folding(around.config)
        self.nulls = Nulls.EITHER
        self._found = Nulls.EITHER
        self._has_complained = False
        self._next_check = around.clock() + CHECK_INTERVAL_S
        try:
            self._database = self._opened()
        except DatabaseError as error:
            raise ConfigError(f"table {spec}: {error}; run postmap {spec}", file=self.path) from error

    @abstractmethod
    def open_file(self, path: str) -> Database:
        """Open a database file.

        Raises:
            DatabaseError: it is missing or broken. OSError: it cannot be read.
        """

    def get(self, key: str) -> str | None:
        """The value under ``key``.

        Raises:
            TableError: the file cannot be read, or the value is no UTF-8.
        """
        octets = self.folding.octets(key)
        if octets is None:
            return None
        database = self._fresh()
        try:
            try:
                value = self._search(database, octets)
            except Changed:
                self._database = self._opened()
                value = self._search(self._database, octets)
        except DatabaseError as error:
            raise TableError(self.spec, f"{self.path}: {error}") from error
        return None if value is None else self.folding.value(self.spec, value)

    def keep_case(self) -> None:
        """Take keys as they are asked for (postmap -f)."""
        self.folding.folds = False

    def items(self) -> Iterator[tuple[str, str]]:
        """All keys and values, in the order of the file.

        Raises:
            TableError: the file cannot be read.
        """
        try:
            for key, value in self._fresh().items():
                yield decoded(key.partition(b"\0")[0]), decoded(value.partition(b"\0")[0])
        except DatabaseError as error:
            raise TableError(self.spec, f"{self.path}: {error}") from error

    def _search(self, database: Database, key: bytes) -> bytes | None:
        """Look for a record with null octets, then for one without; the first that is found says which it will be."""
        wanted = self._found if self.nulls is Nulls.EITHER else self.nulls
        if wanted is not Nulls.WITHOUT:
            value = database.get(key + b"\0")
            if value is not None:
                self._found = Nulls.WITH
                return value.partition(b"\0")[0]
        if wanted is not Nulls.WITH:
            value = database.get(key)
            if value is not None:
                self._found = Nulls.WITHOUT
                return value.partition(b"\0")[0]
        return None

    # -- keeping it fresh ----------------------------------------------------------------------------------------------

    def _fresh(self) -> Database:
        now = self._around.clock()
        if now >= self._next_check:
            self._next_check = now + CHECK_INTERVAL_S
            self._check()
        return self._database

    def _check(self) -> None:
        try:
            if self._database.is_current(os.stat(self.path)):
                self._has_complained = False
                return
            self._database = self._opened()
            self._has_complained = False
        except OSError as error:
            self._complain(f"cannot open: {error.strerror}")
        except DatabaseError as error:
            self._complain(str(error))

    def _opened(self) -> Database:
        """The file as it is now.

        Raises:
            DatabaseError: it is missing, not readable or broken.
        """
        try:
            database = self.open_file(self.path)
            self._warn_of_age(os.stat(self.path))
        except OSError as error:
            raise DatabaseError(f"cannot open: {error.strerror}") from error
        self._found = Nulls.EITHER
        return database

    def _warn_of_age(self, status: os.stat_result) -> None:
        try:
            changed = os.stat(self.source).st_mtime
        except OSError:
            return
        if status.st_mtime < changed < time.time() - EDITING_S:
            self._around.warn(f"database {self.path} is older than source file {self.source}")

    def _complain(self, text: str) -> None:
        # Once for each broken state, as with source files.
        if not self._has_complained:
            self._has_complained = True
            self._around.warn(f"table {self.spec}: {self.path}: {text}; keeping the content it had")
