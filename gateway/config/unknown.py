"""Settings that nothing reads: most often a misspelt name.

A name that no table knows is in order when a known parameter's value mentions it (``$my_own_list``), directly or
through others, when it is a restriction class, or when it configures a database table by prefix (``ldap:prefix``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from gateway.config.expansion import referenced
from gateway.config.master_cf import split_options

if TYPE_CHECKING:
    from gateway.config.config import Config

_DATABASE = re.compile(r"\b(?:ldap|memcache|mysql|pgsql|sqlite):([A-Za-z0-9_]+)", re.ASCII)


def _texts(config: Config) -> Iterator[str]:
    """Every raw value that is read for sure."""
    for parameter in config.registry:
        value = config.raw(parameter.name)
        yield parameter.default if value is None else value
    for row in config.rows:
        overrides, arguments = split_options(row)
        yield from overrides.values()
        yield from arguments
    for name in config.settings:
        if name not in config.registry and config.definition(name) is not None:
            yield config.settings[name].value


def used_names(config: Config) -> tuple[set[str], set[str]]:
    """The user-defined names that known values mention, and the prefixes of database tables among them."""
    used: set[str] = set()
    prefixes: set[str] = set()
    waiting: list[str] = list(_texts(config))
    classes: Iterable[str] = config.words("smtpd_restriction_classes")
    used.update(classes)
    waiting += [config.raw(name) or "" for name in classes]
    while waiting:
        text = waiting.pop()
        prefixes.update(_DATABASE.findall(text))
        if "$" not in text:
            continue
        for name in referenced(text) - used:
            used.add(name)
            waiting.append(config.raw(name) or "")
    return used, prefixes


def unknown_names(config: Config) -> Iterator[tuple[str, str | None]]:
    """Names set in main.cf that nothing reads, each with the nearest known name or None."""
    strange = [name for name in config.settings if config.definition(name) is None]
    if not strange:
        return
    used, prefixes = used_names(config)
    for name in strange:
        if name not in used and not any(name.startswith(f"{prefix}_") for prefix in prefixes):
            yield name, config.registry.nearest(name)


def unknown_overrides(config: Config) -> Iterator[tuple[int, str, str | None]]:
    """The same for ``-o`` settings of master.cf, each with its line there."""
    strange = [
        (service, name)
        for service in config.services
        for name in service.overrides
        if config.definition(name) is None and name not in config.settings
    ]
    used = used_names(config)[0] if strange else set()
    for service, name in strange:
        if name not in used:
            yield service.line, name, config.registry.nearest(name)
