"""Settings that nothing reads: most often a misspelt name. What counts as read: :mod:`gateway.config.usage`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.config.usage import unused_overrides, unused_settings, usage

if TYPE_CHECKING:
    from gateway.config.config import Config


def unknown_names(config: Config) -> Iterator[tuple[str, str | None]]:
    """Names set in main.cf that nothing reads, each with the nearest known name or None."""
    if all(config.definition(name) is not None for name in config.settings):
        return
    for setting in unused_settings(config, usage(config)):
        if config.definition(setting.name) is None:
            yield setting.name, config.registry.nearest(setting.name)


def unknown_overrides(config: Config) -> Iterator[tuple[int, str, str | None]]:
    """The same for ``-o`` settings of master.cf, each with its line there."""
    if all(config.definition(name) is not None for service in config.services for name in service.overrides):
        return
    for row, name, _ in unused_overrides(config, usage(config)):
        if config.definition(name) is None:
            yield row.line, name, config.registry.nearest(name)
