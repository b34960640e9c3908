"""Reading the configuration, with and without the parameters that plugins add."""

from __future__ import annotations

from gateway.config import Config, default_registry, read
from gateway.hooks.manager import PluginManager


def load(config_directory: str) -> Config:
    """Read and check main.cf and master.cf, without running any plugin's code: for the master, which may be root.

    Raises:
        ConfigError: with file, line and parameter.
    """
    config = read(config_directory, registry=default_registry())
    config.check()
    return config


def load_with_plugins(config_directory: str) -> Config:
    """Read main.cf and master.cf, let plugins add their parameters, then check: for workers and tools.

    Raises:
        ConfigError: with file, line and parameter, or the plugin's name.
    """
    registry = default_registry()
    config = read(config_directory, registry=registry)
    PluginManager(config.words("plugins")).add_parameters(registry)
    config.check()
    return config
