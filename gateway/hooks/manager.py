"""Finds, loads and validates plugins, and compiles their hooks into chains.

pluggy checks every implementation against ``specs``; a misspelt hook or argument, a wrapper, or a plugin without a
single hook stops the start with the plugin's name. Order is main.cf's ``plugins`` and nothing else.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec
import pluggy

from gateway.config import Config, Registry
from gateway.hooks.chain import Chain, Link, Runtime
from gateway.hooks.failure import Breaker, FailurePolicy
from gateway.hooks.marker import PROJECT, is_blocking
from gateway.hooks.options import PluginOptions, parse_options
from gateway.hooks.specs import OBSERVERS, REGISTER, STAGES, Specs
from gateway.model.errors import ConfigError

GROUP = "gateway.plugins"


class Installed(msgspec.Struct, frozen=True):
    """A plugin that is installed, loaded or not: entry point name, distribution and version, object reference."""

    name: str
    distribution: str
    version: str
    reference: str


def installed_plugins() -> list[Installed]:
    """Every entry point of the group ``gateway.plugins``, by name."""
    found = []
    for point in entry_points(group=GROUP):
        distribution = point.dist
        name, version = (distribution.name, distribution.version) if distribution else ("", "")
        found.append(Installed(point.name, name, version, point.value))
    return sorted(found, key=lambda plugin: plugin.name)


class PluginManager:
    """The plugins of one configuration, in order.

    Args:
        entries: the words of main.cf's ``plugins``.
        objects: further plugins by name, called after those: for tests.

    Raises:
        ConfigError: a plugin is not installed, cannot be imported, or breaks the contract.
    """

    def __init__(self, entries: Sequence[str], *, objects: Mapping[str, object] | None = None) -> None:
        self._registry = pluggy.PluginManager(PROJECT)
        self._registry.add_hookspecs(Specs)
        self._specs = {name: getattr(self._registry.hook, name) for name in (*REGISTER, *STAGES, *OBSERVERS)}
        self._breakers: dict[str, Breaker] = {}
        self.options: dict[str, PluginOptions] = {}
        points = {point.name: point for point in entry_points(group=GROUP)}
        for entry in entries:
            self._load(parse_options(entry), points)
        for name, plugin in (objects or {}).items():
            self._add(PluginOptions(name), name, plugin)

    @property
    def names(self) -> tuple[str, ...]:
        """Loaded plugins in calling order."""
        return tuple(self.options)

    def _load(self, options: PluginOptions, points: dict[str, EntryPoint]) -> None:
        path, _, attribute = options.name.partition(":")
        is_file = path.startswith("/")
        name = os.path.splitext(os.path.basename(path))[0] if is_file else options.name
        if name in self.options:
            raise ConfigError(f"{name} is listed twice", parameter="plugins")
        plugin = _from_file(path, name, attribute) if is_file else _from_entry_point(name, points)
        self._add(options, name, plugin)

    def _add(self, options: PluginOptions, name: str, plugin: object) -> None:
        if inspect.isclass(plugin):
            plugin = _guarded(name, "instantiate", plugin)
        try:
            self._registry.register(plugin, name)
            self._registry.check_pending()
        except (pluggy.PluginValidationError, ValueError) as exc:
            raise ConfigError(f"plugin {name}: {exc}", parameter="plugins") from exc
        self.options[name] = options
        self._validate(name, plugin)

    def _validate(self, name: str, plugin: object) -> None:
        found = 0
        for hook, caller in self._specs.items():
            for impl in caller.get_hookimpls():
                if impl.plugin_name != name:
                    continue
                found += 1
                if impl.hookwrapper or impl.wrapper:
                    raise ConfigError(
                        f"plugin {name}: {hook}: wrappers are not called, write a plain hook", parameter="plugins"
                    )
                if hook not in STAGES and inspect.iscoroutinefunction(impl.function):
                    raise ConfigError(f"plugin {name}: {hook} must not be async", parameter="plugins")
                if is_blocking(impl.function) and (hook not in STAGES or inspect.iscoroutinefunction(impl.function)):
                    raise ConfigError(f"plugin {name}: {hook}: @blocking is for sync stage hooks", parameter="plugins")
        for hook in self._specs:
            function = getattr(plugin, hook, None)
            if inspect.isroutine(function) and not hasattr(function, PROJECT + "_impl"):
                raise ConfigError(f"plugin {name}: {hook} lacks the @hookimpl mark", parameter="plugins")
        if not found:
            raise ConfigError(f"plugin {name}: implements no hook", parameter="plugins")

    def _implementations(self, hook: str) -> Iterator[tuple[str, Any]]:
        """(plugin, implementation) in the order of ``plugins``, not of registration."""
        by_name = {impl.plugin_name: impl for impl in self._specs[hook].get_hookimpls()}
        for name in self.options:
            if name in by_name:
                yield name, by_name[name]

    def hooks_of(self, plugin: str) -> list[str]:
        """Hooks that one loaded plugin implements."""
        return [hook for hook in self._specs if any(name == plugin for name, _ in self._implementations(hook))]

    # --- register hooks ----------------------------------------------------------------------------------------------

    def add_parameters(self, registry: Registry) -> None:
        """Let plugins add their main.cf parameters; before ``Config.check``."""
        self._call("parameters", registry)

    def configure(self, config: Config) -> None:
        """Hand the checked configuration to every plugin."""
        self._call("configure", config)

    def registered(self, hook: str) -> dict[str, Any]:
        """What plugins register through ``lookup_tables``, ``restrictions``, ``transports`` or ``commands``, by name.

        Raises:
            ConfigError: two plugins register the same name, or a plugin failed.
        """
        table: dict[str, Any] = {}
        owner: dict[str, str] = {}
        for plugin, impl in self._implementations(hook):

            def register(name: str, factory: Any, plugin: str = plugin) -> None:
                if name in table:
                    raise ConfigError(
                        f"plugin {plugin}: {hook}: {name} is taken by plugin {owner[name]}", parameter="plugins"
                    )
                table[name], owner[name] = factory, plugin

            _guarded(plugin, hook, impl.function, *([register] if impl.argnames else []))
        return table

    def _call(self, hook: str, argument: object) -> None:
        for plugin, impl in self._implementations(hook):
            _guarded(plugin, hook, impl.function, *([argument] if impl.argnames else []))

    # --- stages ------------------------------------------------------------------------------------------------------

    def chain(self, stage: str, config: Config, runtime: Runtime) -> Chain:
        """Compile one stage."""
        order = [name for name in self._specs[stage].spec.argnames if name != "edits"]
        default_s, default_policy = (
            config.seconds("plugin_timeout"),
            FailurePolicy(config.text("plugin_default_action")),
        )
        links = []
        for plugin, impl in self._implementations(stage):
            wanted = [name for name in impl.argnames if name != "edits"]
            options = self.options[plugin]
            links.append(
                Link(
                    plugin,
                    impl.function,
                    tuple(order.index(name) for name in wanted),
                    pen_at=impl.argnames.index("edits") if "edits" in impl.argnames else -1,
                    is_blocking=is_blocking(impl.function),
                    deadline_s=options.timeout(stage, default_s),
                    policy=options.policy(stage, default_policy),
                    breaker=self._breaker(plugin, config),
                )
            )
        return Chain(stage, links, runtime, self.observers("verdict"))

    def observers(self, hook: str) -> list[tuple[str, Callable[..., Any]]]:
        """(plugin, function taking all of the hook's arguments) for one observer hook."""
        order = list(self._specs[hook].spec.argnames)
        return [
            (plugin, _taking_all(impl.function, [order.index(name) for name in impl.argnames]))
            for plugin, impl in self._implementations(hook)
        ]

    def _breaker(self, plugin: str, config: Config) -> Breaker:
        if plugin not in self._breakers:
            self._breakers[plugin] = Breaker(
                config.integer("plugin_breaker_failures"), config.seconds("plugin_breaker_reset")
            )
        return self._breakers[plugin]


def _taking_all(function: Callable[..., Any], positions: list[int]) -> Callable[..., Any]:
    return lambda *arguments: function(*[arguments[i] for i in positions])


def _guarded(plugin: str, what: str, function: Callable[..., Any], *arguments: object) -> Any:
    try:
        return function(*arguments)
    except ConfigError:
        raise
    except Exception as exc:
        raise ConfigError(f"plugin {plugin}: {what}: {type(exc).__name__}: {exc}", parameter="plugins") from exc


def _from_entry_point(name: str, points: dict[str, EntryPoint]) -> Any:
    if name not in points:
        known = ", ".join(sorted(points)) or "none"
        raise ConfigError(
            f"plugin {name} is not installed (installed: {known}); pip install the package that has it, or take it out",
            parameter="plugins",
        )
    try:
        return points[name].load()
    except Exception as exc:
        raise ConfigError(
            f"plugin {name}: cannot import {points[name].value}: {type(exc).__name__}: {exc}", parameter="plugins"
        ) from exc


def _from_file(path: str, name: str, attribute: str) -> Any:
    """Import ``/path/file.py`` or ``/path/file.py:Class``; refused when others than root and we may have written it."""
    try:
        status = os.stat(path)
    except OSError as exc:
        raise ConfigError(f"plugin {path}: {exc.strerror}", parameter="plugins") from exc
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"plugin {path}: must be owned by root and writable by nobody else", parameter="plugins")
    module_name = f"gateway_file_plugin_{name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"plugin {path}: not a Python file", parameter="plugins")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    _guarded(name, "import", spec.loader.exec_module, module)
    if attribute and not hasattr(module, attribute):
        raise ConfigError(f"plugin {path}: has no {attribute}", parameter="plugins")
    return getattr(module, attribute) if attribute else module
