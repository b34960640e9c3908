"""``postconf``: show and change main.cf and master.cf. Source: postconf(1).

Shows what is written and what holds by default, not whether it is right: ``postgate check`` does that.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence

import msgspec

from gateway.cli.console import Console, Fatal, config_directory, options
from gateway.cli.postconf_edit import edit_main, edit_master
from gateway.config import Config, Parameter, Row, read
from gateway.config.known.transport import (
    DELIVERY_COMMANDS,
    SUFFIXES,
    TIME_LIMIT,
    TIME_LIMIT_COMMANDS,
    TIME_LIMIT_DEFAULT,
)
from gateway.config.layout import format_command, format_override, format_row, format_value
from gateway.config.main_cf import Setting, split_setting
from gateway.config.master_cf import FIELDS, override_places, read_master_cf, split_options, unbrace
from gateway.config.master_edit import is_match
from gateway.config.unknown import used_names
from gateway.model.errors import ConfigError

USAGE = (
    "postconf [-dfhHnopvx] [-c config_dir] [-C class,...] [-o name=value] [parameter ...] | "
    "postconf [-e|-#|-X] [-c config_dir] parameter[=value] ... | "
    "postconf -M|-F|-P [-efhHoxX#] [-c config_dir] [service[/type[/name]][=value] ...]"
)
_CLASSES = ("builtin", "service", "user")


class View(msgspec.Struct, frozen=True):
    """How things are shown.

    Args:
        has_names, has_values: what of ``name = value`` is shown.
        is_folded: long lines are broken.
        is_expanded: ``$name`` is filled in.
    """

    has_names: bool = True
    has_values: bool = True
    is_folded: bool = False
    is_expanded: bool = False

    def line(self, name: str, value: str) -> str:
        """One setting."""
        if not self.has_values:
            return name
        return format_value(value, first=f"{name} =" if self.has_names else "", fold=self.is_folded)


def main(argv: list[str]) -> int:
    """Run ``postconf`` with the arguments after the program name; returns the exit status.

    Raises:
        Fatal: bad usage. ConfigError: unreadable files, bad syntax.
    """
    found, operands = options(argv, "aAbc:C:deEfFhHlmMno:pPtT:vxX#", USAGE)
    flags = {letter for letter, values in found.items() if values == [""] * len(values)}
    console = Console("postconf")
    for letter in "aAbtT":
        if letter in found:
            raise Fatal(f"option -{letter} is not available")
    if "l" in flags or "m" in flags:
        _print(iter(("flock", "fcntl", "dotlock") if "l" in flags else _table_types()))
        return 0
    modes = [letter for letter in "MFPp" if letter in flags]
    if len(modes) > 1:
        raise Fatal("specify one of " + " ".join(f"-{letter}" for letter in modes))
    mode = modes[0] if modes else "p"
    clash = [letter for letter in "dn" if letter in flags]
    if len(clash) > 1 or (clash and mode != "p"):
        raise Fatal("specify one of " + " ".join(f"-{letter}" for letter in (*clash, *modes)))
    directory = config_directory(found.get("c", [""])[-1])
    edits = [letter for letter in "eX#" if letter in flags]
    if not edits and any("=" in operand for operand in operands):
        edits = ["e"]
    if len(edits) > 1:
        raise Fatal("specify one of -e -X -#")
    if edits:
        edit = edit_main if mode == "p" else edit_master
        edit(directory, mode, edits[0], operands, console)
        return 0
    view = View("h" not in flags, "H" not in flags, "f" in flags, "x" in flags)
    if mode == "p":
        lines = _settings(directory, found, operands, view, console)
    else:
        lines = _services(_configured(directory, found), mode, operands, view, console)
    _print(lines)
    return 0


def _print(lines: Iterator[str]) -> None:
    """Values may have octets that are no UTF-8: they go out as they came in."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")
    for line in lines:
        print(line)


def _table_types() -> tuple[str, ...]:
    from gateway.maps import Tables

    return Tables(Config({})).types


# -- main.cf -----------------------------------------------------------------------------------------------------------


def _settings(
    directory: str, found: dict[str, list[str]], operands: Sequence[str], view: View, console: Console
) -> Iterator[str]:
    """Lines for main.cf parameters: named ones, or all, or those that are set (-n)."""
    is_default, is_set_only = "d" in found, "n" in found
    config = _default_config(directory) if is_default else _configured(directory, found)
    _add_plugin_parameters(config, _plugins(directory) if is_default else config.words("plugins"), console)
    user = set() if is_default else _user_names(config)
    services = dict(service_parameters(config))
    classes = _classes(found)
    known = {parameter.name for parameter in config.registry}
    names = {
        name
        for shown, chosen in (
            ("builtin", known - set(services)),
            ("service", set(services)),
            ("user", user - known - set(services)),
        )
        if shown in classes
        for name in chosen
    }
    for name in operands:
        if name not in names:
            console.warning(f"{name}: unknown parameter{_hint(config, name)}")
    for name in operands or sorted(names):
        if name in names and (not is_set_only or config.is_set(name)):
            yield view.line(name, _shown(config, name, services, view))
    if not is_default:
        for warning in _warnings(config, known | user | set(services)):
            console.warning(warning)


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
    rows = tuple(read_master_cf(master)) if os.path.exists(master) else ()
    return Config({}, rows)


