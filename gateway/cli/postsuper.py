"""``postsuper``: hold, release, requeue and delete queued messages. Source: postsuper(1)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

from gateway.cli.console import EX_USAGE, Console, Fatal, open_config, options
from gateway.cli.queue_source import Queue
from gateway.spool.queue_id import is_queue_id

USAGE = "postsuper [-c config_dir] [-d queue_id] [-h queue_id] [-H queue_id] [-r queue_id] [-psSv] [directory ...]"


class Action(NamedTuple):
    """What an option does: its letter, the request, what is said of one message, and of all."""

    letter: str
    op: str
    done: str
    summary: str


ACTIONS = (
    Action("d", "delete", "removed", "Deleted"),
    Action("h", "hold", "placed on hold", "Placed on hold"),
    Action("H", "release", "released from hold", "Released from hold"),
    Action("r", "requeue", "requeued", "Requeued"),
)


def main(arguments: list[str]) -> int:
    """Run ``postsuper``. For purging and structure checks (``-p -s -S``) there is no need: the store keeps itself."""
    found, operands = options(arguments, "c:d:h:H:r:pSsv", USAGE)
    if set(operands) - {"maildrop", "hold", "incoming", "active", "deferred"}:
        raise Fatal(f"unknown queue name; usage: {USAGE}", EX_USAGE)
    config = open_config(found.get("c", [""])[-1])
    console = Console("postsuper", config)
    queue = Queue(config, console)
    for action in ACTIONS:
        if values := found.get(action.letter):
            count = _all(queue, action.op, set(operands)) if "ALL" in values else _some(queue, console, action, values)
            console.info(f"{action.summary}: {count} message{'' if count == 1 else 's'}")
    return 0


def _all(queue: Queue, op: str, names: set[str]) -> int:
    """Everything, or everything in the queues that are named."""
    if not names:
        return queue.change_all(op)
    return len(queue.change(op, [entry.queue_id for entry in queue.entries() if entry.queue_name in names]))


def _some(queue: Queue, console: Console, action: Action, values: list[str]) -> int:
    ids = []
    for queue_id in _queue_ids(values):
        if is_queue_id(queue_id):
            ids.append(queue_id)
        else:
            console.warning(f"invalid mail queue id: {queue_id}")
    changed = queue.change(action.op, ids)
    for queue_id in changed:
        console.info(f"{queue_id}: {action.done}")
    return len(changed)


def _queue_ids(values: list[str]) -> Iterator[str]:
    for value in values:
        if value == "-":
            yield from (line.strip() for line in sys.stdin if line.strip())
        else:
            yield value
