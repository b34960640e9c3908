"""``postqueue``: look at the queue, and have it tried now. Source: postqueue(1)."""

from __future__ import annotations

from gateway.cli.console import EX_UNAVAILABLE, EX_USAGE, Console, Fatal, open_config, options
from gateway.cli.control_client import NotRunning
from gateway.cli.queue_listing import json_line, table
from gateway.cli.queue_source import Queue

USAGE = "postqueue [-c config_dir] -f | -i queueid | -j | -p | -s site"


def main(arguments: list[str]) -> int:
    """Run ``postqueue``."""
    found, operands = options(arguments, "c:fi:jps:v", USAGE)
    actions = [letter for letter in "fijps" if letter in found]
    if len(actions) != 1 or operands:
        raise Fatal(f"usage: {USAGE}", EX_UNAVAILABLE if not actions else EX_USAGE)
    config = open_config(found.get("c", [""])[-1])
    queue = Queue(config, Console("postqueue"))
    match actions[0]:
        case "p":
            show(queue)
        case "j":
            for entry in queue.entries():
                print(json_line(entry))
        case "f":
            flush(queue)
        case "i":
            order(queue, "deliver_now", queue_id=found["i"][-1])
        case "s":
            order(queue, "flush_site", site=found["s"][-1])
    return 0


def show(queue: Queue) -> None:
    """Print the table of ``mailq``."""
    for line in table(queue.entries()):
        print(line)


def flush(queue: Queue) -> None:
    """Have everything that is not held tried now.

    Raises:
        Fatal: the mail system is down.
    """
    order(queue, "flush")


def order(queue: Queue, op: str, **fields: str) -> None:
    """Ask the scheduler for something.

    Raises:
        Fatal: the mail system is down.
    """
    try:
        queue.ask(op, **fields)
    except NotRunning as exc:
        raise Fatal("Cannot flush mail queue - mail system is down", EX_UNAVAILABLE) from exc
