"""``mailq``: the queue as a table. Source: mailq(1)."""

from __future__ import annotations

from gateway.cli.console import Console, open_config, options
from gateway.cli.postqueue import show
from gateway.cli.queue_source import Queue


def main(arguments: list[str]) -> int:
    """Run ``mailq``; Sendmail's options are accepted, ``-C`` and ``-c`` choose the configuration."""
    found, _ = options(arguments, "A:C:c:O:o:qv", "mailq [-C config_dir]")
    chosen = [*found.get("C", []), *found.get("c", []), ""]
    show(Queue(open_config(chosen[0]), Console("mailq")))
    return 0
