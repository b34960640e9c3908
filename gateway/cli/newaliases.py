"""``newaliases``: build the tables of ``alias_database``. Source: newaliases(1)."""

from __future__ import annotations

from gateway.cli.console import Console, Fatal, open_config, options
from gateway.cli.table_options import POSTALIAS, Action, Options
from gateway.config import Config

USAGE = "newaliases [-C config_dir] [-v]"


def main(arguments: list[str]) -> int:
    """Run ``newaliases``; options of other mail systems are accepted, as sendmail(1) does.

    Raises:
        Fatal: not possible.
    """
    found, operands = options(arguments, "C:Iivb:q:o:O:", USAGE)
    if operands:
        raise Fatal(f"usage: {USAGE}")
    return build(open_config(found.get("C", [""])[-1]))


def build(config: Config) -> int:
    """Build all of ``alias_database``; returns the exit status.

    Raises:
        Fatal: not possible.
    """
    tables = config.words("alias_database")
    if not tables:
        return 0
    from gateway.cli import table_build

    return table_build.run(POSTALIAS, Options(Action.BUILD, tables), config, Console(POSTALIAS.name, config))
