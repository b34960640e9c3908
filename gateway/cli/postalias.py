"""``postalias``: build, change and ask alias tables. Source: postalias(1)."""

from __future__ import annotations

from gateway.cli.postmap import run
from gateway.cli.table_options import POSTALIAS


def main(arguments: list[str]) -> int:
    """Run ``postalias``."""
    return run(POSTALIAS, arguments)
