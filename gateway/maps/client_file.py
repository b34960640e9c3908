"""The configuration of a table that asks somebody else: a file in the form of main.cf, or main.cf itself.

``ldap:/etc/postgate/users.cf`` reads a file, in which ``$name`` is not expanded; ``ldap:users`` reads the main.cf
parameters ``users_server_host``, ``users_search_base`` ..., expanded as all of main.cf. Source: ldap_table(5),
mysql_table(5), pgsql_table(5), sqlite_table(5), memcache_table(5), "OBSOLETE MAIN.CF PARAMETERS".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import NoReturn, TypeVar

from gateway.config.lines import read_lines
from gateway.config.main_cf import Setting, parse_main_cf
from gateway.config.values import BadValue, parse_boolean, parse_integer, parse_seconds, split_words
from gateway.maps.source import Surroundings
from gateway.model.errors import ConfigError

T = TypeVar("T")


class ClientFile:
    """The parameters of one table. Every parameter is asked for when the table is opened; then :meth:`warn_unused`.

    Args:
        settings: by name, without prefix, expanded.
        file: what messages name when a parameter is absent.
        prefix: what stands before each name in main.cf; empty for a file.
        warn: takes a warning's text.
    """

    def __init__(self, settings: Mapping[str, Setting], file: str, prefix: str, warn: Callable[[str], None]) -> None:
        self._settings, self._file, self._prefix, self._warn = settings, file, prefix, warn
        self._asked: set[str] = set()

    @classmethod
    def open(cls, spec: str, name: str, around: Surroundings) -> ClientFile:
        """The parameters of the table ``name``: a file when it starts with a slash or a dot, else main.cf's.

        Raises:
            ConfigError: the file cannot be read, or has a line that is no setting; ``$name`` of main.cf is wrong.
        """
        if name[:1] not in ("/", "."):
            return cls._of_main_cf(spec, name, around)
        path = os.path.normpath(os.path.join(around.directory, name))
        settings, warnings = parse_main_cf(read_lines(path), path)
        for warning in warnings:
            around.warn(warning.partition("=")[0])  # the value it shows may be a password
        return cls(settings, path, "", around.warn)

    @classmethod
    def _of_main_cf(cls, spec: str, name: str, around: Surroundings) -> ClientFile:
        prefix = f"{name}_"
        settings = {
            full.removeprefix(prefix): Setting(full, around.config.expand(found.value), found.file, found.line)
            for full, found in around.config.settings.items()
            if full.startswith(prefix)
        }
        if not settings:
            raise ConfigError(
                f"table {spec}: main.cf has no parameter {prefix}...; a table's file is named with its whole path"
            )
        return cls(settings, os.path.join(around.config.directory, "main.cf"), prefix, around.warn)

    def is_set(self, name: str) -> bool:
        """True when the file has the parameter, empty or not."""
        self._asked.add(name)
        return name in self._settings

    def text(self, name: str, default: str = "", *, low: int = 0) -> str:
        """The value as it stands.

        Args:
            low: least number of characters, of the default too: with 1, a parameter that has no default must be set.

        Raises:
            ConfigError: too short.
        """
        self._asked.add(name)
        found = self._settings.get(name)
        value = default if found is None else found.value
        if len(value) < low:
            self.fail(name, "must not be empty" if found else "must be set")
        return value

    def integer(self, name: str, default: int, low: int | None = None, high: int | None = None) -> int:
        """A whole number between ``low`` and ``high``, both included.

        Raises:
            ConfigError: no number, or out of limits.
        """
        value = self._converted(name, default, parse_integer)
        if (low is not None and value < low) or (high is not None and value > high):
            limits = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
            self.fail(name, f"{value} is out of limits: expected {limits}")
        return value

    def boolean(self, name: str, default: bool) -> bool:
        """``yes`` or ``no``.

        Raises:
            ConfigError: anything else.
        """
        return self._converted(name, default, parse_boolean)

    def seconds(self, name: str, default: int, low: int = 0, high: int | None = None) -> int:
        """A time in seconds: a whole number, which may have a unit as in main.cf.

        Raises:
            ConfigError: no time, or out of limits.
        """
        value = self._converted(name, default, parse_seconds)
        if value < low or (high is not None and value > high):
            limits = f"at least {low}s" if high is None else f"{low}s to {high}s"
            self.fail(name, f"{value}s is out of limits: expected {limits}")
        return value

    def words(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A list: words between commas or white space.

        Raises:
            ConfigError: a ``{`` without its ``}``.
        """
        return self._converted(name, default, split_words)

    def fail(self, name: str, message: str) -> NoReturn:
        """Say that the parameter ``name`` is wrong, with the place where it stands.

        Raises:
            ConfigError: always.
        """
        found = self._settings.get(name)
        file, line = (found.file or self._file, found.line) if found else (self._file, 0)
        raise ConfigError(message, file=file, line=line, parameter=self._prefix + name)

    def checked(self, name: str, make: Callable[[], T]) -> T:
        """What ``make`` makes of the parameter ``name``, its errors with the place where the parameter stands.

        Raises:
            ConfigError: ``make`` raised ConfigError or ValueError.
        """
        try:
            return make()
        except ConfigError as error:
            if error.file:
                raise
            self.fail(name, error.message)
        except ValueError as error:
            self.fail(name, str(error))

    def warn_unused(self) -> None:
        """Warn of every parameter in the file that nobody asked for. In main.cf nothing is warned of: a name that
        starts with the table's may be another one's.
        """
        if self._prefix:
            return
        for name, found in self._settings.items():
            if name not in self._asked:
                self._warn(f"{found.file}, line {found.line}: {name}: is not used here")

    def _converted(self, name: str, default: T, convert: Callable[[str], T]) -> T:
        self._asked.add(name)
        found = self._settings.get(name)
        if found is None:
            return default
        try:
            return convert(found.value)
        except BadValue as error:
            self.fail(name, f'bad value "{found.value}": {error}')