def _configured(directory: str, found: dict[str, list[str]]) -> Config:
    """main.cf with ``-o`` settings; ``config_directory`` counts as set when the caller chose it."""
    config = read(directory)
    settings = dict(config.settings)
    if "c" in found or os.environ.get("MAIL_CONFIG"):
        chosen = found.get("c", [""])[-1] or os.environ["MAIL_CONFIG"]
        settings["config_directory"] = Setting("config_directory", chosen)
    for text in found.get("o", []):
        name, value = split_setting(text)
        settings[name] = Setting(name, value, "-o")
    return Config(settings, config.rows, directory=directory, registry=config.registry, warnings=config.warnings)


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
    for word in ",".join(found.get("C", ["all"])).split(","):
        if word != "all" and word not in _CLASSES:
            raise Fatal(f"-C {word}: expected builtin, service, user or all")
        chosen |= set(_CLASSES) if word == "all" else {word}
    return chosen


def service_parameters(config: Config) -> Iterator[tuple[str, Parameter]]:
    """The parameters that rows of master.cf bring, e.g. ``relay_destination_concurrency_limit``."""
    for row in config.rows:
        suffixes: dict[str, str] = {}
        if row.fields[1] != "inet" and row.command in DELIVERY_COMMANDS:
            suffixes |= SUFFIXES
        if row.command in TIME_LIMIT_COMMANDS:
            suffixes[TIME_LIMIT] = TIME_LIMIT_DEFAULT
        for suffix, fallback in suffixes.items():
            name = f"{row.fields[0]}_{suffix}"
            known = config.registry.get(name)
            yield name, Parameter(name, default=f"${fallback}") if known is None else known


def _user_names(config: Config) -> set[str]:
    """User-defined names in main.cf that something reads."""
    used, prefixes = used_names(config)
    return {
        name for name in config.settings if name in used or any(name.startswith(f"{prefix}_") for prefix in prefixes)
    }


def _hint(config: Config, name: str) -> str:
    nearest = config.registry.nearest(name)
    return f"; did you mean {nearest}?" if nearest else ""


def _warnings(config: Config, known: set[str]) -> Iterator[str]:
    yield from config.warnings
    for name, setting in config.settings.items():
        if name not in known:
            where = f"{setting.file}, line {setting.line}: " if setting.line else ""
            yield f"{where}unused parameter: {name}={setting.value}{_hint(config, name)}"


# -- master.cf ---------------------------------------------------------------------------------------------------------


def _services(config: Config, mode: str, operands: Sequence[str], view: View, console: Console) -> Iterator[str]:
    """Lines for rows (-M), their fields (-F) or their ``-o`` settings (-P)."""
    requests = [_request(operand, mode) for operand in operands] or [("*", "*", "*")]
    seen: set[int] = set()
    for row in config.rows:
        matching = [number for number, request in enumerate(requests) if is_match(row, request[0], request[1])]
        shown = _expanded_row(config, row) if view.is_expanded else row
        if mode == "M":
            seen.update(matching)
            if matching:
                yield format_row(shown, fold=view.is_folded)
            continue
        pairs = _fields(shown) if mode == "F" else sorted(split_options(shown)[0].items())
        for name, value in pairs:
            hits = [number for number in matching if requests[number][2] in ("*", name)]
            seen.update(hits)
            if hits:
                # Only folding changes the white space of a field; a setting is shown like one of main.cf.
                yield _attribute(row, name, value, view, is_exact=mode == "F" and not view.is_folded)
    for number, operand in enumerate(operands):
        if number not in seen:
            console.warning(f'unmatched request: "{operand}"')


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


def _attribute(row: Row, name: str, value: str, view: View, *, is_exact: bool) -> str:
    label = f"{row.fields[0]}/{row.fields[1]}/{name}"
    if is_exact and view.has_values:
        return f"{label} = {value}" if view.has_names else value
    return view.line(label, value)


def _expanded_row(config: Config, row: Row) -> Row:
    """The row with ``$name`` in its ``-o`` settings filled in, as the service itself sees them."""
    overrides, _ = split_options(row)
    settings = dict(config.settings)
    for name, value in {"service_name": row.fields[0], **overrides}.items():
        settings[name] = Setting(name, value, "-o")
    seen = Config(settings, config.rows, directory=config.directory, registry=config.registry)
    arguments = list(row.arguments)
    for at in override_places(arguments):
        name, _ = split_setting(unbrace(arguments[at]))
        arguments[at] = format_override(name, seen.expanded(name) or "")
    return Row(row.fields, row.command, tuple(arguments), row.file, row.line, row.last)
