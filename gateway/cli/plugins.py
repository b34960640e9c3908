"""``postgate plugins``: what is installed, what is loaded, and who is asked at each stage, in which order."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from gateway.cli.console import open_config
from gateway.config import Config
from gateway.hooks.manager import PluginManager, installed_plugins
from gateway.hooks.specs import OBSERVERS, REGISTER, STAGES
from gateway.master.settings import admit_plugins


def show(directory: str, *, is_json: bool) -> int:
    """Print plugins and chains."""
    config = open_config(directory)
    manager = admit_plugins(config)
    found = describe(config, manager)
    if is_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        _print(found)
    return 0


def describe(config: Config, manager: PluginManager) -> dict[str, Any]:
    """Installed and loaded plugins, and the chain of each hook that somebody implements."""
    installed = {plugin.name: plugin for plugin in installed_plugins()}
    plugins = []
    for name in [*manager.names, *(name for name in installed if name not in manager.names)]:
        known = installed.get(name)
        plugins.append(
            {
                "name": name,
                "version": known.version if known else "",
                "distribution": known.distribution if known else "",
                "source": known.reference if known else manager.options[name].name,
                "is_loaded": name in manager.names,
                "hooks": manager.hooks_of(name) if name in manager.names else [],
            }
        )
    chains = {
        hook: [name for name in manager.names if hook in manager.hooks_of(name)]
        for hook in (*STAGES, *OBSERVERS, *REGISTER)
    }
    return {"order": config.words("plugins"), "plugins": plugins, "chains": {k: v for k, v in chains.items() if v}}


def _print(found: dict[str, Any]) -> None:
    columns = ("plugin", "version", "loaded", "source", "hooks")
    rows = [
        (
            plugin["name"],
            plugin["version"] or "-",
            "yes" if plugin["is_loaded"] else "no",
            plugin["source"],
            " ".join(plugin["hooks"]) or "-",
        )
        for plugin in found["plugins"]
    ]
    if sys.stdout.isatty():
        _coloured(columns, rows)
    else:
        widths = [max(len(row[at]) for row in [columns, *rows]) for at in range(len(columns))]
        for row in [columns, *rows]:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print()
    for hook, names in found["chains"].items():
        print(f"{hook:<13} {' -> '.join(names)}")


def _coloured(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console as Terminal
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row, style="" if row[2] == "yes" else "dim")
    Terminal().print(table)
