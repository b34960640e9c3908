"""Where a table's rules come from: a file that may change, or the table's name itself (``cidr:{ {rule}, {rule} }``).

A file is looked at again at most once a second, when somebody asks; content that changed is parsed and swapped in
whole, content that is broken is reported and the old one stays. Large files are parsed in a thread, so that a reload
does not stop the mail.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from gateway.config.lines import LogicalLine, logical_lines, read_lines
from gateway.config.values import BadValue, split_words
from gateway.model.errors import ConfigError

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.maps.table import Table

T = TypeVar("T")

CHECK_INTERVAL_S = 1.0
INLINE_PARSE_LIMIT = 1 << 16
"""Octets of a file up to which a reload is parsed at once: about 20 ms; beyond it a thread does it."""


def _unheard(_text: str) -> None:
    """For who has no log."""


class Surroundings(msgspec.Struct, frozen=True):
    """What tables need from outside.

    Args:
        directory: relative file names start here.
        clock: monotonic seconds.
        warn: takes a warning's text, from any thread.
        config: main.cf, for the parameters that tables have of their own.
        open: the table ``type:name``, for tables made of tables; raises ConfigError.
        info: takes a line for the log, from any thread.
    """

    directory: str
    clock: Callable[[], float]
    warn: Callable[[str], None]
    config: Config
    open: Callable[[str], Table]
    info: Callable[[str], None] = _unheard


def unbraced(group: str) -> str:
    """``{ text }`` without its braces and the blanks inside them; other text as it is."""
    text = group.strip()
    return text[1:-1].strip() if text.startswith("{") and text.endswith("}") else text


def words_in(group: str, spec: str) -> tuple[str, ...]:
    """The words in a ``{ ... }`` group, groups inside it whole.

    Raises:
        ConfigError: braces without partner.
    """
    try:
        return split_words(unbraced(group))
    except BadValue as error:
        raise ConfigError(f"table {spec}: {error}") from error


def rule_lines(lines: Iterable[str], file: str) -> list[LogicalLine]:
    """Logical lines of a table file.

    Raises:
        ConfigError: the first one starts with white space, so it continues nothing.
    """
    found = list(logical_lines(lines, file))
    for line in found:
        if line.is_indented:
            raise ConfigError("a line that starts with white space continues nothing", file=file, line=line.first)
    return found


Parse = Callable[[list[LogicalLine], str], T]
"""Logical lines and the name for messages in, the compiled content out; raises ConfigError with file and line."""


class RuleSource(Generic[T]):
    """The compiled content of one table, kept fresh.

    Args:
        spec: the table, for messages.
        name: file name, or ``{ {rule}, {rule} }``.
        parse: compiles logical lines.
        around: directory, clock, warnings.
        inline_limit: octets of a file up to which a reload needs no thread.

    Raises:
        ConfigError: the file is missing or broken, with file and line.
    """

    def __init__(
        self, spec: str, name: str, parse: Parse[T], around: Surroundings, *, inline_limit: int = INLINE_PARSE_LIMIT
    ) -> None:
        self._spec, self._parse, self._around, self._inline_limit = spec, parse, around, inline_limit
        self._thread: threading.Thread | None = None
        self._has_complained = False
        self._stamp: tuple[int, ...] = ()
        if name.startswith("{"):
            self.path = ""
            self.content = parse(rule_lines([unbraced(rule) for rule in words_in(name, spec)], spec), spec)
            return
        self.path = os.path.join(around.directory, name)
        self._next_check = around.clock() + CHECK_INTERVAL_S
        self._stamp = self._look()
        self.content = self._read()

    def fresh(self) -> T:
        """The content, after looking at the file when a second has passed since the last look."""
        if self.path:
            now = self._around.clock()
            if now >= self._next_check:
                self._next_check = now + CHECK_INTERVAL_S
                self._check()
        return self.content

    def _look(self) -> tuple[int, ...]:
        try:
            status = os.stat(self.path)
        except OSError as error:
            raise ConfigError(f"table {self._spec}: cannot open: {error.strerror}", file=self.path) from error
        return (status.st_mtime_ns, status.st_ino, status.st_size, status.st_ctime_ns)

    def _read(self) -> T:
        return self._parse(rule_lines(read_lines(self.path), self.path), self.path)

    def _check(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            return
        try:
            stamp = self._look()
        except ConfigError as error:
            self._complain(error)
            return
        if stamp == self._stamp:
            return
        self._stamp = stamp
        if stamp[2] <= self._inline_limit:
            self._reload()
        else:
            self._thread = threading.Thread(target=self._reload, name=f"reload {self._spec}", daemon=True)
            self._thread.start()

    def _reload(self) -> None:
        try:
            self.content = self._read()
            self._has_complained = False
        except ConfigError as error:
            self._has_complained = False
            self._complain(error)

    def _complain(self, error: ConfigError) -> None:
        # Once for each broken state: a file that stays away must not fill the log, once a second.
        if not self._has_complained:
            self._has_complained = True
            self._around.warn(f"table {self._spec}: {error}; keeping the content it had")
