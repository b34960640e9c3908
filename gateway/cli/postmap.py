"""``postmap``: build, change and ask lookup tables. Source: postmap(1)."""

from __future__ import annotations

from gateway.cli.console import Console, open_config
from gateway.cli.table_options import POSTMAP, Action, Face, parse


def main(arguments: list[str]) -> int:
    """Run ``postmap``."""
    return run(POSTMAP, arguments)


def run(face: Face, arguments: list[str]) -> int:
    """Run one of the two tools for tables.

    Raises:
        Fatal: bad usage, or not possible. ConfigError: main.cf, or a table that is asked.
    """
    options = parse(face, arguments)
    config = open_config(options.config_directory)
    console = Console(face.name, config)
    if options.is_verbose:
        console.info(f"{options.action.name.lower()}: {' '.join(options.tables)}")
    if options.action in (Action.QUERY, Action.LIST):
        from gateway.cli import table_query

        return table_query.run(face, options, config, console)
    from gateway.cli import table_build

    return table_build.run(face, options, config, console)
