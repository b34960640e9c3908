"""The showing half of ``postconf``: parameters of main.cf; rows, fields and ``-o`` settings of master.cf.

Lines and warnings are Postfix's, octet by octet; where a name is unknown the nearest known one follows.
Source: postconf(1).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence

import msgspec

from gateway.cli.console import Console, Fatal
from gateway.config import Config, Parameter, Row, read
from gateway.config.known.clients import CLIENT_PARAMETERS
from gateway.config.layout import format_command, format_override, format_row, format_value
from gateway.config.main_cf import Setting, read_main_cf, split_setting
from gateway.config.master_cf import FIELDS, override_places, read_master_cf, split_options, unbrace
from gateway.config.master_edit import is_match
from gateway.config.service_parameters import service_parameters
from gateway.config.usage import Usage, unused_overrides, unused_settings, usage
from gateway.model.errors import ConfigError

_CLASSES = ("builtin", "service", "user")
READ_ONLY = frozenset({"process_id", "process_name", "service_name"})
"""Parameters that say what is; setting them does nothing but bring a warning."""


class View(msgspec.Struct, frozen=True):
    """How things are shown.

    Args:
        has_names, has_values: what of ``name = value`` is shown.
        is_folded: long lines are broken.
        is_expanded: ``$name`` is filled in.
        is_json: each thing is a JSON object on a line of its own.
        is_quiet: without warnings of parameters that nothing uses.
    """

    has_names: bool = True
    has_values: bool = True
    is_folded: bool = False
    is_expanded: bool = False
    is_json: bool = False
    is_quiet: bool = False

    def line(self, name: str, value: str, row: Row | None = None) -> str:
        """One setting, of main.cf or of a row of master.cf."""
        if self.is_json:
            return self._object(name, value, row)
        if row is not None:
            name = _label(row, name)
        if not self.has_values:
            return name
        return format_value(value, first=f"{name} =" if self.has_names else "", fold=self.is_folded)

    def _object(self, name: str, value: str, row: Row | None) -> str:
        shown = dict(zip(FIELDS[:2], row.fields, strict=False)) if row is not None else {}
        if self.has_names:
            shown["name"] = name
        if self.has_values:
            shown["value"] = value
        return json_object(shown)


def json_object(members: dict[str, str]) -> str:
    """A JSON object on one line; octets that are no UTF-8 become U+FFFD, as JSON cannot hold them (RFC 8259 §8.1)."""
    text = json.dumps(members, ensure_ascii=False)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def configured(directory: str, found: dict[str, list[str]]) -> Config:
    """main.cf with ``-o`` settings; ``config_directory`` counts as set when the caller chose it.

    Raises:
        ConfigError: a file is unreadable or has bad syntax.
    """
    config = read(directory)
    settings, warnings = dict(config.settings), config.warnings
    if "c" in found or os.environ.get("MAIL_CONFIG"):
        chosen = found.get("c", [""])[-1] or os.environ["MAIL_CONFIG"]
        own = settings.setdefault("config_directory", Setting("config_directory", chosen))
        if own.line:
            warnings.append(f"{own.file}, line {own.line}: overriding earlier entry: config_directory={chosen}")
    for text in found.get("o", []):
        name, value = split_setting(text)
        settings[name] = Setting(name, value, "-o")
    for name in READ_ONLY & settings.keys():
        file = os.path.join(directory, "main.cf")
        warnings.append(f"{file}: read-only parameter assignment: {name}={settings.pop(name).value}")
    for row in config.rows:
        for name, value in split_options(row)[0].items():
            if name in READ_ONLY:
                warnings.append(f"{row.file}: read-only parameter assignment: {name}={value}")
    return Config(
        settings,
        config.rows,
        directory=directory,
        registry=config.registry,
        warnings=warnings,
        keeps_paths=True,
    )


# -- main.cf -----------------------------------------------------------------------------------------------------------


def settings(
    directory: str, found: dict[str, list[str]], operands: Sequence[str], view: View, console: Console
) -> Iterator[str]:
    """Lines for main.cf parameters: named ones, or all, or those that are set (-n); warnings go to the console.

    Raises:
        Fatal: bad class. ConfigError: as :func:`configured`.
    """
    classes = _classes(found)
    is_default, is_set_only = "d" in found, "n" in found
    config = _default_config(directory) if is_default else configured(directory, found)
    _add_plugin_parameters(config, _plugins(directory) if is_default else config.words("plugins"), console)
    services = service_parameters(config.rows, config.registry)
    read_names = Usage() if is_default else usage(config)
    _warn_before(config, read_names, console)
    known = {parameter.name for parameter in config.registry} - services.keys()
    names: set[str] = set()
    for shown, chosen in (("builtin", known), ("service", services.keys()), ("user", read_names.used)):
        if shown in classes:
            names |= chosen
    for name in operands or sorted(names, key=_octets):
        if name not in names:
            console.warning(f"{name}: unknown parameter{_hint(config, name)}")
        elif not is_set_only or config.is_set(name):
            yield view.line(name, _shown(config, name, services, view))
    if not is_default:
        unused = [] if view.is_quiet else unused_settings(config, read_names)
        for setting in sorted(unused, key=lambda setting: _octets(setting.name)):
            text = f"unused parameter: {setting.name}={setting.value}"
            console.warning(printable(f"{_main_cf(config)}: {text}") + _hint(config, setting.name))
        _warn_after(config, read_names, console, is_quiet=view.is_quiet)


def _shown(config: Config, name: str, services: dict[str, Parameter], view: View) -> str:
    if view.is_expanded:
        value = config.expanded(name)
        return value if value is not None else config.expand(services[name].default)
    raw = config.raw(name)
    if raw is not None:
        return raw
    default = config.default(name)
    return services[name].default if default is None else default


def _default_config(directory: str) -> Config:
    """No main.cf: the defaults; master.cf counts, because transports bring parameters."""
    master = os.path.join(directory, "master.cf")
    warnings: list[str] = []
    rows = tuple(read_master_cf(master, warnings)) if os.path.exists(master) else ()
    return Config({}, rows, warnings=warnings)


def _plugins(directory: str) -> tuple[str, ...]:
    """The plugins that main.cf names, where there is one: their parameters have defaults too."""
    has_file = os.path.exists(os.path.join(directory, "main.cf"))
    return (read(directory) if has_file else Config({})).words("plugins")


def _add_plugin_parameters(config: Config, plugins: tuple[str, ...], console: Console) -> None:
    """Make the parameters of plugins known; a plugin that cannot be loaded is a warning here."""
    from gateway.hooks.manager import PluginManager

    try:
        PluginManager(plugins).add_parameters(config.registry)
    except ConfigError as error:
        console.warning(str(error))


def _classes(found: dict[str, list[str]]) -> set[str]:
    chosen: set[str] = set()
    for word in found.get("C", ["all"])[-1].split(","):
        if word != "all" and word not in _CLASSES:
            raise Fatal(f"-C {word}: expected builtin, service, user or all")
        chosen |= set(_CLASSES) if word == "all" else {word}
    return chosen


# -- warnings ----------------------------------------------------------------------------------------------------------


def printable(text: str) -> str:
    """Text in which every octet that is no printable ASCII character is a question mark."""
    octets = text.encode("utf-8", "surrogateescape")
    return "".join(chr(octet) if 32 <= octet < 127 else "?" for octet in octets)


def _octets(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _main_cf(config: Config) -> str:
    return os.path.join(config.directory, "main.cf")


def _hint(config: Config, name: str) -> str:
    nearest = config.registry.nearest(name)
    return f"; did you mean {nearest}?" if nearest else ""


def _warn_before(config: Config, found: Usage, console: Console) -> None:
    for warning in config.warnings:
        console.warning(printable(warning))
    for file, name in found.undefined:
        console.warning(printable(f"{file}: undefined parameter: {name}"))


def _warn_after(config: Config, found: Usage, console: Console, *, is_quiet: bool) -> None:
    for row, name, value in () if is_quiet else unused_overrides(config, found):
        console.warning(printable(f"{row.file}: unused parameter: {name}={value}"))
    for kind, file in found.clients:
        if not os.path.exists(file):
            console.warning(f'open "{kind}" configuration "{file}": No such file or directory')
            continue
        for name, setting in read_main_cf(file)[0].items():
            if name not in CLIENT_PARAMETERS[kind] and not is_quiet:
                console.warning(printable(f"{kind}:{file}: unused parameter: {name}={setting.value}"))


# -- master.cf ---------------------------------------------------------------------------------------------------------


def services(config: Config, mode: str, operands: Sequence[str], view: View, console: Console) -> Iterator[str]:
    """Lines for rows (-M), their fields (-F) or their ``-o`` settings (-P); warnings go to the console.

    Args:
        config: as :func:`configured` gives it. mode: ``M``, ``F`` or ``P``. operands: ``service[/type[/name]]``.

    Raises:
        Fatal: a bad request. ConfigError: a value cannot be expanded.
    """
    read_names = usage(config)
    _warn_before(config, read_names, console)
    requests = [_request(operand, mode) for operand in operands] or [("*", "*", "*")]
    seen: set[int] = set()
    for row in config.rows:
        matching = [number for number, request in enumerate(requests) if is_match(row, request[0], request[1])]
        shown = _expanded_row(config, row) if view.is_expanded else row
        if mode == "M":
            seen.update(matching)
            if matching:
                yield json_object(dict(_fields(shown))) if view.is_json else format_row(shown, fold=view.is_folded)
            continue
        pairs = _fields(shown) if mode == "F" else _overrides(shown)
        for name, value in pairs:
            hits = [number for number in matching if requests[number][2] in ("*", name)]
            seen.update(hits)
            if hits:
                yield _field(shown, name, value, view) if mode == "F" else view.line(name, value, row)
    for number, operand in enumerate(operands):
        if number not in seen:
            console.warning(f'unmatched request: "{operand}"')
    _warn_after(config, read_names, console, is_quiet=view.is_quiet)


def _request(operand: str, mode: str) -> tuple[str, str, str]:
    """``service[/type[/name]]``; parts that are left out match all."""
    parts = operand.split("/") if mode == "M" else operand.split("/", 2)
    if mode == "M" and len(parts) > 2:
        raise Fatal(f'"{operand}": expected service/type')
    service, kind, name = [*parts, "*", "*"][:3]
    if mode == "F" and name not in ("*", *FIELDS):
        raise Fatal(f'"{name}": expected one of {", ".join(FIELDS)}')
    return service, kind, name


def _fields(row: Row) -> list[tuple[str, str]]:
    return [*zip(FIELDS, row.fields, strict=False), (FIELDS[7], format_command(row))]


def _overrides(row: Row) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in split_options(row)[0].items() if name not in READ_ONLY)


def _label(row: Row, name: str) -> str:
    return f"{row.fields[0]}/{row.fields[1]}/{name}"


def _field(row: Row, name: str, value: str, view: View) -> str:
    """A field is shown as it is; only its command is folded, like the command of a row."""
    if view.is_json:
        return view.line(name, value, row)
    label = _label(row, name)
    if not view.has_values:
        return label
    first = f"{label} = " if view.has_names else ""
    if name == FIELDS[7] and view.is_folded:
        return format_command(row, first=first, fold=True)
    return first + value


def _expanded_row(config: Config, row: Row) -> Row:
    """The row with ``$name`` in its ``-o`` settings filled in, as the service itself sees them."""
    overrides, _ = split_options(row)
    seen = config.scoped({**overrides, "service_name": row.fields[0]})
    arguments = list(row.arguments)
    for at in override_places(arguments):
        name, value = split_setting(unbrace(arguments[at]))
        arguments[at] = format_override(name, seen.expand(value))
    return Row(row.fields, row.command, tuple(arguments), row.file, row.line, row.last)
