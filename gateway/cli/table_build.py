"""Building and changing table files: what ``postmap`` and ``postalias`` do without ``-q`` and ``-s``."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import msgspec

from gateway.cli.console import Console, Fatal
from gateway.cli.table_files import BadContent, stored
from gateway.cli.table_options import STDIN, Action, Duplicates, Face, Options
from gateway.config import Config
from gateway.maps.database.aliases import END_MARK, alias_records, nis_records
from gateway.maps.database.berkeley import INSTALL, driver
from gateway.maps.database.build import (
    SUFFIXES,
    DatabaseWriter,
    Pair,
    WriterClass,
    WriterSettings,
    new_mode,
    replacing,
    rights_of,
    writer_class,
)
from gateway.maps.database.records import Record, record_blocks, shown
from gateway.maps.database.table import DatabaseError, Nulls
from gateway.maps.folding import Folding

BATCH = 5000
PROGRESS_AFTER_S = 1.0
PROGRESS_EACH_S = 0.2


class Target(msgspec.Struct, frozen=True):
    """One table to be built.

    Args:
        kind, name: of ``type:name``.
        path: its database file.
        label: what messages about its records begin with.
    """

    kind: str
    name: str
    path: str
    label: str

    @classmethod
    def of(cls, operand: str, config: Config) -> Target:
        """``type:name``, or a name of the ``default_database_type``.

        Raises:
            Fatal: a type that cannot be built.
        """
        kind, colon, name = operand.partition(":")
        if not colon:
            kind, name = config.text("default_database_type"), operand
        if kind not in SUFFIXES:
            raise Fatal(f"unsupported dictionary type: {kind} does not support bulk-mode creation.")
        path = name + SUFFIXES[kind]
        return cls(kind, name, path, {"lmdb": f"lmdb:{name}", "cdb": name}.get(kind, path))


class Builder:
    """The work of one command.

    Args:
        face: which tool. options: what was asked for. config: main.cf. console: takes warnings.
        stdin: for ``-i`` and ``-d -``.
    """

    def __init__(self, face: Face, options: Options, config: Config, console: Console, stdin: BinaryIO) -> None:
        self._face, self._options, self._config, self._console = face, options, config, console
        self._stdin = stdin
        self._folding = Folding(config)
        self._folding.folds = not options.keeps_case
        self._in_utf8 = self._folding.in_utf8 and options.has_utf8

    def build(self, operand: str) -> None:
        """Make a table of its source file, or add records from standard input to it (``-i``).

        Raises:
            Fatal: not possible.
        """
        target = Target.of(operand, self._config)
        is_update = self._options.action is Action.UPDATE
        try:
            source = os.fstat(self._stdin.fileno()) if is_update else os.stat(target.name)
        except OSError as error:
            raise Fatal(f"open {target.name}: {error.strerror}") from error
        if target.kind in ("hash", "btree") and driver() is None:
            self._only_read(target, is_update=is_update)
            return
        make = writer_class(target.kind)
        assert make is not None  # imported before rights are given up: the owner may not read this installation
        mode = new_mode(source, inherits=self._options.inherits_mode)
        with (
            rights_of(None if self._options.keeps_root else source),
            _as_fatal(target),
            replacing(target.path, mode, keeps=is_update) as path,
            self._writer(make, target, path, source.st_size) as writer,
        ):
            if is_update:
                self._fill(writer, target, self._stdin, "stdin")
            else:
                with _opened(target.name) as file:
                    self._fill(writer, target, file, target.name)
            self._sign(writer, target, replaces=is_update)

    def delete(self, operand: str, keys: list[bytes]) -> bool:
        """Remove keys from a table; True when one of them was there.

        Raises:
            Fatal: not possible.
        """
        target = Target.of(operand, self._config)
        make = writer_class(target.kind)
        assert make is not None
        try:
            old = os.stat(target.path)
        except OSError as error:
            raise Fatal(f"open database {target.path}: {error.strerror}") from error
        try:
            with (
                rights_of(None if self._options.keeps_root else old),
                _as_fatal(target),
                replacing(target.path, old.st_mode, keeps=True) as path,
                self._writer(make, target, path, 0) as writer,
            ):
                found = [self._delete(writer, key) for key in keys]
                if not any(found):
                    raise _NothingDone
        except _NothingDone:
            return False
        return True

    def _writer(self, make: WriterClass, target: Target, path: str, size: int) -> DatabaseWriter:
        settings = WriterSettings(
            target.kind,
            self._config.integer("berkeley_db_create_buffer_size"),
            self._config.integer("lmdb_map_size"),
            os.path.getsize(path) + size,
        )
        return make(path, settings)

    def _delete(self, writer: DatabaseWriter, key: bytes) -> bool:
        octets = self._folding.octets(key.decode("utf-8", "surrogateescape"))
        if octets is None:
            return False
        nulls = self._options.nulls
        return (nulls is not Nulls.WITHOUT and writer.delete(octets + b"\0")) or (
            nulls is not Nulls.WITH and writer.delete(octets)
        )

    # -- records -------------------------------------------------------------------------------------------------------

    def _fill(self, writer: DatabaseWriter, target: Target, file: BinaryIO, name: str) -> None:
        has_nulls = self._has_nulls(target)
        replaces = self._options.duplicates is Duplicates.REPLACE
        progress = Progress(self._face.name, target.path)
        for block in self._blocks(file, name):
            if self._options.values_are_files:
                block = self._with_content(block, name)  # noqa: PLW2901
            pairs: list[Pair]
            if has_nulls:
                pairs = [(key + b"\0", value + b"\0") for key, value, _ in block]
            else:
                pairs = [(key, value) for key, value, _ in block]
            refused = writer.add(pairs, replaces=replaces)
            if self._options.duplicates is Duplicates.WARN:
                for at in refused:
                    self._console.warning(f'{target.label}: duplicate entry: "{shown(block[at][0])}"')
            progress.add(len(block))
        progress.end()

    def _sign(self, writer: DatabaseWriter, target: Target, *, replaces: bool) -> None:
        """What postalias adds for Sendmail and NIS."""
        if not self._face.is_for_aliases:
            return
        key, value = END_MARK
        end = b"\0" if self._has_nulls(target) else b""
        writer.add([(key + end, value + end)], replaces=replaces)
        writer.add(nis_records(self._config.text("myhostname")), replaces=replaces)

    def _has_nulls(self, target: Target) -> bool:
        if self._options.nulls is Nulls.EITHER:
            return target.kind != "cdb"
        return self._options.nulls is Nulls.WITH

    def _blocks(self, file: BinaryIO, name: str) -> Iterator[list[Record]]:
        def problem(line: int, text: str) -> None:
            self._console.warning(f"{name}, line {line}: {text}" if line else f"{name}: {text}")

        folds = not self._options.keeps_case
        if not self._face.is_for_aliases:
            yield from record_blocks(file, problem, in_utf8=self._in_utf8, folds=folds)
            return
        batch: list[Record] = []
        for record in alias_records(file, problem, in_utf8=self._in_utf8, folds=folds):
            batch.append(record)
            if len(batch) == BATCH:
                yield batch
                batch = []
        yield batch

    def _with_content(self, block: list[Record], name: str) -> list[Record]:
        found: list[Record] = []
        for key, value, line in block:
            try:
                found.append((key, stored(value), line))
            except BadContent as error:
                self._console.warning(f"{name}, line {line}: {error}: skipping this entry")
        return found

    def _only_read(self, target: Target, *, is_update: bool) -> None:
        """Without Berkeley DB the source file is the table: look whether it is one."""
        if is_update:
            raise Fatal(f"open database {target.path}: needs berkeleydb; {INSTALL}")
        with _opened(target.name) as file:
            for _ in self._blocks(file, target.name):
                pass
        self._console.warning(
            f"{target.path} is not built, because berkeleydb is missing; {target.name} is read instead; {INSTALL}"
        )


class Progress:
    """Says on a terminal how far it is, when it takes longer than a second."""

    def __init__(self, program: str, path: str) -> None:
        self._text = f"\r{program}: {path}: "
        self._count = 0
        self._next = time.monotonic() + PROGRESS_AFTER_S if sys.stderr.isatty() else float("inf")
        self._has_shown = False

    def add(self, count: int) -> None:
        """So many records more."""
        self._count += count
        now = time.monotonic()
        if now >= self._next:
            self._next = now + PROGRESS_EACH_S
            self._has_shown = True
            print(f"{self._text}{self._count:,} entries", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """All records are there; the file is still to be completed."""
        if self._has_shown:
            print(f"{self._text}{self._count:,} entries", file=sys.stderr, flush=True)


class _NothingDone(Exception):
    """No key was found, so the old file stays."""


@contextmanager
def _as_fatal(target: Target) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        raise Fatal(f"error updating {target.kind}:{target.name}: {error}") from error
    except OSError as error:
        raise Fatal(f"open database {target.path}: {error.strerror or error}") from error


@contextmanager
def _without_collection() -> Iterator[None]:
    """Millions of tuples and no cycle among them: looking for one takes a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _opened(name: str) -> BinaryIO:
    try:
        return open(name, "rb")
    except OSError as error:
        raise Fatal(f"open {name}: {error.strerror}") from error


def run(face: Face, options: Options, config: Config, console: Console) -> int:
    """Build, update, or delete; returns the exit status.

    Raises:
        Fatal: not possible.
    """
    stdin = sys.stdin.buffer
    builder = Builder(face, options, config, console, stdin)
    if options.action is not Action.DELETE:
        with _without_collection():
            for operand in options.tables:
                builder.build(operand)
        return 0
    keys = [line.rstrip(b"\n") for line in stdin] if options.key == STDIN else [os.fsencode(options.key)]
    # Each table, also when the first one had the key.
    found = [builder.delete(operand, keys) for operand in options.tables]
    return 0 if any(found) else 1
