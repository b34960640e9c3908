"""``postgate status``: what runs, since when, and what is in the queue."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from gateway.cli.console import Console, open_config
from gateway.cli.control_client import NotRunning, Refused, ask
from gateway.cli.queue_source import Queue
from gateway.master.control import SOCKET
from gateway.model.errors import GatewayError

COLUMNS = ("process", "pid", "state", "uptime", "restarts")


def show(directory: str, *, is_json: bool) -> int:
    """Print the status; returns 0 when the mail system runs, 1 when it does not."""
    config = open_config(directory)
    console = Console("postgate")
    try:
        (status,) = ask(config.text("queue_directory"), SOCKET, {"op": "status"})
    except NotRunning:
        if is_json:
            print(json.dumps({"running": False}))
        else:
            console.info("the Postgate mail system is not running")
        return 1
    status = {"running": True, **status, "queue": _queue_counts(Queue(config, console))}
    if is_json:
        print(json.dumps(status, ensure_ascii=False))
    else:
        _print(status)
    return 0


def _queue_counts(queue: Queue) -> dict[str, Any]:
    """Counts by queue; empty when the scheduler is just being replaced, or tells this user nothing."""
    try:
        return queue.ask("status")
    except (NotRunning, Refused, GatewayError):
        return {}


def _print(status: dict[str, Any]) -> None:
    print(f"the Postgate mail system is running: PID: {status['pid']}")
    print(f"version {status['version']}, configuration {status['config_directory']}, up {span(status['uptime_s'])}")
    rows = [
        (
            f"{process['role']}/{process['number']}",
            str(process["pid"]),
            process["state"],
            span(process["uptime_s"]),
            str(process["restarts"]),
        )
        for process in status["processes"]
    ]
    if sys.stdout.isatty():
        _coloured(rows)
    else:
        for row in [COLUMNS, *rows]:
            print("{:<14} {:>8} {:<9} {:>12} {:>8}".format(*row))
    for listening in status["listening"]:
        print(f"listening on {listening['address']} ({listening['service']})")
    if status["queue"]:
        print("queue: " + ", ".join(f"{name} {count}" for name, count in status["queue"].items()))


def _coloured(rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console as Terminal
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in ("pid", "uptime", "restarts") else "left")
    colours = {"ready": "green", "starting": "yellow", "stopping": "yellow", "dead": "red"}
    for role, pid, state, uptime, restarts in rows:
        table.add_row(role, pid, f"[{colours.get(state, 'white')}]{state}[/]", uptime, restarts)
    Terminal().print(table)


def span(seconds: float) -> str:
    """A duration for people: ``3d 4h``, ``5m 6s``."""
    whole = int(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    shown = [f"{value}{unit}" for value, unit in parts if value][:2]
    return " ".join(shown) or "0s"
