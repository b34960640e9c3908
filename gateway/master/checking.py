"""The role that judges a configuration: everything a worker would load is loaded, nothing is served.

It runs with the rights of mail_owner, so that what only root could read is found before a worker fails on it.
"""

from __future__ import annotations

from gateway.config import Config
from gateway.hooks.manager import PluginManager
from gateway.net.worker import WorkerContext


async def run(context: WorkerContext) -> None:
    """Load plugins and tables as the others do, say ready, and end.

    Raises:
        ConfigError: what is wrong.
    """
    judge(context.config)
    context.ready()


def judge(config: Config) -> PluginManager:
    """Load and configure the plugins of a checked configuration; returns them.

    Raises:
        ConfigError: a plugin is missing, breaks the contract or refuses its settings.
    """
    plugins = PluginManager(config.words("plugins"))
    plugins.configure(config)
    return plugins
