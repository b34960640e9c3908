"""Reading the configuration, and handing it to workers as it was when it was checked.

The master reads and checks the files once and every worker gets that snapshot: a worker that is replaced after a crash
must not come up on a file that somebody is editing, nor need the right to read it.
"""

from __future__ import annotations

import marshal
from typing import Any

import msgspec

from gateway.config import Config, default_registry, read
from gateway.config.main_cf import Setting
from gateway.config.master_cf import Row
from gateway.hooks.manager import PluginManager


def load(config_directory: str) -> Config:
    """Read and check main.cf and master.cf, without running any plugin's code: for the master, which may be root.

    Raises:
        ConfigError: with file, line and parameter.
    """
    config = read(config_directory)
    config.check()
    return config


def snapshot(config: Config) -> bytes:
    """Everything that was written in main.cf and master.cf.

    marshal and not msgpack: values may have octets that are no UTF-8, which only marshal carries as they are. Both ends
    are the same interpreter, and nobody else can write to the channel.
    """
    return marshal.dumps(msgspec.to_builtins([config.directory, list(config.settings.values()), list(config.rows)]))


def restore(data: bytes) -> Config:
    """The configuration of a :func:`snapshot`, not checked yet."""
    content: list[Any] = marshal.loads(data)  # noqa: S302 - from our own master
    directory, settings, rows = content
    named = {setting.name: setting for setting in msgspec.convert(settings, list[Setting])}
    return Config(named, msgspec.convert(rows, tuple[Row, ...]), directory=directory, registry=default_registry())


def admit_plugins(config: Config) -> PluginManager:
    """Import the plugins of an unchecked configuration, let them add their parameters, then check it.

    Raises:
        ConfigError: a plugin cannot be used, or a value is wrong.
    """
    plugins = PluginManager(config.words("plugins"))
    plugins.add_parameters(config.registry)
    config.check()
    return plugins
