"""The configuration as the house reads it: expanded, typed, checked, cached.

Owns values; the grammar is in ``expansion``, the files in ``main_cf`` and ``master_cf``, the known names in
``registry``. A value is expanded and converted once; after :meth:`Config.check` a lookup is one dictionary access.
Configurations never change: ``-o`` gives a new one, a reload another.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import NoReturn

import msgspec

from gateway import __version__
from gateway.config.computed import default_domain, default_hostname, default_networks, origin
from gateway.config.expansion import ExpansionError, expand
from gateway.config.interfaces import own_interfaces, receiving
from gateway.config.known import default_registry
from gateway.config.known.transport import SUFFIXES, TIME_LIMIT, TIME_LIMIT_DEFAULT
from gateway.config.main_cf import Setting, read_main_cf
from gateway.config.master_cf import Row, Service, parse_master_cf, read_master_cf, service_of
from gateway.config.parameter import Kind, Parameter
from gateway.config.registry import Registry
from gateway.config.unknown import unknown_names, unknown_overrides
from gateway.config.values import BadValue, convert, split_words
from gateway.model.errors import ConfigError

DEFAULT_DIRECTORY = "/etc/postgate"


class Config:
    """Settings, defaults and services.

    Attributes:
        directory: where main.cf and master.cf are; empty when there are no files.
        registry: the known parameters.
        settings: what main.cf (and ``-o``) says, by name, not expanded.
        rows: master.cf as written.
        warnings: what is odd but no error; complete after :meth:`check`.

    With ``keeps_paths`` a ``myorigin`` that names a file stays that name, for showing what is configured.
    """

    def __init__(
        self,
        settings: Mapping[str, Setting],
        rows: tuple[Row, ...] = (),
        *,
        directory: str = "",
        registry: Registry | None = None,
        warnings: list[str] | None = None,
        keeps_paths: bool = False,
    ) -> None:
        self.settings, self.rows, self.directory = dict(settings), rows, directory
        self._keeps_paths = keeps_paths
        self.registry = registry if registry is not None else default_registry()
        self.warnings: list[str] = warnings if warnings is not None else []
        self._services: tuple[Service, ...] | None = None
        self._expanded: dict[str, str] = {}
        self._expanding: list[str] = []
        self._texts: dict[str, str] = {}
        self._integers: dict[str, int] = {}
        self._booleans: dict[str, bool] = {}
        self._seconds: dict[str, float] = {}
        self._words: dict[str, tuple[str, ...]] = {}
        self._computed: dict[str, Callable[[], str]] = {
            "config_directory": lambda: self.directory or DEFAULT_DIRECTORY,
            "mail_version": lambda: __version__,
            "mydomain": lambda: default_domain(self._value("myhostname")),
            "myhostname": lambda: default_hostname(self._value("mydomain") if self.is_set("mydomain") else None),
            "mynetworks": self._default_networks,
            "process_id": lambda: str(os.getpid()),
            "process_name": lambda: os.path.basename(sys.argv[0]),
        }

    # -- making one ------------------------------------------------------------------------------------------------

    @classmethod
    def from_settings(
        cls,
        settings: Mapping[str, str],
        services: str = "",
        registry: Registry | None = None,
        *,
        directory: str = "",
    ) -> Config:
        """A checked configuration without files, for tests and in-process gateways.

        Args:
            settings: main.cf settings, raw values.
            services: master.cf text.
        Raises:
            ConfigError: as :meth:`check`.
        """
        rows = tuple(parse_master_cf(services.split("\n")))
        named = {name: Setting(name, value) for name, value in settings.items()}
        config = cls(named, rows, directory=directory, registry=registry)
        config.check()
        return config

    def overridden(self, overrides: Mapping[str, str]) -> Config:
        """A checked configuration in which ``-o`` settings replace those of main.cf.

        Args:
            overrides: raw values by name.
        Raises:
            ConfigError: a value is wrong.
        """
        settings = self.settings | {name: Setting(name, value, "-o") for name, value in overrides.items()}
        config = Config(settings, self.rows, directory=self.directory, registry=self.registry)
        config.check()
        return config

    def scoped(self, overrides: Mapping[str, str]) -> Config:
        """As :meth:`overridden`, unchecked and without warnings: for looking at single values."""
        settings = self.settings | {name: Setting(name, value, "-o") for name, value in overrides.items()}
        return Config(
            settings, self.rows, directory=self.directory, registry=self.registry, keeps_paths=self._keeps_paths
        )

    def for_service(self, service: Service) -> Config:
        """The configuration as a service sees it: its ``-o`` settings, and ``$service_name``."""
        return self.overridden({**service.overrides, "service_name": service.name})

    # -- typed access ----------------------------------------------------------------------------------------------

    def text(self, name: str) -> str:
        """The expanded text of a parameter of any kind; raw text is not expanded."""
        try:
            return self._texts[name]
        except KeyError:
            self._load(name)
            return self._texts[name]

    def integer(self, name: str) -> int:
        """A number or a size in octets."""
        try:
            return self._integers[name]
        except KeyError:
            self._load(name)
            return self._integers[name]

    size = integer
    """Octets."""

    def boolean(self, name: str) -> bool:
        """``yes`` or ``no``."""
        try:
            return self._booleans[name]
        except KeyError:
            self._load(name)
            return self._booleans[name]

    def seconds(self, name: str) -> float:
        """A time in seconds."""
        try:
            return self._seconds[name]
        except KeyError:
            self._load(name)
            return self._seconds[name]

    def words(self, name: str) -> tuple[str, ...]:
        """A list; any text can be read as one."""
        try:
            return self._words[name]
        except KeyError:
            try:
                words = self._words[name] = split_words(self.text(name))
            except BadValue as error:
                self._fail(name, f'bad value "{self._value(name)}": {error}')
            return words

    def transport_integer(self, transport: str, suffix: str) -> int:
        """``<transport>_<suffix>``, or the ``default_`` parameter when main.cf has no such name."""
        return self.integer(self._transport_name(transport, suffix))

    def transport_seconds(self, transport: str, suffix: str) -> float:
        """The same for a time, e.g. ``destination_rate_delay``."""
        return self.seconds(self._transport_name(transport, suffix))

    def transport_text(self, transport: str, suffix: str) -> str:
        """The same for a text, e.g. ``destination_concurrency_positive_feedback``."""
        return self.text(self._transport_name(transport, suffix))

    def raw(self, name: str) -> str | None:
        """The value as main.cf or ``-o`` has it, None when neither does."""
        setting = self.settings.get(name)
        return setting.value if setting else None

    def is_set(self, name: str) -> bool:
        """True when main.cf or ``-o`` has the parameter."""
        return name in self.settings

    def expand(self, text: str) -> str:
        """Expand ``$name`` in any text.

        Raises:
            ConfigError: syntax, or a loop.
        """
        try:
            return expand(text, self._lookup, self._unexpanded)
        except ExpansionError as error:
            raise ConfigError(f'cannot expand "{text}": {error}') from None

    def expanded(self, name: str) -> str | None:
        """Expanded text, not type-checked; raw text as it is; None for a name that is neither known nor set.

        Raises:
            ConfigError: syntax, or a loop.
        """
        parameter = self.definition(name)
        if parameter is not None and parameter.kind is Kind.RAW:
            return self.settings[name].value if name in self.settings else parameter.default
        return self._lookup(name)

    def default(self, name: str) -> str | None:
        """What holds when main.cf has no such name, not expanded; None for an unknown name."""
        if name in self._computed:
            return self._computed[name]()
        parameter = self.definition(name)
        return None if parameter is None else parameter.default

    @property
    def services(self) -> tuple[Service, ...]:
        """The services of master.cf, defaults filled in."""
        if self._services is None:
            is_old = self.expand("${{$compatibility_level} <level {1} ? {yes}}") == "yes"
            self._services = tuple(service_of(row, default_chroot=is_old) for row in self.rows)
        return self._services

    # -- checking --------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Expand and type-check every known parameter and every service.

        Raises:
            ConfigError: the first thing that is wrong, with file, line and parameter.
        """
        for name in self.settings:  # first, so that an error names what was written and not what refers to it
            if self.definition(name) is not None:
                self._load(name)
        for parameter in self.registry:
            if parameter.name not in self._texts:
                self._load(parameter.name)
        for line, name, nearest in unknown_overrides(self):  # builds the services: raises for a bad -o
            hint = f"; did you mean {nearest}?" if nearest else ""
            self.warnings.append(f"{self.rows[0].file}, line {line}: {name}: unknown parameter in -o{hint}")
        for name, nearest in unknown_names(self):
            setting = self.settings[name]
            where = f"{setting.file}, line {setting.line}: " if setting.line else ""
            hint = f"; did you mean {nearest}?" if nearest else ""
            self.warnings.append(f"{where}{name}: unknown parameter{hint}")

    def definition(self, name: str) -> Parameter | None:
        """The known parameter, per-transport ones included, or None."""
        parameter = self.registry.get(name)
        if parameter is not None:
            return parameter
        for row in self.rows:
            prefix = f"{row.fields[0]}_"
            if row.fields[1] != "inet" and name.startswith(prefix):
                found = self._transport_parameter(name, name.removeprefix(prefix))
                if found is not None:
                    return found
        return None

    # -- inside ----------------------------------------------------------------------------------------------------

    def _transport_parameter(self, name: str, suffix: str) -> Parameter | None:
        fallback = TIME_LIMIT_DEFAULT if suffix == TIME_LIMIT else SUFFIXES.get(suffix)
        model = self.registry.get(fallback) if fallback else None
        if fallback is None or model is None:
            return None
        return msgspec.structs.replace(model, name=name, default=f"${fallback}")

    def _transport_name(self, transport: str, suffix: str) -> str:
        """The name to ask for: of the transport when main.cf or the registry has it, else what it falls back to."""
        name = f"{transport}_{suffix}"
        if name in self._texts or name in self.registry:
            return name
        fallback = TIME_LIMIT_DEFAULT if suffix == TIME_LIMIT else SUFFIXES[suffix]
        return name if name in self.settings else fallback

    def _default_networks(self) -> str:
        names, protocols = self.words("inet_interfaces"), self.words("inet_protocols")
        return default_networks(receiving(own_interfaces(), names, protocols), self.text("mynetworks_style"))

    def _lookup(self, name: str) -> str | None:
        """For ``expand``: value of a known or user-defined parameter, None when undefined."""
        if name in self.settings or name in self._computed or self.definition(name) is not None:
            return self._value(name)
        return None

    def _unexpanded(self, name: str) -> str | None:
        """For ``${name?text}``: what is written, here or as the default."""
        raw = self.raw(name)
        return self.default(name) if raw is None else raw

    def _value(self, name: str) -> str:
        """Expanded text of a parameter that exists."""
        known = self._expanded.get(name)
        if known is not None:
            return known
        if name in self._expanding:
            loop = " -> ".join([*self._expanding[self._expanding.index(name) :], name])
            self._fail(name, f"refers to itself: {loop}")
        self._expanding.append(name)
        try:
            text = self.raw(name)
            if text is None:
                text = self.default(name) or ""
            value = expand(text, self._lookup, self._unexpanded)
            value = self._expanded[name] = origin(value) if name == "myorigin" and not self._keeps_paths else value
        except ExpansionError as error:
            self._fail(name, str(error))
        finally:
            self._expanding.pop()
        return value

    def _load(self, name: str) -> None:
        parameter = self.definition(name)
        if parameter is None:
            if name not in self.settings:
                raise LookupError(f"{name} is neither a known parameter nor set in main.cf")
            suffix = next((suffix for suffix in SUFFIXES if name.endswith(f"_{suffix}")), "")
            parameter = self._transport_parameter(name, suffix) or Parameter(name)
        self._store(parameter)

    def _store(self, parameter: Parameter) -> None:
        """Expand, convert and cache one parameter."""
        name = parameter.name
        if parameter.kind is Kind.RAW:
            text = self.settings[name].value if name in self.settings else parameter.default
        else:
            text = self._value(name)
        try:
            value = convert(text, parameter)
        except BadValue as error:
            self._fail(name, f'bad value "{text}": {error}')
        self._texts[name] = value if isinstance(value, str) else text
        match value:
            case bool():
                self._booleans[name] = value
            case int():
                self._integers[name] = value
            case float():
                self._seconds[name] = value
            case tuple():
                self._words[name] = value

    def _fail(self, name: str, message: str) -> NoReturn:
        setting = self.settings.get(name)
        file, line = (setting.file, setting.line) if setting else ("", 0)
        raise ConfigError(message, file=file, line=line, parameter=name) from None


def read(directory: str, registry: Registry | None = None) -> Config:
    """Read main.cf and master.cf of a directory; :meth:`Config.check` is the next step.

    A directory without master.cf has no services.

    Args:
        directory: configuration directory.
        registry: known parameters; by default Postfix's and ours.
    Raises:
        ConfigError: a file is unreadable or has bad syntax.
    """
    settings, warnings = read_main_cf(os.path.join(directory, "main.cf"))
    master = os.path.join(directory, "master.cf")
    rows = tuple(read_master_cf(master, warnings)) if os.path.exists(master) else ()
    return Config(settings, rows, directory=directory, registry=registry, warnings=warnings)
